"""How often one may ask (SPEC 3): requests a second for each person and for each address, in one place for all routes.

All count but health checks, our own scripts and styles, and files by signed links, which have bounds of their own
(`omnisonic.http.api.downloads`). Whoever is signed in counts as a person, by whichever sign-in, and their address
counts besides, for all who are behind it. Over the rate it is 429 with a `Retry-After` that is true: after that time it
works.

The counts are in the guard, for all web processes together. Guard down or slow: each process counts by itself, so that
there is a bound and the studio works, and asks the guard again every `ASK_AGAIN_S`; one request waits for it then, not
all. Database down: a sign-in whose person is not known yet counts by itself. Overload: at most `KNOWN` sign-ins are
known, and what this process counts is bounded (`omnisonic.stores.guard.memory`). Crash: what it counted is forgotten.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from quart import Quart, request

from omnisonic.errors import Unavailable
from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.http.core.client_address import client_address
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.models import LoginId
from omnisonic.settings.settings import Settings
from omnisonic.stores.guard import Allowance, Guard
from omnisonic.studio.accounts import AccountStore

UNCOUNTED: Final = ("/static/", "/files/", "/healthz", "/readyz")
"""How the paths begin that do not count."""
BY_PERSON: Final = "requests by person"
BY_ADDRESS: Final = "requests by address"
ASK_AGAIN_S: Final = 5.0
"""How long a guard that did not answer is left alone."""
CACHED_LOGINS: Final = 4096
"""Sign-ins whose person is known; one more, and all are asked about anew. Whose a sign-in is never changes."""

log = logging.getLogger(__name__)


class RequestRates:
    """Counts an app's requests in `guard`, or in `local_guard`, which always answers. `clock` is monotonic."""

    def __init__(
        self,
        settings: Settings,
        guard: Guard,
        local_guard: Guard,
        accounts: AccountStore,
        current_user: CurrentUser,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._accounts = accounts
        self._current_user = current_user
        self._clock = clock
        self._local_guard = local_guard
        self._guard_answers = True
        self._ask_again_at_s = 0.0
        self._people: dict[LoginId, str] = {}

    def limit(self, app: Quart) -> None:
        """Let every request to `app` be counted before any route sees it."""
        app.before_request(self.check)

    async def check(self) -> None:
        """Count the current request. Errors: `Refusal` 429 `too_many_requests`, and it is not counted."""
        if request.path.startswith(UNCOUNTED):
            return
        allowances = await self._allowances()
        wait_s = await self._spend(allowances) if allowances else 0.0
        if wait_s > 0:
            raise Refusal(429, "too_many_requests", "Too many requests. Wait a moment.", headers=retry_after(wait_s))

    async def _allowances(self) -> list[Allowance]:
        """What the current request is counted by."""
        found, settings = [], self._settings
        if settings.rest_address_rate_per_s:
            forwarded = request.headers.getlist("X-Forwarded-For")
            address = client_address(request.remote_addr, forwarded, settings.trusted_proxies)
            rate_per_s, burst = settings.rest_address_rate_per_s, settings.rest_address_burst
            found.append(Allowance(BY_ADDRESS, address, rate_per_s, burst))
        if settings.rest_rate_per_s and (person := await self._person()):
            found.append(Allowance(BY_PERSON, person, settings.rest_rate_per_s, settings.rest_burst))
        return found

    async def _person(self) -> str:
        """Who is signed in, or by what they are counted; empty for a stranger."""
        login = self._current_user.login_or_none()
        if login is None:
            return ""
        known = self._people.get(login)
        if known is not None:
            return known
        try:
            signed_in = await self._accounts.signed_in(login)
        except Unavailable:
            return login
        if len(self._people) >= CACHED_LOGINS:
            self._people.clear()
        self._people[login] = person = "" if signed_in is None else signed_in.person.id
        return person

    async def _spend(self, allowances: list[Allowance]) -> float:
        """Count a request: the seconds to wait when it is one too many, else 0."""
        if not self._guard_answers:
            if self._clock() < self._ask_again_at_s:
                return await self._local_guard.spend(allowances)
            self._ask_again_at_s = self._clock() + ASK_AGAIN_S
        try:
            wait_s = await self._guard.spend(allowances)
        except Unavailable as problem:
            if self._guard_answers:
                log.warning("requests.limited_locally", extra={"reason": problem.message})
            self._guard_answers = False
            self._ask_again_at_s = self._clock() + ASK_AGAIN_S
            return await self._local_guard.spend(allowances)
        self._guard_answers = True
        return wait_s
