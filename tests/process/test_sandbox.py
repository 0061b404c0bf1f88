"""What a decoder that a file has taken over can do in the sandbox: nothing, as root and as an ordinary user."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from omnisonic.process.sandbox import UID, missing_layers
from omnisonic.studio.media.analyser import probe_command
from tests.cli.running import alive, eventually
from tests.process.attacks import DEEDS
from tests.process.other_users import ORDINARY_USER, import_path, ordinary_python
from tests.studio.media.recordings import tone

DEADLINE_S: Final = 40.0
IS_ROOT: Final = os.geteuid() == 0
MODULE: Final = "tests.process.attacks"
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the sandbox"),
    pytest.mark.skipif(bool(missing_layers()), reason="this kernel lacks Landlock or seccomp"),
]

FILES: Final = {
    "read": "secret",
    "list": ".",
    "write": "new",
    "remove": "secret",
    "rename": "secret",
    "truncate": "secret",
    "link": "secret",
    "make-set-user-id": "set-user-id",
    "change-mode": "secret",
    "mkdir": "folder",
}
"""What is tried on files, and on which, in a folder of the attacker's own."""
OTHERS: Final = ("ptrace", "kill", "kill-by-pipe", "set-limits")
"""What is tried on a process of the same user."""
ALONE: Final = ("listen", "udp", "pair", "fork", "spawn", "new-user-namespace", "memory-file")
BY_LANDLOCK: Final = (
    *("read", "list", "write", "remove", "rename", "truncate", "link", "make-set-user-id", "mkdir"),
    *("environ", "connect", "abstract", "ptrace", "kill"),
)
BY_SECCOMP: Final = (*FILES, *OTHERS, *ALONE, "environ", "connect", "unix", "abstract", "exec", "become-root")


@dataclass
class Scene:
    """A folder with a secret, sockets that listen, and a process to attack; all of one user's."""

    folder: Path
    port: int
    victim: int
    python: str
    user: int | None
    group: int | None

    def words(self, deed: str) -> list[str]:
        """What a deed is told."""
        if deed in FILES:
            return [str(self.folder / FILES[deed])]
        if deed in OTHERS:
            return [str(self.victim)]
        return {
            "environ": [f"/proc/{self.victim}/environ"],
            "shadow": ["/etc/shadow"],
            "connect": [str(self.port)],
            "unix": [str(self.folder / "socket")],
            "abstract": [f"omnisonic-{self.port}"],
        }.get(deed, [])

    def attempt(self, deed: str, layers: str = "all") -> subprocess.CompletedProcess[str]:
        """Let a decoder try."""
        name = {"environ": "read", "shadow": "read"}.get(deed, deed)
        return subprocess.run(
            [self.python, "-m", MODULE, layers, name, *self.words(deed)],
            cwd="/",
            env={"PYTHONPATH": os.pathsep.join(import_path()), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            user=self.user,
            group=self.group,
            extra_groups=[] if self.user is not None else None,
        )

    def contents(self) -> dict[str, tuple[int, bytes]]:
        """All that is in the folder, and the modes."""
        files = [path for path in self.folder.iterdir() if not path.is_socket()]
        return {path.name: (path.stat().st_mode, path.read_bytes() if path.is_file() else b"") for path in files}


@contextlib.contextmanager
def staged(user: int | None, group: int | None, python: str) -> Iterator[Scene]:
    """A scene of this user's, or of this process's."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp())
        stack.callback(shutil.rmtree, folder)
        (folder / "secret").write_text("a signing secret")
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = tcp.getsockname()[1]
        for address in (str(folder / "socket"), f"\0omnisonic-{port}"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()
        if user is not None and group is not None:
            for path in (folder, *folder.iterdir()):
                os.chown(path, user, group)
        # Nothing of this process is open in it: it may be killed.
        victim = subprocess.Popen(["/bin/sleep", "600"], cwd="/", user=user, group=group, env={"SECRET": "canary"})
        stack.callback(victim.wait)
        stack.callback(victim.kill)
        yield Scene(folder, port, victim.pid, python, user, group)


@pytest.fixture(params=["this-user", "ordinary-user"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Attacked by this process's user, root or not; and under root by an ordinary one, too."""
    if request.param == "this-user":
        with staged(None, None, sys.executable) as made:
            yield made
        return
    if not IS_ROOT:
        pytest.skip("here this user is an ordinary one")
    python = ordinary_python(MODULE)
    if python is None:
        pytest.skip("there is no Python that another user can run")
    account = pwd.getpwnam(ORDINARY_USER)
    with staged(account.pw_uid, account.pw_gid, python) as made:
        yield made


@pytest.mark.parametrize(
    "deed",
    [*FILES, *OTHERS, *ALONE, "environ", "shadow", "connect", "unix", "abstract", "exec", "become-root", "memory"],
)
def test_a_decoder_that_was_taken_over_can_do_nothing(scene: Scene, deed: str) -> None:
    """It is refused, and nothing has happened to the files and to the other process."""
    before = scene.contents()
    tried = scene.attempt(deed)
    assert (tried.returncode, tried.stdout, tried.stderr) == (0, "refused\n", "")
    assert scene.contents() == before
    assert alive(scene.victim)


def test_it_cannot_end_everybody(scene: Scene) -> None:
    """A signal to all processes is one to none."""
    assert scene.attempt("kill-all").stdout == "refused\n"
    assert alive(scene.victim)


@pytest.mark.parametrize("deed", [*FILES, *OTHERS, *ALONE, "environ", "connect", "unix", "abstract"])
def test_each_of_it_would_have_been_done_without_the_sandbox(scene: Scene, deed: str) -> None:
    """So that it is the sandbox that refuses."""
    tried = scene.attempt(deed, "none")
    assert tried.stdout == "done\n", tried.stderr
    if deed.startswith("kill"):
        eventually(lambda: not alive(scene.victim), what="the victim is dead")


@pytest.mark.parametrize(
    ("layer", "deed"),
    [*(("Landlock", deed) for deed in BY_LANDLOCK), *(("seccomp", deed) for deed in BY_SECCOMP)],
)
def test_files_and_others_are_safe_by_either_layer_alone(scene: Scene, layer: str, deed: str) -> None:
    """Some kernels and containers have only one of them."""
    before = scene.contents()
    assert scene.attempt(deed, layer).stdout == "refused\n"
    assert scene.contents() == before
    assert alive(scene.victim)


def test_decoders_may_have_threads(scene: Scene) -> None:
    """Some do."""
    assert scene.attempt("start-thread").stdout == "done\n"


def test_a_decoder_that_gives_up_says_so(scene: Scene) -> None:
    """By the signal of its own that tells what ended it."""
    assert scene.attempt("abort").returncode == -signal.SIGABRT


@pytest.mark.skipif(not IS_ROOT, reason="only root has rights to give up")
def test_root_becomes_nobody_in_particular_without_any_right() -> None:
    """No user of this system's, no group, no capability; and it ends with the process that started it."""
    with pytest.raises(KeyError):
        pwd.getpwuid(UID)
    program = (
        "import sys\nfrom omnisonic.process.sandbox import restrict\nstatus = open('/proc/self/status')\n"
        "restrict()\nsys.stdout.write(status.read())"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    status = dict(line.split(":\t", 1) for line in shown.splitlines() if ":\t" in line)
    assert status["Uid"].split() == status["Gid"].split() == [str(UID)] * 4
    assert status["Groups"].strip() == ""
    assert {status[kind] for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"


READERS: Final = """
import os, signal
from omnisonic.process.sandbox import sandbox_child, restrict, seal
restrict()
never, _ = os.pipe()
parent, quiet, tries = os.getpid(), os.fork(), []
if quiet == 0:
    sandbox_child()
    os.read(never, 1)
reader = os.fork()
if reader == 0:
    sandbox_child()
    for pid in (parent, quiet):
        try:
            os.kill(pid, signal.SIGKILL)
        except PermissionError:
            tries.append(pid)
    os._exit(len(tries))
seal(may_signal=[quiet])
refused = os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1])
try:
    os.kill(os.getppid(), signal.SIGKILL)
except PermissionError:
    refused += 1
os.kill(quiet, signal.SIGKILL)
print(refused, os.waitstatus_to_exitcode(os.waitpid(quiet, 0)[1]))
"""


def test_readers_cannot_end_the_process_that_mixes_or_each_other() -> None:
    """That one may end them, and nobody else."""
    # Coverage would write a file at the end, which the sandbox forbids.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", READERS]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S)
    assert (ran.stdout, ran.stderr) == ("3 -9\n", "")


@pytest.mark.skipif(not IS_ROOT, reason="here all tests are an ordinary user's")
def test_an_ordinary_user_listens_and_mixes_in_it_too() -> None:
    """With files that somebody else has opened."""
    python = ordinary_python("tests.process.ordinary_work")
    if python is None:
        pytest.skip("there is no Python that another user can run")
    account = pwd.getpwnam(ORDINARY_USER)
    with tempfile.TemporaryFile() as sound:
        sound.write(tone("mp3", "libmp3lame"))
        sound.seek(0)
        ran = subprocess.run(
            [python, "-m", "tests.process.ordinary_work"],
            stdin=sound,
            cwd="/",
            env={"PYTHONPATH": os.pathsep.join(import_path()), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
        )
    assert (ran.stdout, ran.stderr) == ("2 channels, 1.0 s\n", "")


def test_a_sandbox_that_cannot_be_had_is_an_error() -> None:
    """A second thread would stay outside of it: nothing is decoded, and the reason is told."""
    program = (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "from omnisonic.studio.media import probe\nprobe.print_sandboxed(len, probe.LIMITS)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert (ran.returncode, ran.stdout) == (77, "A decoder could not be confined: it has other threads already.")


def test_every_deed_is_tried() -> None:
    """None is forgotten."""
    tried = {*FILES, *OTHERS, *ALONE, "connect", "unix", "abstract", "exec", "become-root", "memory"}
    assert set(DEEDS) == tried | {"kill-all", "start-thread", "abort"}
    assert probe_command()[-1] == "omnisonic.studio.media.probe"
