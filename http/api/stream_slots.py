"""How many event streams there may be at once: in all, from one address, and of one user. One for each process."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.models import UserId
from omnisonic.settings.settings import Settings

RETRY_S: Final = 15.0


class StreamSlots:
    """At most `total` streams, `per_address` from one address, and `per_user` of one user; 0 for any number."""

    def __init__(self, *, total: int, per_address: int, per_user: int) -> None:
        self._total = total
        self._limits = {"address": per_address, "user": per_user}
        self._taken: Counter[tuple[str, str]] = Counter()
        self._in_all = 0

    @classmethod
    def of(cls, settings: Settings) -> "StreamSlots":
        """From the settings."""
        return cls(
            total=settings.max_event_streams,
            per_address=settings.max_event_streams_per_address,
            per_user=settings.max_event_streams_per_user,
        )

    def take(self, address: str, user: UserId | None) -> Callable[[], None]:
        """Take a slot. `user`: who it is, if that is known.

        Returns:
            A function that frees the slot. Call it once.

        Raises:
            Refusal: 429 when the address or the user has as many as they may, 503 when all are taken.
        """
        owners = [("address", address)] + ([("user", user)] if user is not None else [])
        if any(0 < self._limits[kind] <= self._taken[kind, name] for kind, name in owners):
            raise Refusal(
                429,
                "too_many_streams",
                "As many event streams are open for you, or for your address, as may be. Close one.",
                headers=retry_after(RETRY_S),
            )
        if 0 < self._total <= self._in_all:
            raise Refusal(
                503,
                "streams_busy",
                "As many event streams are open as this server takes on. Try again in a moment.",
                headers=retry_after(RETRY_S),
            )
        self._taken.update(owners)
        self._in_all += 1
        return lambda: self._free(owners)

    def _free(self, owners: list[tuple[str, str]]) -> None:
        self._in_all -= 1
        for owner in owners:
            self._taken[owner] -= 1
            if not self._taken[owner]:
                del self._taken[owner]
