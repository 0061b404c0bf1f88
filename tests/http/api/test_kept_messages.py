"""`GET /api/rooms/{roomId}/messages`: what was kept of what was said in a session's room (SPEC 3)."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest

from omnisonic.studio.messages import MessageToKeep
from omnisonic.studio.messages.message_store import LONGEST_PAGE, PostgresMessages
from tests.http.api.test_sessions import make
from tests.http.api.test_sessions_sharing import share, user_id
from tests.http.running import Web

NOON: Final = datetime(2026, 11, 1, 12, tzinfo=UTC)


def keep(web: Web, room: str, count: int, *, sender: str = "ada", person: str | None = None) -> None:
    """Keep so many messages in the room, numbered from 1."""
    messages = [
        MessageToKeep(
            room,
            "first",
            number,
            sender,
            f'"{number}"',
            person,
            "Ada",
            "chat",
            f'{{"text": "number {number}"}}',
            NOON + timedelta(seconds=number),
        )
        for number in range(1, count + 1)
    ]
    assert None not in web.do(PostgresMessages(web.database).keep(messages))


def read(client: httpx.Client, room: str, **query: Any) -> dict[str, Any]:
    """A page of the messages."""
    answer = client.get(f"/api/rooms/{room}/messages", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def test_a_member_reads_what_was_said_newest_first(web: Web) -> None:
    """Each with its place in the room's order, its sender, the name of then, and the time."""
    ada, bob = web.sign_up("ada@example.com"), web.sign_up("bob@example.com")
    session = make(ada)
    share(ada, session, bob)
    assert read(ada, session["id"]) == {"messages": [], "nextBefore": None}
    keep(web, session["id"], 2, sender=user_id(ada), person=user_id(ada))
    for client in (ada, bob):
        page = read(client, session["id"])
        assert [message["offset"] for message in page["messages"]] == [2, 1]
        assert page["messages"][0] == {
            "epoch": "first",
            "offset": 2,
            "id": "2",
            "from": user_id(ada),
            "userId": user_id(ada),
            "displayName": "Ada",
            "type": "chat",
            "payload": {"text": "number 2"},
            "at": "2026-11-01T12:00:02Z",
        }


def test_older_pages_begin_where_the_newer_one_ended(web: Web) -> None:
    """By `nextBefore`, until it is null, also when more was said meanwhile; the longest page is bounded."""
    ada = web.sign_up("ada@example.com")
    room = make(ada)["id"]
    keep(web, room, 7)
    first = read(ada, room, limit=3)
    keep(web, room, 2, sender="bo")
    second = read(ada, room, limit=3, before=first["nextBefore"])
    third = read(ada, room, limit=3, before=second["nextBefore"])
    offsets = [[message["offset"] for message in page["messages"]] for page in (first, second, third)]
    assert (offsets, third["nextBefore"]) == ([[7, 6, 5], [4, 3, 2], [1]], None)
    keep(web, room, LONGEST_PAGE + 60, sender="cy")
    assert len(read(ada, room)["messages"]) == 50
    assert len(read(ada, room, limit=LONGEST_PAGE)["messages"]) == LONGEST_PAGE


def test_the_messages_are_their_sessions_members_alone(web: Web) -> None:
    """Strangers sign in first; for others there is no such session, and in a room of no session nothing is kept."""
    ada, eve = web.sign_up("ada@example.com"), web.sign_up("eve@example.com")
    room = make(ada)["id"]
    keep(web, room, 1)
    answers = [
        web.client.get(f"/api/rooms/{room}/messages"),
        eve.get(f"/api/rooms/{room}/messages"),
        ada.get("/api/rooms/night-jam/messages"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (401, "sign_in_required"),
        (404, "session_not_found"),
        (404, "session_not_found"),
    ]
    assert len(read(ada, room.upper())["messages"]) == 1
    ada.delete(f"/api/sessions/{room}")
    assert ada.get(f"/api/rooms/{room}/messages").status_code == 404


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid_limit"),
        (f"limit={LONGEST_PAGE + 1}", "invalid_limit"),
        ("limit=ten", "invalid_limit"),
        ("before=0", "invalid_before"),
        ("before=-1", "invalid_before"),
        ("before=", "invalid_before"),
        ("before=1234567890123456789", "invalid_before"),
        ("before=1&before=2", "invalid_before"),
        ("before=2026-11-01T12:00:00Z", "invalid_before"),
    ],
)
def test_a_page_that_there_cannot_be_is_400(web: Web, query: str, code: str) -> None:
    ada = web.sign_up("ada@example.com")
    answer = ada.get(f"/api/rooms/{make(ada)['id']}/messages?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)
