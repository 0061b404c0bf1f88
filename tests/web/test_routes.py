"""Every route, and what is decided about strangers there. A new route fails here until it is decided."""

from typing import Final, Literal

import pytest

from tests.web.running import Web, running_web

Decision = Literal["anyone", "open rooms only"]

ROUTES: Final[dict[tuple[str, str], Decision]] = {
    ("GET", "/"): "anyone",
    ("GET", "/static/<digest>/<name>"): "anyone",
    ("GET", "/healthz"): "anyone",
    ("GET", "/readyz"): "anyone",
    ("GET", "/api/openapi.json"): "anyone",
    ("GET", "/api/presence"): "open rooms only",
    ("POST", "/api/presence"): "open rooms only",
    ("DELETE", "/api/presence"): "open rooms only",
}
CHANGING: Final = [route for route in ROUTES if route[0] != "GET"]
PATHS: Final = sorted({path for _, path in ROUTES})


def test_every_route_is_decided(web: Web) -> None:
    """The table above is the app's own, no more and no less."""
    rules = [(method, rule.rule) for rule in web.app.url_map.iter_rules() for method in rule.methods or ()]
    assert {(method, path) for method, path in rules if method != "HEAD"} == set(ROUTES)


@pytest.mark.parametrize(("method", "path"), [route for route, who in ROUTES.items() if who == "open rooms only"])
def test_what_is_for_open_rooms_is_closed_otherwise(method: str, path: str) -> None:
    """With tickets required a stranger gets 401 before anything is read."""
    with running_web({"ROOM_ACCESS": "ticket"}) as web:
        answer = web.client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (401, "ticket_required")


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_what_changes_something_is_for_our_pages_only(web: Web, method: str, path: str) -> None:
    """A foreign Origin is 403, and a body that needs no preflight 415."""
    foreign = web.client.request(method, path, json={}, headers={"Origin": "https://evil.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign_origin")
    plain = web.client.request(method, path, content=b"{}", headers={"Content-Type": "text/plain"})
    assert (plain.status_code, plain.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("path", PATHS)
def test_methods_that_a_path_does_not_take_are_405(web: Web, path: str) -> None:
    """TRACE, OPTIONS and the rest: 405, and `Allow` says what it takes."""
    taken = {method for method, route in ROUTES if route == path} | {"HEAD"}
    for method in {"TRACE", "OPTIONS", "PUT", "PATCH", "POST", "DELETE", "BREW"} - taken:
        answer = web.client.request(method, path)
        assert answer.status_code == 405, method
        assert set(answer.headers["Allow"].split(", ")) == taken


@pytest.mark.parametrize("path", [path for path in PATHS if "<" not in path])
def test_head_is_get_without_the_body(web: Web, path: str) -> None:
    """The same status and headers, and no body."""
    got, head = (web.client.request(method, f"{path}?roomId=a") for method in ("GET", "HEAD"))
    assert (head.status_code, head.headers["Content-Type"]) == (got.status_code, got.headers["Content-Type"])
    assert head.content == b""
