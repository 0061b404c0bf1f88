"""Environment variables that look like settings but are none (SPEC 2). Pure.

They are probably misspelled, or settings of the original system; each of those has its own sentence that says what
replaces it. Variables of other programs are never reported, even if they look like ours.
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
"""Prefixes of variables that are meant for this program."""
THEIR_PREFIXES: Final = ("AWS_", "OTEL_")
THEIRS: Final = frozenset({"GATEWAY_INTERFACE", "STORAGE_EMULATOR_HOST"})
"""Variables of CGI (RFC 3875), and of Google's tools."""
BUILDING: Final = frozenset({"OMNISONIC_COMPILE"})
"""Read when a wheel is built. An image may have it set from then on."""
_KUBERNETES: Final = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP)")
"""Kubernetes sets these in each container for the services of its cluster, maybe a `gateway`."""
SLIP: Final = 0.89
"""Names with this similarity are taken for a misspelling (`difflib`)."""
LIKELY: Final = 0.6
"""The similarity that is enough for a variable with one of our prefixes."""


class Replaced(NamedTuple):
    """What replaces a setting of the original system: the settings in `by`, and a sentence."""

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
"""Settings of the original system with another name here, or without need (docs/from-the-original.md)."""


class Unknown(NamedTuple):
    """A variable that is no setting, and the setting that was probably meant, if any.

    `advice` says what to do instead, where that is known.
    """

    variable: str
    likely: str | None
    advice: str | None = None

    def sentence(self) -> str:
        """The warning for the operator."""
        if self.advice is not None:
            return f"{self.variable} is set, but not read. {self.advice}"
        question = f": did you mean {self.likely}?" if self.likely else "."
        return f"{self.variable} is set, but there is no such setting{question}"


def unknown_settings(environ: Mapping[str, str], known: Collection[str]) -> list[Unknown]:
    """The variables in `environ` that look like `known` settings but are none, sorted. Empty values are ignored."""
    names = [name for name in sorted(environ) if environ[name] and name.upper() not in known]
    found = (_check_original(name, environ) if name in ORIGINAL else _check_name(name, known) for name in names)
    return [unknown for unknown in found if unknown is not None]


def _check_original(variable: str, environ: Mapping[str, str]) -> Unknown | None:
    """None when its replacement is set, too."""
    replaced = ORIGINAL[variable]
    return None if any(environ.get(name) for name in replaced.by) else Unknown(variable, None, replaced.advice)


def _check_name(variable: str, known: Collection[str]) -> Unknown | None:
    name = variable.upper()
    if name in THEIRS | BUILDING or name.startswith(THEIR_PREFIXES) or _KUBERNETES.search(name):
        return None
    is_ours = name.startswith(OUR_PREFIXES)
    likely = get_close_matches(name, known, n=1, cutoff=LIKELY if is_ours else SLIP)
    return Unknown(variable, likely[0] if likely else None) if is_ours or likely else None
