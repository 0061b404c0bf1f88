"""Messages of clients: what is read, what is refused and how, and that nothing takes long (SPEC 5.2)."""

import json
import time
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omnisonic.errors import InvalidInput
from omnisonic.wire import messages
from omnisonic.wire.json_limits import DEPTH, nesting_depth, parse_json
from omnisonic.wire.messages import MESSAGE_BYTES, SHORT_MESSAGE_BYTES, decode_long
from omnisonic.wire.refusals import explain_decode_error, refusal_frame
from tests.wire.json_values import naive_depth, names, nested, values

bounded = settings(max_examples=100)
BOMB_S: Final = 0.5
"""Reading 64 KiB takes a few milliseconds; what takes this long takes it by design."""


def explain_refusal(text: bytes) -> InvalidInput:
    """Why `text` is no message."""
    try:
        decode_long(text)
    except InvalidInput as wrong:
        return wrong
    except msgspec.DecodeError as wrong:
        return explain_decode_error(wrong, text)
    raise AssertionError(f"{text[:80]!r} was taken for a message")


def test_an_envelope_keeps_its_payload_as_it_came() -> None:
    """Spaces, order and number format of the payload are the sender's business."""
    envelope = decode_long(b'{"to": "bob", "payload": {"b": 1.50,  "a":[ ]}, "id": 7, "type": "note", "else": [1]}')
    assert (envelope.type, envelope.to, envelope.id) == ("note", "bob", 7)
    assert bytes(envelope.payload) == b'{"b": 1.50,  "a":[ ]}'


def test_an_envelope_needs_nothing_but_its_type() -> None:
    """Without a payload it is null; without `to` it is for everyone; without `id` nobody wants an ack."""
    envelope = decode_long(b'{"type":"note"}')
    assert (envelope.type, bytes(envelope.payload), envelope.to, envelope.id) == ("note", b"null", None, None)


@bounded
@given(values, names, st.one_of(st.none(), st.integers(), st.text(max_size=9)))
def test_what_json_can_say_is_understood_as_json(payload: object, type_: str, reply_id: str | int | None) -> None:
    """Any JSON value goes through as a payload, and the relayed message is JSON again."""
    envelope = decode_long(json.dumps({"type": type_, "payload": payload, "id": reply_id}).encode())
    relayed = messages.relay_prefix(envelope.type) + envelope.payload + messages.relay_suffix("ada") + b"1}"
    assert json.loads(relayed) == {"type": type_, "payload": payload, "from": "ada", "offset": 1}
    assert envelope.id == reply_id


@bounded
@given(st.one_of(
    st.binary(max_size=60),
    st.text(alphabet='{}[]":,\\ue-+.0189 \t\n\x01aAdDtrfnN', max_size=40).map(str.encode),
    st.builds(lambda payload: b'{"type":"x","payload":' + payload + b"}",
              st.text(alphabet='{}[]":,\\ue-+.0189 \t\x01aAdD', max_size=12).map(str.encode)),
))  # fmt: skip
@example(b'{"type":"x","payload":"\x01"}')
@example(b'{"type":"x","payload":"\\q"}')
@example(b'{"type":"x","payload":01}')
@example(b'{"type":"x","payload":NaN}')
@example(b'{"type":"x","payload":"\\ud800"}')
def test_what_is_relayed_is_json_whatever_a_client_sends(text: bytes) -> None:
    """The payload is never decoded here, yet nobody can make the others' parsers fail with it."""
    try:
        envelope = decode_long(text)
    except (InvalidInput, msgspec.DecodeError):
        return
    json.loads(
        messages.relay_prefix(envelope.type) + envelope.payload + messages.relay_suffix("ada") + b"1}",
        parse_constant=pytest.fail,
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"note",
        b"{",
        b'{"type":"x"',
        b'{"type":"x"} {}',
        b"{'type':'x'}",
        b'{"type":"x",}',
        b'{"type":"x","payload":NaN}',
        b'\xef\xbb\xbf{"type":"x"}',
    ],
)
def test_what_is_not_json_gets_that_error(text: bytes) -> None:
    """The code is `invalid_json` and the sentence says where."""
    wrong = explain_refusal(text)
    assert wrong.code == "invalid_json"
    assert wrong.message.startswith("This is not JSON: ")
    assert wrong.message.endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"1",
        b'"type"',
        b"null",
        b"{}",
        b'{"type":1}',
        b'{"type":null}',
        b'{"type":["x"]}',
        b'{"type":"x","to":1}',
        b'{"type":"x","id":1.5}',
        b'{"type":"x","id":[]}',
        b'{"type":"x","id":true}',
    ],
)
def test_json_that_is_no_message_gets_that_error(text: bytes) -> None:
    """Not an object, no string `type`, a `to` or `id` of another kind: `invalid_message`."""
    wrong = explain_refusal(text)
    assert wrong.code == "invalid_message"
    assert wrong.message.startswith("This is not a message: ")


def test_a_message_may_have_64_kib_and_not_one_byte_more() -> None:
    """The limit is in bytes, and the sentence says how many there were."""
    fits = json.dumps({"type": "x", "payload": ""}).encode()
    fits = fits.replace(b'""', b'"' + b"-" * (MESSAGE_BYTES - len(fits)) + b'"')
    assert len(fits) == MESSAGE_BYTES
    assert decode_long(fits).type == "x"
    wrong = explain_refusal(fits + b" ")
    assert wrong.code == "too_large"
    assert str(MESSAGE_BYTES + 1) in wrong.message


@pytest.mark.parametrize(("levels", "code"), [(DEPTH - 1, None), (DEPTH, "too_deep"), (2000, "too_deep")])
@pytest.mark.parametrize("key", ["payload", "something else"])
def test_a_message_may_be_nested_64_deep_and_no_deeper(levels: int, code: str | None, key: str) -> None:
    """The message itself is the first level, and what nobody reads counts as well."""
    text = f'{{"type":"x","{key}":{nested(levels)}}}'.encode()
    if code is None:
        assert decode_long(text).type == "x"
    else:
        assert explain_refusal(text).code == code


def test_no_message_that_is_too_deep_is_shorter_than_the_plain_ones() -> None:
    """The room does not look at the depth of messages under `PLAIN_BYTES`: the shortest deep one is not among them."""
    shortest = '{"type":"","":' + "[" * DEPTH + "]" * DEPTH + "}"
    assert naive_depth(json.loads(shortest)) == DEPTH + 1
    assert len(shortest) >= SHORT_MESSAGE_BYTES


@bounded
@given(values)
def test_depth_is_what_a_recursive_look_finds(value: object) -> None:
    """Brackets and quotes in strings and keys do not count."""
    assert nesting_depth(json.dumps(value).encode()) == naive_depth(value)
    assert nesting_depth(json.dumps(value, ensure_ascii=False, indent=1).encode(errors="surrogatepass")) == naive_depth(
        value
    )


@bounded
@given(st.integers(0, 3 * DEPTH), st.integers(0, 3 * DEPTH))
def test_depth_stops_counting_over_the_limit(left: int, right: int) -> None:
    """The deepest branch decides, and beyond the limit it does not matter by how much."""
    text = f"[{nested(left) or 0},{nested(right) or 0}]".encode()
    assert nesting_depth(text) == min(1 + max(left, right), DEPTH + 1)


BOMBS: Final = {
    "opening brackets": b"[" * MESSAGE_BYTES,
    "closing brackets": b"]" * MESSAGE_BYTES,
    "opening braces": b'{"a":' * (MESSAGE_BYTES // 5),
    "one deep well": b"[" * (MESSAGE_BYTES // 2) + b"]" * (MESSAGE_BYTES // 2),
    "many shallow wells": b"[" + b"[[]]," * (MESSAGE_BYTES // 5 - 1) + b"0]",
    "crossed brackets": b"[}" * (MESSAGE_BYTES // 2),
    "quotes": b"[" * 65 + b'"' * (MESSAGE_BYTES - 65),
    "quotes that are escaped in a string without an end": b"[" * 65 + b'"' + b'\\"' * (MESSAGE_BYTES // 2 - 40),
    "backslashes": b"[" * 65 + b'"' + b"\\" * (MESSAGE_BYTES - 70),
    "a well just over the limit beside a long string": b'["' + b"-" * 60_000 + b'",' + b"[" * 65 + b"]" * 66,
    "a number of many digits": b'{"type":"x","id":' + b"9" * (MESSAGE_BYTES - 20) + b"}",
    "an exponent": b'{"type":"x","id":1e999999999}',
    "a thousand doubled keys": b"{" + b'"type":1,' * 6000 + b'"type":[' + b"[" * 64 + b"]" * 65 + b"}",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_at_once(bomb: bytes) -> None:
    """64 KiB made to be slow or deep cost no more than 64 KiB, and are answered with a sentence."""
    assert len(bomb) <= MESSAGE_BYTES
    started_s = time.thread_time()
    wrong = explain_refusal(bomb)
    assert time.thread_time() - started_s < BOMB_S
    assert wrong.code in {"too_deep", "invalid_json", "invalid_message"}
    assert len(wrong.message) < 200


def test_presence_says_only_what_changes() -> None:
    """What is absent stays as it is."""
    wish = messages.read_presence(msgspec.Raw(b'{"displayName":"Ada"}'))
    assert (wish.display_name, wish.status) == ("Ada", None)


@pytest.mark.parametrize("payload", [b"null", b"[]", b'{"status":1}', b'{"displayName":{}}', b'{"status":'])
def test_a_presence_that_is_none_is_refused(payload: bytes) -> None:
    """The code is `invalid_message`."""
    with pytest.raises(InvalidInput, match="This is no presence") as wrong:
        messages.read_presence(msgspec.Raw(payload))
    assert wrong.value.code == "invalid_message"


@pytest.mark.parametrize(
    "text",
    [
        rb'{"type":"a\ud83d"}',
        rb'{"type":"a","payload":"\ud83d"}',
        rb'{"type":"a","payload":"\uDE00"}',
        rb'{"type":"a","payload":"\ud83d\ud83d\ude00"}',
        rb'{"type":"a\\\ud83d"}',
    ],
)
def test_half_a_character_is_refused_in_a_true_sentence(text: bytes) -> None:
    """It is what is wrong; nothing is truncated."""
    error = explain_refusal(text)
    assert (error.code, "half a character" in error.message) == ("invalid_json", True)
    assert b"half a character" in refusal_frame(msgspec.DecodeError(), text)


@pytest.mark.parametrize("text", [rb'{"type":"a\\ud83d", ', rb'{"type":"\ud83d\ude00"', b'{"type":'])
def test_text_without_half_a_character_gets_another_error(text: bytes) -> None:
    """A backslash before a backslash begins nothing, and two halves are one."""
    assert "half a character" not in explain_refusal(text).message


@pytest.mark.parametrize(
    ("text", "code", "reply_id"),
    [
        (rb'{"type":"a","id":"n7","payload":"\ud83d"}', "invalid_json", "n7"),
        (rb'{"type":"a","payload":["\ud83d"],"id":7}', "invalid_json", 7),
        (b'{"type":"a","to":5,"id":"n7"}', "invalid_message", "n7"),
        (b'{"type":"a","keep":"yes","id":"n7"}', "invalid_message", "n7"),
        (b'{"id":"n7"}', "invalid_message", "n7"),
        (b'{"type":"a","id":"n7","payload":1e999}', "invalid_number", "n7"),
        (b'{"type":"a","id":"n7","payload":NaN}', "invalid_json", "n7"),
        (rb'{"type":"a","id":"\ud83d"}', "invalid_json", None),
        (rb'{"type":"a","id":true,"payload":"\ud83d"}', "invalid_json", None),
        (rb'{"type":"a","id":1.5,"payload":"\ud83d"}', "invalid_json", None),
        (b'{"type":"a","id":["n7"]}', "invalid_message", None),
        (b'{"type":"a","to":5,"id":"%b"}' % (b"n" * 129), "invalid_message", None),
        (b'{"type":"a","id":"%b"}' % (b"n" * 129), "invalid_message", None),
        (b'{"type":"a","id":"n7"', "invalid_json", None),
        (rb'["\ud83d"]', "invalid_json", None),
        (b'{"type":"a","keep":"yes","id":"n7","payload":' + b"[" * 50_000, "invalid_message", None),
        (b'{"type":"a","id":"n7","payload":' + b"[" * 64 + b"]" * 64 + b"}", "too_deep", None),
        (b'{"type":"a","id":"n7","payload":"' + b"x" * MESSAGE_BYTES + b'"}', "too_large", None),
    ],
)
def test_a_refusal_says_which_message_it_is_about(text: bytes, code: str, reply_id: str | int | None) -> None:
    """Its sender may wait for the answer. An `id` that is none, or too long, is not repeated."""
    payload = read_refusal(text)
    assert (payload["code"], payload.get("id")) == (code, reply_id)


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_the_id_of_a_bomb_is_looked_for_at_once(bomb: bytes) -> None:
    """With half a character in front, which is read by the slowest parser."""
    started_s = time.thread_time()
    read_refusal(rb'{"id":1,"half":"\ud83d","bomb":' + bomb[:-40] + b"}")
    assert time.thread_time() - started_s < BOMB_S


def read_refusal(text: bytes) -> dict[str, Any]:
    """The payload of the `error` for `text`, which is no message."""
    try:
        decode_long(text)
    except (InvalidInput, msgspec.DecodeError) as wrong:
        refusal = refusal_frame(wrong, text)
    else:
        with pytest.raises(msgspec.DecodeError) as number:
            parse_json(text)
        refusal = refusal_frame(number.value, text)
    payload: dict[str, Any] = json.loads(refusal[refusal.index(b"{") :])["payload"]
    return payload
