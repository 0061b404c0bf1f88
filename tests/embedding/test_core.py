"""The wheel without extras: rooms, the client and the fixture, with few and small packages (docs/embedding.md)."""

import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_dependencies import coming

MOST_BYTES: Final = 60_000_000
RUN_S: Final = 60.0
ONLY: Final = """
import sys

class Only:
    \"""Finds nothing that is neither Python's own nor in what was allowed.\"""

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ALLOWED and not top.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Only())
"""
ROOM: Final = """
import omnisonic, trio

class Quiet(omnisonic.Room):
    def on_message(self, member, message):
        return message.replace(payload="quiet")

async def main():
    async with omnisonic.open_gateway(room_class=Quiet) as gateway:
        async with omnisonic.connect(gateway.url, room="jam", name="Ada") as ada:
            async with omnisonic.connect(gateway.url, room="jam", name="Bo") as bo:
                await ada.say("chat", "LOUD")
                with trio.fail_after(20):
                    async for message in bo:
                        if message.type == "chat":
                            print(message.payload)
                            break

trio.run(main)
"""
LACKING: Final = """
async def measure():
    async with omnisonic.open_gateway(metrics=True):
        pass

async def share():
    async with omnisonic.open_gateway(cluster="redis://127.0.0.1:1"):
        pass

for use in (lambda: trio.run(measure), lambda: trio.run(share), lambda: omnisonic.create_app()):
    try:
        use()
    except omnisonic.MissingExtra as missing:
        print(missing.message)
"""


def run_with_core(program: str) -> subprocess.CompletedProcess[str]:
    """Run `program` where only the packages of the wheel without extras can be imported."""
    core = coming(Requirement("omnisonic"))
    allowed = {"omnisonic", "__main__"}
    for package, distributions in packages_distributions().items():
        if not core.isdisjoint(map(canonicalize_name, distributions)):
            allowed.add(package)
    code = f"ALLOWED = {sorted(allowed)!r}\n{ONLY}\n{program}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=RUN_S)


def test_rooms_and_the_client_need_no_extra() -> None:
    """A gateway with a room class of the program's own, and two members who talk. What needs an extra names it."""
    ran = run_with_core(ROOM + LACKING)
    assert ran.stderr == ""
    heard, page, cluster, app = ran.stdout.splitlines()
    assert heard == "quiet"
    for sentence, what in ((page, "metrics=True"), (cluster, "cluster="), (app, "omnisonic.create_app")):
        assert sentence.startswith(f"{what} needs ")
        assert sentence.endswith(", which is not installed. Run: pip install 'omnisonic[studio]'")


@pytest.mark.parametrize("module", ["omnisonic.wire.inspection", "omnisonic.wire.asyncapi", "omnisonic.client.rooms"])
def test_a_part_of_the_core_can_be_imported_alone(module: str) -> None:
    """None of them reaches for something larger."""
    assert run_with_core(f"import {module}").stderr == ""


def test_the_client_imports_nothing_that_only_unix_has() -> None:
    """So that it can be used on Windows (docs/operating.md, "Which systems and which Pythons")."""
    only_unix = ("fcntl", "grp", "pwd", "resource", "termios")
    program = f"import sys\nsys.modules.update(dict.fromkeys({only_unix}))\nimport omnisonic, omnisonic.aio"
    assert run_with_core(f"{program}\nomnisonic.connect, omnisonic.aio.connect").stderr == ""
    assert "ModuleNotFoundError" in run_with_core(f"{program}\nomnisonic.open_gateway").stderr


def test_the_command_says_which_extra_it_needs() -> None:
    """One sentence, no traceback."""
    ran = run_with_core("from omnisonic.__main__ import main\nmain()")
    assert ran.returncode == 1
    assert ran.stderr.startswith("The command needs ")
    assert ran.stderr.endswith(", which is not installed. Run: pip install 'omnisonic[studio]'\n")


def test_the_core_is_small() -> None:
    """What it brings, with all that this brings itself."""
    size = 0
    for name in coming(Requirement("omnisonic")) - {"omnisonic"}:
        with suppress(PackageNotFoundError):  # wanted on other systems only
            paths = [Path(str(file.locate())) for file in distribution(name).files or ()]
            size += sum(path.stat().st_size for path in paths if path.is_file())
    assert 1_000_000 < size < MOST_BYTES
