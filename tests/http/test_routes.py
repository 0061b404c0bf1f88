"""Every route is decided, and holds to it. A new route fails here until it is in `route_table`."""

from typing import Final

import pytest

from tests.http.api.test_sessions import make
from tests.http.route_table import CHANGING, FORMS, PIECEWISE, ROUTES, path_of
from tests.http.running import Web

PATHS: Final = sorted({path for _, path in ROUTES})
FORM_TYPE: Final = "application/x-www-form-urlencoded"


def test_every_route_is_decided(web: Web) -> None:
    """The table is the app's own, no more and no less."""
    rules = [(method, rule.rule) for rule in web.app.url_map.iter_rules() for method in rule.methods or ()]
    reads = {path for method, path in rules if method == "GET"}
    assert {(method, path) for method, path in rules if method != "HEAD" or path not in reads} == set(ROUTES)


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_what_changes_something_is_for_our_pages_only(web: Web, method: str, path: str) -> None:
    """A foreign Origin is 403 and a body that needs no preflight 415, signed in or not."""
    ada = web.sign_up("ada@example.com")
    there = path_of(path, dict.fromkeys(("session_id", "room_id"), make(ada)["id"]))
    for client in (ada, web.client):
        foreign = client.request(method, there, json={}, headers={"Origin": "https://evil.example"})
        assert (foreign.status_code, _code(foreign.text)) == (403, "foreign_origin")
    if (method, path) in PIECEWISE:
        assert ada.request(method, there).status_code == 412
        return
    for media_type in ("text/plain", "multipart/form-data") + (() if (method, path) in FORMS else (FORM_TYPE,)):
        plain = ada.request(method, there, content=b"{}", headers={"Content-Type": media_type})
        assert (plain.status_code, _code(plain.text)) == (415, "unsupported_media_type"), media_type


@pytest.mark.parametrize("path", PATHS)
def test_methods_that_a_path_does_not_take_are_405(web: Web, path: str) -> None:
    """TRACE, OPTIONS and the rest: 405, and `Allow` says what it takes."""
    taken = {method for method, route in ROUTES if route == path}
    taken |= {"HEAD"} if "GET" in taken else set()
    for method in {"TRACE", "OPTIONS", "PUT", "PATCH", "POST", "DELETE", "BREW"} - taken:
        answer = web.client.request(method, path_of(path, {}))
        assert answer.status_code == 405, method
        assert taken <= set(answer.headers["Allow"].split(", "))


@pytest.mark.parametrize("path", [path for method, path in ROUTES if method == "GET" and "<" not in path])
def test_head_is_get_without_the_body(web: Web, path: str) -> None:
    """The same status and headers, and no body."""
    got, head = (web.client.request(method, f"{path}?roomId=a") for method in ("GET", "HEAD"))
    assert (head.status_code, head.headers["Content-Type"]) == (got.status_code, got.headers["Content-Type"])
    assert head.content == b""


def _code(text: str) -> str:
    """The code of a problem; on pages, which tell it in words, the code that its sentence belongs to."""
    for code, sentence in (("foreign_origin", "Pages from that origin"), ("unsupported_media_type", "Send ")):
        if code in text or sentence in text:
            return code
    return text
