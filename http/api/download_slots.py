"""How many downloads run at once, in all and to each address: each holds a file, a socket and some memory.

Overload: `Refusal` with `Retry-After`: 429 over `PER_ADDRESS`, 503 over `TOTAL`, which are those of one process. Crash
and shutdown: a slot is free again once its request is over, however that ends.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from omnisonic.http.core.errors import Refusal, retry_after

TOTAL: Final = 256
PER_ADDRESS: Final = 32
"""Several people may be behind one address; a browser has six connections at most."""
RETRY_S: Final = 5.0


class DownloadSlots:
    """Slots for `total` downloads, of which `per_address` may be of one address."""

    def __init__(self, total: int = TOTAL, per_address: int = PER_ADDRESS) -> None:
        self._total = total
        self._per_address = per_address
        self._taken: Counter[str] = Counter()

    def take(self, address: str) -> Callable[[], None]:
        """Take a slot; what is returned frees it, and is to be called once. Errors: `Refusal`."""
        if self._taken[address] >= self._per_address:
            raise Refusal(
                429,
                "too_many_downloads",
                "Too many downloads run to your address. Wait until one is finished.",
                headers=retry_after(RETRY_S),
            )
        if self._taken.total() >= self._total:
            raise Refusal(
                503,
                "downloads_busy",
                "As many downloads run as this server takes on. Try again in a moment.",
                headers=retry_after(RETRY_S),
            )
        self._taken[address] += 1
        return lambda: self._free(address)

    def _free(self, address: str) -> None:
        self._taken[address] -= 1
        if not self._taken[address]:
            del self._taken[address]
