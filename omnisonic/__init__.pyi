from omnisonic.actors.admission.admission import Admitted as Admitted
from omnisonic.client.errors import Closed as Closed
from omnisonic.client.errors import EntryRefused as EntryRefused
from omnisonic.client.errors import NotTaken as NotTaken
from omnisonic.client.membership import connect as connect
from omnisonic.client.rooms import ClientRoom as ClientRoom
from omnisonic.client.shared_state import SharedState as SharedState
from omnisonic.embedding.admission import Request as Request
from omnisonic.embedding.gateway import Limits as Limits
from omnisonic.embedding.gateway import RunningGateway as RunningGateway
from omnisonic.embedding.gateway import open_gateway as open_gateway
from omnisonic.embedding.rooms import Room as Room
from omnisonic.embedding.rooms import RoomHost as RoomHost
from omnisonic.embedding.web import StudioWeb as StudioWeb
from omnisonic.embedding.web import create_app as create_app
from omnisonic.errors import BadSettings as BadSettings
from omnisonic.errors import InvalidInput as InvalidInput
from omnisonic.errors import OmnisonicError as OmnisonicError
from omnisonic.errors import Unavailable as Unavailable
from omnisonic.models import Member as Member
from omnisonic.settings.settings import Settings as Settings
from omnisonic.wire.decoded_message import Message as Message
from omnisonic.wire.handshake import Refused as Refused
from omnisonic.wire.transport import Loop as Loop
from omnisonic.wire.transport import Transport as Transport

__version__: str
