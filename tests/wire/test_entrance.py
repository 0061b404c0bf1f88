"""Who wants to enter where, as the query of the handshake says it (SPEC 5.1)."""

from typing import Final
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.errors import InvalidInput
from omnisonic.models import Member
from omnisonic.wire.handshake import QUERY_FIELDS, read_entrance, read_fields

bounded = settings(max_examples=200)
GOOD: Final = {"roomId": "jam", "memberId": "ada", "displayName": "Ada"}


@bounded
@given(
    st.text(alphabet="aé 🎸&=+%#?/;", min_size=1, max_size=30).filter(str.strip),
    st.text(alphabet="aé 🎸&=+%#?/;", min_size=1, max_size=30).filter(str.strip),
    st.sampled_from(("active", "away")),
)
def test_names_come_through_the_query_as_they_are(room_id: str, name: str, status: str) -> None:
    """Whatever characters a browser has to encode."""
    query = urlencode({"roomId": room_id, "memberId": name, "displayName": name, "status": status, "since": "e:4"})
    entrance = read_entrance(read_fields(query))
    assert entrance.room_id == room_id
    assert (entrance.member.member_id, entrance.member.display_name, entrance.member.status) == (name, name, status)


def test_a_member_is_active_unless_they_say_otherwise() -> None:
    """Unknown fields are ignored, even repeated ones."""
    assert read_entrance(read_fields(urlencode(GOOD) + "&x=1&x=2&ticket=")).member == Member("ada", "Ada", "active")


@pytest.mark.parametrize(("query", "code", "named"), [
    ("", "invalid_query", "roomId and memberId and displayName"),
    ("roomId=jam&displayName=Ada", "invalid_query", "memberId"),
    (urlencode(GOOD) + "&roomId=jam", "invalid_query", "roomId must be given once"),
    (urlencode(GOOD) + "&status=away&status=away", "invalid_query", "status must be given once"),
    (urlencode(GOOD) + "&ticket=a.b&ticket=a.b", "invalid_query", "ticket must be given once"),
    (urlencode(GOOD) + "&x=%ff", "invalid_query", "UTF-8"),
    (urlencode(GOOD) + "&a=b" * QUERY_FIELDS, "invalid_query", str(QUERY_FIELDS)),
    (urlencode({**GOOD, "roomId": ""}), "invalid_room_id", "roomId must not be empty"),
    (urlencode({**GOOD, "roomId": "  "}), "invalid_room_id", "empty"),
    (urlencode({**GOOD, "roomId": "r" * 129}), "invalid_room_id", "128"),
    (urlencode({**GOOD, "memberId": "m" * 129}), "invalid_member_id", "128"),
    (urlencode({**GOOD, "memberId": "🎸" * 64}), "invalid_member_id", "255 bytes"),
    (urlencode({**GOOD, "memberId": "a\r\nb"}), "invalid_member_id", "control"),
    (urlencode({**GOOD, "displayName": "n" * 65}), "invalid_display_name", "64"),
    (urlencode({**GOOD, "displayName": "evil\u202egnp"}), "invalid_display_name", "control"),
    (urlencode({**GOOD, "displayName": "\x00"}), "invalid_display_name", "control"),
    (urlencode({**GOOD, "status": "gone"}), "invalid_status", "active, away"),
    (urlencode({**GOOD, "status": ""}), "invalid_status", "active, away"),
])  # fmt: skip
def test_a_query_that_does_not_say_who_is_refused(query: str, code: str, named: str) -> None:
    """The code says what is wrong, the sentence names it."""
    with pytest.raises(InvalidInput) as wrong:
        read_entrance(read_fields(query))
    assert wrong.value.code == code
    assert named in wrong.value.message
