"""Omnisonic Studio: realtime rooms for musicians, on supervised actors.

In a program of your own: `open_gateway` runs rooms in it, `connect` is a member of one, `create_app` is the studio's
web as an ASGI app (docs/embedding.md). Each name is imported when it is first used; `__init__.pyi` says what they are.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "Admitted": "omnisonic.actors.admission.admission",
    "BadSettings": "omnisonic.errors",
    "ClientRoom": "omnisonic.client.rooms",
    "Closed": "omnisonic.client.errors",
    "EntryRefused": "omnisonic.client.errors",
    "InvalidInput": "omnisonic.errors",
    "Limits": "omnisonic.embedding.gateway",
    "Member": "omnisonic.models",
    "Message": "omnisonic.wire.decoded_message",
    "NotTaken": "omnisonic.client.errors",
    "OmnisonicError": "omnisonic.errors",
    "Refused": "omnisonic.wire.handshake",
    "Request": "omnisonic.embedding.admission",
    "Room": "omnisonic.embedding.rooms",
    "RoomHost": "omnisonic.embedding.rooms",
    "RunningGateway": "omnisonic.embedding.gateway",
    "Settings": "omnisonic.settings.settings",
    "StudioWeb": "omnisonic.embedding.web",
    "Unavailable": "omnisonic.errors",
    "connect": "omnisonic.client.rooms",
    "create_app": "omnisonic.embedding.web",
    "open_gateway": "omnisonic.embedding.gateway",
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(place), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
