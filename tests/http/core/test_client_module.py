"""The client for JavaScript, as the web serves it (SPEC 8)."""

from pathlib import Path

import pytest

import omnisonic
from tests.http.running import Web

FOLDER = Path(omnisonic.__file__).with_name("client_js")
FOREIGN = {"Origin": "https://band.example"}


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("omnisonic.js", "text/javascript; charset=utf-8"),
        ("omnisonic.d.ts", "application/typescript; charset=utf-8"),
    ],
)
def test_pages_of_any_origin_may_import_the_client(web: Web, name: str, media_type: str) -> None:
    """As it is in the package, without a cookie; whoever has it is told so."""
    answer = web.client.get(f"/client/{name}", headers=FOREIGN)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type)
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "public, no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers
    again = web.client.get(f"/client/{name}", headers=FOREIGN | {"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Access-Control-Allow-Origin"] == "*"
    assert web.client.get(f"/client/{name}", headers={"If-None-Match": '"older"'}).status_code == 200
    head = web.client.head(f"/client/{name}")
    assert (head.status_code, head.headers["ETag"]) == (200, answer.headers["ETag"])


@pytest.mark.parametrize("name", ["package.json", "example.html", "nothing.js", "..%2Fsettings%2Ffields.py"])
def test_nothing_else_of_the_folder_is_served(web: Web, name: str) -> None:
    """And what is not there may not be read by foreign pages either."""
    answer = web.client.get(f"/client/{name}", headers=FOREIGN)
    assert answer.status_code == 404
    assert "Access-Control-Allow-Origin" not in answer.headers
