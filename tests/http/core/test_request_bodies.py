"""What is taken for JSON, and what is not (RELIABILITY, fault 22)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.errors import InvalidInput
from omnisonic.http.core.inputs import parse_object
from tests.http.running import Web, running_web

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"roomId"',
        b'{"ttlSeconds": NaN}',
        b'{"ttlSeconds": Infinity}',
        b'{"ttlSeconds": 1e999}',
        b'{"ttlSeconds": ' + b"9" * 5000 + b"}",
        b'{"roomId": "a", "roomId": "b"}',
        b'{"roomId": "\xff"}',
        b'\xef\xbb\xbf{"roomId": "a"}',
        '{"roomId": "a"}'.encode("utf-16"),
        b"[" * 60_000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_not_json_is_400(web: Web, body: bytes) -> None:
    """Broken, bombed or not an object: 400 `invalid_json`, never 500."""
    answer = web.client.post("/api/presence", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_json")


def test_nesting_is_no_bomb(web: Web) -> None:
    """Objects within objects, as deep as 64 KiB go, are 400: the stack of the interpreter is not ours to fill."""
    answer = web.client.post("/api/presence", content=b'{"a":' * 9_000 + b"1" + b"}" * 9_000, headers=JSON)
    assert answer.status_code == 400


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0123456789eE+-.nulltrue', max_size=60).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_an_object_or_refused(data: bytes) -> None:
    """Nothing but `InvalidInput` ever comes out of the parser."""
    try:
        assert isinstance(parse_object(data), dict)
    except InvalidInput as refused:
        assert refused.code == "invalid_json"  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_only_json_is_taken(web: Web, method: str, media_type: str) -> None:
    """What a foreign page can send without a preflight is 415."""
    headers = {"Content-Type": media_type} if media_type else {}
    answer = web.client.request(method, "/api/presence", content=b'{"roomId": "a"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_a_charset_does_not_matter(web: Web) -> None:
    """`application/json; charset=utf-8` is JSON too."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    body = '{"roomId": "jäm", "memberId": "a", "displayName": "Ådå"}'.encode()
    assert web.client.post("/api/presence", content=body, headers=headers).status_code == 200


def test_a_large_body_is_413(web: Web) -> None:
    """Over 64 KiB, declared."""
    answer = web.client.post("/api/presence", content=b"x" * 65_537, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


def test_a_large_body_in_chunks_is_413(web: Web) -> None:
    """Over 64 KiB, and not saying so beforehand."""
    answer = web.client.post("/api/presence", content=(b"x" * 10_000 for _ in range(8)), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


def test_a_body_that_does_not_arrive_is_408() -> None:
    """Whoever announces a body and sends none is not waited for."""
    with running_web(config={"BODY_TIMEOUT": 0.05}) as web:
        head = (
            b"POST /api/presence HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
        )
        answer = web.raw(head + b"\r\n{")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"request_timeout"' in answer


def test_a_body_in_which_nothing_is_required_may_be_left_out(web: Web) -> None:
    """A session is `Untitled` then, and an invite is as without wishes; what is sent must still be JSON."""
    ada = web.sign_up("ada@example.com")
    made = ada.post("/api/sessions")
    assert (made.status_code, made.json()["session"]["name"]) == (201, "Untitled")
    invites = f"/api/sessions/{made.json()['session']['id']}/invites"
    assert ada.post(invites).status_code == 201
    assert ada.post(invites, content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert ada.post("/api/presence").status_code == 415
