"""The OpenAPI document tells the truth about every route of the API (SPEC 3)."""

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from tests.http.api.test_sessions import make
from tests.http.route_table import ROUTES, documented
from tests.http.running import Web

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
    programs = [route for route in ROUTES if route[1].startswith(("/api/", "/healthz", "/readyz"))]
    assert listed == {(method, documented(path)) for method, path in programs}


def test_every_operation_has_a_name_of_its_own(document: dict[str, Any]) -> None:
    """Generated clients call their functions so."""
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


def test_every_schema_has_a_type(document: dict[str, Any]) -> None:
    """Or says that it is another, one of several, or anything at all: a client's code is generated from it."""
    untyped = [(where, schema) for where, schema in _schemas(document) if not _is_typed(schema)]
    assert untyped == []


def test_only_models_have_titles(document: dict[str, Any]) -> None:
    """A generator names its classes by them: none is made from the name of a property."""
    titled = [schema for _, schema in _schemas(document) if "title" in schema]
    assert titled
    assert [schema["title"] for schema in titled if schema["type"] != "object"] == []


def test_every_body_is_described(document: dict[str, Any]) -> None:
    """What is sent, and what is answered unless all is in the headers."""
    bare = {"201", "204", "302", "304"}
    for path, method, operation in _operations(document):
        for status, response in operation["responses"].items():
            has_none = method == "head" or (status in bare and "content" not in response)
            assert has_none or "schema" in next(iter(response["content"].values())), (method, path, status)
            assert response["description"]
        if method == "patch":
            assert operation["requestBody"]["content"]
    piece = document["paths"]["/api/upload/tus/{uploadId}"]["patch"]["requestBody"]
    assert piece == {
        "content": {"application/offset+octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        "required": True,
    }
    file = document["paths"]["/api/export/{exportId}/download"]["get"]["responses"]["200"]["content"]
    assert set(file) == {"application/zip", "audio/flac", "audio/mpeg", "audio/wav"}


def test_a_default_says_more_than_that_something_may_be_absent(document: dict[str, Any]) -> None:
    """Clients send it as it is: it is a value of its schema, and none is null."""
    for where, schema in _schemas(document):
        if "default" in schema:
            assert schema["default"] is not None, where
            assert jsonschema_rs.is_valid(schema, schema["default"]), where


def test_every_default_of_a_query_is_accepted(web: Web, document: dict[str, Any]) -> None:
    """Whoever writes out all that is taken when nothing is said gets the same answer."""
    ada = web.sign_up("ada@example.com")
    session = make(ada)["id"]
    asked = []
    for path, method, operation in _operations(document):
        parameters = [each for each in operation["parameters"] if each["in"] == "query"]
        defaults = {each["name"]: each["schema"]["default"] for each in parameters if "default" in each["schema"]}
        if method == "get" and defaults:
            there = path.format(sessionId=session, roomId=session)
            plain, written = ada.get(there), ada.get(there, params=defaults)
            assert plain.status_code == 200
            assert written.status_code == 200, written.text
            assert plain.json() == written.json()
            asked.append(path)
    sessions = ["/api/sessions", "/api/sessions/{sessionId}/activity", "/api/sessions/{sessionId}/comments"]
    paths = ["/api/rooms/{roomId}/messages", *sessions, "/api/upload/list"]
    assert sorted(asked) == paths


def test_what_needs_a_sign_in_says_so(document: dict[str, Any]) -> None:
    """The cookie, and where a token does as well, by the names of the security schemes."""
    paths, schemes = document["paths"], document["components"]["securitySchemes"]
    assert schemes["cookie"] == {"type": "apiKey", "in": "cookie", "name": "omnisonic"}
    assert schemes["operator"] == {"type": "http", "scheme": "bearer"}
    assert paths["/api/sessions"]["post"]["security"] == [{"cookie": []}]
    assert paths["/api/presence"]["get"]["security"] == [{}, {"cookie": []}]
    assert paths["/api/rooms/{roomId}/messages"]["post"]["security"] == [{"cookie": []}, {"operator": []}]
    assert "security" not in paths["/healthz"]["get"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            decided = ROUTES.get((method.upper(), path))
            if decided is not None and decided.stranger == 401:
                assert {"cookie": []} in operation["security"]
                assert "401" in operation["responses"]


def test_what_may_be_missing_is_said(document: dict[str, Any]) -> None:
    """Everything that an answer has is required, but for what is left out at times."""
    schemas = document["components"]["schemas"]
    ticket = schemas["TicketAnswer"]
    assert set(ticket["properties"]) - set(ticket["required"]) == {"livekit"}
    assert set(schemas["Session"]["required"]) == set(schemas["Session"]["properties"])
    member = schemas["PresenceMember"]  # in the roster of an open room, some have no account
    assert set(member["properties"]) - set(member["required"]) == {"account"}


def test_every_answer_is_declared(web: Web, ticket_web: Web, document: dict[str, Any]) -> None:
    """Each status that can be provoked is in the document, with the properties and headers that it has."""
    client, post = web.client, ("POST", "/api/presence")
    seen = [
        ("GET", "/healthz", client.get("/healthz")),
        ("GET", "/healthz", client.get("/healthz", headers={"Host": "evil.example"})),
        ("GET", "/readyz", client.get("/readyz")),
        ("GET", "/api/openapi.json", client.get("/api/openapi.json")),
        ("GET", "/api/asyncapi.json", client.get("/api/asyncapi.json")),
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
    seen.append((*post, ticket_web.client.post("/api/presence", json=ADA)))
    eve = ticket_web.sign_up("eve@example.com")
    seen.append((*post, eve.post("/api/presence", json=ADA)))
    session, room = ("POST", "/api/sessions"), ("POST", "/api/rooms/{roomId}/messages")
    seen.append((*session, eve.post("/api/sessions", json={})))
    seen.append(("GET", "/api/sessions", eve.get("/api/sessions")))
    seen.append((*room, eve.post(f"/api/rooms/{make(eve)['id']}/messages", json={"type": "note"})))
    wrong = [client.post("/api/rooms/a/messages", headers={"Authorization": "Bearer x"}) for _ in range(11)]
    seen += [(*room, answer) for answer in wrong[-2:]]
    assert len({(method, path, answer.status_code) for method, path, answer in seen}) == len(seen)
    for method, path, answer in seen:
        declared = document["paths"][path][method.lower()]["responses"][str(answer.status_code)]
        assert set(declared["headers"]) <= {name.title() for name in answer.headers}
        schema = declared["content"]["application/json"]["schema"]
        names = [shape["$ref"].rpartition("/")[2] for shape in schema.get("anyOf", [schema])]
        shapes = [set(document["components"]["schemas"][name]["required"]) for name in names]
        assert set(answer.json()) in shapes


@pytest.mark.parametrize("path", ["/docs", "/redocs", "/scalar", "/openapi.json"])
def test_no_page_draws_it(web: Web, path: str) -> None:
    """Those pages load scripts from other people's servers."""
    assert web.client.get(path).status_code == 404


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield path, method, operation


def _schemas(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema, and where it is."""
    for name, schema in document["components"]["schemas"].items():
        yield from _within(name, schema)
    for path, method, operation in _operations(document):
        for each in operation["parameters"]:
            yield from _within(f"{method} {path} {each['name']}", each["schema"])
        answers = [*operation["responses"].values(), operation.get("requestBody", {})]
        for answer in answers:
            for media_type, content in answer.get("content", {}).items():
                yield from _within(f"{method} {path} {media_type}", content["schema"])
            for name, header in answer.get("headers", {}).items():
                yield from _within(f"{method} {path} {name}", header["schema"])


def _within(where: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield where, schema
    for name, each in schema.get("properties", {}).items():
        yield from _within(f"{where}.{name}", each)
    for each in (*schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(each, dict):
            yield from _within(where, each)


def _is_typed(schema: dict[str, Any]) -> bool:
    says = {"enum", "const", "properties", "items", "pattern", "minimum", "maxLength"} & schema.keys()
    return bool({"type", "$ref", "anyOf"} & schema.keys()) or not says


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [reference for part in value.values() for reference in _references(part)]
    if isinstance(value, list):
        return [reference for part in value for reference in _references(part)]
    return []
