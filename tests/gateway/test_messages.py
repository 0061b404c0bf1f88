"""What is relayed to whom, and what is answered (SPEC 5.2)."""

import pytest

from tests.clients import TEXT
from tests.rooms import Stage


async def test_a_message_goes_to_everyone_but_its_sender(stage: Stage) -> None:
    """The envelope comes back out with the sender's name and the offset, its payload as it was."""
    payload = {"text": "héllo \U0001f3b5", "n": [1, 2.5, None, True], "deep": {"er": {}}}
    async with stage.band("ada", "bo", "cy") as (ada, bo, cy):
        await ada.say("note", payload)
        for member in (bo, cy):
            assert await member.hear() == {"type": "note", "payload": payload, "from": "ada", "offset": 1}
        await bo.say("note", "and back")
        assert (await ada.hear())["payload"] == "and back"


async def test_a_payload_goes_on_as_the_bytes_it_came_as(stage: Stage) -> None:
    """How numbers are written, spaces, and what a string says are none of the room's business."""
    payload = b'{ "n" : 1E+308, "m":-0.0, "big":' + b"9" * 308 + b', "s":"\\u00e9\\/1e999" }'
    async with await stage.bare_member("ada") as ada, await stage.bare_member("bo") as bo:
        await ada.send(TEXT, b'{"type":"note","payload":' + payload + b"}")
        _, text = await bo.frame()
        assert text == b'{"type":"note","payload":' + payload + b',"from":"ada","offset":1}'


async def test_a_message_without_a_payload_has_null(stage: Stage) -> None:
    """`type` is all that a message needs."""
    async with stage.band("ada", "bo") as (ada, bo):
        await ada.send('{"type":"note"}')
        assert await bo.hear() == {"type": "note", "payload": None, "from": "ada", "offset": 1}


async def test_a_message_to_one_member_reaches_only_them(stage: Stage) -> None:
    """It has no place in the room's order, so it carries no offset and takes none."""
    async with stage.band("ada", "bo", "cy") as (ada, bo, cy):
        await ada.say("note", "psst", to="bo")
        await ada.say("note", "all")
        assert await bo.hear() == {"type": "note", "payload": "psst", "from": "ada"}
        for member in (bo, cy):
            assert await member.hear() == {"type": "note", "payload": "all", "from": "ada", "offset": 1}
        await ada.say("note", "me", to="ada")
        assert await ada.hear() == {"type": "note", "payload": "me", "from": "ada"}


async def test_an_id_is_acknowledged_with_the_offset(stage: Stage) -> None:
    """One ack for each id, as a text or a number, in the order of what was said; to one member takes no offset."""
    async with stage.band("ada", "bo") as (ada, bo):
        await ada.say("note", id="a")
        await ada.say("note")
        await ada.say("note", id=7)
        await ada.say("note", to="bo", id="c")
        acks = [await ada.hear() for _ in range(3)]
        offsets = [(await bo.hear()).get("offset") for _ in range(4)]
    assert acks == [
        {"type": "ack", "payload": {"id": "a", "offset": 1}},
        {"type": "ack", "payload": {"id": 7, "offset": 3}},
        {"type": "ack", "payload": {"id": "c", "offset": 3}},
    ]
    assert offsets == [1, 2, 3, None]


async def test_a_heartbeat_tells_the_servers_clock_and_echoes(stage: Stage) -> None:
    """`ts` in milliseconds and the client's payload for its clock offset; only the sender hears it."""
    async with stage.band("ada", "bo") as (ada, bo):
        before_ms = stage.gateway.options.now_ms()
        await ada.say("heartbeat", {"sent": 12.5}, id=3)
        beat = await ada.hear()
        after_ms = stage.gateway.options.now_ms()
        assert (beat["type"], beat["payload"]["echo"]) == ("heartbeat", {"sent": 12.5})
        assert before_ms <= beat["payload"]["ts"] <= after_ms
        assert (await ada.hear())["type"] == "ack"
        await ada.say("done")
        assert (await bo.hear())["type"] == "done"


async def test_presence_set_is_told_to_all(stage: Stage) -> None:
    """The one who said it included; what is not named stays; the next newcomer sees it, and nothing new is silent."""
    async with stage.band("ada", "bo") as (ada, bo):
        await ada.say("presence.set", {"status": "away"})
        await ada.say("presence.set", {"displayName": "Ada L."})
        await ada.say("presence.set", {"displayName": "Ada L.", "status": "away"})
        await ada.say("done", to="ada")
        for member in (ada, bo):
            shown = {"memberId": "ada", "displayName": "Ada", "status": "away", "connected": True}
            assert await member.hear() == {"type": "presence.update", "payload": shown}
            shown = shown | {"displayName": "Ada L."}
            assert await member.hear() == {"type": "presence.update", "payload": shown}
        assert (await ada.hear())["type"] == "done"
        async with stage.member("cy") as cy:
            assert shown in cy.welcome["payload"]["members"]


@pytest.mark.parametrize("type_", ["signal.offer", "signal.answer", "signal.candidate"])
async def test_a_signal_is_passed_on_to_one_member(stage: Stage, type_: str) -> None:
    """Untouched, and only with `to`: without, it is an error and not relayed."""
    async with stage.band("ada", "bo", "cy") as (ada, bo, cy):
        await ada.say(type_, {"sdp": "v=0"}, to="bo")
        assert await bo.hear() == {"type": type_, "payload": {"sdp": "v=0"}, "from": "ada"}
        await ada.say(type_, {"sdp": "v=0"})
        assert await ada.error() == "to_required"
        await ada.say("done")
        for member in (bo, cy):
            assert (await member.hear())["type"] == "done"


async def test_a_binary_message_says_its_sender_and_nothing_else(stage: Stage) -> None:
    """One byte of length, the sender's id in UTF-8, and the bytes as they were; not to the sender."""
    async with stage.band("ada", "bø", "cy") as (ada, bo, cy):
        await bo.send(b"\x90\x40\x7f\x00\xff")
        name = "bø".encode()
        for member in (ada, cy):
            assert await member.hear() == {"type": None, "bytes": bytes([len(name)]) + name + b"\x90\x40\x7f\x00\xff"}
        await ada.send(b"")
        assert (await bo.hear())["bytes"] == b"\x03ada"
