"""Listening in processes of their own: what they may do, and what becomes of those that do harm."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import pytest

from omnisonic.studio.media.analyser import (
    ANALYSE_S,
    OUTPUT_BYTES,
    AnalyserCrashed,
    CannotAnalyse,
    analyse_file,
    probe_command,
    run_sandboxed,
)
from omnisonic.studio.media.probe import analyse
from omnisonic.studio.uploads import Analysis
from tests.busy_processor import IN_SPARE_TIME, busy_processor
from tests.cli.running import alive, children, command_line, eventually
from tests.postgres_server import blocking
from tests.processes import ended_with_block
from tests.studio.media.recordings import silence, tone

UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
"""Measuring coverage needs more than the limits let through."""
DEADLINE_S: Final = 40.0
SELF: Final = (
    "from omnisonic.studio.media.probe import LIMITS; from omnisonic.process.sandbox import limit; limit(LIMITS)\n"
)
LINUX: Final = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux can tie children to parents and limit memory"
)


@contextmanager
def open_file(data: bytes) -> Iterator[BinaryIO]:
    """A file with this in it, at its beginning."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file


def analyse_data(
    data: bytes, command: Sequence[str] = (), *, within_s: float = ANALYSE_S, at_idle_priority: bool = False
) -> Analysis | None:
    """Analyse `data` in a process; `command` instead of the real one."""
    with open_file(data) as file:
        return blocking(
            analyse_file(
                file, command=lambda: command or probe_command(), within_s=within_s, at_idle_priority=at_idle_priority
            )
        )


def python(program: str, *then: str) -> Sequence[str]:
    """A command that does this and then becomes `then`, or the real one."""
    become = then or (sys.executable, "-m", "omnisonic.studio.media.probe")
    return sys.executable, "-c", f"{program}\nimport os; os.execv({become[0]!r}, {become!r})"


def test_a_process_returns_what_this_one_would_have_returned() -> None:
    """Nothing is lost on the way."""
    data = tone("mp3", "libmp3lame", seconds=3)
    with open_file(data) as file:
        here = analyse(file)
    assert here is not None
    assert analyse_data(data) == here


@pytest.mark.parametrize("data", [b"", b"no sound " * 1000])
def test_no_sound_is_none(data: bytes) -> None:
    """Nothing has gone wrong."""
    assert analyse_data(data) is None


def test_the_process_knows_nothing_of_us() -> None:
    """Its environment has no more than a Python needs: what this test is called, for instance, it cannot know."""
    assert "PYTEST_CURRENT_TEST" in os.environ
    assert analyse_data(b"", python("import os, sys; 'PYTEST_CURRENT_TEST' in os.environ and sys.exit(3)")) is None


@LINUX
@pytest.mark.parametrize(
    "deed",
    [
        "open('/dev/null', 'w'); bytearray(2 << 30)",
        "open({path!r}, 'wb', buffering=0).write(b'x')",
        "files = [open('/dev/null') for _ in range(100)]",
    ],
)
def test_the_limits_hold(deed: str, tmp_path: Path) -> None:
    """No gigabytes, nothing written, few files."""
    program = SELF + deed.format(path=str(tmp_path / "written"))
    ran = subprocess.run(
        [sys.executable, "-c", program], env=UNMEASURED, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith(("MemoryError", "OSError")), ran.stderr


def test_limits_cannot_be_lifted() -> None:
    """The hard limits are what they should be."""
    shown = "import resource as r; print(r.getrlimit(r.RLIMIT_CPU), r.getrlimit(r.RLIMIT_FSIZE))"
    ran = subprocess.run(
        [sys.executable, "-c", SELF + shown], env=UNMEASURED, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert ran.stdout == "(120, 121) (0, 0)\n"


def test_a_bomb_is_stopped_by_its_time() -> None:
    """A hundred kilobytes of FLAC keep a processor busy for long; here it has one second."""
    short = python("import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 3))")
    assert analyse_data(silence(200_000), short) is None


def test_a_process_that_hangs_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """It counts as no sound, for it would hang again."""
    assert analyse_data(b"", ("/bin/sleep", "60"), within_s=1.0) is None
    assert [record.message for record in caplog.records] == ["media.given_up"]


@LINUX
def test_others_come_first() -> None:
    """It listens in nothing but spare time."""
    received = analyse_data(tone())
    said = msgspec.json.encode(received).decode()
    assert analyse_data(b"", ("/bin/sh", "-c", f"{IN_SPARE_TIME}; echo '{said}'"), at_idle_priority=True) == received


@LINUX
def test_a_file_is_not_blamed_for_a_busy_machine() -> None:
    """It can be analysed later."""
    with busy_processor(), pytest.raises(CannotAnalyse, match="too busy"):
        analyse_data(tone(), within_s=0.5, at_idle_priority=True)


@LINUX
def test_whoever_waits_for_it_may_give_it_more_time_on_a_busy_machine(tmp_path: Path) -> None:
    """As a request does whose file has to be identified."""
    may_end = tmp_path / "may-end"
    spinning = "/bin/sh", "-c", f"until [ -e {may_end} ]; do :; done; echo found"

    async def run(file: BinaryIO, busy: subprocess.Popen[bytes]) -> bytes:
        looking = asyncio.create_task(run_sandboxed(file, spinning, within_s=0.3, at_idle_priority=True, times=1_000))
        over, _ = await asyncio.wait({looking}, timeout=1.0)
        assert not over, "it was given up, or was not kept from running"
        may_end.touch()
        busy.kill()
        return await looking

    with busy_processor() as busy, open_file(b"") as file:
        assert blocking(run(file, busy)) == b"found\n"


@LINUX
def test_a_result_that_this_process_reads_late_is_one(tmp_path: Path) -> None:
    """It was there in time. No file is blamed because this process got no processor."""
    begun, may_end = tmp_path / "begun", tmp_path / "may-end"
    program = "/bin/sh", "-c", f"touch {begun}; until [ -e {may_end} ]; do :; done; echo found"

    async def run(file: BinaryIO) -> bytes:
        looking = asyncio.create_task(run_sandboxed(file, program, within_s=0.5, at_idle_priority=False, times=2))
        while not begun.exists():
            await asyncio.wait({looking}, timeout=0.05)
        may_end.touch()
        late_s = time.monotonic() + 0.6
        eventually(lambda: time.monotonic() > late_s, what="this process, which does nothing else, is late")
        return await looking

    with open_file(b"") as file:
        assert blocking(run(file)) == b"found\n"


@pytest.mark.parametrize("said", ["kill -SEGV $$", "kill -ABRT $$", "echo '{}'", "echo nothing"])
def test_a_decoder_that_a_signal_ends_has_found_nothing(said: str) -> None:
    """It dies by its own hand, or talks nonsense."""
    assert analyse_data(b"", ("/bin/sh", "-c", said)) is None


def test_too_much_output_is_no_analysis() -> None:
    """Output that is longer than any analysis is none."""
    program = f"import sys; sys.stdout.write('[' * {OUTPUT_BYTES * 4})"
    assert analyse_data(b"", (sys.executable, "-c", program), within_s=2) is None


@pytest.mark.parametrize("said", ["exit 1", "kill -KILL $$", "kill -TERM $$"])
def test_what_is_not_the_files_fault_is_reported(said: str) -> None:
    """A broken installation, and somebody who kills: the file can be analysed later, but not for ever."""
    with pytest.raises(AnalyserCrashed):
        analyse_data(tone(), ("/bin/sh", "-c", said))


def test_a_process_without_a_sandbox_says_why() -> None:
    """Nothing is decoded, and the file can be analysed later."""
    with pytest.raises(CannotAnalyse, match=r"^No sandbox here\.$"):
        analyse_data(tone(), ("/bin/sh", "-c", "printf 'No sandbox here.'; exit 77"))


def test_a_missing_command_is_reported() -> None:
    """That is nothing that a file can cause."""
    with pytest.raises(FileNotFoundError):
        analyse_data(tone(), ("/nowhere/python",))


def test_cancelling_ends_the_process(tmp_path: Path) -> None:
    """At once, and before the caller goes on."""
    noted = tmp_path / "pid"

    async def run() -> None:
        with open_file(b"") as file:
            command = ("/bin/sh", "-c", f"echo $$ > {noted}.new; mv {noted}.new {noted}; exec sleep 60")
            listening = asyncio.create_task(analyse_file(file, command=lambda: command))
            await asyncio.to_thread(eventually, noted.exists, what="it listens")
            listening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await listening

    blocking(run())
    assert not alive(int(noted.read_text()))


def probes_of(parent: int) -> list[int]:
    """The processes of this parent that listen."""
    return [child for child in children(parent) if "media.probe" in command_line(child)]


@LINUX
def test_a_process_dies_with_whoever_started_it() -> None:
    """Even with one that is killed: it listens to a file that never comes."""
    program = (
        "import asyncio, os; from omnisonic.studio.media.analyser import analyse_file; print('began', flush=True)\n"
        "asyncio.run(analyse_file(os.fdopen(os.pipe()[0], 'rb')))"
    )
    with ended_with_block(subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"began\n"
        eventually(lambda: bool(probes_of(parent.pid)), what="it listens")
        (child,) = probes_of(parent.pid)
        parent.kill()
    eventually(lambda: not alive(child), what="it is gone")


def test_the_real_command_dies_with_its_parent() -> None:
    """To this process."""
    assert probe_command()[1:4] == ("-m", "omnisonic.process.die_with_parent", str(os.getpid()))
