"""Mixing in processes of their own: what comes back, what they may do, and what becomes of those that do harm."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import pytest

from omnisonic.studio.mixdown import Done, Failed, Mixed, MixFailed, MixRequest, Project, Stem, TooLong, UnusableStem
from omnisonic.studio.mixdown.mixer import UNDECODABLE, mix, mixing_command
from omnisonic.studio.mixdown.process import LIMITS
from tests.busy_processor import IN_SPARE_TIME, busy_processor
from tests.cli.running import alive, children, eventually
from tests.patience import patient_timeout
from tests.postgres_server import blocking
from tests.processes import ended_with_block, send_signal
from tests.studio.media.recordings import silence, silent_film
from tests.studio.mixdown.sounds import file_of, noise, render_mix, sine

DEADLINE_S: Final = 40.0
LINUX: Final = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux can tie children to parents and limit memory"
)
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
"""Measuring coverage needs more than the limits let through."""


STARVE: Final = """
import omnisonic.studio.mixdown.process as process
import omnisonic.studio.mixdown.readers as readers
class Greedy(readers.StemReader):
    def read(self, frames): return bytearray(process.LIMITS.memory_bytes)
readers.StemReader = Greedy
process.main()
"""
"""A mix whose reader wants more memory than it may have."""
DEADLY: Final = """
import os, signal
import omnisonic.studio.mixdown.process as process
import omnisonic.studio.mixdown.readers as readers
class Deadly(readers.StemReader):
    def read(self, frames): os.kill(os.getpid(), signal.SIG{signal})
readers.StemReader = Deadly
process.main()
"""
"""A mix whose readers die."""


class Session:
    """Files to mix, and one to mix them to."""

    def __init__(self, *sounds: bytes) -> None:
        self._open = ExitStack()
        self.files = [self._file(sound) for sound in sounds]
        self.output = self._file(b"left over from an earlier try " * 1_000)
        self.project = Project(120, 4, [Stem(f"{number}.wav") for number in range(len(sounds))])
        self.progress: list[float] = []

    def _file(self, data: bytes) -> BinaryIO:
        file: BinaryIO = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        file.write(data)
        file.flush()
        return file

    async def mix(
        self,
        command: Sequence[str] = (),
        *,
        within_s: float = DEADLINE_S,
        on_progress: Callable[[float], None] | None = None,
        at_idle_priority: bool = False,
    ) -> Mixed:
        """Have it mixed; by `command` instead of the real one."""
        report, run = on_progress or self.progress.append, (lambda: command) if command else mixing_command
        return await mix(
            self.project,
            self.files,
            self.output,
            "wav",
            on_progress=report,
            within_s=within_s,
            command=run,
            at_idle_priority=at_idle_priority,
        )

    def output_bytes(self) -> bytes:
        """What is in the output."""
        self.output.seek(0)
        return self.output.read()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def within_deadline(act: Awaitable[Mixed]) -> Mixed:
    """What becomes of it, before this test has to end."""

    async def run() -> Mixed:
        async with patient_timeout(DEADLINE_S):
            return await act

    return blocking(run())


def python(program: str) -> Sequence[str]:
    """A command that does this and then becomes the real one."""
    real = (sys.executable, "-m", "omnisonic.studio.mixdown.process")
    return sys.executable, "-c", f"{program}\nimport os; os.execv({real[0]!r}, {real!r})"


def sound(seconds: float = 1.0) -> bytes:
    """A file to mix."""
    return file_of(noise(seconds)).read()


def test_a_process_mixes_what_this_one_would_have_mixed() -> None:
    """The same bytes, and nothing of what was in the file before; and it reports its progress."""
    sounds = [sound(8), file_of(sine(440, 9, rate=44_100), 44_100).read()]
    with Session(*sounds) as session:
        mixed = within_deadline(session.mix())
        here, mixed_here = render_mix(
            [(stem, file_of_bytes) for stem, file_of_bytes in zip(session.project.stems, session.files, strict=True)]
        )
        assert mixed == mixed_here
        assert session.output_bytes() == here
        assert session.progress == sorted(session.progress)
        assert all(0 <= done <= 1 for done in session.progress)
        assert session.progress


def test_warnings_come_through_both_processes() -> None:
    """By the reader of each share of the stems to the one that mixes, and by that one to us."""
    whole = sound(4)
    with Session(whole, whole[: len(whole) // 2], whole[: len(whole) // 4]) as session:
        mixed = within_deadline(session.mix())
    assert mixed.warning == (
        "'1.wav' was cut off: 2.0 of 4.0 seconds are there. '2.wav' was cut off: 1.0 of 4.0 seconds are there."
    )


def test_a_session_without_sound_is_given_a_click() -> None:
    """No files at all."""
    with Session() as session:
        assert within_deadline(session.mix()).duration_s == 16


def test_the_file_that_cannot_be_mixed_is_named() -> None:
    """With the others being all right."""
    with Session(sound(), silent_film()) as session, pytest.raises(UnusableStem, match=r"no sound in '1\.wav'"):
        within_deadline(session.mix())


def test_the_process_knows_nothing_of_us() -> None:
    """Its environment has no more than a Python needs: what this test is called, for instance, it cannot know."""
    assert "PYTEST_CURRENT_TEST" in os.environ
    with Session(sound()) as session:
        within_deadline(session.mix(python("import os, sys; 'PYTEST_CURRENT_TEST' in os.environ and sys.exit(3)")))


def test_a_bomb_is_stopped_by_its_time() -> None:
    """A hundred kilobytes of FLAC keep a processor busy for long; here it has one second."""
    with Session(silence(200_000)) as session, pytest.raises(UnusableStem) as raised:
        within_deadline(session.mix(python("import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 3))")))
    assert raised.value.message == UNDECODABLE


@LINUX
def test_too_little_memory_is_reported_as_such() -> None:
    """A machine, or a limit, that these files are too much for."""
    with Session(sound()) as session, pytest.raises(UnusableStem, match="memory"):
        within_deadline(session.mix((sys.executable, "-c", STARVE)))


@LINUX
@pytest.mark.parametrize(("by", "what"), [("SEGV", UnusableStem), ("XCPU", UnusableStem), ("KILL", MixFailed)])
def test_a_reader_that_dies_takes_the_others_with_it(by: str, what: type[Exception]) -> None:
    """And for what: a signal that files cause is their fault, another is not."""
    with Session(sound(), sound()) as session, pytest.raises(what):
        within_deadline(session.mix((sys.executable, "-c", DEADLY.format(signal=by))))


def test_a_full_disk_is_nobodys_fault() -> None:
    """The sentence says so, and no file is named."""
    little = (
        "import resource as r, signal as s; s.signal(s.SIGXFSZ, s.SIG_IGN); r.setrlimit(r.RLIMIT_FSIZE, (100_000,) * 2)"
    )
    with Session(sound(20)) as session, pytest.raises(MixFailed, match="could not be written"):
        within_deadline(session.mix(python(little)))


def test_a_mix_that_takes_too_long_is_given_up() -> None:
    """And its process ended."""
    with Session(sound()) as session, pytest.raises(TooLong):
        within_deadline(session.mix(("/bin/sleep", "60"), within_s=1.0))


@LINUX
def test_others_come_first() -> None:
    """It mixes in nothing but spare time."""
    with Session(sound()) as session:
        mixed = within_deadline(session.mix())
        said = msgspec.json.encode(Done(mixed)).decode()
        command = ("/bin/sh", "-c", f"{IN_SPARE_TIME}; echo '{said}'")
        assert within_deadline(session.mix(command, at_idle_priority=True)) == mixed


@LINUX
def test_a_machine_that_is_too_busy_to_mix_is_nobodys_fault() -> None:
    """The sentence says so, and no file is named."""
    with busy_processor(), Session(sound(20)) as session, pytest.raises(MixFailed, match="too busy"):
        within_deadline(session.mix(within_s=1.0, at_idle_priority=True))


@pytest.mark.parametrize("said", ["kill -SEGV $$", "kill -ABRT $$", "kill -XCPU $$"])
def test_a_decoder_that_a_signal_ends_is_the_files_fault(said: str) -> None:
    """It dies by its own hand."""
    with Session(sound()) as session, pytest.raises(UnusableStem):
        within_deadline(session.mix(("/bin/sh", "-c", said)))


@pytest.mark.parametrize("said", ["exit 1", "kill -KILL $$", "kill -TERM $$", "echo nothing", "echo '{}'", "exit 0"])
def test_what_is_not_the_files_fault_is_reported(said: str) -> None:
    """A broken installation, somebody who kills, and output that is no report: it can be tried again."""
    with Session(sound()) as session, pytest.raises(MixFailed):
        within_deadline(session.mix(("/bin/sh", "-c", said)))


def test_too_much_output_is_refused() -> None:
    """A line that is longer than any report is none."""
    with Session(sound()) as session, pytest.raises(MixFailed):
        within_deadline(session.mix((sys.executable, "-c", "import sys; sys.stdout.write('[' * 1_000_000)")))


def test_a_process_that_is_killed_in_the_middle_has_failed(tmp_path: Path) -> None:
    """By somebody else; no file is to blame."""
    noted = tmp_path / "pid"

    def kill(_done: float) -> None:
        send_signal(int(noted.read_text()), signal.SIGKILL)

    note = f"import os; from pathlib import Path; Path({str(noted)!r}).write_text(str(os.getpid()))"
    with Session(sound(30)) as session, pytest.raises(MixFailed):
        within_deadline(session.mix(python(note), on_progress=kill))


def test_a_missing_command_is_reported() -> None:
    """That is nothing that a file can cause."""
    with Session(sound()) as session, pytest.raises(FileNotFoundError):
        within_deadline(session.mix(("/nowhere/python",)))


def test_cancelling_ends_the_process(tmp_path: Path) -> None:
    """At once, and before the caller goes on."""
    noted = tmp_path / "pid"

    async def run() -> None:
        with Session(sound()) as session:
            command = ("/bin/sh", "-c", f"echo $$ > {noted}.new; mv {noted}.new {noted}; exec sleep 60")
            mixing_now = asyncio.create_task(session.mix(command))
            await asyncio.to_thread(eventually, noted.exists, what="it mixes")
            mixing_now.cancel()
            with pytest.raises(asyncio.CancelledError):
                await mixing_now

    blocking(run())
    assert not alive(int(noted.read_text()))


@LINUX
def test_a_process_dies_with_whoever_started_it() -> None:
    """Even with one that is killed: it mixes a file that never comes."""
    program = (
        "import asyncio, os; from omnisonic.studio.mixdown.mixer import *; from omnisonic.studio.mixdown import Stem\n"
        "class Pipe:\n  def __init__(self, end): self.end = end\n"
        "  def fileno(self): return self.end\n  def seek(self, _): pass\n"
        "ends = os.pipe(); print('began', flush=True)\n"
        "asyncio.run(mix(Project(120, 4, [Stem('a')]), [Pipe(ends[0])], Pipe(ends[1]), 'wav', "
        "on_progress=print, within_s=60))"
    )
    with ended_with_block(subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"began\n"
        eventually(lambda: bool(children(parent.pid)), what="it mixes")
        (child,) = children(parent.pid)
        eventually(lambda: b"mixdown.process" in Path(f"/proc/{child}/cmdline").read_bytes(), what="it runs")
        parent.kill()
    eventually(lambda: not alive(child), what="it is gone")


def test_limits_cannot_be_lifted() -> None:
    """The hard limits are what they should be."""
    program = (
        "from omnisonic.studio.mixdown.process import *; limit(LIMITS); import resource as r\n"
        "print(r.getrlimit(r.RLIMIT_CPU), r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_FSIZE)[1])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], env=UNMEASURED, capture_output=True, text=True, timeout=DEADLINE_S
    )
    cpu = LIMITS.cpu_s, LIMITS.cpu_s + 1
    assert ran.stdout == f"{cpu} (0, 0) {LIMITS.written_bytes}\n"


def test_the_real_command_dies_with_its_parent() -> None:
    """To this process."""
    assert mixing_command()[1:4] == ("-m", "omnisonic.process.die_with_parent", str(os.getpid()))


def test_reports_are_lines_of_json() -> None:
    """And so is the request."""
    request = MixRequest(Project(120, 4, [Stem("a")]), "wav", 24, [3], 4)
    assert msgspec.json.decode(msgspec.json.encode(request), type=MixRequest) == request
    assert msgspec.json.encode(Failed("No.")) == b'{"report":"failed","sentence":"No."}'
