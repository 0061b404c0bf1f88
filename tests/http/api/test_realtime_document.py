"""`/api/asyncapi.json`: the realtime protocol, for programs (SPEC 5). Is it true: tests/wire/test_asyncapi.py."""

import json

from omnisonic.wire.asyncapi import asyncapi_document
from tests.http.running import Web, running_web


def test_it_is_the_document_with_the_gateway_beside_the_web(web: Web) -> None:
    """At the host by which the web was reached."""
    answer = web.client.get("/api/asyncapi.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    shown = answer.json()
    server = shown["servers"]["gateway"]
    assert (server["protocol"], server["host"].partition(":")[0], server["pathname"]) == ("ws", "127.0.0.1", "/")
    assert shown == json.loads(json.dumps(asyncapi_document(f"ws://{server['host']}/")))


def test_it_names_the_gateways_public_address() -> None:
    """Where there is one."""
    with running_web({"GATEWAY_PUBLIC_URL": "wss://studio.example/rooms"}) as web:
        server = web.client.get("/api/asyncapi.json").json()["servers"]["gateway"]
    assert (server["protocol"], server["host"], server["pathname"]) == ("wss", "studio.example", "/rooms")
