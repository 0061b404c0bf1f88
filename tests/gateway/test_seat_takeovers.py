"""Clients that come back after every close take a seat from each other: the fight ends (SPEC 5.1, 5.3)."""

from contextlib import AsyncExitStack

import pytest
from trio.testing import MockClock

from omnisonic.actors.rooms.roster import TAKEOVERS, TAKEOVERS_APART_S, TAKEOVERS_WITHIN_S, Roster
from omnisonic.models import Member
from tests.clients import Bare, upgrade_request
from tests.rooms import open_stage

pytestmark = pytest.mark.timing

RELOADS = 5
ADA = Member("ada", "Ada")


async def test_a_fight_over_a_seat_ends_with_one_in_it(mock_clock: MockClock) -> None:
    """Each takeover closes the one before with 4001, until it is too much; then whoever is in stays, and is heard."""
    async with open_stage() as stage, AsyncExitStack() as stack, stage.member("bob") as bob:

        async def again() -> Bare:
            mock_clock.jump(TAKEOVERS_APART_S)
            bare = await stack.enter_async_context(await stage.bare())
            await bare.stream.send_all(upgrade_request(stage.target("ada"), stage.port))
            assert (await bare.head()).startswith(b"HTTP/1.1 101")
            return bare

        inside = await again()
        assert (await inside.hear())["type"] == "welcome"
        for _ in range(TAKEOVERS):
            newcomer = await again()
            assert (await newcomer.hear())["type"] == "welcome"
            assert await inside.closed() == (4001, "replaced")
            inside = newcomer
        for _ in range(2):
            refused = await again()
            reported = await refused.hear()
            assert (reported["type"], reported["payload"]["code"]) == ("error", "seat_contested")
            assert "two minutes" in reported["payload"]["message"]
            assert await refused.closed() == (1008, "seat_contested")
        await inside.say("note", 1)
        assert (await bob.next("note"))["from"] == "ada"
        assert stage.roster() == ["ada", "bob"]


def test_whoever_reloads_a_page_does_not_notice() -> None:
    """Five times, a second apart, every two minutes; and nobody fights over a seat that is free."""
    roster = Roster([])
    roster.join(ADA, "tab 0")  # type: ignore[arg-type]
    for minutes in (0, 2, 4):
        for second in range(RELOADS):
            assert not roster.record_takeover("ada", minutes * 60.0 + second)
    for second in range(TAKEOVERS + 1):
        assert not roster.record_takeover("bob", float(second))


def test_refused_tries_count_and_a_pause_ends_it() -> None:
    """A library that tries every ten seconds is kept out as long as it does, and two minutes longer."""
    roster = Roster([])
    roster.join(ADA, "tab")  # type: ignore[arg-type]
    assert [roster.record_takeover("ada", float(n)) for n in range(TAKEOVERS + 1)] == [False] * TAKEOVERS + [True]
    last_s = 0.0
    for n in range(100):
        last_s = TAKEOVERS + 1 + 10.0 * n
        assert roster.record_takeover("ada", last_s)
    assert not roster.record_takeover("ada", last_s + TAKEOVERS_WITHIN_S)
