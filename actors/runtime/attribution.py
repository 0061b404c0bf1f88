"""Attribution: what is awaited for an actor outside of its turns counts as the actor's, for the watchdog (SPEC 1).

A hook that is awaited may block the loop as any other code may. `attribute_steps` has the dispatcher say meanwhile who
runs, so that the log names the room. It costs something only where it is used: not in turns.
"""

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any, TypeVar, cast

from omnisonic.actors.runtime.scheduler import Actor, Dispatcher

Result = TypeVar("Result")


@coroutine
def attribute_steps(
    dispatcher: Dispatcher, actor: Actor, steps: Coroutine[Any, Any, Result]
) -> Generator[Any, Any, Result]:
    """Await `steps`; each time they run, the dispatcher says that `actor` does. Returns and raises what they do."""
    resume: Callable[[], Any] = partial(steps.send, None)
    while True:
        dispatcher.turns += 1
        dispatcher.running = actor
        try:
            waits_for = resume()
        except StopIteration as done:
            return cast("Result", done.value)
        finally:
            dispatcher.running = None
        try:
            resume = partial(steps.send, (yield waits_for))
        except BaseException as thrown:  # noqa: BLE001 - cancellation, too: it is for `steps`
            resume = partial(steps.throw, thrown)
