"""Password attempts: five wrong ones a minute are checked for each account, and from each address (SPEC 4).

How they are counted, and what happens on overload, crash and without the guard: `omnisonic.http.auth.attempts`.
"""

from contextlib import AbstractAsyncContextManager
from typing import Final

from omnisonic.http.auth.attempts import Attempt, Attempts, Limit
from omnisonic.stores.guard import Guard

TRIES: Final = 5
"""Wrong passwords within `WINDOW_S` for one account, and from one address."""
WINDOW_S: Final = 60.0
WAITING_PER_NAME: Final = 64
BY_ACCOUNT: Final = "password by account"
BY_ADDRESS: Final = "password by address"
_LIMIT: Final = Limit(
    TRIES,
    WINDOW_S,
    WAITING_PER_NAME,
    refusal="Too many attempts. Wait a minute, then try again.",
    overload="Too many people are signing in right now. Try again in a moment.",
)


class PasswordAttempts:
    """Counts password attempts in `guard`. One for each process."""

    def __init__(self, guard: Guard) -> None:
        self._attempts = Attempts(guard, _LIMIT)

    def start(self, email: str, address: str) -> AbstractAsyncContextManager[Attempt]:
        """Make one attempt for the account with this e-mail, from this address: `Attempts.make`."""
        return self._attempts.make((BY_ADDRESS, address), (BY_ACCOUNT, email.lower()))
