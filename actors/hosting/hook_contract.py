"""The contract of hooks: which functions are accepted, and which results (SPEC 8). Pure.

Hooks decide what other members see, so anything unclear is an error. A hook that must be awaited raises `TypeError`
when the class is defined or the gateway is opened. A result that is not allowed crashes the room, and nothing is
relayed.
"""

import inspect
from collections.abc import Callable
from typing import Final, TypeVar

Offered = TypeVar("Offered")

_WAITING: Final[tuple[Callable[[object], bool], ...]] = (
    inspect.iscoroutinefunction,
    inspect.isasyncgenfunction,
    inspect.isgeneratorfunction,
)


def require_plain_function(hook: object, name: str) -> None:
    """Check that the hook called `name` can be called and does not have to be awaited.

    Raises `TypeError` for an object that cannot be called, a coroutine function or a generator function.
    """
    if not callable(hook):
        raise TypeError(f"{name} must be a function.")
    # An object may be callable by an async method.
    if any(waits(each) for waits in _WAITING for each in (hook, getattr(hook, "__call__", None))):  # noqa: B004
        raise TypeError(f"{name} must be a plain function: rooms do not wait. Remove `async` or `yield` from it.")


def require_async_function(hook: object, name: str) -> None:
    """Check that the hook called `name` is an async function. Raises `TypeError`."""
    if not any(inspect.iscoroutinefunction(each) for each in (hook, getattr(hook, "__call__", None))):  # noqa: B004
        raise TypeError(f"{name} must be an async function: write `async def`.")


def apply_result(result: object, offered: Offered, kind: type[Offered], name: str) -> Offered | None:
    """What to relay after the hook `name` was called with `offered`: the same, another one of its `kind`, or None.

    Raises `TypeError` for a result other than None, True, False or a `kind`.
    """
    if result is None or result is True:
        return offered
    if result is False:
        return None
    if isinstance(result, kind):
        return result
    raise _bad_result(result, name, f"None, True, False or a {kind.__name__}")


def require_no_result(result: object, name: str) -> None:
    """Check that the hook `name` has returned None. Raises `TypeError`."""
    if result is not None:
        raise _bad_result(result, name, "nothing")


def require_state(result: object, name: str) -> None:
    """Check that the hook `name` has returned a state and not an awaitable. Raises `TypeError`."""
    if inspect.isawaitable(result):
        raise _bad_result(result, name, "a state")


def _bad_result(result: object, name: str, wanted: str) -> TypeError:
    if inspect.iscoroutine(result):
        result.close()  # nobody will await it
    return TypeError(f"{name} must return {wanted}; it returned {type(result).__name__}.")
