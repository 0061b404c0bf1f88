"""`/api/rooms/{roomId}/events`: a member of a real gateway's room by server-sent events, over HTTP alone (SPEC 5)."""

import base64
import json
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest

from omnisonic.http.api.stream_slots import StreamSlots
from omnisonic.http.core.connection import Timeouts
from omnisonic.http.core.errors import Refusal
from omnisonic.wire.closing import CloseCode, Closing
from tests.http.api.test_sessions import make
from tests.http.real_gateway import RealGateway, running_real_gateway
from tests.http.running import CLIENT_TIMEOUT_S, Web, running_web
from tests.postgres_server import PostgresServer, fresh_database

LOUD: Final = 100
"""Messages that are more than any buffer on the way holds."""
MOST_MEMBERS: Final = 3
MOST_STREAMS: Final = 5
"""To one address: more than a test needs at once, and less than all of them together."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[RealGateway]:
    with running_real_gateway(grace_s=15.0, max_members_per_room=MOST_MEMBERS) as running:
        yield running


@pytest.fixture(scope="module")
def web(gateway: RealGateway, postgres_process: PostgresServer) -> Iterator[Web]:
    """A web in front of it. Sessions' rooms are asked about here; the gateway itself lets everybody in."""
    settings = {"MAX_EVENT_STREAMS_PER_ADDRESS": str(MOST_STREAMS)}
    with (
        fresh_database(postgres_process) as url,
        running_web(settings, database_url=url, gateway_port=gateway.port) as running,
    ):
        yield running


@dataclass
class Event:
    name: str = "message"
    id: str | None = None
    retry_ms: int | None = None
    data: Any = None


@dataclass
class Stream:
    """An open stream, and what it takes to speak on it."""

    client: httpx.Client
    path: str
    response: httpx.Response
    id: str = ""
    position: str = ""
    """The id of the last event that had one."""
    _lines: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = self.response.iter_lines()

    def event(self) -> Event:
        """The next event. Raises `StopIteration` at the end."""
        event, seen = Event(), False
        while (line := next(self._lines)) or not seen:
            name, _, value = line.partition(": ")
            seen = seen or name in ("data", "retry")
            match name:
                case "event":
                    event.name = value
                case "id":
                    event.id = self.position = value
                case "retry":
                    event.retry_ms = int(value)
                case "data":
                    event.data = base64.b64decode(value) if event.name == "binary" else json.loads(value)
        return event

    def line(self) -> str:
        """The next line."""
        return next(self._lines)

    def named(self, name: str) -> Event:
        """The next event of this name; others are passed over."""
        while (event := self.event()).name != name:
            pass
        return event

    def hear(self, type_: str) -> dict[str, Any]:
        """The next message of this type; others are passed over."""
        while (event := self.event()).name != "message" or event.data["type"] != type_:
            pass
        return dict(event.data)

    def post(self, content: bytes, media_type: str = "application/json") -> httpx.Response:
        headers = {"Omnisonic-Stream": self.id, "Content-Type": media_type}
        return self.client.post(f"{self.path}/messages", content=content, headers=headers)

    def say(self, type_: str, payload: object = None, **more: object) -> None:
        answer = self.post(json.dumps({"type": type_, "payload": payload, **more}).encode())
        assert (answer.status_code, answer.json()) == (202, {"passedOn": 1})


@contextmanager
def member(web: Web, name: str, room: str, since: str | None = None) -> Iterator[Stream]:
    """A member by an event stream. The connection just breaks at the end of the block."""
    client, path = web.new_client(), f"/api/rooms/{room}"
    headers = {} if since is None else {"Last-Event-ID": since}
    query = {"memberId": name, "displayName": name.title()}
    with client.stream("GET", f"{path}/events", params=query, headers=headers) as response:
        if response.status_code != 200:
            response.read()
        assert response.status_code == 200, response.text
        stream = Stream(client, path, response)
        stream.id = stream.named("stream").data["stream"]
        yield stream


def test_a_member_by_events_is_one_like_any_other(web: Web) -> None:
    """Seen in the roster, heard with the real id, acknowledged, told in the room's order, and gone by request."""
    with member(web, "ada", "jam") as ada, member(web, "bo", "jam") as bo:
        headers = ada.response.headers
        assert headers["Content-Type"] == "text/event-stream"
        assert (headers["X-Accel-Buffering"], headers["Cache-Control"]) == ("no", "no-store, no-transform")
        welcome = bo.hear("welcome")["payload"]
        assert [each["memberId"] for each in welcome["members"]] == ["ada", "bo"]
        assert bo.position == f"{welcome['epoch']}:0"
        assert ada.hear("presence.join")["payload"]["connected"] is True
        ada.say("note", {"a": "line\nbreak"}, id=7, **{"from": "eve"})
        assert ada.hear("ack")["payload"] == {"id": 7, "offset": 1}
        assert bo.hear("note") == {"type": "note", "payload": {"a": "line\nbreak"}, "from": "ada", "offset": 1}
        assert bo.position == ada.position == f"{welcome['epoch']}:1"
        lines = b'{"type":"one",\r"payload":[1,\r2]}\n\n{"type":"two","to":"bo"}\n{"type":"welcome"}'
        assert ada.post(lines, "application/x-ndjson").json() == {"passedOn": 3}
        assert (bo.hear("one")["payload"], bo.hear("two")["from"]) == ([1, 2], "ada")
        assert ada.hear("error")["payload"]["code"] == "reserved_type"
        assert ada.post(b"\x00\xff", "application/octet-stream").status_code == 202
        assert bo.named("binary").data == b"\x03ada\x00\xff"
        left = ada.client.delete(f"{ada.path}/events", headers={"Omnisonic-Stream": ada.id})
        assert left.json() == {"ok": True}
        assert ada.named("close").data == {"code": 1000, "reason": "", "reconnect": False}
        with pytest.raises(StopIteration):
            ada.event()
        assert bo.hear("presence.leave")["payload"] == {"memberId": "ada", "reason": "left"}


def test_who_comes_back_gets_what_was_missed_once_or_is_told_of_the_gap(web: Web) -> None:
    """By `Last-Event-ID`, from the same history as over a WebSocket. A gap that was not told yet is told again."""
    with member(web, "bo", "back") as bo:
        with member(web, "ada", "back") as ada:
            ada.hear("welcome")
            bo.say("note", 1)
            ada.hear("note")
        assert bo.hear("presence.update")["payload"]["connected"] is False
        for number in (2, 3):
            bo.say("note", number, id=number)
            bo.hear("ack")
        with member(web, "ada", "back", since=ada.position) as again:
            assert again.hear("welcome")["payload"]["recovered"] is True
            bo.say("note", 4)
            assert [again.hear("note")["payload"] for _ in range(3)] == [2, 3, 4]
            epoch = again.position.partition(":")[0]
        assert again.position == f"{epoch}:4"
        with member(web, "ada", "back", since="another:2") as lost:
            assert lost.hear("welcome")["payload"]["recovered"] is False
            assert lost.position == ""
            assert lost.hear("history.gap")["payload"]["epoch"] == "another"
            assert lost.position.startswith(f"{epoch}:")


def test_a_stream_says_how_the_membership_ended(web: Web, gateway: RealGateway) -> None:
    """The close code and whether to come back; and when, if the server says so. Its id names nothing any more."""
    with member(web, "ada", "end") as ada:
        ada.hear("welcome")
        gateway.close("ada", Closing(CloseCode.KICKED))
        assert ada.named("close").data == {"code": 4003, "reason": "kicked", "reconnect": False}
        gone = ada.post(b'{"type":"note"}')
        assert (gone.status_code, gone.json()["code"]) == (404, "no_stream")
    with member(web, "bo", "end") as bo:
        gateway.close("bo", Closing(CloseCode.GOING_AWAY, '{"reconnectMs":1234}'))
        closed = bo.named("close")
        assert (closed.retry_ms, closed.data["reconnect"]) == (1234, True)


def test_a_silent_stream_is_kept_open_until_the_web_stops(gateway: RealGateway) -> None:
    """Comments in between, which proxies count as life; then the advice when to reconnect."""
    with (
        running_web(gateway_port=gateway.port, config={"KEEP_ALIVE": 0.05}) as web,
        member(web, "ada", "silent") as ada,
    ):
        ada.hear("welcome")
        assert ada.line() == ":"
        web.stop()
        closed = ada.named("close")
        assert closed.data["code"] == 1001
        assert closed.retry_ms == json.loads(closed.data["reason"])["reconnectMs"]


def test_a_client_that_does_not_read_is_cut_off(gateway: RealGateway) -> None:
    """As in any answer; the room then waits for the member. What it did not read is not kept here."""
    timeouts = Timeouts(send_s=0.2)
    with (
        running_web(gateway_port=gateway.port, timeouts=timeouts) as web,
        member(web, "bo", "slow") as bo,
        socket.create_connection(("127.0.0.1", web.port), timeout=CLIENT_TIMEOUT_S) as ada,
    ):
        ada.sendall(b"GET /api/rooms/slow/events?memberId=ada HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert bo.hear("presence.join")["payload"]["memberId"] == "ada"
        for _ in range(LOUD):
            bo.say("note", "x" * 60_000)
        broken = select.poll()
        broken.register(ada, 0)  # whatever is registered, it tells of an error
        assert broken.poll(CLIENT_TIMEOUT_S * 1000)
        assert bo.hear("presence.update")["payload"]["connected"] is False


def test_who_may_not_enter_is_told_so_by_status_and_code(web: Web) -> None:
    """Strangers, other users, foreign pages, forged tickets, bad positions, HEAD; and what the room itself refuses."""
    ada, eve = web.sign_up("ada@example.com"), web.sign_up("eve@example.com")
    path = f"/api/rooms/{make(ada)['id']}/events"
    refusals: list[tuple[httpx.Client, str, dict[str, str], int, str]] = [
        (web.client, path, {}, 401, "sign_in_required"),
        (eve, path, {}, 404, "session_not_found"),
        (ada, path, {"Origin": "https://evil.example"}, 403, "foreign_origin"),
        (ada, path, {"Sec-Fetch-Site": "same-site"}, 403, "foreign_origin"),
        (web.client, path, {"Authorization": "Bearer forged.ticket"}, 403, "invalid_ticket"),
        (web.client, path, {"Authorization": "Basic eDp5"}, 401, "invalid_ticket"),
        (ada, path, {"Last-Event-ID": "17"}, 400, "invalid_since"),
        (ada, f"{path}?status=asleep", {}, 400, "invalid_status"),
    ]
    for client, where, headers, status, code in refusals:
        answer = client.get(where, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ada.head(path).status_code == 405
    unknown = {"Omnisonic-Stream": "0" * 16 + "." + "a" * 32}
    assert ada.post("/api/rooms/jam/messages", json={"type": "note"}, headers=unknown).status_code == 404
    with ada.stream("GET", path) as response:  # who may enter is a member by their own id
        welcome = Stream(ada, path, response).hear("welcome")["payload"]
        assert welcome["memberId"] == ada.get("/api/auth/session").json()["user"]["id"]
    with ExitStack() as band:
        for number in range(MOST_MEMBERS):
            band.enter_context(member(web, f"m{number}", "full")).hear("welcome")
        full = web.client.get("/api/rooms/full/events")
        assert (full.status_code, full.json()["code"]) == (409, "room_full")


def test_a_ticket_opens_a_stream_where_its_answer_says(web: Web) -> None:
    """For programs, and the client in JavaScript: as the member that the ticket names."""
    ada = web.sign_up("ada@example.com")
    ticket = ada.post(f"/api/rooms/{make(ada)['id']}/ticket", json={"displayName": "Ada L."}).json()
    headers = {"Authorization": f"Bearer {ticket['ticket']}"}
    with web.client.stream("GET", ticket["eventsUrl"], headers=headers) as response:
        (seen,) = Stream(web.client, "", response).hear("welcome")["payload"]["members"]
    assert seen["displayName"] == "Ada L."


def test_streams_are_bounded_by_address_by_user_and_in_all() -> None:
    """Over a bound nobody gets a slot, and a slot that is free again is there for the next."""
    slots = StreamSlots(total=3, per_address=2, per_user=1)
    free = slots.take("here", "ada")
    with pytest.raises(Refusal) as refused:
        slots.take("there", "ada")
    assert (refused.value.status, refused.value.code) == (429, "too_many_streams")
    slots.take("here", None)
    with pytest.raises(Refusal, match="event streams") as refused:
        slots.take("here", None)
    assert refused.value.status == 429
    slots.take("there", "bo")
    with pytest.raises(Refusal) as refused:
        slots.take("elsewhere", None)
    assert (refused.value.status, refused.value.code) == (503, "streams_busy")
    free()
    slots.take("here", "ada")
