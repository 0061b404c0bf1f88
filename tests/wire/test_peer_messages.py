"""What gateways say to each other arrives as it was sent, and nothing else is taken for it."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.models import Account, Member
from omnisonic.wire.peer_messages import (
    Answer,
    Ask,
    Beat,
    EdgeJoin,
    EdgeLeave,
    EdgeRole,
    EdgeSaid,
    Head,
    Moving,
    NotOwner,
    OwnerClose,
    OwnerPush,
    OwnerTurn,
    PeerMessage,
    decode_message,
    decode_packet,
    encode_message,
    encode_packet,
)
from omnisonic.wire.recovery import Position
from omnisonic.wire.transport import Tempo

numbers = st.integers(0, (1 << 63) - 1)
members = st.builds(
    Member,
    st.text(min_size=1, max_size=8),
    st.text(max_size=8),
    st.sampled_from(("active", "away")),
    connected=st.booleans(),
    account=st.just(msgspec.UNSET) | st.builds(Account, st.text(max_size=8), st.none() | st.text(max_size=8)),
)
edits = st.dictionaries(numbers, st.lists(st.tuples(numbers, numbers, st.binary(max_size=8)), max_size=3), max_size=3)
opening = st.dictionaries(numbers, st.tuples(st.binary(max_size=8), st.lists(st.binary(max_size=8), max_size=3)))
messages: st.SearchStrategy[PeerMessage] = st.one_of(
    st.builds(
        EdgeJoin,
        st.text(),
        numbers,
        members,
        person=st.none() | st.text(),
        since=st.none() | st.builds(Position, st.text(), numbers),
        tempo=st.none() | st.builds(Tempo, st.floats(20, 400), st.integers(1, 32)),
        is_listener=st.booleans(),
        address=st.none() | st.text(),
    ),
    st.builds(EdgeLeave, st.text(), numbers, st.text(), st.booleans()),
    st.builds(EdgeRole, st.text(), numbers, st.booleans()),
    st.builds(EdgeSaid, st.text(), numbers, st.lists(st.tuples(st.integers(1, 2), st.binary()))),
    st.builds(
        OwnerTurn,
        st.text(),
        st.text(),
        numbers,
        st.binary(),
        edits,
        opening,
        st.lists(st.tuples(numbers, st.integers(1000, 4999), st.text()), max_size=3),
    ),
    st.builds(OwnerPush, st.text(), numbers, st.binary()),
    st.builds(OwnerClose, st.text(), numbers, st.integers(1000, 4999), st.text()),
    st.builds(NotOwner, st.text()),
    st.builds(Moving, st.text()),
    st.just(Beat()),
    st.builds(Ask, st.text(), st.binary()),
    st.builds(Answer, st.text(), st.binary()),
)
heads = st.builds(Head, st.text(), numbers, numbers, numbers, numbers)


@settings(max_examples=200)
@given(heads, st.lists(messages, max_size=5))
def test_a_packet_arrives_as_it_was_sent(head: Head, sent: list[PeerMessage]) -> None:
    """The head, and each message, whatever is in it."""
    packet = decode_packet(encode_packet(head, [encode_message(message) for message in sent]))
    assert packet.messages == sent
    assert [type(message) for message in packet.messages] == [type(message) for message in sent]
    assert Head(packet.run, packet.link, packet.heard, packet.number, packet.acknowledged) == head


ARRAYS = (*(bytes((first,)) for first in range(0x90, 0xA0)), b"\xdc", b"\xdd")
"""What a packet may begin with, as a newer version may have more fields: any bytes after it may be one, too."""
others = st.binary(max_size=200).filter(lambda data: not data.startswith(ARRAYS))


@settings(max_examples=200)
@given(others | st.builds(lambda head, cut: encode_packet(head, [])[:-cut], heads, st.integers(1, 9)))
def test_what_is_no_packet_is_refused(data: bytes) -> None:
    """Bytes that begin as no packet does, and a packet that is cut off."""
    with pytest.raises(msgspec.DecodeError):
        decode_packet(data)


def test_text_that_is_not_utf_8_is_refused() -> None:
    """In the head of a packet, and in a message that came in parts."""
    with pytest.raises(msgspec.DecodeError):
        decode_packet(encode_packet(Head("run", 1, 2, 3, 4), []).replace(b"run", b"\xffun"))
    with pytest.raises(msgspec.DecodeError):
        decode_message(encode_message(NotOwner("jam")).replace(b"jam", b"\xffam"))


def test_a_message_of_a_newer_version_is_refused_and_a_new_field_is_not() -> None:
    """Gateways of neighbouring versions run side by side during an update."""
    head = ["run", 1, 2, 3, 4]
    with pytest.raises(msgspec.DecodeError):
        decode_packet(msgspec.msgpack.encode([*head, [[99, "jam"]]]))
    packet = decode_packet(
        msgspec.msgpack.encode([*head, [[3, "jam", 7, True, "a field of tomorrow"]], "and one here"])
    )
    assert packet.messages == [EdgeRole("jam", 7, is_listener=True)]
