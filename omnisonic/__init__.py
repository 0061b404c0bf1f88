"""Omnisonic Studio: realtime rooms for musicians, on supervised actors.

For your own programs: `open_gateway` runs rooms, `connect` joins one (`aio.connect` in an asyncio program), and
`create_app` is the studio's web as an ASGI app (docs/embedding.md). Each name is imported when it is first used;
`__init__.pyi` lists them for type checkers.
"""

import sys
from importlib import import_module
from typing import Any

from omnisonic import compilation

__version__ = "0.1.0"

compilation.install()  # before anything that may be compiled is imported

_MODULES = {
    "Admitted": "omnisonic.actors.admission.admission",
    "BadSettings": "omnisonic.errors",
    "ClientRoom": "omnisonic.client.rooms",
    "Closed": "omnisonic.client.errors",
    "EntryRefused": "omnisonic.client.errors",
    "InvalidInput": "omnisonic.errors",
    "Limits": "omnisonic.embedding.gateway",
    "Loop": "omnisonic.wire.transport",
    "Member": "omnisonic.models",
    "Message": "omnisonic.wire.decoded_message",
    "MissingExtra": "omnisonic.errors",
    "NotTaken": "omnisonic.client.errors",
    "OmnisonicError": "omnisonic.errors",
    "Refused": "omnisonic.wire.handshake",
    "Request": "omnisonic.embedding.admission",
    "Room": "omnisonic.actors.hosting.room",
    "RoomHost": "omnisonic.actors.hosting.room",
    "RunningGateway": "omnisonic.embedding.running_gateway",
    "Settings": "omnisonic.settings.settings",
    "SharedState": "omnisonic.client.shared_state",
    "StudioWeb": "omnisonic.embedding.web",
    "Transport": "omnisonic.wire.transport",
    "Unavailable": "omnisonic.errors",
    "WrongAsyncLibrary": "omnisonic.errors",
    "aio": "omnisonic.aio",
    "connect": "omnisonic.client.trio_client",
    "create_app": "omnisonic.embedding.web",
    "open_gateway": "omnisonic.embedding.gateway",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found = import_module(module)
    except ModuleNotFoundError as missing:
        top = (missing.name or "").partition(".")[0]
        if top in {"", __name__} or top in sys.stdlib_module_names:
            raise  # no extra brings it: a fault of ours, or what this system does not have
        raise import_module("omnisonic.errors").MissingExtra(f"omnisonic.{name}", missing) from None
    value = globals()[name] = found if module == f"{__name__}.{name}" else getattr(found, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
