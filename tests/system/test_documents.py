"""What the documents say is so: their tables are the code's, their examples run, the files they name are there."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, get_args

import pytest

from omnisonic.config import settings_table
from omnisonic.exports.instruments import Step
from omnisonic.metrics import metrics_table
from omnisonic.wire.catalogue import messages_table
from omnisonic.wire.closing import close_table, remedy_table
from tests.cli.running import START_S, environ, running
from tests.processes import ended_with_block
from tests.system.visitors import visitors_of
from tests.web.conftest import deadline

__all__ = ["deadline"]

ROOT: Final = Path(__file__).parents[2]
REALTIME: Final = ROOT / "docs/realtime.md"
OPERATING: Final = ROOT / "docs/operating.md"
README: Final = ROOT / "README.md"
DOCUMENTS: Final = (README, *sorted((ROOT / "docs").glob("*.md")))

ERRORS_OF_MESSAGES: Final = {
    "invalid_json", "invalid_message", "too_deep", "too_large", "reserved_type", "unsupported_type", "to_required",
    "unknown_member", "invalid_display_name", "invalid_status", "rate_limited", "room_busy",
}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "make"),
    [
        (REALTIME, messages_table),
        (REALTIME, close_table),
        (OPERATING, remedy_table),
        (OPERATING, settings_table),
        (OPERATING, metrics_table),
    ],
    ids=lambda part: getattr(part, "__name__", getattr(part, "name", "")),
)
def test_a_table_is_the_codes_own(document: Path, make: Callable[[], str]) -> None:
    """As the code makes it: to change the document, change the code and paste its output."""
    assert make() in document.read_text()


def test_every_error_that_a_message_may_get_is_explained() -> None:
    """The codes that stand in the code of rooms and connections, and no other."""
    told = {_unquoted(code) for row in _table(REALTIME, "code", "what was wrong") for code in row[0].split(", ")}
    assert told == ERRORS_OF_MESSAGES


def test_every_event_that_an_operator_is_told_of_is_logged() -> None:
    """The table of log events names none that no code logs."""
    rows = _table(OPERATING, "event", "what happened", "what to do")
    told = [_unquoted(name) for row in rows for name in row[0].split(", ")]
    code = _code()
    assert [event for event in told if f'"{event}"' not in code] == []


def test_every_span_is_explained() -> None:
    """All that the code begins, and all tracers that it asks for; requests are called by their routes."""
    code = _code()
    begun = set(re.findall(r'start_(?:as_current_)?span\(\s*f?"([^"]+)"', code)) - {"export.{step}"}
    rows = _table(OPERATING, "span", "tracer", "what it is")
    told = {name for row in rows for name in re.findall(r"`([a-z]+\.[a-z]+)`", row[0])}
    assert told == begun | {f"export.{step}" for step in get_args(Step)}
    assert {_unquoted(row[1]) for row in rows} == set(re.findall(r'get_tracer\(\s*"([^"]+)"', code))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_the_files_that_a_document_names_are_there(document: Path) -> None:
    """Links to others, and paths of the code."""
    text = document.read_text()
    links = [document.parent / link for link in re.findall(r"\]\(([\w./-]+)\)", text)]
    named = [ROOT / path for path in re.findall(r"`((?:actors|http|omnisonic|docs|bin)/[\w./-]*)`", text)]
    assert links + named
    assert [path for path in links + named if not path.exists()] == []


@pytest.mark.parametrize("document", [README, REALTIME], ids=lambda document: document.name)
def test_the_example_in_python_is_welcomed(document: Path, tmp_path: Path) -> None:
    """It runs as it is printed, but for the port, and the first it prints is the welcome."""
    with (
        running("gateway") as gateway,
        ended_with_block(_example(document, visitors_of(gateway).gateway_port, tmp_path)) as example,
    ):
        assert example.stdout is not None
        assert "welcome" in example.stdout.readline()


def test_the_example_comes_back_as_it_is_told(tmp_path: Path) -> None:
    """Told to wait (1001) it waits as long as it is told; closed for good (4001) it ends."""
    with running("gateway") as gateway:
        port = visitors_of(gateway).gateway_port
        with ended_with_block(_example(REALTIME, port, tmp_path)) as first:
            assert first.stdout is not None
            assert "welcome" in first.stdout.readline()
            with ended_with_block(_example(REALTIME, port, tmp_path)) as second:
                assert second.stdout is not None
                assert "welcome" in second.stdout.readline()
                assert first.wait(START_S) == 0
                assert gateway.stop(signal.SIGTERM) == 0
                assert re.match(r"Gone \(1001\)\. Trying again in \d\.\d s\.", second.stdout.readline())


def _example(document: Path, port: int, folder: Path) -> subprocess.Popen[str]:
    """The first Python program in `document`, running, for a gateway on `port`."""
    found = re.search(r"^( *)```python\n(.*?)^ *```$", document.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    lines = [line.removeprefix(found[1]) for line in found[2].splitlines()]
    program = folder / "example.py"
    program.write_text("\n".join(lines).replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
    command = [sys.executable, "-u", str(program)]
    return subprocess.Popen(command, env=environ(), stdout=subprocess.PIPE, text=True)


def _table(document: Path, *titles: str) -> list[list[str]]:
    """The rows of the table with these titles."""
    _, found, rest = document.read_text().partition(f"| {' | '.join(titles)} |\n")
    assert found, titles
    rows = rest.split("\n\n", 1)[0].splitlines()[1:]
    return [row.strip("| ").split(" | ") for row in rows]


def _code() -> str:
    """All of the product's own."""
    folders = [ROOT / name for name in ("actors", "http", "omnisonic")]
    return "\n".join(path.read_text() for folder in folders for path in sorted(folder.rglob("*.py")))


def _unquoted(cell: str) -> str:
    return cell.strip("`")
