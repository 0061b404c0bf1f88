"""What the documents say is so: their tables are the code's, their examples run, the files they name are there."""

import ast
import inspect
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from omnisonic.cli.main import app
from omnisonic.errors import InvalidInput
from omnisonic.models.activity import REMOVED, ROLE, ActivityKind, MarkerField, SessionField, StemField, TrackField
from omnisonic.models.checks import checked_display_name, checked_status
from omnisonic.observability.metrics import metrics_table
from omnisonic.settings.settings import settings_table
from omnisonic.studio.exports.telemetry import Step
from omnisonic.wire import json_limits, messages, refusals
from omnisonic.wire.closing import close_table, remedy_table
from omnisonic.wire.message_types import messages_table
from tests.cli.running import START_S, environ, running
from tests.http.conftest import deadline
from tests.processes import ended_with_block
from tests.system.visitors import visitors_of

__all__ = ["deadline"]

ROOT: Final = Path(__file__).parents[2]
REALTIME: Final = ROOT / "docs/realtime.md"
OPERATING: Final = ROOT / "docs/operating.md"
README: Final = ROOT / "README.md"
DOCUMENTS: Final = (README, *sorted((ROOT / "docs").glob("*.md")))

CHECKS_OF_A_PRESENCE: Final = (checked_display_name, checked_status)


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


def test_every_kind_of_event_and_every_field_is_explained() -> None:
    """The table of events lists the kinds in the order of the code, and all fields."""
    table = (ROOT / "docs/activity.md").read_text().partition("## Events")[2].partition("\n- ")[0]
    explained = re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", table, re.MULTILINE)
    assert list(dict.fromkeys(explained)) == list(get_args(ActivityKind))
    kinds = StemField, TrackField, SessionField, MarkerField
    fields = {field for each in kinds for field in get_args(each)} | {REMOVED, ROLE}
    assert set(re.findall(r"`([a-zA-Z]+)`[,|\s]", table)) - {"kind", "field"} == fields


def test_every_error_that_a_message_may_get_is_explained() -> None:
    """Every code that stands in the code of rooms, connections and messages, and no other."""
    explained = {_unquoted(code) for row in _table(REALTIME, "code", "what was wrong") for code in row[0].split(", ")}
    _, _, entering = REALTIME.read_text().partition("### When the server refuses a connection")
    on_entering = set(re.findall(r"`([a-z_]+)`", entering.split("\n\n")[1]))
    rooms = [path for path in sorted((ROOT / "actors").rglob("*.py")) if "inspection" not in path.parts]
    parts = [inspect.getsource(part) for part in (messages, refusals, json_limits)]
    sources = [*(path.read_text() for path in rooms), *parts]
    in_code = {code for source in sources for code in _error_codes(source)}
    for check in CHECKS_OF_A_PRESENCE:
        with pytest.raises(InvalidInput) as wrong:
            check("\n")
        in_code.add(wrong.value.code)
    assert {"invalid_json", "too_large", "room_busy", "invalid_status"} <= in_code
    assert in_code - on_entering <= explained
    assert explained <= in_code


def test_every_event_that_an_operator_is_told_of_is_logged() -> None:
    """The table of log events names none that no code logs."""
    rows = _table(OPERATING, "event", "what happened", "what to do")
    reported = [_unquoted(name) for row in rows for name in row[0].split(", ")]
    code = _code()
    assert [event for event in reported if f'"{event}"' not in code] == []


def test_every_event_that_is_logged_is_explained() -> None:
    """In the table of log events, but for that of programs that embed the client."""
    rows = _table(OPERATING, "event", "what happened", "what to do")
    explained = {_unquoted(name) for row in rows for name in row[0].split(", ")}
    code = _code()
    logged = set(re.findall(r'\b_?log\.[a-z]+\(\s*"([a-z_]+(?:\.[a-z_]+)+)"', code))
    logged |= set(re.findall(r'(?:failed|postponed|not_released|not_renewed)="([a-z_]+\.[a-z_]+)"', code))
    assert len(logged) > 50
    assert logged - explained == {"client.crashed"}


def test_every_span_is_explained() -> None:
    """All that the code begins, and all tracers that it asks for; requests are called by their routes."""
    code = _code()
    begun = set(re.findall(r'start_(?:as_current_)?span\(\s*f?"([^"]+)"', code)) - {"export.{step}"}
    rows = _table(OPERATING, "span", "tracer", "what it is")
    reported = {name for row in rows for name in re.findall(r"`([a-z]+\.[a-z]+)`", row[0])}
    assert reported == begun | {f"export.{step}" for step in get_args(Step)}
    assert {_unquoted(row[1]) for row in rows} == set(re.findall(r'get_tracer\(\s*"([^"]+)"', code))


def test_the_files_that_documents_name_are_there() -> None:
    """Paths of the code; where links lead, tests/test_documents.py looks."""
    pattern = r"`((?:actors|http|omnisonic|docs|bin)/[\w./-]*)`"
    named = {ROOT / path for document in DOCUMENTS for path in re.findall(pattern, document.read_text())}
    assert len(named) > 20
    assert [path for path in named if not path.exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_the_commands_that_a_document_names_exist(document: Path) -> None:
    """Each with its arguments and options: it is read as the command line would be, down to its last word."""
    unknown = [words for words in _commands(document.read_text()) if not _exists(words)]
    assert unknown == []


def test_the_options_that_documents_name_by_themselves_exist() -> None:
    """As one of some command's."""
    every = _opts(get_command(app))
    named = {option for page in DOCUMENTS for option in re.findall(r"`(--[\w-]+)", page.read_text())}
    assert named
    assert named - every == set()


def test_a_command_that_does_not_exist_is_noticed() -> None:
    """So that the tests above can fail."""
    page = "run `omnisonic rooms ls --json`.\n```sh\nX=1 /opt/venv/bin/omnisonic users add a@b --name A\n```\n"
    assert _commands(page) == ["rooms ls --json", "users add a@b --name A"]
    assert _exists("rooms ls --json")
    assert _exists("users add a@b --name A")
    assert _exists("backup -")
    wrong_ones = ("room", "--complete", "rooms ls --yaml", "rooms kick", "migrate --satus", "serve now", "backup")
    for wrong in (*wrong_ones, "backup a b"):
        assert not _exists(wrong), wrong


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


def _commands(text: str) -> list[str]:
    """What stands behind `omnisonic` where it is a command: in a line of code, and in blocks for a shell."""
    inline = re.findall(r"`(?:bin/)?omnisonic ([^`]+)`", text)
    blocks = "\n".join(re.findall(r"^```(?:sh|ini)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).replace("\\\n", "")
    typed = re.findall(r"^[^#\n]*?(?<![\w/-])(?:[\w/.-]*/)?omnisonic ((?!--|\d)[a-z][^#<>\n]*)", blocks, re.MULTILINE)
    return [words.strip() for words in inline + typed]


def _exists(command_line: str) -> bool:
    """Whether there is such a command, with such options and as many arguments. `[ROOM]` may be left out."""
    command, words = get_command(app), command_line.split()
    while words and isinstance(command, TyperGroup) and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return False
        command, words = command.commands[words[0]], words[1:]
    options = {name: each for each in command.params for name in each.opts if each.param_type_name == "option"}
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    given = 0
    while words:
        word, *words = words
        if not word.startswith("-") or word == "-":
            given += 1
        elif word not in options:
            return False
        elif not getattr(options[word], "is_flag", False):
            words = words[1:]
    return isinstance(command, TyperGroup) or sum(each.required for each in arguments) <= given <= len(arguments)


def _opts(command: Any) -> set[str]:
    """The options of it and of all commands below it."""
    below = command.commands.values() if isinstance(command, TyperGroup) else ()
    return {name for each in command.params for name in each.opts}.union(*map(_opts, below))


def _error_codes(source: str) -> Iterator[str]:
    """The codes that this code has for `error` messages."""
    for call in ast.walk(ast.parse(textwrap.dedent(source))):
        if not isinstance(call, ast.Call):
            continue
        called = ast.unparse(call.func).rpartition(".")[2]
        reported = call.args[:1] if called in {"error_frame", "drop_frames", "reject"} else []
        is_error = called in {"InvalidInput", "__init__"}  # or a class of it
        reported += [keyword.value for keyword in call.keywords if is_error and keyword.arg == "code"]
        yield from (code.value for code in reported if isinstance(code, ast.Constant) and isinstance(code.value, str))


def _code() -> str:
    """All of the product's own."""
    folders = [ROOT / name for name in ("actors", "http", "omnisonic")]
    return "\n".join(path.read_text() for folder in folders for path in sorted(folder.rglob("*.py")))


def _unquoted(cell: str) -> str:
    return cell.strip("`")
