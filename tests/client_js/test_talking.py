"""What a member says and hears through `@omnisonic/client` (SPEC 8)."""

import json
from typing import Any

import pytest
import trio

from tests.client.serving import Peer, hangs_up, scripted, stays
from tests.client_js.programs import DEADLINE_S, MODULE, NODE, Thrown, jam, js_room, needs_node
from tests.embedding.staging import band, hear, until
from tests.node_packages import NodePackages

pytestmark = needs_node


async def test_a_program_talks_with_those_of_other_languages() -> None:
    """Text and bytes, to all and to one, in both directions; a name may have any letters."""
    name = "Ada + Bø & Co ♪"
    async with (
        band("bo") as (gateway, [bo]),
        js_room(gateway.url, room="jam", memberId="ada", name=name) as ada,
    ):
        shown = await hear(bo, "presence.join")
        assert shown.payload["displayName"] == name
        await ada.call("say", "note", {"pitch": 60})
        await ada.call("sayBytes", b"\x90\x40")
        await ada.call("say", "psst", None, {"to": "bo"})
        offset = await ada.ask("done", "♪")
        received = [(m.type, m.payload, m.sender, m.offset) for m in await until(bo, "done")]
        assert received == [
            ("note", {"pitch": 60}, "ada", 1),
            ("", b"\x90\x40", "ada", None),
            ("psst", None, "ada", None),
        ]
        assert offset == 2
        await bo.say("note", [1, "♪", None])
        await bo.say_bytes(b"\x00\xff")
        await bo.say("psst", to="ada")
        await bo.say("done")
        heard = [{**m, "id": 0} for m in await ada.until("done")]
        assert heard == [
            {"type": "note", "payload": [1, "♪", None], "from": "bo", "offset": 3, "id": 0},
            {"type": "", "payload": {"hex": "00ff"}, "from": "bo", "offset": None, "id": 0},
            {"type": "psst", "payload": None, "from": "bo", "offset": None, "id": 0},
        ]


async def test_the_package_ws_can_be_the_websocket(node_packages: NodePackages) -> None:
    """For Node 20, and for those who want to set headers."""
    ws = node_packages.folder / "node_modules" / "ws" / "wrapper.mjs"
    async with band("bo") as (gateway, [bo]), jam(gateway.url, ws=ws) as ada:
        assert await ada.ask("note", 1) == 1
        await bo.say_bytes(b"\x01")
        assert (await ada.hear(""))["payload"] == {"hex": "01"}
        await ada.call("leave")
        assert (await hear(bo, "presence.leave")).payload["reason"] == "left"


@pytest.mark.parametrize(
    ("type_", "payload", "options", "code"),
    [
        ("note", 1, {"to": "eve"}, "unknown_member"),
        ("presence.join", 1, {}, "reserved_type"),
        ("signal.offer", 1, {}, "to_required"),
        ("presence.set", {"status": "asleep"}, {}, "invalid_status"),
    ],
)
async def test_what_the_room_does_not_take_is_thrown_with_its_code(
    type_: str, payload: Any, options: dict[str, Any], code: str
) -> None:
    """The error is the asker's, and comes up nowhere else."""
    async with band() as (gateway, _), jam(gateway.url) as ada:
        with pytest.raises(Thrown, match=r"\.$") as wrong:
            await ada.call("ask", type_, payload, options)
        assert (wrong.value.name, wrong.value.code) == ("NotTaken", code)
        await ada.call("say", "done", None, {"to": "ada"})
        assert await ada.until("done") == []


async def test_what_no_message_can_be_is_told_before_it_is_sent() -> None:
    """What is just small and flat enough is sent, and what only looks like half a character."""
    async with band() as (gateway, _), jam(gateway.url) as ada:
        deep: list[Any] = []
        for _ in range(70):
            deep = [deep]
        for type_, payload, code in (
            ("", 1, "invalid_message"),
            ("x" * 129, 1, "invalid_message"),
            (17, 1, "invalid_message"),
            ("note", "a" * 65_536, "too_large"),
            ("note", "♪" * 22_000, "too_large"),
            ("note", deep, "too_deep"),
            ("note", "half \ud83d", "invalid_message"),
            ("note", {"\\\ude00": 1}, "invalid_message"),
            ("note\ud83d", 1, "invalid_message"),
        ):
            for method in ("say", "ask"):
                with pytest.raises(Thrown) as wrong:
                    await ada.call(method, type_, payload)
                assert (wrong.value.name, wrong.value.code) == ("InvalidInput", code)
        for options in ({"to": 5}, {"to": ["bo"]}, {"to": "\ud83d"}, {"keep": "yes"}, {"id": "\ud83d"}):
            with pytest.raises(Thrown) as wrong:
                await ada.call("ask", "note", 1, options)
            assert (wrong.value.name, wrong.value.code) == ("InvalidInput", "invalid_message")
        with pytest.raises(Thrown) as wrong:
            await ada.call("sayBytes", b"a" * 65_537)
        assert wrong.value.code == "too_large"
        assert await ada.ask("note", "♪" * 21_000) == 1
        assert await ada.ask("note", ['"[[[' * 100, deep[0][0][0][0][0][0][0][0][0]]) == 2
        assert await ada.ask("note", ["\\ud83d", "\U0001f600", "\\\\ud83d"], {"to": None, "keep": None}) == 3


async def test_the_roster_is_kept_up_to_date() -> None:
    """Who comes, how they are shown, and who goes."""
    async with band("bo") as (gateway, [bo]), jam(gateway.url) as ada:
        await bo.set_presence(status="away", name="Bo D.")
        await ada.hear("presence.update")
        bo_now = await ada.call("member", "bo")
        assert (bo_now["displayName"], bo_now["status"], bo_now["connected"]) == ("Bo D.", "away", True)
        await ada.call("setPresence", {"status": "away", "name": "Ada L."})
        assert [m["displayName"] for m in (await ada.view())["members"]] == ["Bo D.", "Ada L."]
        await bo.leave()
        await ada.hear("presence.leave")
        view = await ada.view()
        assert [m["memberId"] for m in view["members"]] == ["ada"]
        assert (view["name"], view["memberId"], view["connectionState"]) == ("jam", "ada", "connected")
        assert await ada.call("member", "bo") is None


async def test_handlers_get_what_came_before_they_were_added_and_then_each_message_once() -> None:
    """Also for every type."""

    async def talks(peer: Peer) -> None:
        await peer.welcome()
        await peer.tell(b'{"type":"early","from":"bo","offset":1}')
        await peer.receive_text("now")
        await peer.tell(b'{"type":"note","from":"bo","offset":2}')
        await peer.tell(b'{"type":"done","from":"bo","offset":3}')
        await peer.rest()

    async with scripted(talks) as url, jam(url, handlers=["*", "note"]) as ada:
        await ada.call("say", "now")
        received = await ada.until("done")
    assert [(m["type"], m["handler"]) for m in received] == [("early", "*"), ("note", "note"), ("note", "*")]


HANDLERS = """
const { connect } = await import(process.argv[1]);
const [heard, uncaught] = [[], []];
process.on("uncaughtException", (error) => uncaught.push(error.message));
const room = await connect(process.argv[2], { room: "jam" });
room.on("note", () => { throw new Error("mine"); });
const stop = room.on("note", ({ payload }) => heard.push(payload));
const again = ({ payload }) => heard.push(-payload);
room.on("note", again);
room.on("half", () => { stop(); room.off("note", again); });
room.on("done", () => room.leave().then(() => console.log(JSON.stringify({ heard, uncaught }))));
"""


async def test_a_handler_that_throws_breaks_nothing_and_one_that_is_taken_away_gets_nothing() -> None:
    """What it throws is uncaught, as what an event listener throws is."""

    async def talks(peer: Peer) -> None:
        await peer.welcome()
        for text in (b'"note","payload":1', b'"half"', b'"note","payload":2', b'"done"'):
            await peer.tell(b'{"type":%b,"from":"bo"}' % text)
        await peer.rest()

    async with scripted(talks) as url:
        run = [*NODE, "--input-type=module", "-e", HANDLERS, MODULE.as_uri(), url]
        with trio.fail_after(DEADLINE_S):
            ended = await trio.run_process(run, capture_stdout=True)
    assert json.loads(ended.stdout) == {"heard": [1, -1], "uncaught": ["mine", "mine"]}


async def test_an_inbox_that_nobody_reads_keeps_the_newest_and_says_how_many_are_gone() -> None:
    """One notice, in the place of what was dropped. Whoever begins to read later gets all the rest."""
    async with band("bo") as (gateway, [bo]), js_room(gateway.url, room="jam", handlers=[], inboxBytes=2_000) as ada:
        for number in range(100):
            await bo.ask("note", number)
        # The ack comes after all of them.
        await ada.call("ask", "done")
        dropped = (await ada.view())["dropped"]
        assert 60 < dropped < 100
        await ada.call("listen")
        await bo.ask("done")
        notice, *rest = await ada.until("done")
        assert (notice["type"], notice["payload"], notice["from"]) == ("inbox.overflow", {"dropped": dropped}, None)
        assert [message["payload"] for message in rest] == list(range(dropped, 100))


async def test_the_servers_clock_is_known_by_heartbeats() -> None:
    """It is another machine's; the program's own heartbeats are the program's."""
    ahead_ms = 5_000_000

    async def ahead(peer: Peer) -> None:
        await peer.welcome()
        sent_ms = json.loads(await peer.receive_text("heartbeat"))["payload"]["sentMs"]
        echo = b'{"type":"heartbeat","payload":{"ts":%d,"echo":%b}}'
        await peer.tell(echo % (sent_ms + ahead_ms, b'{"sentMs":%d}' % sent_ms))
        await peer.tell(echo % (1, b'"mine"'))
        await peer.rest()

    async with scripted(ahead) as url, jam(url) as ada:
        assert (await ada.hear("heartbeat"))["payload"]["echo"] == "mine"
        offset_ms = (await ada.view())["clockOffsetMs"]
        assert ahead_ms - 2_000 < offset_ms <= ahead_ms
        assert await ada.call("serverTime", 0) == offset_ms
        assert 0 <= (await ada.view())["roundTripMs"] < 2_000


async def test_iteration_ends_when_the_program_leaves() -> None:
    """Then nothing can be said any more, and leaving again is no error."""
    async with band("bo") as (gateway, [bo]), jam(gateway.url) as ada:
        await ada.call("leave")
        assert await ada.wait_for_end() is None
        assert (await hear(bo, "presence.leave")).payload["reason"] == "left"
        for method, argument in (("say", "note"), ("ask", "note"), ("sayBytes", b"")):
            with pytest.raises(Thrown) as closed:
                await ada.call(method, argument)
            assert (closed.value.name, closed.value.code, closed.value.fields["closeCode"]) == ("Closed", "left", 1000)
        await ada.call("leave")
        assert (await ada.view())["connectionState"] == "closed"


async def test_a_signal_that_is_aborted_ends_the_membership() -> None:
    """The others see that the member left. Whoever was not let in yet stops waiting."""
    async with band("bo") as (gateway, [bo]), jam(gateway.url) as ada:
        await ada.call("abort")
        assert await ada.wait_for_end() is None
        assert (await hear(bo, "presence.leave")).payload["reason"] == "left"

    async def says_nothing(peer: Peer) -> None:
        await peer.upgrade()
        await peer.rest()

    async with scripted(says_nothing) as url:
        with pytest.raises(Thrown) as left:
            async with jam(url, abort_ms=50):
                pass
    assert (left.value.name, left.value.code) == ("Closed", "left")


async def test_a_refusal_after_the_upgrade_has_the_servers_code_and_sentence() -> None:
    """Such as that of a query that is not valid."""
    async with band() as (gateway, _):
        with pytest.raises(Thrown, match=r"\.$") as refused:
            async with js_room(gateway.url, room="jam", memberId="ada", name="\n"):
                pass
    assert (refused.value.name, refused.value.code) == ("EntryRefused", "invalid_display_name")
    assert refused.value.fields["retryAfterMs"] is None


@pytest.mark.parametrize(
    ("url", "name", "code"),
    [
        ("http://127.0.0.1:1", "InvalidInput", "invalid_url"),
        ("nonsense", "InvalidInput", "invalid_url"),
        ("ws://ada:secret@127.0.0.1:1", "InvalidInput", "invalid_url"),
        (None, "InvalidInput", "invalid_url"),
        ("ws://127.0.0.1:1", "EntryRefused", "unreachable"),
    ],
)
async def test_an_address_that_leads_nowhere_is_an_error(url: str | None, name: str, code: str) -> None:
    """With a code that says which."""
    with pytest.raises(Thrown) as refused:
        async with js_room(url, room="jam"):
            pass
    assert (refused.value.name, refused.value.code) == (name, code)


async def test_the_first_attempt_is_the_only_one() -> None:
    """The program decides whether it tries again."""
    async with scripted(hangs_up, stays) as url:
        with pytest.raises(Thrown) as refused:
            async with jam(url):
                pass
        assert (refused.value.code, refused.value.fields["retryAfterMs"]) == ("unreachable", 0)
        async with jam(url) as ada:
            assert (await ada.view())["memberId"] == "ada"
