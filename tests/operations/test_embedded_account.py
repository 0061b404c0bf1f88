"""The account that embedded servers run as under root: made, nobody else's, and given what earlier versions left."""

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import trio

from omnisonic.operations.embedded import EmbeddedUnavailable
from omnisonic.operations.embedded.account import NAME, SEARCH_PATH, Account, server_account
from omnisonic.operations.embedded.cluster import Cluster
from omnisonic.operations.embedded.installation import find_postgres
from omnisonic.operations.embedded.postgres import EmbeddedPostgres
from omnisonic.operations.embedded.valkey import EmbeddedValkey
from omnisonic.operations.supervisor import run_processes
from tests.cli.postgres_running import in_service, query

DEADLINE_S: Final = 40.0
AT_ONCE: Final = 4
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user needs no account"),
    pytest.mark.skipif(shutil.which("useradd", path=SEARCH_PATH) is None, reason="needs useradd"),
]


@pytest.fixture
def name() -> Iterator[str]:
    """Of an account that does not exist, and will not when the test is over."""
    made = f"omnisonic-{uuid.uuid4().hex[:8]}"
    yield made
    with contextlib.suppress(KeyError):
        pwd.getpwnam(made)
        subprocess.run(["/usr/sbin/userdel", made], check=True, capture_output=True)


def owners(folder: Path) -> set[int]:
    """Who owns what is in `folder`, and it."""
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


def test_a_missing_account_is_made_without_any_rights(name: str) -> None:
    """A system account with a group of its own, no password and no shell; made once."""
    account = server_account(name, instead="DATABASE_URL")
    assert account is not None
    entry = pwd.getpwnam(name)
    assert (account.uid, account.gid) == (entry.pw_uid, entry.pw_gid)
    assert 0 < entry.pw_uid < 1_000
    assert entry.pw_shell.endswith("nologin")
    assert not Path(entry.pw_dir).exists()
    locked = [line for line in Path("/etc/shadow").read_text().splitlines() if line.startswith(f"{name}:")]
    assert [line.split(":")[1][:1] for line in locked] == ["!"]
    assert server_account(name, instead="DATABASE_URL") == account


def test_some_that_need_it_at_once_get_the_same(name: str) -> None:
    """One makes it."""
    found: list[Account | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(server_account(name, instead="DATABASE_URL")))
        for _ in range(AT_ONCE)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert len(found) == AT_ONCE
    assert len(set(found)) == 1
    assert found[0] is not None


def test_one_that_cannot_be_made_is_told_in_a_sentence() -> None:
    """With the command that makes it, and what else can be done."""
    with pytest.raises(EmbeddedUnavailable) as refused:
        server_account("no such: account", instead="DATABASE_URL")
    for words in ("cannot be made", "useradd --system", "no such: account", "ordinary user", "set DATABASE_URL."):
        assert words in refused.value.message
    assert "\n" not in refused.value.message


def test_root_by_another_name_is_refused() -> None:
    """Whatever it is called."""
    with pytest.raises(EmbeddedUnavailable, match=r"root's.*set REDIS_URL"):
        server_account("root", instead="REDIS_URL")


def test_the_database_is_nobodys() -> None:
    """By default it is the product's own account that it runs as."""
    installation = find_postgres()
    assert installation.account is not None
    assert installation.account.name == NAME == "omnisonic"
    assert installation.user not in (0, pwd.getpwnam("nobody").pw_uid)


async def test_a_database_of_an_earlier_version_is_taken_over(tmp_path: Path, name: str) -> None:
    """It belonged to `nobody`; all that was in it is there, and nothing of it is nobody's any more."""
    nobody = pwd.getpwnam("nobody").pw_uid
    async with in_service(tmp_path, account="nobody") as old:
        query(old.url, "CREATE TABLE kept AS SELECT 7 AS value")
    assert owners(tmp_path / "data") == {nobody}
    async with in_service(tmp_path, account=name) as new:
        assert query(new.url, "SELECT value FROM kept") == 7
    assert owners(tmp_path / "data") == {pwd.getpwnam(name).pw_uid}


async def test_one_that_was_half_taken_over_is_taken_over_whole(tmp_path: Path, name: str) -> None:
    """The folder itself comes last."""
    EmbeddedPostgres(tmp_path, account="nobody").spec()
    account = server_account(name, instead="DATABASE_URL")
    assert account is not None
    for path in (tmp_path / "data" / "base").rglob("*"):
        account.own(path)
    EmbeddedPostgres(tmp_path, account=name).spec()
    assert owners(tmp_path / "data") == {account.uid}


@pytest.mark.parametrize("planted", ["another's", "linked"])
def test_what_was_planted_in_it_is_given_to_nobody(tmp_path: Path, name: str, planted: str) -> None:
    """A file of root's, or a second name of one that lies elsewhere: whoever ran the old one may have put it there."""
    EmbeddedPostgres(tmp_path, account="nobody").spec()
    precious = tmp_path / "precious"
    precious.write_text("root's own")
    if planted == "linked":
        os.chown(precious, pwd.getpwnam("nobody").pw_uid, -1)
    before = precious.stat().st_uid
    (tmp_path / "data" / "planted").hardlink_to(precious)
    with pytest.raises(EmbeddedUnavailable, match=r"planted in it is not its own alone.*chown -R"):
        EmbeddedPostgres(tmp_path, account=name).spec()
    assert precious.stat().st_uid == before


def test_a_link_in_it_is_not_followed(tmp_path: Path, name: str) -> None:
    """What it leads to stays whose it was."""
    EmbeddedPostgres(tmp_path, account="nobody").spec()
    precious = tmp_path / "precious"
    precious.write_text("root's own")
    nobody = pwd.getpwnam("nobody").pw_uid
    (tmp_path / "data" / "led").symlink_to(precious)
    os.chown(tmp_path / "data" / "led", nobody, -1, follow_symlinks=False)
    Cluster(tmp_path / "data", find_postgres(account=name)).take_over()
    assert precious.stat().st_uid == 0
    assert owners(tmp_path / "data") == {pwd.getpwnam(name).pw_uid}


async def test_valkey_runs_as_that_account_too(tmp_path: Path, name: str) -> None:
    """In a folder that it cannot reach by path, and without our environment; also where an earlier one ran as root."""
    (tmp_path / "valkey").mkdir(mode=0o700)
    (tmp_path / "valkey" / "valkey.log").write_text("root's\n")
    (tmp_path / "valkey" / "valkey.log").chmod(0o600)
    valkey = EmbeddedValkey(tmp_path / "valkey", account=name)
    spec, stop = valkey.spec(), trio.Event()
    assert not {"HOME", "PYTEST_CURRENT_TEST"} & set(spec.environ)
    found: list[int] = []

    def look() -> None:
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if process.name.isdecimal() and (process / "cwd").samefile(tmp_path / "valkey"):
                    found.append(process.stat().st_uid)
        stop.set()

    with trio.fail_after(DEADLINE_S):
        await run_processes([spec], on_line=lambda *_: None, stop=stop, started=look)
    assert found == [pwd.getpwnam(name).pw_uid]


def test_a_program_in_a_private_home_is_run_as_somebody_else(tmp_path: Path) -> None:
    """One that he could not reach by path."""
    tmp_path.chmod(0o700)
    shutil.copy("/usr/bin/id", tmp_path / "id")
    (tmp_path / "id").chmod(0o755)
    account = pwd.getpwnam("nobody")
    user = f"{account.pw_uid}:{account.pw_gid}"
    command = [
        sys.executable,
        "-m",
        "omnisonic.process.die_with_parent",
        "--user",
        user,
        "--folder",
        "/",
        str(os.getpid()),
    ]
    ran = subprocess.run([*command, str(tmp_path / "id"), "-u"], capture_output=True, text=True, timeout=DEADLINE_S)
    assert (ran.stdout, ran.stderr) == (f"{account.pw_uid}\n", "")
