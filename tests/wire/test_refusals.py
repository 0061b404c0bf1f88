"""Refusals: who waits for a message that is dropped gets its error, and no bytes make the error fail (SPEC 5.2)."""

import json
from typing import Final

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omnisonic.errors import InvalidInput
from omnisonic.wire.frames import BINARY, TEXT
from omnisonic.wire.messages import decode_long
from omnisonic.wire.refusals import drop_frames, read_reply_id, refusal_frame
from tests.actors.handles import read_messages

bounded = settings(max_examples=300)
PARTS: Final = (b"{", b"}", b'"', b":", b",", b'"type"', b'"id"', b'"to"', b'"payload"', b'"keep"', b"\xff", b"\\ud83d")
texts = st.one_of(
    st.binary(max_size=60),
    st.lists(st.one_of(st.sampled_from(PARTS), st.binary(max_size=3)), max_size=16).map(b"".join),
    st.tuples(*[st.binary(max_size=4)] * 4).map(
        lambda fields: b'{"type":"%b","id":"%b","to":"%b","payload":"%b"}' % fields
    ),
)
"""What a client may send as a message: mostly not UTF-8, and like a message."""


@bounded
@given(st.lists(st.tuples(st.sampled_from((TEXT, BINARY)), texts), min_size=1, max_size=3))
@example([(TEXT, b'{"type":"\xff"}')])
@example([(TEXT, b'{"type":"note","id":"\xff"}'), (TEXT, b'{"type":"note","id":"n7"}')])
@example([(TEXT, b'{"type":"note","to":"\xff"}')])
def test_whatever_is_dropped_is_told(frames: list[tuple[int, bytes]]) -> None:
    """An error for each `id` that can be read, and one for all others."""
    ids = [read_reply_id(each) for each in frames]
    told = [message["payload"].get("id") for message in read_messages(drop_frames("rate_limited", "Slow.", frames))]
    known = [each for each in ids if each is not None]
    assert told == known + [None] * (len(known) < len(ids))


@bounded
@given(texts)
@example(b'{"type":"\xff","id":"n7"}')
@example(b'{"type":"note","id":"\xff"}')
@example(b'{"id":"\xff"')
def test_whatever_cannot_be_read_is_refused(text: bytes) -> None:
    """Also when it is not UTF-8, which a room knows before it reads it."""
    problem: msgspec.DecodeError | InvalidInput = msgspec.DecodeError()
    try:
        decode_long(text)
    except (msgspec.DecodeError, InvalidInput) as wrong:
        problem = wrong
    except UnicodeDecodeError:
        pass
    (message,) = read_messages(refusal_frame(problem, text))
    assert (message["type"], bool(message["payload"]["code"])) == ("error", True)


@pytest.mark.parametrize("field", ["payload", "else"])
def test_the_id_of_a_message_that_is_not_utf_8_elsewhere_is_read(field: str) -> None:
    """What stands where the gateway does not look hides no `id`."""
    text = json.dumps({"type": "note", "id": "n7", field: "?"}).encode().replace(b"?", b"\xff")
    assert read_reply_id((TEXT, text)) == "n7"
