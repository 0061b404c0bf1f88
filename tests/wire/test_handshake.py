"""The opening handshake: h11 is the reference for what a request is, the RFCs for what is refused (SPEC 5.1)."""

import base64
import json
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import h11
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection
from wsproto.events import Request as ClientRequest

from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.handshake import (
    HEAD_BYTES,
    Refused,
    Request,
    check_upgrade,
    closing_response,
    http_response,
    read_request,
    refusal_response,
    upgrade_response,
)

bounded = settings(max_examples=200)
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT: Final = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The example of RFC 6455 1.3."""
SLOW_S: Final = 0.5
"""Reading a head takes less than a millisecond; what takes this long takes it by design."""

UPGRADE: Final = {
    "Host": "studio.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def head(line: str = "GET /?roomId=jam HTTP/1.1", *more: str, **headers: str | None) -> bytes:
    """A request that asks for a WebSocket; `headers` replace or add, with `_` for `-`, and None leaves out."""
    fields = {**UPGRADE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [line, *(f"{name}: {value}" for name, value in fields.items() if value is not None), *more]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def refusal(request: bytes) -> Refused:
    """How the request is refused."""
    with pytest.raises(Refused) as refused:
        check_upgrade(read_request(request))
    return refused.value


def read_by_h11(request: bytes) -> h11.Request | None:
    """The request as h11 reads it, or None when it does not."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(request)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    return event if isinstance(event, h11.Request) else None


def test_a_browsers_request_is_read_and_answered() -> None:
    """A real handshake, with what browsers add, and the answer of RFC 6455's example."""
    request = read_request(
        head(
            "GET /?roomId=jam&memberId=ada HTTP/1.1",
            Origin="http://studio.example",
            Connection="keep-alive, Upgrade",
            Upgrade="WebSocket",
            Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits",
            Sec_WebSocket_Protocol="omnisonic, ticket.abc",
            Cookie="a=b",
        )
    )
    assert (request.method, request.path, request.query) == ("GET", "/", "roomId=jam&memberId=ada")
    assert request.headers["origin"] == "http://studio.example"
    assert request.subprotocols == ["omnisonic", "ticket.abc"]
    assert check_upgrade(request) == KEY
    assert f"Sec-WebSocket-Accept: {ACCEPT}\r\n".encode() in upgrade_response(KEY, request.subprotocols)


def test_a_request_may_say_that_it_has_no_body() -> None:
    """Embedded devices send `Content-Length: 0`."""
    assert check_upgrade(read_request(head(Content_Length="0"))) == KEY


names = st.text(alphabet="abcXYZ-_!#$%&'*+.^`|~09", min_size=1, max_size=12)
contents = st.text(alphabet=[chr(code) for code in [9, *range(32, 127), *range(128, 256)]], max_size=20)
targets = st.text(alphabet=[chr(code) for code in range(33, 127)], max_size=30).map(lambda rest: "/" + rest)
framing = {"content-length", "transfer-encoding", "host"}


@bounded
@given(st.sampled_from(("GET", "POST", "OPTIONS")), targets, st.lists(st.tuples(names, contents), max_size=6))
def test_valid_requests_are_read_as_h11_reads_them(method: str, target: str, headers: list[tuple[str, str]]) -> None:
    """Method, target and each header, without the white space around it; doubled ones are joined."""
    assume(not any(name.lower() in framing for name, _ in headers))
    lines = [f"{method} {target} HTTP/1.1", "Host: a", *(f"{name}: {value}" for name, value in headers)]
    data = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    reference = read_by_h11(data)
    assert reference is not None
    expected: dict[str, list[str]] = {}
    for name, value in reference.headers:
        expected.setdefault(name.decode(), []).append(value.decode("latin-1"))
    request = read_request(data)
    assert request.method == reference.method.decode()
    assert request.path + ("?" if "?" in target else "") + request.query == reference.target.decode()
    assert request.headers == {name: ("; " if name == "cookie" else ", ").join(each) for name, each in expected.items()}


@bounded
@given(st.integers(0, 60), st.sampled_from((*range(33), 58, 127, 255)), st.booleans())
@example(0, 32, True)
def test_nothing_is_accepted_that_h11_refuses(position: int, byte: int, insert: bool) -> None:
    """One wrong byte anywhere: a proxy may read it differently, so it is refused."""
    good = b"GET /?roomId=jam HTTP/1.1\r\nHost: studio.example\r\nOrigin: http://a\r\n\r\n"
    bad = good[:position] + bytes([byte]) + good[position + (not insert) :]
    assume(bad.count(b"\r\n\r\n") == 1 and bad.endswith(b"\r\n\r\n"))
    try:
        read_request(bad)
    except Refused:
        return
    assert read_by_h11(bad) is not None


@pytest.mark.parametrize(
    "request_head",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused(request_head: bytes) -> None:
    """HTTP/2, TLS, spaces in the wrong place: 400."""
    refused = refusal(request_head)
    assert (refused.status, refused.code) == (HTTPStatus.BAD_REQUEST, "bad_request")
    assert refused.message == "This is not an HTTP/1.1 request."


@pytest.mark.parametrize("line", ["X : a", " X: a", "X", ": a", "X: a\x00b", "X: a\nb", "X: a\rb", "X: \x7f", "(X): a",
                                  "\tfolded"])  # fmt: skip
def test_a_malformed_header_is_refused(line: str) -> None:
    """Folded lines, spaces before the colon, control characters: 400."""
    refused = refusal(head("GET / HTTP/1.1", line))
    assert (refused.status, refused.message) == (HTTPStatus.BAD_REQUEST, "A header of the request is malformed.")


@pytest.mark.parametrize(
    "name", ["Host", "Origin", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "CONTENT-LENGTH"]
)
def test_a_header_that_decides_something_may_not_be_given_twice(name: str) -> None:
    """A proxy might use the other one."""
    refused = refusal(head("GET / HTTP/1.1", f"{name}: a", f"{name.lower()}: a"))
    assert refused.message == f"The header {name.lower()} is given twice."


def test_a_request_without_host_is_refused() -> None:
    """RFC 9112 3.2."""
    assert refusal(head(Host=None)).message == "The header Host is missing."


@pytest.mark.parametrize("ending", ["\x01", "", "a", "\x01" + " " * 5000])
def test_a_header_full_of_spaces_is_read_at_once(ending: str) -> None:
    """16 KiB that were written to be slow take no longer than any other 16 KiB."""
    request = head("GET / HTTP/1.1", "X:" + " \t" * (HEAD_BYTES // 4) + ending)
    started_s = time.thread_time()
    with suppress(Refused):
        read_request(request)
    assert time.thread_time() - started_s < SLOW_S


@pytest.mark.parametrize(("request_head", "status", "code", "answer_header"), [
    (head(Upgrade=None), 426, "upgrade_required", b"Upgrade: websocket"),
    (head(Upgrade="h2c"), 426, "upgrade_required", b"Upgrade: websocket"),
    (head("POST / HTTP/1.1"), 405, "method_not_allowed", b"Allow: GET"),
    (head(Connection=None), 400, "bad_request", b""),
    (head(Connection="keep-alive"), 400, "bad_request", b""),
    (head(Connection="upgraded"), 400, "bad_request", b""),
    (head(Content_Length="1"), 400, "bad_request", b""),
    (head(Content_Length="00"), 400, "bad_request", b""),
    (head(Content_Length="0", Transfer_Encoding="chunked"), 400, "bad_request", b""),
    (head(Transfer_Encoding="chunked"), 400, "bad_request", b""),
    (head(Sec_WebSocket_Version=None), 426, "unsupported_version", b"Sec-WebSocket-Version: 13"),
    (head(Sec_WebSocket_Version="8"), 426, "unsupported_version", b"Sec-WebSocket-Version: 13"),
    (head(Sec_WebSocket_Key=None), 400, "bad_request", b""),
    (head(Sec_WebSocket_Key=""), 400, "bad_request", b""),
    (head(Sec_WebSocket_Key="c2hvcnQ="), 400, "bad_request", b""),
    (head(Sec_WebSocket_Key=KEY[:-1] + "!"), 400, "bad_request", b""),
    (head(Sec_WebSocket_Key="\xe9" * 24), 400, "bad_request", b""),
    (head(Sec_WebSocket_Key=base64.b64encode(bytes(17)).decode()), 400, "bad_request", b""),
])  # fmt: skip
def test_a_request_that_is_no_proper_upgrade_is_refused(
    request_head: bytes, status: int, code: str, answer_header: bytes
) -> None:
    """The status, the code and the header say how to do it right."""
    refused = refusal(request_head)
    assert (refused.status, refused.code) == (status, code)
    answer = refusal_response(refused)
    assert answer_header in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"error": refused.message, "code": code}


def test_a_client_library_accepts_our_answer() -> None:
    """wsproto's client, which checks the accept key and the subprotocol, opens."""
    client = WSConnection(ConnectionType.CLIENT)
    sent = client.send(
        ClientRequest(host="studio.example", target="/?roomId=jam", subprotocols=["omnisonic", "ticket.x"])
    )
    request = read_request(sent)
    client.receive_data(upgrade_response(check_upgrade(request), request.subprotocols))
    (event,) = client.events()
    assert isinstance(event, AcceptConnection)
    assert event.subprotocol == "omnisonic"


@pytest.mark.parametrize("offered", [[], ["chat"], ["ticket.x"], ["Omnisonic"]])
def test_a_subprotocol_is_named_only_when_it_was_offered(offered: list[str]) -> None:
    """A browser fails a connection whose server speaks what it did not offer."""
    assert b"Protocol:" not in upgrade_response(KEY, offered)


@pytest.mark.parametrize("status", [HTTPStatus.OK, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE])
def test_an_http_answer_is_one_that_h11_reads(status: HTTPStatus) -> None:
    """Whole, JSON, not to be stored, and the last on its connection."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(http_response(status, {"a": "é"}, Retry_After="5"))
    response, data, end = client.next_event(), client.next_event(), client.next_event()
    assert isinstance(response, h11.Response)
    assert isinstance(data, h11.Data)
    assert isinstance(end, h11.EndOfMessage)
    headers = dict(response.headers)
    assert response.status_code == status
    assert json.loads(data.data) == {"a": "é"}
    assert headers[b"retry-after"] == b"5"
    assert headers[b"content-type"] == b"application/json"
    assert (headers[b"cache-control"], headers[b"connection"]) == (b"no-store", b"close")


@pytest.mark.parametrize(("code", "status", "header"), [
    (CloseCode.GOING_AWAY, 503, b"Retry-After: 5"),
    (CloseCode.INTERNAL_ERROR, 500, b"Connection: close"),
])  # fmt: skip
def test_a_close_before_the_websocket_is_open_is_an_http_response(code: CloseCode, status: int, header: bytes) -> None:
    """A client that still waits for its 101 could not read a close frame."""
    answer = closing_response(Closing(code))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert header in answer


@pytest.mark.parametrize(
    ("header", "offered"),
    [
        ("", []),
        (",, ,", []),
        ("omnisonic", ["omnisonic"]),
        ("ticket.a,omnisonic", ["ticket.a", "omnisonic"]),
        ("  b ,a,\t c,b ", ["b", "a", "c", "b"]),
        (",omnisonic,, ticket.x ,", ["omnisonic", "ticket.x"]),
    ],
)
def test_subprotocols_keep_their_order(header: str, offered: list[str]) -> None:
    """As the client prefers them; empty ones are left out, as RFC 9110 5.6.1 says of lists."""
    assert Request("1.1", "GET", "/", "", {"sec-websocket-protocol": header}).subprotocols == offered


def test_no_subprotocols_are_offered_without_the_header() -> None:
    """The list is empty."""
    assert Request("1.1", "GET", "/", "", {}).subprotocols == []


def test_a_websocket_is_not_opened_by_an_older_http() -> None:
    """RFC 6455 4.1 asks for HTTP/1.1 or higher; a health check may well be older."""
    request = read_request(b"GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    with pytest.raises(Refused) as refused:
        check_upgrade(request)
    assert (refused.value.status, refused.value.code) == (400, "bad_request")
