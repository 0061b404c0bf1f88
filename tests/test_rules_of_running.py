"""How these tests themselves run: what is skipped in continuous integration fails, and properties are drawn anew."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from omnisonic.errors import Unavailable
from omnisonic.stores.bus.memory import MemoryBus
from tests.rooms import listening, open_stage
from tests.skips import EXCUSED, excused

ROOT: Final = Path(__file__).parent.parent
DEADLINE_S: Final = 60.0
SKIPS: Final = """
import pytest

def test_something(): pass

@pytest.mark.skipif(True, reason="no sun today")
def test_of_the_sun(): pass

def test_of_the_moon():
    pytest.skip("no moon today")

@pytest.mark.xfail(strict=True)
def test_that_is_known_to_fail(): assert False
"""
WHOLE: Final = 'import pytest\npytest.skip("no sky today", allow_module_level=True)\n'
DRAWS: Final = """
from hypothesis import given, settings, strategies as st

drawn = []

@settings(max_examples=20)
@given(st.integers(0, 1 << 60))
def test_draw(number):
    drawn.append(number)

def test_tell():
    print("drawn", drawn)
"""
LATE: Final = """
from pathlib import Path
import time
import pytest
from tests.busy_processor import busy_processor


def tried(name):
    path = Path(__file__).with_name(name)
    count = int(path.read_text()) + 1 if path.exists() else 1
    path.write_text(str(count))
    return count

def work_beside_another_program():
    with busy_processor():
        until_s = time.thread_time() + 0.1
        while time.thread_time() < until_s:
            pass

@pytest.fixture
def opened():
    yield tried("opened")
    tried("closed")

@pytest.mark.timing
def test_that_was_late_once(opened):
    work_beside_another_program()
    assert tried("once") == 2

@pytest.mark.timing
def test_that_is_late_always():
    work_beside_another_program()
    assert not tried("always")

def test_without_the_mark():
    work_beside_another_program()
    assert not tried("unmarked")
"""
FALSE: Final = """
from hypothesis import given, settings, strategies as st

@settings(database=None)
@given(st.integers())
def test_that_finds(number):
    assert number < 1000
"""


def run(folder: Path, program: str, *arguments: str, **environ: str) -> tuple[int, str]:
    """The exit code of pytest on `program`, as in this suite, and what it printed."""
    (folder / "test_it.py").write_text(program)
    (folder / "conftest.py").write_text('pytest_plugins = ("tests.properties", "tests.retries", "tests.skips")\n')
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = timing\n")
    left_out = ("CI", "PYTEST_ADDOPTS", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "_hypothesis_pytestplugin", *arguments, str(folder)],
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | environ,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def test_what_is_skipped_in_ci_has_failed(tmp_path: Path) -> None:
    """Whether it was marked or says so itself; what is known to fail may."""
    code, printed = run(tmp_path, SKIPS, CI="true")
    assert code == 1
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in printed  # one before it ran, one while
    assert re.search(r"skipped in CI, which skips_in_ci\.txt does not excuse: no sun today", printed)
    assert re.search(r"skipped in CI, which skips_in_ci\.txt does not excuse: no moon today", printed)


def test_a_module_that_is_skipped_in_ci_has_failed(tmp_path: Path) -> None:
    """With all of its tests."""
    code, printed = run(tmp_path, WHOLE, CI="true")
    assert code == 2
    assert "does not excuse: no sky today" in printed


def test_elsewhere_a_test_may_be_skipped(tmp_path: Path) -> None:
    """A laptop need not have a browser."""
    code, printed = run(tmp_path, SKIPS)
    assert code == 0
    assert "1 passed, 2 skipped, 1 xfailed" in printed


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity: that is Linux")
def test_what_measures_time_is_tried_again_when_the_machine_was_late(tmp_path: Path) -> None:
    """With its fixtures, three times at most, and the run says so. Nothing else is tried again."""
    code, printed = run(tmp_path, LATE)
    assert code == 1
    assert "2 failed, 1 passed" in printed
    tries = {name: int((tmp_path / name).read_text()) for name in ("once", "opened", "closed", "always", "unmarked")}
    assert tries == {"once": 2, "opened": 2, "closed": 2, "always": 3, "unmarked": 1}
    said = r"once: it failed when programs had waited \d+\.\d\d s for a processor: test_it\.py:\d+: AssertionError$"
    assert len(re.findall(said, printed, re.MULTILINE)) == 1


def test_a_skip_is_excused_by_a_line_with_a_reason() -> None:
    """A line without one is no excuse."""
    assert excused("# why\n\nno epoll: that test is for Linux\n") == {"no epoll"}
    with pytest.raises(AssertionError):
        excused("no epoll\n")
    with pytest.raises(AssertionError):
        excused("no epoll: \n")


def test_excuses_are_those_of_tests_that_are_there() -> None:
    """An excuse that nobody needs any more goes."""
    sources = "".join(path.read_text() for path in Path(__file__).parent.rglob("*.py"))
    assert [reason for reason in EXCUSED if reason not in sources] == []


@pytest.mark.parametrize("environ", [{}, {"CI": "true"}], ids=["anywhere", "in ci"])
def test_each_run_draws_other_examples(environ: dict[str, str], tmp_path: Path) -> None:
    """Also in continuous integration, where Hypothesis would draw the same ones for ever."""
    runs = [run(tmp_path, DRAWS, **environ) for _ in range(2)]
    assert [code for code, _ in runs] == [0, 0]
    first, second = (re.findall(r"^drawn .*$", printed, re.MULTILINE) for _, printed in runs)
    assert len(first) == len(second) == 1
    assert first != second


def test_the_seed_is_printed_in_ci_and_draws_the_same_again(tmp_path: Path) -> None:
    """So what was found there can be found here."""
    _, printed = run(tmp_path, DRAWS, CI="true")
    seed = re.search(r"^properties: (--hypothesis-seed=\d+)$", printed, re.MULTILINE)
    assert seed is not None
    _, again = run(tmp_path, DRAWS, seed[1])
    drawn = re.findall(r"^drawn .*$", printed, re.MULTILINE)
    assert drawn == re.findall(r"^drawn .*$", again, re.MULTILINE)
    assert len(drawn) == 1


@pytest.mark.parametrize("environ", [{}, {"CI": "true"}], ids=["anywhere", "in ci"])
def test_what_is_found_is_printed_so_that_it_can_be_kept(environ: dict[str, str], tmp_path: Path) -> None:
    """The example itself, for an `@example`, and what makes the failure again."""
    code, printed = run(tmp_path, FALSE, **environ)
    assert code == 1
    assert "number=1000," in printed
    assert "@reproduce_failure" in printed


def test_no_property_is_drawn_from_a_fixed_seed() -> None:
    """Nor may a test ask for it."""
    fixed = re.compile(r"derandomize|@seed\(|generation-deterministic")
    tests = [path for path in Path(__file__).parent.rglob("*.py") if path.resolve() != Path(__file__).resolve()]
    assert [path.name for path in tests if fixed.search(path.read_text())] == []


class _BusyBus(MemoryBus):
    """One that takes its time at first, as every server does on a busy machine."""

    failures = 2

    async def publish(self, channel: str, data: bytes) -> int:
        """Given up, twice."""
        if self.failures:
            self.failures -= 1
            raise Unavailable("It does not answer in time.")
        return await super().publish(channel, data)


async def test_setting_up_does_not_fail_by_a_deadline_that_is_tried_elsewhere() -> None:
    """A publish is given up after 250 ms; whoever waits for a gateway to listen asks again."""
    bus = _BusyBus()
    async with open_stage(bus=bus) as stage:
        await listening(stage)
    assert bus.failures == 0
