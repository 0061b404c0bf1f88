"""Authentication for `/inspect`: an operator shows the admin token (SPEC 1, 2).

The token is accepted in `Authorization: Bearer` only, so it is in no log of addresses, and no web page can send it. A
request without a token is refused and not counted as a wrong one; otherwise any web page could lock the operator out.
Without an admin token `/inspect` does not exist (404).

Overload: an address that sent `TRIES` wrong tokens within `WITHIN_S` is refused until the window has passed, even with
the right token, or guessing could continue. The number of remembered addresses is bounded. Crash and shutdown: all is
forgotten.
"""

import hashlib
import hmac
import logging
import math
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from omnisonic.settings.origins import HostPolicy, OriginPolicy
from omnisonic.wire.handshake import Refused, Request

PATH: Final = "/inspect"
TRIES: Final = 5
WITHIN_S: Final = 60.0
ADDRESSES: Final = 10_000
"""With more addresses the oldest are forgotten."""
INSPECTORS: Final = 8
_OWN_SITES: Final = frozenset({"same-origin", "none"})
"""Values of `Sec-Fetch-Site` for requests that no other site's page made (Fetch Metadata, W3C)."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Failures:
    """When an address showed wrong tokens, and whether it was logged that it does so too often."""

    at_s: deque[float] = field(default_factory=deque)
    is_logged: bool = False


class InspectionAuth:
    """Checks inspectors' tokens. `token` None: `/inspect` does not exist."""

    def __init__(self, token: str | None, hosts: HostPolicy, origins: OriginPolicy) -> None:
        self._token = None if not token else _digest(token.encode())
        self._hosts = hosts
        self._origins = origins
        self._wrong: dict[str, _Failures] = {}

    @property
    def is_enabled(self) -> bool:
        """Whether there is a token at all."""
        return self._token is not None

    def check(self, request: Request, address: str, inside: int, now_s: float) -> None:
        """Check that the request is an operator's; `inside` is how many inspectors there are. Errors: `Refused`."""
        if self._token is None:
            raise Refused(
                HTTPStatus.NOT_FOUND,
                "not_found",
                "There is nothing to inspect here: no ADMIN_TOKEN is set.",
            )
        if not self._hosts.allows(request.headers["host"]):
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "wrong_host", "That host name is not answered here.")
        if "origin" in request.headers and not self._origins.allows(request.headers["origin"]):
            raise Refused(HTTPStatus.FORBIDDEN, "foreign_origin", "Pages of that origin may not connect here.")
        if request.headers.get("sec-fetch-site", "none") not in _OWN_SITES:
            raise Refused(HTTPStatus.FORBIDDEN, "foreign_origin", "Pages of other sites may not connect here.")
        shown = _bearer_token(request)
        if not shown:
            raise _make_unauthorized()
        self._check_failures(address, now_s)
        if not hmac.compare_digest(_digest(shown), self._token):
            self._wrong.setdefault(address, _Failures()).at_s.append(now_s)
            _log.warning("inspector.refused", extra={"address": address, "problem": "The token is wrong."})
            raise _make_unauthorized()
        self._wrong.pop(address, None)
        if inside >= INSPECTORS:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too_many_inspectors",
                f"{INSPECTORS} inspectors are connected already; end one of them.",
                Retry_After="5",
            )

    def _check_failures(self, address: str, now_s: float) -> None:
        while len(self._wrong) > ADDRESSES:
            del self._wrong[next(iter(self._wrong))]
        tries = self._wrong.get(address)
        if tries is None:
            return
        while tries.at_s and tries.at_s[0] <= now_s - WITHIN_S:
            tries.at_s.popleft()
            tries.is_logged = False
        if not tries.at_s:
            del self._wrong[address]
        elif len(tries.at_s) >= TRIES:
            wait_s = math.ceil(tries.at_s[0] + WITHIN_S - now_s)
            if not tries.is_logged:  # once, and not for each try that follows
                tries.is_logged = True
                _log.warning("inspector.refused", extra={"address": address, "problem": "It tried too often."})
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_tries",
                "There were too many wrong tokens from your address; wait a moment.",
                Retry_After=str(max(1, wait_s)),
            )


def _bearer_token(request: Request) -> bytes:
    """The token in the request; empty without one."""
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    return shown.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def _make_unauthorized() -> Refused:
    return Refused(
        HTTPStatus.UNAUTHORIZED,
        "invalid_token",
        "Inspecting needs the operator's token in the header Authorization: Bearer.",
        WWW_Authenticate="Bearer",
    )


def _digest(token: bytes) -> bytes:
    """A digest of fixed length, so that the comparison reveals nothing about the token."""
    return hashlib.sha256(token).digest()
