"""The contract of hooks: which functions may be one, and which answers count (SPEC 8). Pure; it keeps nothing.

Hooks decide what other members see, so whatever is unclear is refused. A hook that would have to be awaited is a
`TypeError` when it is given. An answer that is none of those allowed is a crash of the room, and nothing is relayed.
"""

import inspect
from collections.abc import Callable
from typing import Final, TypeVar

Asked = TypeVar("Asked")

_WAITING: Final[tuple[Callable[[object], bool], ...]] = (
    inspect.iscoroutinefunction,
    inspect.isasyncgenfunction,
    inspect.isgeneratorfunction,
)


def require_plain_function(hook: object, name: str) -> None:
    """Check that `hook`, which the program calls `name`, gives its answer when it is called.

    Errors: `TypeError` for what is not callable, for coroutine functions and for generators.
    """
    if not callable(hook):
        raise TypeError(f"{name} must be a function.")
    # An object may be callable by an async method.
    if any(waits(each) for waits in _WAITING for each in (hook, getattr(hook, "__call__", None))):  # noqa: B004
        raise TypeError(f"{name} must be a plain function: rooms do not wait. Remove `async` or `yield` from it.")


def apply_answer(answer: object, asked: Asked, kind: type[Asked], name: str) -> Asked | None:
    """What goes on after the hook `name` was asked about `asked`: that, another one of its `kind`, or None for nothing.

    Errors: `TypeError` for any other answer than None, True, False or a `kind`.
    """
    if answer is None or answer is True:
        return asked
    if answer is False:
        return None
    if isinstance(answer, kind):
        return answer
    raise _refuse(answer, name, f"None, True, False or a {kind.__name__}")


def require_no_answer(answer: object, name: str) -> None:
    """Check that the hook `name` has answered nothing. Errors: `TypeError`."""
    if answer is not None:
        raise _refuse(answer, name, "nothing")


def require_state(answer: object, name: str) -> None:
    """Check that the hook `name` has returned a state, and nothing that has to be awaited. Errors: `TypeError`."""
    if inspect.isawaitable(answer):
        raise _refuse(answer, name, "a state")


def _refuse(answer: object, name: str, wanted: str) -> TypeError:
    if inspect.iscoroutine(answer):
        answer.close()  # nobody will await it
    return TypeError(f"{name} must return {wanted}; it returned {type(answer).__name__}.")
