"""What the documents say is so: their tables are the code's, their examples run, the files they name are there."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from omnisonic.actors.instruments import _METRICS
from omnisonic.config import settings_table
from omnisonic.wire.closing import CLOSE_TABLE
from omnisonic.wire.messages import SERVER_TYPES, SIGNAL_PREFIX
from tests.cli.running import environ, running
from tests.system.visitors import visitors_of
from tests.web.conftest import deadline

__all__ = ["deadline"]

ROOT: Final = Path(__file__).parents[2]
REALTIME: Final = ROOT / "docs/realtime.md"
OPERATING: Final = ROOT / "docs/operating.md"
README: Final = ROOT / "README.md"
DOCUMENTS: Final = (README, *sorted((ROOT / "docs").glob("*.md")))

CLIENT_TYPES: Final = {"heartbeat", "presence.set", "transport.set", f"{SIGNAL_PREFIX}*"}
"""What clients say that means something to the server."""
FAN_OUT: Final = "omnisonic.fan_out.duration"


def test_the_table_of_close_codes_is_the_codes_own() -> None:
    """Code, word, meaning and advice, in the same order."""
    told = [tuple(row) for row in _table(REALTIME, "code", "word", "meaning", "come back by yourself")]
    assert told == [
        (str(code.value), f"`{row.word}`", row.meaning, "yes" if row.reconnect else "no")
        for code, row in CLOSE_TABLE.items()
    ]


def test_every_message_type_that_means_something_is_explained() -> None:
    """Those of the server and those of clients, and no other."""
    told = [_unquoted(row[0]) for row in _table(REALTIME, "type", "direction", "payload, and what it does")]
    assert sorted(told) == sorted(SERVER_TYPES | CLIENT_TYPES)


def test_the_table_of_settings_is_the_settings_own() -> None:
    """As `settings_table` makes it: to change the document, paste its output."""
    assert settings_table() in OPERATING.read_text()


def test_every_metric_is_explained() -> None:
    """Names and descriptions are the instruments' own."""
    told = {_unquoted(name): meaning for name, meaning in _table(OPERATING, "metric", "meaning")}
    assert told.pop(FAN_OUT)
    assert told == {f"omnisonic.{name}": meaning for name, meaning in _METRICS.items()}


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
    with running("gateway") as gateway, _example(document, visitors_of(gateway).gateway_port, tmp_path) as example:
        assert example.stdout is not None
        assert "welcome" in example.stdout.readline()
        example.kill()


def test_the_example_comes_back_as_it_is_told(tmp_path: Path) -> None:
    """Told to wait (1001) it waits as long as it is told; closed for good (4001) it ends."""
    with running("gateway") as gateway:
        port = visitors_of(gateway).gateway_port
        with _example(REALTIME, port, tmp_path) as first:
            assert first.stdout is not None
            assert "welcome" in first.stdout.readline()
            with _example(REALTIME, port, tmp_path) as second:
                assert second.stdout is not None
                assert "welcome" in second.stdout.readline()
                assert first.wait() == 0
                assert gateway.stop(signal.SIGTERM) == 0
                assert re.match(r"Gone \(1001\)\. Trying again in \d\.\d s\.", second.stdout.readline())
                second.kill()


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


def _unquoted(cell: str) -> str:
    return cell.strip("`")
