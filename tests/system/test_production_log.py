"""In production every line of a log is a JSON object, also those of the supervisor, of Postgres and Valkey (SPEC 2)."""

import contextlib
import json
import secrets
import signal
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.cli.running import Command, completed, eventually, running
from tests.prepared_postgres import prepare_data_directory
from tests.processes import send_signal

PRODUCTION: Final = {
    "OMNISONIC_ENV": "production",
    "AUTH_ENABLE_CREDENTIALS": "true",
    "PARITY_ENABLED": "true",
    "OTEL_SDK_DISABLED": "false",
    "OTEL_TRACES_EXPORTER": "console",
}
"""All parts, and as much told as there can be."""


def events(lines: list[str]) -> list[dict[str, Any]]:
    """What the lines say. Each must be an object with time, level, part and event."""
    found = []
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            pytest.fail(f"no JSON: {line!r}")
        assert {"time", "level", "part", "event"} <= said.keys(), line
        found.append(said)
    return found


def said(studio: Command, event: str) -> dict[str, Any]:
    """Wait for an event; what it says."""
    studio.printed(f'"event": "{event}"')
    return next(found for found in events(studio.lines.copy()) if found["event"] == event)


def test_every_line_of_a_production_log_is_json(tmp_path: Path) -> None:
    """From the start to the stop, while people come and each part is killed once."""
    settings = PRODUCTION | {
        "OMNISONIC_DATA_DIR": str(prepare_data_directory(tmp_path)),
        "NEXTAUTH_SECRET": secrets.token_urlsafe(32),
    }
    with running("serve", **settings) as studio:
        started = said(studio, "serve.running")
        with httpx.Client(base_url=started["studio"], timeout=10) as client:
            assert client.get("/").status_code == 200
            assert client.get("/api/sessions").status_code == 401
        for part in ("postgres", "valkey", "gateway", "web", "worker", "parity"):
            send_signal(studio.part(part), signal.SIGKILL)
            studio.printed(f"`{part}` was killed by SIGKILL. Starting it again.")

        def is_ready() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{started['studio']}/readyz", timeout=5).status_code == 200
            return False

        eventually(is_ready, what="the studio is ready again")
        assert httpx.get(f"{started['studio']}/api/sessions", timeout=10).status_code == 401
        assert studio.stop() == 0
    received = events(studio.lines)
    reported = {(each["part"], each["event"]) for each in received}
    assert {("serve", "serve.running"), ("serve", "part.ended"), ("serve", "serve.stopping")} <= reported
    assert {part for part, _ in reported} >= {"serve", "migrate", "gateway", "valkey"}
    assert any(each["event"] == "output" and each["text"].startswith("span ") for each in received)
    assert next(each["process"] for each in received if each["event"] == "part.ended") == "postgres"


def test_a_studio_that_cannot_go_on_says_why_in_json(tmp_path: Path) -> None:
    """Its last word, too."""
    settings = PRODUCTION | {"OMNISONIC_DATA_DIR": str(tmp_path), "NEXTAUTH_SECRET": secrets.token_urlsafe(32)}
    shown = completed("serve", **settings, DATABASE_URL="postgresql://me:canary@127.0.0.1:1/x")
    assert shown.returncode == 1
    received = events([*shown.stdout.splitlines(), *shown.stderr.splitlines()])
    assert received[-1]["level"] == "critical"
    assert received[-1]["problem"] == "`migrate` exited with code 1."
    assert "canary" not in shown.stdout + shown.stderr


@pytest.mark.parametrize("part", ["gateway", "parity"])
def test_a_part_alone_says_where_it_is_in_json(part: str, tmp_path: Path) -> None:
    """And nothing that is not."""
    settings = PRODUCTION | {"OMNISONIC_DATA_DIR": str(tmp_path), "ROOM_ACCESS": "open"}
    with running(part, **settings) as alone:
        assert said(alone, "part.ready")["url"].rpartition(":")[0] in ("ws://127.0.0.1", "http://127.0.0.1")
        assert alone.stop() == 0
    events(alone.lines)


def test_a_log_in_development_can_be_json_too(tmp_path: Path) -> None:
    """By `LOG_FORMAT`, and with less in it by `LOG_LEVEL`."""
    with running("gateway", LOG_FORMAT="json", LOG_LEVEL="error", OMNISONIC_DATA_DIR=str(tmp_path)) as gateway:
        said(gateway, "part.ready")
        assert gateway.stop() == 0
    assert [each["event"] for each in events(gateway.lines)] == ["part.ready"]
