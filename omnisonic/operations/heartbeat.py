"""Heartbeats of child processes: what they send on the readiness pipe, and how long one has been silent. Pure.

A stuck process sends no heartbeats. But silence does not count while the supervisor itself did not run (the machine was
suspended or overloaded), while the process waited for a CPU, or while a debugger is attached.
"""

from typing import Final

READY: Final = b"ready\n"
"""The process accepts work."""
ALIVE: Final = b"alive\n"
"""Its event loop runs. Sent every `BEAT_S` after `READY`."""
BEAT_S: Final = 1.0
SILENT_S: Final = 10.0
"""A process that was silent for this long is restarted (SPEC 5.4)."""
LOOK_S: Final = 0.5
"""How often the supervisor checks."""
ABSENT_S: Final = 2.0
"""When the supervisor checks later than this, it did not run itself, and the silence does not count."""


class Silence:
    """How long a process has been silent through its own fault. Times are monotonic seconds."""

    def __init__(self, now_s: float, waited_s: float = 0.0) -> None:
        self._updated_at_s = now_s
        self._waited_s = waited_s
        self._silent_s = 0.0

    def reset(self) -> None:
        """Start at zero: something was received."""
        self._silent_s = 0.0

    def update(self, now_s: float, *, waited_s: float = 0.0, is_traced: bool = False) -> float:
        """Add the time since the last call. Call it every `LOOK_S`.

        Args:
            now_s: The time.
            waited_s: How long the process has waited for a CPU since it started.
            is_traced: Whether a debugger is attached.

        Returns:
            The seconds of silence so far.
        """
        passed_s, starved_s = now_s - self._updated_at_s, waited_s - self._waited_s
        self._updated_at_s, self._waited_s = now_s, waited_s
        if passed_s > ABSENT_S or is_traced:
            self._silent_s = 0.0
        else:
            self._silent_s += max(0.0, passed_s - max(0.0, starved_s))
        return self._silent_s
