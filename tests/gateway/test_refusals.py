"""What a client may not say: an error to it, nothing to the others, and the room goes on (SPEC 5.2)."""

import pytest

from omnisonic.actors.connections.socket_connection import RateLimit
from omnisonic.wire.json_limits import DEPTH
from omnisonic.wire.message_types import SERVER_TYPES
from omnisonic.wire.messages import LARGEST_MESSAGE_BYTES, MESSAGE_BYTES
from tests.clients import FRAGMENT_OF_TEXT, LAST, TEXT
from tests.gateway.conftest import OpenStage
from tests.rooms import Stage


@pytest.mark.parametrize("reply_id", ["1" * 129, "-" + "1" * 129, '"' + "x" * 129 + '"', "1.5", "true", "[]", "{}"])
async def test_an_id_that_is_none_is_refused(stage: Stage, reply_id: str) -> None:
    """A text of at most 128 characters or a whole number of as many digits; the message is not relayed."""
    async with stage.band("ada", "bo") as (ada, bo):
        await ada.send('{"type":"note","id":' + reply_id + "}")
        assert await ada.error() == "invalid_message"
        await ada.say("done", id="x" * 128)
        assert (await bo.hear())["type"] == "done"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"status": "asleep"}, "invalid_status"),
        ({"displayName": ""}, "invalid_display_name"),
        ({"displayName": "x" * 65}, "invalid_display_name"),
        ({"displayName": "A\u202eda"}, "invalid_display_name"),
        ({"status": "away", "displayName": "\n"}, "invalid_display_name"),
        ({"status": 1}, "invalid_message"),
        ("away", "invalid_message"),
        (None, "invalid_message"),
    ],
)
async def test_a_bad_presence_set_changes_nothing(stage: Stage, payload: object, code: str) -> None:
    """One error to the sender, nothing to the others, and not half of it is done."""
    async with stage.band("ada", "bo") as (ada, bo):
        await ada.say("presence.set", payload)
        assert await ada.error() == code
        await ada.say("done")
        assert (await bo.hear())["type"] == "done"
        (entry, _) = stage.room().entries
        assert (entry.member.display_name, entry.member.status) == ("Ada", "active")


async def test_the_servers_types_are_reserved(stage: Stage) -> None:
    """A client that says one of them gets `reserved_type`, even to one member, and nobody else hears it."""
    async with stage.band("ada", "bo") as (ada, bo):
        for type_ in sorted(SERVER_TYPES):
            await ada.say(type_, {"memberId": "bo"})
            assert await ada.error() == "reserved_type"
            await ada.say(type_, to="bo")
            assert await ada.error() == "reserved_type"
        await ada.say("done")
        assert (await bo.hear())["type"] == "done"


def test_the_reserved_types_are_those_of_the_contract() -> None:
    """The table of SPEC 5.2, without what clients say."""
    presence = {"presence.join", "presence.update", "presence.leave"}
    uploads = {"upload.added", "upload.changed", "upload.removed"}
    noted = {f"{what}.{how}" for what in ("comment", "marker") for how in ("added", "changed", "removed")}
    web = {"export.progress", "export.removed", "session.updated", "session.deleted", "activity.added"} | uploads
    rooms = {"welcome", "ack", "error", "history.gap", "room.degraded", "room.restored", "transport.state"}
    rooms.add("state.changed")
    assert presence | noted | web | rooms == SERVER_TYPES


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid_json"),
        ("nonsense", "invalid_json"),
        ('{"type":"note"', "invalid_json"),
        ('{"type":"note"} {}', "invalid_json"),
        ("{'type':'note'}", "invalid_json"),
        ('{"type":"note","payload":NaN}', "invalid_json"),
        ('{"type":"note","payload":-Infinity}', "invalid_json"),
        ('{"type":"note","payload":01}', "invalid_json"),
        ('{"type":"note","payload":"\ttab"}', "invalid_json"),
        ('{"type":"note","to":"\\ud800"}', "invalid_json"),
        ("[]", "invalid_message"),
        ('"note"', "invalid_message"),
        ("17", "invalid_message"),
        ("null", "invalid_message"),
        ("{}", "invalid_message"),
        ('{"type":null}', "invalid_message"),
        ('{"type":7}', "invalid_message"),
        ('{"type":["note"]}', "invalid_message"),
        ('{"type":""}', "invalid_message"),
        ('{"type":"%s"}' % ("t" * 129), "invalid_message"),
        ('{"type":"note","to":5}', "invalid_message"),
        ('{"type":"note","payload":' + "[" * DEPTH + "]" * DEPTH + "}", "too_deep"),
        ('{"type":"note","payload":' + '{"a":' * DEPTH + "1" + "}" * DEPTH + "}", "too_deep"),
        ('{"type":"note","payload":' + "[" * 30_000 + "]" * 30_000 + "}", "too_deep"),
        ('{"type":"note","payload":"' + "x" * MESSAGE_BYTES + '"}', "too_large"),
        ('{"type":"note","payload":1e999}', "invalid_number"),
        ('{"type":"note","to":"bo","payload":[1e999]}', "invalid_number"),
        ('{"type":"heartbeat","payload":-1e999}', "invalid_number"),
        ('{"type":"note","payload":{"big":%s}}' % ("9" * 50_000), "invalid_number"),
    ],
)
async def test_what_is_no_message_is_an_error_and_not_relayed(stage: Stage, text: str, code: str) -> None:
    """The sender is told what is wrong and stays; the room goes on."""
    async with stage.band("ada", "bo") as (ada, bo):
        await ada.send(text)
        assert await ada.error() == code
        await ada.say("done")
        assert await bo.hear() == {"type": "done", "payload": None, "from": "ada", "offset": 1}
        assert len(stage.gateway.registry.dead_letters) == 0


@pytest.mark.parametrize("number", ["1e999", "9" * 50_000])
async def test_a_number_that_nobody_can_read_is_refused_by_its_id(stage: Stage, number: str) -> None:
    """Whoever waits for the ack is told which message it was; in fragments it is the same."""
    async with await stage.bare_member("bo") as bo, await stage.bare_member("ada") as ada:
        text = f'{{"type":"note","id":"n7","payload":[{number}]}}'.encode()
        await ada.send(TEXT, text)
        await ada.send(FRAGMENT_OF_TEXT, text[:30])
        await ada.send(LAST, text[30:])
        for _ in range(2):
            error = (await ada.next("error"))["payload"]
            assert (error["code"], error["id"]) == ("invalid_number", "n7")
        await ada.say("done")
        await bo.next("presence.join")
        assert (await bo.hear())["type"] == "done"


@pytest.mark.parametrize("text", ["[" * 60_000, '{"type":"note","payload":' + '[{"a":' * 9_000])
async def test_brackets_without_end_do_not_hurt(stage: Stage, text: str) -> None:
    """A bomb of depth that is not even JSON: an error, whichever, and the room lives."""
    async with stage.band("ada", "bo") as (ada, bo):
        await ada.send(text)
        assert await ada.error() in ("too_deep", "invalid_json", "invalid_message")
        await ada.say("done")
        assert (await bo.hear())["offset"] == 1


async def test_what_is_just_within_the_limits_is_relayed(stage: Stage) -> None:
    """Exactly 64 KiB of text or bytes, and a payload that makes the message exactly 64 deep."""
    async with stage.band("ada", "bo") as (ada, bo):
        around = len('{"type":"note","payload":""}')
        await ada.send('{"type":"note","payload":"' + "x" * (MESSAGE_BYTES - around) + '"}')
        assert len((await bo.hear())["payload"]) == MESSAGE_BYTES - around
        await ada.send(b"\x00" * MESSAGE_BYTES)
        assert len((await bo.next(None))["bytes"]) == len("\x03ada") + MESSAGE_BYTES
        await ada.send('{"type":"note","payload":' + "[" * (DEPTH - 1) + "]" * (DEPTH - 1) + "}")
        assert (await bo.hear())["offset"] == 2


@pytest.mark.parametrize("size", [MESSAGE_BYTES + 1, 300_000, LARGEST_MESSAGE_BYTES])
async def test_a_message_over_64_kib_is_an_error_at_any_rate(stage_over: OpenStage, size: int) -> None:
    """Up to 1 MiB one `too_large` is the answer, under the rate limit that a gateway has by default, too."""
    async with stage_over(rate=RateLimit.of(500, 1000)) as stage, stage.band("ada", "bo") as (ada, bo):
        await ada.send(b"\x00" * size)
        assert await ada.error() == "too_large"
        await ada.say("done")
        assert (await bo.hear())["offset"] == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"note","from":"bo","payload":1}',
        '{"from":"bo","type":"note","offset":9,"payload":1}',
        '{"type":"welcome","type":"note","payload":1}',
        '{"type":"note","payload":2,"payload":1}',
    ],
)
async def test_nobody_can_speak_for_another(stage: Stage, text: str) -> None:
    """`from` and `offset` are the server's, whatever the client wrote; of doubled keys the last counts, once."""
    async with await stage.bare_member("ada") as ada, await stage.bare_member("cy") as cy:
        await ada.send(TEXT, text.encode())
        assert await cy.frame() == (TEXT, b'{"type":"note","payload":1,"from":"ada","offset":1}')


async def test_a_message_to_nobody_is_an_error_with_its_id(stage: Stage) -> None:
    """`unknown_member` for somebody who is not there; nobody else hears of it."""
    async with stage.band("ada", "bo") as (ada, bo):
        await ada.say("note", "psst", to="nobody", id="x1")
        error = await ada.hear()
        assert (error["type"], error["payload"]["code"], error["payload"]["id"]) == ("error", "unknown_member", "x1")
        await ada.say("done")
        assert (await bo.hear())["type"] == "done"
