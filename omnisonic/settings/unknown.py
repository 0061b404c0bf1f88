"""Variables of the environment that look like settings and are none (SPEC 2). Pure.

Most likely they are a slip of the pen, or settings of the original system: each of those has a sentence of its own,
with what replaces it here. The environment belongs to others, too: what is theirs is never told of, however much it
looks like ours.
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


class Replaced(NamedTuple):
    """What a setting of the original system has become: settings `by` which it is replaced, and what to do."""

    by: tuple[str, ...]
    advice: str


ORIGINAL: Final[Mapping[str, Replaced]] = {
    "PORT": Replaced(("WEB_PORT", "GATEWAY_PORT"), "Set WEB_PORT for the web and GATEWAY_PORT for the gateway."),
    "NODE_ENV": Replaced(("OMNISONIC_ENV",), "Set OMNISONIC_ENV to production or development."),
    "UPLOAD_CLEANUP_INTERVAL_MS": Replaced((), "Stale uploads are looked for every ten minutes."),
    "UPLOAD_CLEANUP_BATCH": Replaced((), "All stale uploads are deleted each time."),
    "EXPORT_QUEUE_NAME": Replaced((), "Mixdowns wait for their worker in the database, DATABASE_URL."),
    "EXPORT_PROGRESS_CHANNEL": Replaced((), "The session's room hears of each step as export.progress."),
    "EXPORT_PROGRESS_MIN_DELTA": Replaced((), "The session's room hears of each step as export.progress."),
    "EXPORT_DEFAULT_DURATION": Replaced((), "A mixdown is as long as its stems."),
    "EXPORT_HISTORY_LIMIT": Replaced(
        ("EXPORT_RETENTION_DAYS",), "Mixdowns are listed as long as they are kept: set EXPORT_RETENTION_DAYS."
    ),
}
"""The settings of the original system that have another name here, or are not needed (docs/from-the-original.md)."""


class Unknown(NamedTuple):
    """A variable that is no setting, and the one that was most likely meant, if any is like it.

    `advice` is what to do instead, where that is known.
    """

    variable: str
    likely: str | None
    advice: str | None = None

    def sentence(self) -> str:
        """What to tell who has set it."""
        if self.advice is not None:
            return f"{self.variable} is set, but not read. {self.advice}"
        asked = f": did you mean {self.likely}?" if self.likely else "."
        return f"{self.variable} is set, but there is no such setting{asked}"


def unknown_settings(environ: Mapping[str, str], known: Collection[str]) -> list[Unknown]:
    """Those in `environ` that look like the `known` settings and are none, by name. An empty value is none."""
    names = [name for name in sorted(environ) if environ[name] and name.upper() not in known]
    found = (_replaced(name, environ) if name in ORIGINAL else _looked_at(name, known) for name in names)
    return [unknown for unknown in found if unknown is not None]


def _replaced(variable: str, environ: Mapping[str, str]) -> Unknown | None:
    """Nothing when what replaces it is set: whoever did so knows."""
    replaced = ORIGINAL[variable]
    return None if any(environ.get(name) for name in replaced.by) else Unknown(variable, None, replaced.advice)


def _looked_at(variable: str, known: Collection[str]) -> Unknown | None:
    name = variable.upper()
    if name in THEIRS or name.startswith(THEIR_PREFIXES) or _KUBERNETES.search(name):
        return None
    is_ours = name.startswith(OUR_PREFIXES)
    likely = get_close_matches(name, known, n=1, cutoff=LIKELY if is_ours else SLIP)
    return Unknown(variable, likely[0] if likely else None) if is_ours or likely else None
