"""Close codes: the table is complete, our close frames fit, and a peer's are checked as RFC 6455 says."""

import re
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType

from omnisonic.wire.closing import CLOSE_TABLE, REASON_BYTES, CloseCode, Closing, is_utf8, is_valid_close_body
from omnisonic.wire.frames import CLOSE
from tests.wire.client_frames import FIN, ClientFrame

bounded = settings(max_examples=200)
FINAL = {CloseCode.REPLACED, CloseCode.KICKED, CloseCode.ROOM_CLOSED}
REGISTERED_LATER = 1014
"""Bad gateway (IANA): wsproto does not know it."""


@pytest.mark.parametrize("code", CloseCode)
def test_every_close_code_has_a_row(code: CloseCode) -> None:
    """A code without a row would have no word for the log and for `presence.leave`."""
    row = CLOSE_TABLE[code]
    assert re.fullmatch("[a-z][a-z0-9_]+", row.word)
    assert row.meaning.endswith(".")


def test_no_two_codes_share_a_word() -> None:
    """Clients may rely on the word."""
    assert len({row.word for row in CLOSE_TABLE.values()}) == len(CloseCode) == len(CLOSE_TABLE)


def test_the_codes_that_forbid_to_reconnect_say_so() -> None:
    """SPEC 5.3: 4001, 4003 and 4004 mean do not reconnect by yourself; 1001 means do."""
    assert not any(CLOSE_TABLE[code].reconnect for code in FINAL)
    assert CLOSE_TABLE[CloseCode.GOING_AWAY].reconnect


@bounded
@given(st.sampled_from(CloseCode), st.text(max_size=200))
def test_a_close_payload_fits_and_keeps_whole_characters(code: CloseCode, reason: str) -> None:
    """At most 125 bytes, of UTF-8, that begin the reason; the word stands in for an empty one."""
    payload = Closing(code, reason).payload()
    text = reason or CLOSE_TABLE[code].word
    assert len(payload) <= 2 + REASON_BYTES
    assert struct.unpack("!H", payload[:2]) == (code,)
    assert text.startswith(payload[2:].decode())
    assert len(text.encode()) - len(payload[2:]) < 4 or len(payload) > REASON_BYTES - 2
    assert is_valid_close_body(payload)


@pytest.mark.parametrize(("character", "kept"), [("a", 123), ("é", 61), ("€", 41), ("🎸", 30)])
def test_a_long_reason_is_cut_between_characters(character: str, kept: int) -> None:
    """At most 123 bytes of reason, and whole characters only."""
    assert Closing(CloseCode.NORMAL, character * 200).payload()[2:].decode() == character * kept


@bounded
@given(st.one_of(st.binary(max_size=125), st.builds(lambda code, rest: struct.pack("!H", code) + rest,
       st.one_of(st.integers(995, 1020), st.integers(0, 5001)), st.binary(max_size=4))))  # fmt: skip
def test_a_close_body_is_valid_when_wsproto_says_so(body: bytes) -> None:
    """The same bodies are refused: one byte, codes nobody may send, a reason that is not UTF-8."""
    server = Connection(ConnectionType.SERVER)
    server.receive_data(ClientFrame(FIN | CLOSE, body).encode())
    list(server.events())
    accepted = server.state is ConnectionState.REMOTE_CLOSING
    if body[:2] == struct.pack("!H", REGISTERED_LATER):
        assert is_valid_close_body(body) == is_utf8(body[2:])
    else:
        assert is_valid_close_body(body) == accepted


@pytest.mark.parametrize("code", [*range(995, 1021), 0, 2999, 3000, 4999, 5000, 65_535])
def test_a_peer_may_send_the_codes_that_are_for_it(code: int) -> None:
    """RFC 6455 7.4 and IANA's registry, one by one: 1004 to 1006 and 1015 are never on the wire."""
    may_be_sent = code in {1000, 1001, 1002, 1003, *range(1007, 1015)} or 3000 <= code <= 4999
    assert is_valid_close_body(struct.pack("!H", code)) == may_be_sent
    assert is_valid_close_body(struct.pack("!H", code) + b"why") == may_be_sent


@bounded
@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_utf8_is_what_python_can_decode(data: bytes) -> None:
    """`is_utf8` is a faster way to ask, not another answer."""
    try:
        data.decode()
    except UnicodeDecodeError:
        assert not is_utf8(data)
    else:
        assert is_utf8(data)
