"""Thread calls: run a function in another thread's trio loop and wait for the result, with a deadline (SPEC 1).

The function runs in the other loop between its tasks, and must not wait there; or it is a task of that loop. Overload:
a caller waits for its result, so it has at most one call under way. Other loop blocked: `NotAnswered` at the deadline,
and the call is dropped when the loop gets to it. Crash: what the function raises is raised to the caller. Shutdown: a
loop that has ended does not answer.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import trio

ANSWER_S: Final = 1.0

T = TypeVar("T")


class NotAnswered(Exception):
    """The other loop did not answer in time."""


@dataclass(slots=True)
class _Call(Generic[T]):
    """A call under way, and its result. Belongs to the caller, except `is_abandoned`, a plain flag."""

    caller: trio.lowlevel.TrioToken = field(default_factory=trio.lowlevel.current_trio_token)
    done: trio.Event = field(default_factory=trio.Event)
    answers: list[T] = field(default_factory=list)
    error: Exception | None = None
    is_abandoned: bool = False

    def return_(self, answer: T) -> None:
        """The call has this result. Called in the other loop."""
        call_soon(self.caller, self._finish, None, answer)

    def raise_(self, error: Exception) -> None:
        """The call has failed. Called in the other loop."""
        call_soon(self.caller, self._finish, error)

    def _finish(self, error: Exception | None, *answers: T) -> None:
        self.error = error
        self.answers.extend(answers)
        self.done.set()

    async def wait(self, within_s: float) -> T:
        """Wait for the result. Errors: `NotAnswered`, and what was raised."""
        with trio.move_on_after(within_s):
            await self.done.wait()
        if self.error is not None:
            raise self.error
        if not self.answers:
            raise NotAnswered
        return self.answers[0]


class ThreadCalls:
    """Calls into the loop in which it was made."""

    def __init__(self, answer_s: float = ANSWER_S) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._answer_s = answer_s

    async def ask(self, question: Callable[[], T]) -> T:
        """Run `question` in that loop and return its result. Errors: `NotAnswered`, and what it raises."""
        call = _Call[T]()

        def run() -> None:
            if call.is_abandoned:
                return
            try:
                answer = question()
            except Exception as crash:  # noqa: BLE001 - it is raised to the caller
                call.raise_(crash)
            else:
                call.return_(answer)

        if not call_soon(self._token, run):
            raise NotAnswered
        try:
            return await call.wait(self._answer_s)
        finally:
            call.is_abandoned = True

    async def run(
        self,
        task: Callable[[], Awaitable[T]],
        start: Callable[[Callable[[], Awaitable[None]]], None],
        within_s: float,
    ) -> T:
        """Run `task`, which may wait, in that loop, and return its result.

        `start` starts a task there, between two others. When the caller is cancelled, or `within_s` have passed, the
        task is cancelled, too. Errors: `NotAnswered`, and what it raises.
        """
        call = _Call[T]()
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                try:
                    answer = await task()
                except Exception as crash:  # noqa: BLE001 - it is raised to the caller
                    call.raise_(crash)
                else:
                    call.return_(answer)

        if not call_soon(self._token, start, run):
            raise NotAnswered
        try:
            return await call.wait(within_s)
        finally:
            call_soon(self._token, scope.cancel)

    def tell(self, call: Callable[..., None], *arguments: object) -> None:
        """Run `call` in that loop soon. Does not wait for it; it must not raise."""
        call_soon(self._token, call, *arguments)


def call_soon(token: trio.lowlevel.TrioToken, call: Callable[..., None], *arguments: object) -> bool:
    """Have a loop run `call` soon. False when that loop has ended."""
    try:
        token.run_sync_soon(call, *arguments)
    except trio.RunFinishedError:
        return False
    return True
