"""How a program with `@omnisonic/client` comes back, and when it does not (SPEC 5.3, 8)."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from omnisonic.wire.closing import CLOSE_TABLE, CloseCode
from tests.cli.running import Command, running
from tests.client.serving import Peer, building, closes, hangs_up, refuses, scripted, stays
from tests.client_js.programs import MODULE, Thrown, jam, js_room, needs_node
from tests.embedding.staging import band, hear
from tests.embedding.staging import member as python_member
from tests.ports import unused_port
from tests.rooms import eventually

pytestmark = needs_node

FINAL = [code for code, row in CLOSE_TABLE.items() if not row.reconnect]
PASSING = [1001, 1011, 4008, 4009, 4010, 4999]


def test_which_endings_are_final_is_the_tables_to_say() -> None:
    """The same codes, words and meanings as the server's."""
    rows = re.findall(r'^  \[(\d+), \["(\w+)", "(.*)"\]\],$', MODULE.read_text(), re.MULTILINE)
    assert rows == [(str(int(code)), CLOSE_TABLE[code].word, CLOSE_TABLE[code].meaning) for code in FINAL]


async def test_a_gateway_that_is_opened_again_finds_its_members_back() -> None:
    """1001 is honoured; the roster and the presence are true again, and what was to be said waits."""
    async with building() as here:
        await here.open()
        async with js_room(here.url, room="jam", name="Ada", memberId="ada") as ada:
            await ada.call("setPresence", {"status": "away", "name": "Ada L."})
            await here.close()
            change = await ada.state("reconnecting")
            assert change["closeCode"] == 1001
            assert change["delayMs"] < 5_000
            gateway = await here.open()
            assert await ada.ask("note", "still here") == 1
            assert [(m.display_name, m.status) for m in gateway.members("jam")] == [("Ada L.", "away")]
            assert (await ada.hear("welcome"))["payload"]["memberId"] == "ada"


async def test_a_gateway_that_is_killed_is_come_back_to() -> None:
    """`kill -9`, and another on the same port: what is not known any more is told, and what was asked is answered."""
    port = unused_port()
    async with started_gateway(port) as gateway:
        url = f"ws://127.0.0.1:{port}"
        async with js_room(url, room="jam", memberId="ada") as ada, js_room(url, room="jam", memberId="bo") as bo:
            assert await bo.ask("note", 1) == 1
            before = (await ada.view())["epoch"]
            await trio.to_thread.run_sync(gateway.kill)
            assert (await ada.state("reconnecting"))["closeCode"] == 1006
            await bo.state("reconnecting")
            offsets: list[int] = []

            async def ask() -> None:
                offsets.append(await bo.ask("note", 2, {"timeoutMs": 50_000}))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                await nursery.start(keep_gateway, port)
                await ada.state("connected")
                gap = await ada.hear("history.gap")
                assert gap["payload"] == {"epoch": before, "from": 2, "to": None, "lost": None}
                assert (await ada.hear("note"))["payload"] == 2
                assert (await ada.view())["epoch"] != before
                await eventually(lambda: offsets == [1])
                nursery.cancel_scope.cancel()


@asynccontextmanager
async def started_gateway(port: int) -> AsyncIterator[Command]:
    """`omnisonic gateway` on this port until the block ends."""
    context = running("gateway", GATEWAY_PORT=str(port))
    command = await trio.to_thread.run_sync(context.__enter__)
    try:
        await trio.to_thread.run_sync(command.printed, r"^ws://127\.0\.0\.1:\d+$")
        yield command
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(context.__exit__, None, None, None)


async def keep_gateway(port: int, task_status: trio.TaskStatus[None]) -> None:
    """A gateway until the task is cancelled."""
    async with started_gateway(port):
        task_status.started()
        await trio.sleep_forever()


async def test_a_final_close_is_the_end_and_says_why() -> None:
    """1000, 1008, 4001, 4003 and 4004: nothing is tried again, and everybody who waits is told."""
    for code in FINAL:
        async with scripted(closes(code, "because"), stays) as url, jam(url) as ada:
            row = CLOSE_TABLE[CloseCode(code)]
            change = await ada.state("closed")
            told = change["error"]
            assert (told["code"], told["closeCode"], told["reason"]) == (row.word, code, "because")
            assert row.meaning in told["message"]
            end = await ada.wait_for_end()
            assert (end.code if end else "left") == row.word
            for method in ("say", "ask"):
                with pytest.raises(Thrown) as closed:
                    await ada.call(method, "note")
                assert (closed.value.name, closed.value.code) == ("Closed", row.word)
            with pytest.raises(Thrown):
                await ada.call("waitFor", "connected")


async def test_any_other_close_is_come_back_from() -> None:
    """And a connection that is just gone, too; the new welcome is seen."""
    scripts = [script for code in PASSING for script in (closes(code), hangs_up)]
    async with scripted(*scripts, stays) as url, jam(url) as ada:
        for code in PASSING:
            while (change := await ada.state("reconnecting"))["closeCode"] == 1006:
                pass
            assert change["closeCode"] == code
            assert (await ada.hear("welcome"))["payload"]["memberId"] == "ada"
        assert (await ada.view())["connectionState"] == "connected"


async def test_whoever_is_refused_on_coming_back_gives_up() -> None:
    """With the server's own words, where a WebSocket shows them: after the upgrade."""

    async def refuses_politely(peer: Peer) -> None:
        await peer.upgrade()
        await peer.tell(b'{"type":"error","payload":{"code":"room_full","message":"The room is full."}}')
        await peer.close(1008)
        await peer.rest()

    async with scripted(closes(1011), refuses_politely, stays) as url, jam(url) as ada:
        end = await ada.wait_for_end()
    assert end is not None
    assert (end.code, str(end)) == ("room_full", "The server does not let you in again: The room is full.")


async def test_a_server_that_stays_away_is_given_up() -> None:
    """After `giveUpAfterMs`, and the last problem is told. A refusal before the upgrade looks the same to a program."""
    async with scripted(closes(1011), refuses(403), refuses(503)) as url, jam(url, giveUpAfterMs=100) as ada:
        end = await ada.wait_for_end()
    assert end is not None
    assert end.code == "unreachable"
    assert "could not be reached again for 0.1 s" in str(end)


def noting(seen: list[list[str]], code: int) -> Callable[[Peer], Awaitable[None]]:
    """Welcome them, note what they offered, and close with this."""

    async def script(peer: Peer) -> None:
        await peer.welcome()
        seen.append(peer.request.subprotocols)
        await peer.close(code)
        await peer.rest()

    return script


async def test_each_attempt_gets_a_ticket_of_its_own() -> None:
    """It may be what the web answers; what cannot be had now is tried again; any other failure is the end."""
    seen: list[list[str]] = []
    answers: list[Any] = [
        "one",
        {"unavailable": "later"},
        {"throws": "TypeError"},
        {"status": 503, "body": None, "headers": {"Retry-After": "0"}},
        {"status": 201, "body": {"ticket": "two"}},
        {"ticket": "three"},
        {"throws": "RangeError"},
    ]
    async with scripted(*[noting(seen, 1011)] * 3) as url, js_room(url, hasty=True, tickets=answers) as room:
        end = await room.wait_for_end()
    assert end is not None
    assert (end.code, end.fields["cause"]) == ("internal", {"name": "RangeError", "message": "no more"})
    assert seen == [["omnisonic", f"ticket.{ticket}"] for ticket in ("one", "two", "three")]


async def test_the_ticket_may_say_where_the_gateway_is() -> None:
    """As the web does; then the program needs no address."""
    seen: list[list[str]] = []
    async with scripted(noting(seen, 4003)) as url:
        answer = {"status": 201, "body": {"ticket": "one", "url": url, "expiresAt": "2026-01-01T00:00:00Z"}}
        async with js_room(None, tickets=[answer]) as room:
            await room.state("closed")
    assert seen == [["omnisonic", "ticket.one"]]


@pytest.mark.parametrize(
    ("answer", "name", "code", "after_ms"),
    [
        (
            {"status": 404, "body": {"error": "No.", "code": "session_not_found"}},
            "EntryRefused",
            "session_not_found",
            None,
        ),
        ({"status": 502, "body": None, "headers": {"Retry-After": "2"}}, "EntryRefused", "no_ticket", 2_000),
        ({"unavailable": "Not now."}, "EntryRefused", "unavailable", 1),
        ({"throws": "RangeError"}, "RangeError", None, None),
        ({"status": 201, "body": {"no": "ticket"}}, "InvalidInput", "invalid_ticket", None),
        ("not a token", "EntryRefused", "unreachable", None),
    ],
)
async def test_without_a_ticket_nobody_enters(answer: Any, name: str, code: str | None, after_ms: int | None) -> None:
    """The web's words are passed on, and what the function throws comes out as it is."""
    with pytest.raises(Thrown) as refused:
        async with js_room("ws://127.0.0.1:1", tickets=[answer]):
            pass
    assert (refused.value.name, refused.value.code) == (name, code)
    assert refused.value.fields.get("retryAfterMs") == after_ms


async def test_the_newer_connection_of_a_member_replaces_the_older() -> None:
    """4001: two programs of one name do not take turns for ever."""
    async with band() as (gateway, _), jam(gateway.url) as ada, python_member(gateway, "ada") as again:
        end = await ada.wait_for_end()
        assert end is not None
        assert (end.code, end.fields["closeCode"]) == ("replaced", 4001)
        await again.ask("note")


async def test_members_who_are_sent_away_do_not_come_back() -> None:
    """4003 and 4004, by a real gateway."""
    async with band("bo") as (gateway, [bo]), jam(gateway.url) as ada:
        gateway.kick("jam", "ada")
        end = await ada.wait_for_end()
        assert end is not None
        assert end.code == "kicked"
        assert (await hear(bo, "presence.leave")).payload["reason"] == "kicked"
        async with jam(gateway.url, "cy") as cy:
            gateway.close_room("jam")
            end = await cy.wait_for_end()
            assert end is not None
            assert end.code == "room_closed"


async def test_a_connection_that_is_dead_without_a_word_is_left() -> None:
    """Nothing arrives after a heartbeat: the client comes back."""

    async def silent(peer: Peer) -> None:
        await peer.welcome()
        await peer.receive_text("heartbeat")
        await peer.tell(b'{"type":"note"}')
        await peer.receive_text("heartbeat")
        await trio.sleep_forever()

    async with scripted(silent, stays) as url, jam(url, heartbeatMs=2_000) as ada:
        await ada.hear("note")
        assert (await ada.state("reconnecting"))["closeCode"] == 1006
        await ada.state("connected")


async def test_a_program_may_try_again_at_once() -> None:
    """When it knows better than the delay, such as that the network is back."""
    async with scripted(closes(1001, '{"reconnectMs":50000}'), stays) as url, js_room(url, room="jam") as ada:
        assert (await ada.state("reconnecting"))["delayMs"] == 50_000
        await ada.call("retryNow")
        await ada.state("connected")
