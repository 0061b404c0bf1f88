"""Rate limits of the web (SPEC 3): requests a second for each person and for each address, for all routes in one place.

Everything counts except health checks, our own scripts and styles, and files by signed links, which have limits of
their own (`omnisonic.http.api.downloads`). Somebody who is signed in counts as a person, by whichever login, and also
by their address, together with everybody behind it. Over the limit: 429 with a `Retry-After` after which it works.

The counts are in the guard, shared by all web processes. Guard down or slow: each process counts by itself and tries
the guard again every `RETRY_GUARD_S`; only one request waits for that. Database down: a login whose person is not
cached counts by itself. Overload: at most `CACHED_LOGINS` logins are cached, and what this process counts is bounded
(`omnisonic.stores.guard.memory`). Crash: what this process counted is lost.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from quart import Quart, request

from omnisonic.errors import Unavailable
from omnisonic.http.auth.current_user import CurrentUser
from omnisonic.http.core.client_address import request_address
from omnisonic.http.core.errors import Refusal, retry_after
from omnisonic.models import LoginId
from omnisonic.settings.settings import Settings
from omnisonic.stores.guard import Allowance, Guard
from omnisonic.studio.accounts.account_store import AccountStore

UNLIMITED_PATHS: Final = ("/static/", "/client/", "/files/", "/healthz", "/readyz", "/metrics")
"""Prefixes of the paths that do not count."""
BY_PERSON: Final = "requests by person"
BY_ADDRESS: Final = "requests by address"
RETRY_GUARD_S: Final = 5.0
"""How long a guard that did not answer is not asked again."""
CACHED_LOGINS: Final = 4096
"""Most logins whose person is cached; one more clears the cache. The person of a login never changes."""

log = logging.getLogger(__name__)


class RequestRates:
    """Counts requests in `guard`, or in `local_guard` while that does not answer. `clock` is monotonic."""

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
        self._retry_guard_at_s = 0.0
        self._people: dict[LoginId, str] = {}

    def attach(self, app: Quart) -> None:
        """Count every request to `app` before its route runs."""
        app.before_request(self.check)

    async def check(self) -> None:
        """Count the current request. Raises `Refusal` (429 `too_many_requests`); then it is not counted."""
        if request.path.startswith(UNLIMITED_PATHS):
            return
        allowances = await self._allowances()
        wait_s = await self._spend(allowances) if allowances else 0.0
        if wait_s > 0:
            raise Refusal(429, "too_many_requests", "Too many requests. Wait a moment.", headers=retry_after(wait_s))

    async def _allowances(self) -> list[Allowance]:
        """The rate limits that the current request counts against."""
        allowances, settings = [], self._settings
        if settings.rest_address_rate_per_s:
            address = request_address(settings.trusted_proxies)
            rate_per_s, burst = settings.rest_address_rate_per_s, settings.rest_address_burst
            allowances.append(Allowance(BY_ADDRESS, address, rate_per_s, burst))
        if settings.rest_rate_per_s and (person := await self._person()):
            allowances.append(Allowance(BY_PERSON, person, settings.rest_rate_per_s, settings.rest_burst))
        return allowances

    async def _person(self) -> str:
        """The id to count a signed-in person by; empty for a stranger."""
        login = self._current_user.login_or_none()
        if login is None:
            return ""
        cached = self._people.get(login)
        if cached is not None:
            return cached
        try:
            signed_in = await self._accounts.signed_in(login)
        except Unavailable:
            return login
        if len(self._people) >= CACHED_LOGINS:
            self._people.clear()
        self._people[login] = person = "" if signed_in is None else signed_in.person.id
        return person

    async def _spend(self, allowances: list[Allowance]) -> float:
        """Count a request. Returns the seconds to wait when it is over a limit, else 0."""
        if not self._guard_answers:
            if self._clock() < self._retry_guard_at_s:
                return await self._local_guard.spend(allowances)
            self._retry_guard_at_s = self._clock() + RETRY_GUARD_S
        try:
            wait_s = await self._guard.spend(allowances)
        except Unavailable as problem:
            if self._guard_answers:
                log.warning("requests.limited_locally", extra={"reason": problem.message})
            self._guard_answers = False
            self._retry_guard_at_s = self._clock() + RETRY_GUARD_S
            return await self._local_guard.spend(allowances)
        self._guard_answers = True
        return wait_s
