"""The watchdog: a thread that notices when the gateway's loop is blocked, and by what (SPEC 1).

A blocked loop cannot notice that itself. So a thread looks at the dispatcher, which records who has its turn: the same
turn at several checks is a room whose handler blocks the loop. The watchdog logs it with the place in the code while it
lasts, and again when it has ended. Everything else that blocks the loop is noticed by a question to the loop that is
answered late.

Overload: `1 / CHECK_S` checks a second. A machine that is too busy to run the loop looks like a stall, and is one.
Crash: nothing in it raises; without it nothing else fails. Shutdown: `stop`, or the end of the process.
"""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from types import FrameType
from typing import Final

import trio

from omnisonic.actors.rooms.actor import RoomActor
from omnisonic.actors.rooms.stats import STALL_S
from omnisonic.actors.runtime.attribution import attribute_steps
from omnisonic.actors.runtime.scheduler import Dispatcher
from omnisonic.observability.code_places import own_place

CHECK_S: Final = 0.1
LOOP_S: Final = 1.0
"""The loop is asked this often whether it runs, and is late when it takes as long."""
STEPS: Final = 12
"""How many innermost calls of the stack are logged."""
AROUND: Final = frozenset({RoomActor.run_turn.__name__, attribute_steps.__name__})
"""What is around these calls is always the same."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stall:
    """The loop is blocked: by a room, or by something else (`room` None).

    `at` is the stack, innermost call first. `place` is the line of somebody's own code in it, if there is one.
    """

    room: str | None
    for_s: float
    at: str = ""
    place: str = ""


class Watchdog:
    """The watchdog of one loop. Made on its thread; `stall` may be called from any."""

    def __init__(
        self, dispatcher: Dispatcher, now_ms: Callable[[], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._dispatcher = dispatcher
        self._now_ms = now_ms
        self._clock = clock
        self._loop_thread = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()
        self._stopped = threading.Event()
        self._turn = -1
        self._stalled_actor: object = None
        self._turn_since_s = 0.0
        self._asked_s: float | None = None
        self._answered_s = clock()
        self._on_stall: Callable[[], None] = lambda: None
        self._last_stall: Stall | None = None
        self._log_after_s = STALL_S

    def start(self, on_stall: Callable[[], None] = lambda: None) -> None:
        """Start the thread. `on_stall` is called at each check, in that thread, while the loop is blocked."""
        self._on_stall = on_stall
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop. Does not wait for the thread, which checks at most once more."""
        self._stopped.set()

    def stall(self) -> Stall | None:
        """What blocks the loop, as of the last check; None when nothing does."""
        stall = self._detect(self._clock())
        return None if stall is None else self._locate(stall)

    def _watch(self) -> None:
        while not self._stopped.wait(CHECK_S):
            self.check()

    def check(self) -> None:
        """Check once, and log what is new."""
        now_s = self._clock()
        self._ask_loop(now_s)
        turn = self._dispatcher.turns
        if self._dispatcher.running is None or turn != self._turn:
            self._turn, self._turn_since_s = turn, now_s
        stall = self._detect(now_s)
        if stall is not None and (self._last_stall is None or stall.room == self._last_stall.room):
            if stall.for_s >= self._log_after_s:
                while self._log_after_s <= stall.for_s:
                    self._log_after_s *= 2
                self._log_stall(self._locate(stall))
            self._last_stall, self._stalled_actor = stall, self._dispatcher.running or self._stalled_actor
            if stall.for_s >= LOOP_S:
                self._on_stall()
        elif self._last_stall is not None:
            self._log_stall_end(self._last_stall)
            self._stalled_actor = None
            if self._asked_s is not None:
                self._asked_s = now_s  # time that one stall took is not part of the next
            self._last_stall, self._log_after_s = None, STALL_S

    def _detect(self, now_s: float) -> Stall | None:
        running = self._dispatcher.running
        turn_s = now_s - self._turn_since_s
        if running is not None and self._dispatcher.turns == self._turn and turn_s >= STALL_S:
            return Stall(str(getattr(running, "room_id", running)), turn_s)
        asked_s = self._asked_s
        if asked_s is not None and now_s - asked_s >= LOOP_S:
            return Stall(None, now_s - asked_s)
        return None

    def _ask_loop(self, now_s: float) -> None:
        if self._asked_s is None and now_s - self._answered_s >= LOOP_S:
            self._asked_s = now_s
            try:
                self._token.run_sync_soon(self._answer)
            except trio.RunFinishedError:
                self._asked_s = None
                self._stopped.set()

    def _answer(self) -> None:
        """The loop runs. Called in it."""
        self._answered_s, self._asked_s = self._clock(), None

    def _locate(self, stall: Stall) -> Stall:
        """The stall with where the loop's thread is now."""
        frame: FrameType | None = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - documented
        calls = []
        for step, line in islice(traceback.walk_stack(frame) if frame is not None else (), STEPS):
            calls.append((step.f_code, line))
            if step.f_code.co_name in AROUND:
                break
        stack = (f"{code.co_filename.rpartition('/')[2]}:{line} in {code.co_name}" for code, line in calls)
        return replace(stall, at=" < ".join(stack), place=own_place(calls))

    def _log_stall(self, stall: Stall) -> None:
        """Log it with room and place in the message: programs that embed a gateway may log nothing but messages."""
        fields: dict[str, object] = {"for_s": round(stall.for_s, 2), "at": stall.place, "stack": stall.at}
        if stall.room is None:
            fields["event"] = "gateway.stalls"
            _log.warning("gateway.stalls: for %.2f s at %s", stall.for_s, stall.place, extra=fields)
        else:
            fields |= {"event": "room.stalls", "room": stall.room}
            _log.warning("room.stalls: %r for %.2f s at %s", stall.room, stall.for_s, stall.place, extra=fields)

    def _log_stall_end(self, stall: Stall) -> None:
        fields: dict[str, object] = {"lasted_s": round(stall.for_s, 2)}
        if stall.room is None:
            fields["event"] = "gateway.stalled"
            _log.warning("gateway.stalled: for %.2f s", stall.for_s, extra=fields)
        else:
            if isinstance(self._stalled_actor, RoomActor):
                self._stalled_actor.stats.record_stall(stall.for_s, self._now_ms())
            fields |= {"event": "room.stalled", "room": stall.room}
            _log.warning("room.stalled: %r for %.2f s", stall.room, stall.for_s, extra=fields)
