"""What `/api/rooms` takes: who wants to enter as whom, and what is to be said (SPEC 3). Pure."""

from typing import Annotated, Any, Final

import msgspec
from pydantic import AfterValidator, Field, WithJsonSchema

from omnisonic.errors import InvalidInput
from omnisonic.http.core.inputs import Input
from omnisonic.http.core.openapi import id_schema, name_schema
from omnisonic.models import DISPLAY_NAME_LENGTH, checked_display_name, checked_member_id, checked_room_id
from omnisonic.wire.json_limits import DEPTH, check_numbers, nesting_depth
from omnisonic.wire.message_types import HANDLED_TYPES, SERVER_TYPES, SIGNAL_PREFIX
from omnisonic.wire.messages import TYPE_LENGTH, explain_decode_error

NOT_FROM_OUTSIDE: Final = SERVER_TYPES | HANDLED_TYPES
"""What only the server sends, and what only a member can send."""

_Id = WithJsonSchema(id_schema())
RoomName = Annotated[str, AfterValidator(checked_room_id), _Id]
MemberName = Annotated[str, AfterValidator(checked_member_id), _Id]
DisplayName = Annotated[str, AfterValidator(checked_display_name), WithJsonSchema(name_schema(DISPLAY_NAME_LENGTH))]


class Entrance(Input):
    """As whom somebody wants to enter: by default under their own id and name."""

    member_id: MemberName | None = None
    display_name: DisplayName | None = None


class Saying(Input):
    """Something to be said into a room, `to` one member or to everybody."""

    type: Annotated[str, Field(min_length=1, max_length=TYPE_LENGTH)]
    payload: Any = None
    to: str | None = None


class OutsideMessage(msgspec.Struct, frozen=True):
    """A `Saying` as it is read: its payload goes on as the bytes it came as."""

    type: Annotated[str, msgspec.Meta(min_length=1, max_length=TYPE_LENGTH)]
    payload: msgspec.Raw = msgspec.Raw(b"null")
    to: str | None = None


_decode: Final = msgspec.json.Decoder(OutsideMessage).decode


def read_saying(body: bytes) -> OutsideMessage:
    """What is to be said.

    Errors: `InvalidInput`: `invalid_json`, `invalid_message`, `invalid_number`, `too_deep`, `reserved_type`.
    """
    try:
        body.decode()
        deep = nesting_depth(body) > DEPTH
        message = None if deep else _decode(body)
    except UnicodeDecodeError:
        raise InvalidInput("This is not JSON: it is not UTF-8.", code="invalid_json") from None
    except msgspec.DecodeError as wrong:
        raise explain_decode_error(wrong, body) from None
    except RecursionError:  # unbalanced brackets, thousands of them
        message = None
    if message is None:
        raise InvalidInput(f"A message must be nested at most {DEPTH} deep.", code="too_deep")
    if message.type in NOT_FROM_OUTSIDE:
        raise InvalidInput(f"Nobody says {message.type} from outside of a room.", code="reserved_type")
    if message.to is None and message.type.startswith(SIGNAL_PREFIX):
        raise InvalidInput(f"{message.type} must say to which member.", code="invalid_message")
    check_numbers(message.payload)
    return message
