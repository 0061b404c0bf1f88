"""The parity service by itself, and what a part does without (the worker: `test_worker.py`)."""

import subprocess
import sys

import httpx
import pytest

from tests.cli.running import completed, environ, running

FOREIGN = "http://evil.example"


def test_the_parity_service_answers_without_anything_else_running() -> None:
    """Sessions in memory, newest first, in the shape of the API's, for whoever is on this machine."""
    with running("parity") as parity:
        url = parity.printed(r"^http://127\.0\.0\.1:\d+$")[0]
        with httpx.Client(base_url=url, timeout=10) as client:
            assert client.get("/healthz").json() == {"ok": True}
            assert client.get("/v1/sessions").json() == {"sessions": []}
            made = [client.post("/v1/sessions", json={"name": name}) for name in ("One", "Two")]
            assert [answer.status_code for answer in made] == [201, 201]
            listed = client.get("/v1/sessions").json()["sessions"]
            assert [session["name"] for session in listed] == ["Two", "One"]
            assert listed[0] == made[1].json()["session"]
            assert {"id", "name", "createdAt", "updatedAt", "tempoBpm", "beatsPerBar", "owner", "role"} <= set(
                listed[0]
            )
            assert client.post("/v1/sessions", json={"name": "x" * 121}).status_code == 400
            assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421
            assert client.post("/v1/sessions", json={}, headers={"Origin": FOREIGN}).status_code == 403
        assert parity.stop() == 0


@pytest.mark.parametrize(
    "environ",
    [{"OMNISONIC_ENV": "production", "LOG_FORMAT": "text"}, {"PARITY_ENABLED": "false"}],
    ids=["production", "switched off"],
)
def test_the_parity_service_does_not_start_where_it_is_off(environ: dict[str, str]) -> None:
    """A sentence names the variable, exit code 2."""
    shown = completed("parity", **environ)
    assert (shown.returncode, shown.stdout) == (2, "")
    (sentence,) = shown.stderr.splitlines()
    assert sentence.startswith("omnisonic: PARITY_ENABLED is ")


def test_the_parity_service_runs_in_production_when_it_is_switched_on() -> None:
    """Somebody has said so."""
    with running("parity", OMNISONIC_ENV="production", LOG_FORMAT="text", PARITY_ENABLED="true") as parity:
        url = parity.printed(r"^http://127\.0\.0\.1:\d+$")[0]
        assert httpx.get(f"{url}/healthz", timeout=10).json() == {"ok": True}


@pytest.mark.parametrize("part", ["worker", "parity"])
def test_a_part_starts_without_the_gateways_libraries(part: str) -> None:
    """The worker has no web framework in memory either."""
    program = f"import sys, omnisonic.cli.{part}; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", program], env=environ(), capture_output=True, text=True, timeout=40, check=True
    )
    heavy = {"trio_websocket", "typer"} | ({"quart", "hypercorn"} if part == "worker" else set())
    assert heavy.isdisjoint(shown.stdout.split())
