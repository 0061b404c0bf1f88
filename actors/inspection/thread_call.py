"""Thread calls: run a function in another thread's trio loop and wait for the result, with a deadline (SPEC 1).

The function runs in the other loop between its tasks, and must not wait there. Overload: a caller waits for its result,
so it has at most one call under way. Other loop blocked: `NotAnswered` at the deadline, and the call is dropped when
the loop gets to it. Crash: what the function raises is raised to the caller. Shutdown: a loop that has ended does not
answer.
"""

from collections.abc import Callable
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

    question: Callable[[], T]
    done: trio.Event = field(default_factory=trio.Event)
    answers: list[T] = field(default_factory=list)
    error: Exception | None = None
    is_abandoned: bool = False


class ThreadCalls:
    """Calls into the loop in which it was made."""

    def __init__(self, answer_s: float = ANSWER_S) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._answer_s = answer_s

    async def ask(self, question: Callable[[], T]) -> T:
        """Run `question` in that loop and return its result. Errors: `NotAnswered`, and what it raises."""
        call = _Call(question)
        caller = trio.lowlevel.current_trio_token()

        def finish(error: Exception | None, *answers: T) -> None:
            call.error = error
            call.answers.extend(answers)
            call.done.set()

        def run() -> None:
            if call.is_abandoned:
                return
            try:
                answer = call.question()
            except Exception as crash:  # noqa: BLE001 - it is raised to the caller
                _call_soon(caller, finish, crash)
            else:
                _call_soon(caller, finish, None, answer)

        if not _call_soon(self._token, run):
            raise NotAnswered
        with trio.move_on_after(self._answer_s):
            await call.done.wait()
        if call.error is not None:
            raise call.error
        if not call.answers:
            call.is_abandoned = True
            raise NotAnswered
        return call.answers[0]

    def tell(self, call: Callable[..., None], *arguments: object) -> None:
        """Run `call` in that loop soon. Does not wait for it; it must not raise."""
        _call_soon(self._token, call, *arguments)


def _call_soon(token: trio.lowlevel.TrioToken, call: Callable[..., None], *arguments: object) -> bool:
    """Have a loop run `call` soon. False when that loop has ended."""
    try:
        token.run_sync_soon(call, *arguments)
    except trio.RunFinishedError:
        return False
    return True
