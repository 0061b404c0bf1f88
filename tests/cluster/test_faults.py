"""Gateways as processes on a real Valkey, and what goes wrong with them (SPEC 5.5)."""

import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Final

import pytest
import trio

from tests.cli.running import Command, running
from tests.clients import Bare
from tests.cluster.members import hearing
from tests.system.visitors import visitors_of
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.timing

RECOVERS_S: Final = 5.0
STANDS_STILL_S: Final = 5.0
SAYS: Final = 50
SETTINGS: Final = {"GATEWAY_CLUSTER": "on", "MEMBER_RATE_PER_S": "0", "PRESENCE_TTL": "15"}


@contextmanager
def gateways(valkey: ValkeyServer, count: int, **settings: str) -> Iterator[list[Command]]:
    """So many gateways at one Valkey, each of which accepts connections."""
    with ExitStack() as stack:
        commands = [
            stack.enter_context(
                running("gateway", REDIS_URL=valkey.url, GATEWAY_ID=f"g{number}", **(SETTINGS | settings))
            )
            for number in range(count)
        ]
        for command in commands:
            visitors_of(command)
        yield commands


@asynccontextmanager
async def members(commands: list[Command], *names: str) -> AsyncIterator[list[Bare]]:
    """One member at each gateway, in one room."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(visitors_of(command).bare_member(name, "jam"))
            for command, name in zip(commands, names, strict=True)
        ]


async def test_an_owner_that_is_killed_is_replaced_within_five_seconds(valkey: ValkeyServer) -> None:
    """Members elsewhere stay connected, hear each other again, and all hear the same in the same order."""
    with gateways(valkey, 3) as commands:
        async with members(commands, "ada", "bob", "eve") as (ada, bob, eve), hearing(bob, eve) as (at_bob, at_eve):
            await ada.say("note", "before")
            await at_bob.until("before")
            await at_eve.until("before")
            commands[0].kill()
            began_s = time.monotonic()
            with trio.fail_after(RECOVERS_S):
                await at_bob.welcomes(1)
                await at_eve.welcomes(1)
                await bob.say("note", "after", id=1)
                await at_eve.until("after")
            assert time.monotonic() - began_s < RECOVERS_S
            assert at_bob.gaps == at_eve.gaps == 0
            assert at_eve.heard == ["before", "after"]


async def test_an_owner_that_stood_still_is_not_a_second_owner(valkey: ValkeyServer) -> None:
    """Another takes the room; when the first goes on, its members are in the room of the other."""
    with gateways(valkey, 2) as commands:
        async with members(commands, "ada", "bob") as (ada, bob), hearing(ada, bob) as (at_ada, at_bob):
            await ada.say("note", "before")
            await at_bob.until("before")
            commands[0].signal(signal.SIGSTOP)
            with trio.fail_after(RECOVERS_S):
                await at_bob.welcomes(1)
            await ada.say("note", "asleep", id=1)
            await bob.say("note", "alone", id=2)
            await trio.sleep(STANDS_STILL_S - 4)
            commands[0].signal(signal.SIGCONT)
            with trio.fail_after(RECOVERS_S):
                await at_ada.welcomes(1)
                await ada.say("note", "together")
                await at_bob.until("together")
            assert at_ada.epoch == at_bob.epoch
            assert at_ada.acks == []  # what it said to a gateway that did not own the room was not accepted


async def test_a_valkey_that_is_killed_and_started_again_costs_no_connection(valkey: ValkeyServer) -> None:
    """Members of one gateway hear each other all the time, and all of them when it is back."""
    with gateways(valkey, 2) as commands:
        async with (
            members(commands, "ada", "bob") as (ada, bob),
            members(commands[:1], "eve") as (eve,),
            hearing(ada, bob, eve) as (at_ada, at_bob, at_eve),
        ):
            await ada.say("note", "before")
            await at_bob.until("before")
            valkey.kill()
            with trio.fail_after(2 * RECOVERS_S):
                await at_ada.hears("room.degraded")
                await at_bob.hears("room.degraded")
            await ada.say("note", "degraded")
            await at_eve.until("degraded")
            valkey.start()
            with trio.fail_after(3 * RECOVERS_S):
                while "after" not in at_bob.heard:
                    await ada.say("note", "after")
                    await trio.sleep(0.2)
                while "back" not in at_ada.heard:
                    await bob.say("note", "back")
                    await trio.sleep(0.2)
            assert at_ada.epoch == at_bob.epoch == at_eve.epoch


async def test_a_valkey_that_is_flushed_ends_nothing(valkey: ValkeyServer) -> None:
    """The owner claims its room again."""
    with gateways(valkey, 2) as commands:
        async with members(commands, "ada", "bob") as (ada, bob), hearing(ada, bob) as (at_ada, at_bob):
            await ada.say("note", "before")
            await at_bob.until("before")
            valkey.flush()
            with trio.fail_after(2 * RECOVERS_S):
                await at_ada.hears("room.restored")
                while "after" not in at_ada.heard:
                    await bob.say("note", "after")
                    await trio.sleep(0.2)
            assert at_ada.epoch == at_bob.epoch


async def test_gateways_that_are_stopped_one_after_another_lose_nothing(valkey: ValkeyServer) -> None:
    """SIGTERM hands rooms over: who is elsewhere hears every message once, in one order, and is told of no gap."""
    with gateways(valkey, 3) as commands:
        async with members(commands, "ada", "bob", "eve") as (ada, bob, eve), hearing(bob, eve) as (_, at_eve):
            await ada.say("note", 0)
            await at_eve.until(0)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop, commands[0])
                for number in range(1, SAYS):
                    await bob.say("note", number)
                    await trio.sleep(0.02)
            await at_eve.until(SAYS - 1)
            assert at_eve.heard == list(range(SAYS))
            assert at_eve.gaps == 0
            assert commands[0].stop() == 0


async def _stop(command: Command) -> None:
    assert await trio.to_thread.run_sync(command.stop) == 0
