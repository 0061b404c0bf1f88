"""A tap's stream: carries what a tap shows from the gateway's loop to one inspector (docs/inspecting.md).

The tap runs in the gateway's loop, in the room's turn; the stream runs in the inspection thread. Overload: what does
not fit into the inspector's queue is counted. It ends after its time, whether or not the loop answers.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import trio

from omnisonic.actors.inspection.inspector import Inspector
from omnisonic.actors.inspection.thread_call import ThreadCalls
from omnisonic.actors.rooms.tap import Bounds, Sample, Tap
from omnisonic.wire.inspection import Answer, AskTap, End, Passed

T = TypeVar("T")


class TapStream:
    """One tap, as `question` asks for it. `outgoing` takes its answers."""

    def __init__(self, question: AskTap, outgoing: trio.MemorySendChannel[Answer], inspector: Inspector) -> None:
        self._question = question
        self._outgoing = outgoing
        self._inspector = inspector
        self._own_loop = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self._reason = "time"
        self._dropped = 0
        self._tap: Tap | None = None

    async def start(self, thread_calls: ThreadCalls) -> None:
        """Open the tap. Errors: `InvalidInput`, `NotAnswered`."""
        self._tap = await thread_calls.ask(self._open_tap)

    async def run(self, thread_calls: ThreadCalls) -> End:
        """Run until the tap ends. Returns the counts."""
        assert self._tap is not None
        try:
            with trio.move_on_after(self._question.for_s):
                await self._ended.wait()
        finally:
            thread_calls.tell(self._tap.close, self._reason)
        missed = self._tap.passed - self._tap.shown + self._dropped
        return End(self._question.id, self._reason, self._tap.passed, missed)

    def _open_tap(self) -> Tap:
        """Make the tap. Runs in the gateway's loop."""
        asked = self._question
        bounds = Bounds(asked.per_s, asked.most, trio.current_time() + asked.for_s, asked.payload)
        return self._inspector.tap(
            asked.room, bounds, partial(self._call_in_own_loop, self._show), partial(self._call_in_own_loop, self._end)
        )

    def _call_in_own_loop(self, call: Callable[[T], None], argument: T) -> None:
        with suppress(trio.RunFinishedError):
            self._own_loop.run_sync_soon(call, argument)

    def _show(self, sample: Sample) -> None:
        passed = Passed(
            self._question.id,
            datetime.now(UTC),
            sample.kind,
            sample.sender,
            sample.size,
            sample.message,
            sample.to,
            sample.payload,
            sample.missed,
        )
        try:
            self._outgoing.send_nowait(passed)
        except trio.WouldBlock:
            self._dropped += 1

    def _end(self, reason: str) -> None:
        self._reason = reason
        self._ended.set()
