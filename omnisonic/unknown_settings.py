"""Variables of the environment that look like settings and are none: most likely a slip of the pen (SPEC 2). Pure.

The environment belongs to others, too: what is theirs is never told of, however much it looks like ours.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Final, NamedTuple

OUR_PREFIXES: Final = (
    "OMNISONIC_",
    "ROOM_",
    "GATEWAY_",
    "PARITY_",
    "PRESENCE_",
    "MEMBER_",
    "EXPORT_",
    "UPLOAD_",
    "STORAGE_",
    "NEXTAUTH_",
)
"""What begins like this is meant for this program."""
THEIR_PREFIXES: Final = ("AWS_", "OTEL_")
THEIRS: Final = frozenset({"GATEWAY_INTERFACE", "STORAGE_EMULATOR_HOST"})
"""The CGI of web servers (RFC 3875), and Google's tools."""
_KUBERNETES: Final = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP)")
"""It tells each container where the services of its cluster are, a `gateway` among them."""
SLIP: Final = 0.89
"""Two names are a slip of the pen apart when they are as alike as this (`difflib`)."""
LIKELY: Final = 0.6
"""What is meant for us anyhow may be less like what it should be called."""


class Unknown(NamedTuple):
    """A variable that is no setting, and the one that was most likely meant, if any is like it."""

    variable: str
    likely: str | None

    def sentence(self) -> str:
        """What to tell who has set it."""
        asked = f": did you mean {self.likely}?" if self.likely else "."
        return f"{self.variable} is set, but there is no such setting{asked}"


def unknown_settings(environ: Mapping[str, str], known: Collection[str]) -> list[Unknown]:
    """Those in `environ` that look like the `known` settings and are none, by name. An empty value is none."""
    found = (_looked_at(name, known) for name in sorted(environ) if environ[name] and name.upper() not in known)
    return [unknown for unknown in found if unknown is not None]


def _looked_at(variable: str, known: Collection[str]) -> Unknown | None:
    name = variable.upper()
    if name in THEIRS or name.startswith(THEIR_PREFIXES) or _KUBERNETES.search(name):
        return None
    is_ours = name.startswith(OUR_PREFIXES)
    likely = get_close_matches(name, known, n=1, cutoff=LIKELY if is_ours else SLIP)
    return Unknown(variable, likely[0] if likely else None) if is_ours or likely else None
