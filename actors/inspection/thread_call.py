"""A crossing: questions from one trio loop to another, in another thread, with a deadline (SPEC 1).

A question is a plain call that runs in the other loop between its tasks, and must not wait there. Overload: who asks
waits for the answer before asking the next, so at most one question of each asker is on its way. The other loop busy:
`NotAnswered` at the deadline, and the question is not asked any more when the loop comes to it. Crash: what the
question raises is raised to who asked. Shutdown: a loop that has ended does not answer.
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
    """A question on its way, and what came of it. Belongs to whoever asked, but for `is_abandoned`, a plain flag."""

    question: Callable[[], T]
    done: trio.Event = field(default_factory=trio.Event)
    answers: list[T] = field(default_factory=list)
    error: Exception | None = None
    is_abandoned: bool = False


class ThreadCalls:
    """The way into the loop in which it was made."""

    def __init__(self, answer_s: float = ANSWER_S) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._answer_s = answer_s

    async def ask(self, question: Callable[[], T]) -> T:
        """What `question` returns over there. Errors: `NotAnswered`, and what it raises."""
        errand = _Call(question)
        home = trio.lowlevel.current_trio_token()

        def back(error: Exception | None, *answers: T) -> None:
            errand.error = error
            errand.answers.extend(answers)
            errand.done.set()

        def there() -> None:
            if errand.is_abandoned:
                return
            try:
                answer = errand.question()
            except Exception as crash:  # noqa: BLE001 - it is the asker's to deal with
                _call_soon(home, back, crash)
            else:
                _call_soon(home, back, None, answer)

        if not _call_soon(self._token, there):
            raise NotAnswered
        with trio.move_on_after(self._answer_s):
            await errand.done.wait()
        if errand.error is not None:
            raise errand.error
        if not errand.answers:
            errand.is_abandoned = True
            raise NotAnswered
        return errand.answers[0]

    def tell(self, call: Callable[..., None], *arguments: object) -> None:
        """Have `call` run over there whenever the loop comes to it. Nobody waits; it must not raise."""
        _call_soon(self._token, call, *arguments)


def _call_soon(token: trio.lowlevel.TrioToken, call: Callable[..., None], *arguments: object) -> bool:
    """Have a loop call it soon. False when that loop has ended."""
    try:
        token.run_sync_soon(call, *arguments)
    except trio.RunFinishedError:
        return False
    return True
