"""The heartbeat of a part: what it says on the line to its supervisor, and how long it has said nothing. Pure.

A part that stands still is silent; but one that is silent need not stand still. Nothing counts while the supervisor
itself was not there to hear it (the machine slept, all of it was stopped, the processors were busy), nor the time that
the part has waited for a processor, nor anything while a debugger holds it.
"""

from typing import Final

READY: Final = b"ready\n"
"""The part is in service."""
ALIVE: Final = b"alive\n"
"""Its loop goes on; said every `BEAT_S` from then on."""
BEAT_S: Final = 1.0
SILENT_S: Final = 10.0
"""A part that was silent for so long is started again (SPEC 5.4)."""
LOOK_S: Final = 0.5
"""How often the supervisor adds the silence up."""
ABSENT_S: Final = 2.0
"""A supervisor that comes to look later than this was not there itself."""


class Silence:
    """How long a part has been silent, as far as that says something about the part. Times are monotonic seconds."""

    def __init__(self, now_s: float, waited_s: float = 0.0) -> None:
        self._looked_at_s = now_s
        self._waited_s = waited_s
        self._silent_s = 0.0

    def heard(self) -> None:
        """It has said something."""
        self._silent_s = 0.0

    def look(self, now_s: float, *, waited_s: float = 0.0, is_traced: bool = False) -> float:
        """The seconds of silence so far. Call it every `LOOK_S`.

        `waited_s` is how long the part has waited for a processor in all its life, `is_traced`: a debugger holds it.
        """
        passed_s, starved_s = now_s - self._looked_at_s, waited_s - self._waited_s
        self._looked_at_s, self._waited_s = now_s, waited_s
        if passed_s > ABSENT_S or is_traced:
            self._silent_s = 0.0
        else:
            self._silent_s += max(0.0, passed_s - max(0.0, starved_s))
        return self._silent_s
