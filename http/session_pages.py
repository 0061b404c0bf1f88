"""The pages of people's sessions: their list, the studio, and the links that invite to it (SPEC 6).

Everything that changes something goes through the API; these pages show how things are when they are opened, also
without scripts, and the scripts keep them so. The store says who may see what; a stranger is sent to sign in.
"""

from typing import Final
from urllib.parse import urlsplit

from quart import Blueprint, Response, request
from quart_schema import hide

from omnisonic.config import Settings
from omnisonic.errors import InvalidInput
from omnisonic.http.callers import Callers
from omnisonic.http.csrf import Csrf
from omnisonic.http.forms import read_post
from omnisonic.http.invites import invite_digest
from omnisonic.http.page_frame import SEE_OTHER, PageFrame, to
from omnisonic.http.policies import live_page
from omnisonic.http.session_inputs import LISTED, read_cursor, written_cursor
from omnisonic.models import Person, checked_session_name
from omnisonic.sessions import NotSignedIn, SessionStore


class SessionPages:
    """The routes that answer people who are signed in."""

    def __init__(
        self,
        settings: Settings,
        frame: PageFrame,
        callers: Callers,
        csrf: Csrf,
        sessions: SessionStore,
        *,
        gateway_port: int,
    ) -> None:
        self._gateway_url = settings.gateway_public_url
        self._gateway_port = gateway_port
        self._frame = frame
        self._callers = callers
        self._csrf = csrf
        self._sessions = sessions

    def blueprint(self) -> Blueprint:
        routes = Blueprint("session_pages", __name__)
        routes.get("/sessions")(self.list)
        routes.post("/sessions")(self.create)
        routes.get("/sessions/<session_id>")(self.studio)
        routes.get("/invites/<token>")(self.accept)
        routes.errorhandler(NotSignedIn)(self.stranger)
        return routes
