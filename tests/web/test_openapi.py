"""The OpenAPI document tells the truth about every route of the API (SPEC 3)."""

from typing import Any

import pytest

from tests.web.running import Web, running_web
from tests.web.test_routes import ROUTES

ADA = {"roomId": "jam", "memberId": "ada", "displayName": "Ada"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(name="document")
def load_document(web: Web) -> dict[str, Any]:
    answer = web.client.get("/api/openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    document: dict[str, Any] = answer.json()
    return document


def test_it_lists_exactly_the_routes_for_programs(document: dict[str, Any]) -> None:
    """Every route but the pages, and none that is not there."""
    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert listed == {route for route in ROUTES if route[1].startswith(("/api/", "/healthz", "/readyz"))}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """Each `$ref` names a schema of the document."""
    named = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(_references(document)) <= named
    assert set(_references(document))


def test_what_must_be_sent_is_said(document: dict[str, Any]) -> None:
    """Bodies and the room of a roster are required, and a name's limits are in its schema."""
    presence = document["paths"]["/api/presence"]
    (room,) = presence["get"]["parameters"]
    assert (room["name"], room["required"], room["schema"]["maxLength"]) == ("roomId", True, 128)
    body = presence["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert body["required"]
    assert schema["required"] == ["roomId", "memberId", "displayName"]
    assert schema["properties"]["status"]["enum"] == ["active", "away"]


def test_every_answer_is_declared(web: Web, document: dict[str, Any]) -> None:
    """Each status that can be provoked is in the document, with the properties and headers that it has."""
    client, post = web.client, ("POST", "/api/presence")
    seen = [
        ("GET", "/healthz", client.get("/healthz")),
        ("GET", "/healthz", client.get("/healthz", headers={"Host": "evil.example"})),
        ("GET", "/readyz", client.get("/readyz")),
        ("GET", "/api/openapi.json", client.get("/api/openapi.json")),
        (*post, client.post("/api/presence", json=ADA)),
        ("GET", "/api/presence", client.get("/api/presence?roomId=jam")),
        ("GET", "/api/presence", client.get("/api/presence")),
        ("GET", "/api/presence", client.get("/api/presence?roomId=a", headers={"Host": "x"})),
        (*post, client.post("/api/presence", json={})),
        (*post, client.post("/api/presence", json=ADA, headers={"Origin": "null"})),
        (*post, client.post("/api/presence", content=b"{}")),
        (*post, client.post("/api/presence", content=b" " * 70_000, headers=JSON)),
        ("DELETE", "/api/presence", client.request("DELETE", "/api/presence", json=ADA)),
    ]
    web.presence.trouble.kind = "down"
    seen.append(("GET", "/readyz", client.get("/readyz")))
    seen.append((*post, client.post("/api/presence", json=ADA)))
    web.presence.trouble.kind = "broken"
    seen.append((*post, client.post("/api/presence", json=ADA)))
    with running_web({"ROOM_ACCESS": "ticket"}) as closed:
        seen.append((*post, closed.client.post("/api/presence", json=ADA)))
    assert len({(method, path, answer.status_code) for method, path, answer in seen}) == len(seen)
    for method, path, answer in seen:
        declared = document["paths"][path][method.lower()]["responses"][str(answer.status_code)]
        assert set(declared["headers"]) <= {name.title() for name in answer.headers}
        name = declared["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        assert set(document["components"]["schemas"][name]["required"]) == set(answer.json())


@pytest.mark.parametrize("path", ["/docs", "/redocs", "/scalar", "/openapi.json"])
def test_no_page_draws_it(web: Web, path: str) -> None:
    """Those pages load scripts from other people's servers."""
    assert web.client.get(path).status_code == 404


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [reference for part in value.values() for reference in _references(part)]
    if isinstance(value, list):
        return [reference for part in value for reference in _references(part)]
    return []
