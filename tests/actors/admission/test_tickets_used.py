"""A ticket is used once: by one gateway or by several, and however their clocks differ (SPEC 5.1)."""

import secrets

import pytest

from omnisonic.actors.admission.admission import Admitted, OpenAdmission, TicketCheck, TicketClaim
from omnisonic.identity.tickets import LIFE_MS, SKEW_MS, Ticket, TicketPrinter
from omnisonic.stores.guard.memory import MemoryGuard
from omnisonic.wire.handshake import Refused, Request
from tests.actors.handles import Clock

SECRET = secrets.token_urlsafe(32)
NOW_MS = 1_700_000_000_000


class Studio:
    """One guard, and gateways around it whose clocks are as far from the true one as they are told."""

    def __init__(self) -> None:
        self.clock = Clock(0.0)
        self.guard = MemoryGuard(self.clock)
        ticket = Ticket("id", "jam", "ada", "Ada", "person", "login", NOW_MS, NOW_MS + LIFE_MS)
        self.ticket = TicketPrinter(SECRET).sign(ticket)

    def gateway(self, skew_ms: int) -> OpenAdmission:
        return OpenAdmission(
            TicketCheck(SECRET, self.guard, now_ms=lambda: NOW_MS + int(self.clock.now_s * 1000) + skew_ms)
        )

    def claim(self, skew_ms: int = 0) -> TicketClaim:
        """Somebody shows the ticket at a gateway. Errors: `Refused`."""
        request = Request("1.1", "GET", "/", f"ticket={self.ticket}", {"host": "a"})
        claim = self.gateway(skew_ms).admit(request)
        assert isinstance(claim, TicketClaim)
        return claim


async def test_who_is_asked_about_again_has_not_used_the_ticket_twice() -> None:
    """Rights that change while it is asked have it asked anew: the same claim, and the same ticket."""
    studio = Studio()
    claim, other = studio.claim(), studio.claim()
    first = await claim.resolve()
    assert isinstance(first, Admitted)
    assert await claim.resolve() == first
    with pytest.raises(Refused, match="used"):
        await other.resolve()


@pytest.mark.parametrize("took_ms", [0, -SKEW_MS, SKEW_MS])
@pytest.mark.parametrize("other_ms", [0, -SKEW_MS, SKEW_MS])
async def test_a_ticket_stays_used_for_as_long_as_any_gateway_would_take_it(took_ms: int, other_ms: int) -> None:
    """Taken by one gateway, it is shown at another one every second until that one finds it expired."""
    studio = Studio()
    await studio.claim(took_ms).resolve()
    for _ in range((LIFE_MS - other_ms) // 1000):
        claim = studio.claim(other_ms)
        with pytest.raises(Refused, match="used"):
            await claim.resolve()
        studio.clock.now_s += 1
    with pytest.raises(Refused, match="expired"):
        studio.claim(other_ms)
