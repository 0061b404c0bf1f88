"""Doctor and the gateway's log say which code the rooms run."""

import json
from pathlib import Path
from typing import Any

import pytest

from omnisonic.compilation import current_build
from tests.cli.running import completed, running

PURE = "OMNISONIC_PURE is set."


def found(folder: Path, **settings: str) -> dict[str, Any]:
    """What doctor finds about the build; other checks fail, because nothing runs in this folder."""
    shown = completed("doctor", "--json", OMNISONIC_DATA_DIR=str(folder), **settings)
    (check,) = (check for check in json.loads(shown.stdout)["checks"] if check["name"] == "build")
    return {name: check[name] for name in ("ok", "warning", "detail")}


def logged(folder: Path, **settings: str) -> str:
    """What the gateway logs of the build before it listens."""
    with running("gateway", OMNISONIC_DATA_DIR=str(folder), **settings) as gateway:
        gateway.printed("ws://")
        (line,) = (line for line in gateway.lines if "gateway.build" in line)
    return line.partition("gateway.build ")[2]


def test_plain_python_is_told_with_its_reason(tmp_path: Path) -> None:
    """By doctor, without a warning, and in the log."""
    expected = {"ok": True, "warning": False, "detail": f"Rooms run as plain Python. {PURE}"}
    assert found(tmp_path, OMNISONIC_PURE="true") == expected
    assert logged(tmp_path, OMNISONIC_PURE="true") == f'build=pure reason="{PURE}"'


def test_what_runs_here_is_told(tmp_path: Path) -> None:
    """Compiled in `bin/check --compiled`."""
    build = current_build()
    if build.mend:
        pytest.fail(f"{build.reason} {build.mend}")
    assert logged(tmp_path) == ("build=compiled" if build.is_compiled else f'build=pure reason="{build.reason}"')
    detail = "Rooms run compiled." if build.is_compiled else f"Rooms run as plain Python. {build.reason}"
    assert found(tmp_path) == {"ok": True, "warning": False, "detail": detail}
