"""Gateways on machines of their own, set up as docs/scaling.md says, and cut off from the Valkey (SPEC 5.5)."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Final

import pytest
import trio

from tests.cli.running import PROGRAM, Command
from tests.clients import Bare, upgrade_request
from tests.cluster.members import Hearing, hearing
from tests.cluster.networks import Network, missing, networks
from tests.rooms import eventually
from tests.valkey_server import ValkeyServer

pytestmark = [
    pytest.mark.timing,
    pytest.mark.skipif(missing() is not None, reason="no network namespaces here"),
]

RECOVERS_S: Final = 5.0
SOON_S: Final = 0.2
PORT: Final = 8080
PASSWORD: Final = "a password of this test's own"
SETTINGS: Final = {
    "GATEWAY_CLUSTER": "on",
    "ROOM_ACCESS": "open",
    "ALLOWED_HOSTS": "127.0.0.1",
    "GATEWAY_PORT": str(PORT),
    "MEMBER_RATE_PER_S": "0",
}


@pytest.fixture
def machines() -> Iterator[list[Network]]:
    """Two machines, each with a gateway at the same Valkey."""
    with networks(2) as machines, _valkey(machines) as valkey, ExitStack() as stack:
        commands = [stack.enter_context(_gateway(machine, valkey)) for machine in machines]
        for command in commands:
            command.printed(rf"{PORT}")
        yield machines


@contextmanager
def _valkey(machines: list[Network]) -> Iterator[ValkeyServer]:
    """A Valkey that all machines reach."""
    addresses = [machine.store_address for machine in machines]
    valkey = ValkeyServer(password=PASSWORD.replace(" ", "-"), options=["--bind", "127.0.0.1", *addresses])
    valkey.start()
    try:
        yield valkey
    finally:
        valkey.stop()


@contextmanager
def _gateway(machine: Network, valkey: ValkeyServer) -> Iterator[Command]:
    """A gateway on this machine."""
    settings = {
        "REDIS_URL": valkey.url.replace("127.0.0.1", machine.store_address),
        "GATEWAY_HOST": machine.gateway_address,
        "GATEWAY_ID": machine.name,
    }
    command = Command(("gateway",), SETTINGS | settings, machine.inside(*PROGRAM))
    try:
        yield command
    finally:
        command.kill()


@asynccontextmanager
async def enter(machine: Network, name: str) -> AsyncIterator[Bare]:
    """A member at the gateway of this machine."""
    async with Bare(await trio.open_tcp_stream(machine.gateway_address, PORT)) as bare:
        target = f"/?roomId=jam&memberId={name}&displayName={name.title()}"
        await bare.stream.send_all(upgrade_request(target, PORT))
        assert (await bare.head()).startswith(b"HTTP/1.1 101")
        bare.welcome = await bare.next("welcome")
        yield bare


async def until_heard(speaker: Bare, word: str, *others: Hearing) -> None:
    """Say it again and again, as a client does that gets no answer, until all others have heard it."""
    while not all(word in other.heard for other in others):
        await speaker.say("note", word)
        await trio.sleep(SOON_S)


async def test_an_owner_that_is_cut_off_from_the_valkey_is_replaced_and_comes_back(machines: list[Network]) -> None:
    """No connection ends. Its members hear each other meanwhile, and afterwards all are in one room."""
    first, second = machines
    async with (
        enter(first, "ada") as ada,
        enter(first, "cy") as cy,
        enter(second, "bob") as bob,
        hearing(ada, cy, bob) as (at_ada, at_cy, at_bob),
    ):
        await ada.say("note", "before")
        await at_bob.until("before")
        first.cut()
        with trio.fail_after(RECOVERS_S):
            await at_ada.hears("room.degraded")
            await at_bob.welcomes(1)
        await ada.say("note", "alone")
        await at_cy.until("alone")
        await bob.say("note", "without them", id=1)
        await eventually(lambda: at_bob.acks == [1])
        first.mend()
        with trio.fail_after(2 * RECOVERS_S):
            await at_ada.welcomes(1)
            await until_heard(ada, "together", at_bob)
            await until_heard(bob, "again", at_ada, at_cy)
        assert at_ada.epoch == at_cy.epoch == at_bob.epoch
        assert "without them" not in at_cy.heard or at_cy.heard.index("without them") < at_cy.heard.index("again")


async def test_gateways_that_are_both_cut_off_are_one_cluster_again(machines: list[Network]) -> None:
    """There is never a second owner: while nobody reaches the Valkey, nothing is acknowledged anywhere."""
    first, second = machines
    async with (
        enter(first, "ada") as ada,
        enter(second, "bob") as bob,
        enter(second, "eve") as eve,
        hearing(ada, bob, eve) as (at_ada, at_bob, at_eve),
    ):
        await ada.say("note", "before")
        await at_bob.until("before")
        for machine in machines:
            machine.cut()
        with trio.fail_after(2 * RECOVERS_S):
            for each in (at_ada, at_bob, at_eve):
                await each.hears("room.degraded")
        await bob.say("note", "alone", id="b")
        await ada.say("note", "alone, too", id="a")
        await at_eve.until("alone")
        assert at_ada.acks == at_bob.acks == []
        for machine in machines:
            machine.mend()
        with trio.fail_after(3 * RECOVERS_S):
            await until_heard(ada, "together", at_bob, at_eve)
            await until_heard(bob, "again", at_ada)
        await eventually(lambda: at_ada.epoch == at_bob.epoch == at_eve.epoch)
