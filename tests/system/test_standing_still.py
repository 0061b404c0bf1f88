"""What stands still is not well: the gateway or the web is stopped by a signal, as a frozen process is (SPEC 5.4)."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from omnisonic.operations.heartbeat import SILENT_S
from tests.cli.running import Command, completed, eventually, running
from tests.prepared_postgres import prepare_data_directory
from tests.processes import send_signal

pytestmark = pytest.mark.timing

REPORTED_WITHIN_S: Final = 3.0
AGAIN_WITHIN_S: Final = 15.0
"""A new process is there this long after the old one fell silent (RELIABILITY)."""


def doctor(settings: dict[str, str]) -> tuple[dict[str, Any], float]:
    """The doctor's checks by name, and how long it took."""
    began_s = time.monotonic()
    shown = completed("doctor", "--json", **settings)
    took_s = time.monotonic() - began_s
    return {check["name"]: check for check in json.loads(shown.stdout)["checks"]}, took_s


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process stands still until the block ends, if it lives for so long."""
    assert send_signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        send_signal(pid, signal.SIGCONT)


@pytest.fixture
def named(tmp_path: Path) -> Iterator[tuple[Command, dict[str, str]]]:
    """A studio, and the settings by which an operator finds it."""
    settings = {"OMNISONIC_DATA_DIR": str(prepare_data_directory(tmp_path))}
    with running("serve", **settings) as studio:
        studio.printed("is running")
        yield studio, settings | {"WEB_PORT": str(studio.port("Studio"))}


def test_a_gateway_that_stands_still_is_told_and_started_again(named: tuple[Command, dict[str, str]]) -> None:
    """The doctor and the web's `/readyz` say so within 3 s; 15 s later another process is well."""
    studio, settings = named
    url = f"http://127.0.0.1:{studio.port('Studio')}/readyz"
    well, usual_s = doctor(settings)
    assert well["gateway"]["detail"].endswith("and its rooms respond.")
    assert httpx.get(url, timeout=REPORTED_WITHIN_S).json()["checks"]["gateway"] == "ok"
    before = studio.part("gateway")
    began_s = time.monotonic()
    with stopped(before):
        answer = httpx.get(url, timeout=REPORTED_WITHIN_S)
        assert time.monotonic() - began_s < REPORTED_WITHIN_S
        assert (answer.status_code, answer.json()["error"]) == (503, "Not ready: gateway cannot be reached.")
        found, took_s = doctor(settings)
        assert took_s - usual_s < REPORTED_WITHIN_S
        assert [name for name, check in found.items() if not check["ok"]] == ["web", "gateway"]
        assert "No answer within 1.5 s." in found["gateway"]["detail"]
        assert "gateway cannot be reached" in found["web"]["detail"]
        studio.printed("`gateway` did not respond for 10 s. Starting it again.", within_s=AGAIN_WITHIN_S)
        eventually(lambda: httpx.get(url, timeout=REPORTED_WITHIN_S).status_code == 200, what="the gateway is back")
        assert time.monotonic() - began_s < AGAIN_WITHIN_S
        assert studio.part("gateway") != before


def test_a_web_that_stands_still_is_told_and_started_again(named: tuple[Command, dict[str, str]]) -> None:
    """The doctor says so within 3 s, who asks for a page meanwhile is answered by the next one."""
    studio, settings = named
    _, usual_s = doctor(settings)
    before = studio.part("web")
    began_s = time.monotonic()
    with stopped(before):
        found, took_s = doctor(settings)
        assert took_s - usual_s < REPORTED_WITHIN_S
        assert [name for name, check in found.items() if not check["ok"]] == ["web"]
        assert "does not answer within 2 s" in found["web"]["detail"]
        studio.printed("`web` did not respond for 10 s. Starting it again.", within_s=AGAIN_WITHIN_S)
        eventually(
            lambda: httpx.get(f"http://127.0.0.1:{settings['WEB_PORT']}/healthz", timeout=10).status_code == 200,
            what="the web is back",
        )
        assert time.monotonic() - began_s < AGAIN_WITHIN_S
        assert studio.part("web") != before


def test_a_studio_that_was_stopped_as_a_whole_goes_on(named: tuple[Command, dict[str, str]]) -> None:
    """Longer than a part may be silent: nobody was there to hear them, and nobody is started again."""
    studio, settings = named
    parts = {name: studio.part(name) for name in ("gateway", "web", "worker")}
    pids = [studio.pid, *parts.values()]
    for pid in pids:
        assert send_signal(pid, signal.SIGSTOP)
    began_s = time.monotonic()
    eventually(lambda: time.monotonic() - began_s > SILENT_S + 1, what="they were silent for too long")
    for pid in pids:
        assert send_signal(pid, signal.SIGCONT)
    url = f"http://127.0.0.1:{settings['WEB_PORT']}/readyz"
    eventually(lambda: httpx.get(url, timeout=10).status_code == 200, what="the studio goes on")
    assert send_signal(parts.pop("worker"), signal.SIGKILL)
    studio.printed("`worker` was killed by SIGKILL. Starting it again.")
    assert {name: studio.part(name) for name in parts} == parts
    assert not [line for line in studio.lines if "did not respond" in line]


def test_a_part_that_is_killed_while_the_studio_starts_is_started_again(tmp_path: Path) -> None:
    """The start goes on with the next one, and nobody has to look."""
    with running("serve", OMNISONIC_DATA_DIR=str(prepare_data_directory(tmp_path))) as studio:
        assert send_signal(studio.part("gateway"), signal.SIGKILL)
        studio.printed("`gateway` was killed by SIGKILL. Starting it again.")
        studio.printed("is running")
