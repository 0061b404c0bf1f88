"""`omnisonic doctor`: what is well, and what is not and how to mend it."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from omnisonic.stores.database.migrations import known_migrations
from tests.cli.running import completed, eventually, running
from tests.postgres_server import PostgresServer
from tests.prepared_postgres import prepare_data_directory
from tests.s3_server import S3Server
from tests.stores.storage.s3_proxy import Fault, open_s3_proxy
from tests.tcp_proxy import open_tcp_proxy
from tests.valkey_cluster import ValkeyCluster
from tests.valkey_server import ValkeyServer


def checks(text: str) -> dict[str, dict[str, Any]]:
    """The checks in its JSON, by name."""
    return {check["name"]: check for check in json.loads(text)["checks"]}


def all_is_well(*arguments: str, **settings: str) -> str:
    """What doctor says once all is well: a busy machine may miss the deadline of one of its checks."""
    said = ""

    def is_well() -> bool:
        nonlocal said
        shown = completed("doctor", *arguments, **settings)
        said = shown.stdout
        return shown.returncode == 0 and "parts wait" not in said

    try:
        eventually(is_well, what="all is well")
    except AssertionError as failed:
        failed.add_note(said)
        raise
    return said


def test_all_is_well_with_servers_that_are(
    database_url: str, valkey: ValkeyServer, s3: S3Server, tmp_path: Path
) -> None:
    """Database, Redis and S3 from outside: exit code 0, and nothing of what was tried is left."""
    settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey.url, "OMNISONIC_DATA_DIR": str(tmp_path)}
    found = checks(all_is_well("--json", **settings, **s3.environ("minio")))
    assert all(check["ok"] for check in found.values())
    assert found["decoders"]["detail"].startswith("They run in a sandbox")
    assert "links go to it directly" in found["storage"]["detail"]


def test_it_finds_what_serve_runs(tmp_path: Path) -> None:
    """The embedded servers, by the data directory alone."""
    data = {"OMNISONIC_DATA_DIR": str(prepare_data_directory(tmp_path))}
    with running("serve", **data) as studio:
        port = str(studio.port("Studio"))
        studio.printed("is running")
        said = all_is_well(**(data | {"WEB_PORT": port}))
        assert f"It listens on port {port}, and is ready." in said
        assert said.endswith("All is well.\n")
    gone = completed("doctor", "--json", **data)
    assert gone.returncode == 1
    assert {name for name, check in checks(gone.stdout).items() if not check["ok"]} == {"database", "redis"}


async def test_a_slow_redis_is_a_warning_and_not_away(valkey: ValkeyServer, tmp_path: Path) -> None:
    """It works, and the parts may do without it now and then."""
    async with open_tcp_proxy(valkey.port) as proxy:
        proxy.delay_s = 0.15
        settings = {"REDIS_URL": f"redis://127.0.0.1:{proxy.port}", "OMNISONIC_DATA_DIR": str(tmp_path)}
        shown = await trio.to_thread.run_sync(partial(completed, "doctor", "--json", **settings))
    found = checks(shown.stdout)["redis"]
    assert (found["ok"], found["warning"]) == (True, True)
    assert "the parts wait 250 ms for each" in found["detail"]


def test_a_redis_that_does_not_tell_its_run_is_a_warning(valkey: ValkeyServer, tmp_path: Path) -> None:
    """Rooms work, but none goes on without a gap after a restart."""
    with valkey.client as client:
        client.execute_command("ACL", "SETUSER", "band", "on", ">pw", "~*", "&*", "+@all", "-info")
        try:
            url = f"redis://band:pw@127.0.0.1:{valkey.port}"
            shown = completed("doctor", "--json", REDIS_URL=url, OMNISONIC_DATA_DIR=str(tmp_path))
        finally:
            client.execute_command("ACL", "DELUSER", "band")
    found = checks(shown.stdout)["redis"]
    assert (found["ok"], found["warning"]) == (True, True)
    assert "INFO" in found["mend"]


def test_a_cluster_is_recognised_and_all_its_servers_answer(valkey_cluster: ValkeyCluster, tmp_path: Path) -> None:
    """Named by one of its servers, it is asked about all that have keys."""
    url = f"redis://127.0.0.1:{valkey_cluster.servers[1].port}"
    shown = completed("doctor", "--json", REDIS_URL=url, OMNISONIC_DATA_DIR=str(tmp_path))
    found = checks(shown.stdout)["redis"]
    assert (found["ok"], found.get("warning", False)) == (True, False)
    assert found["detail"].endswith("it is a cluster, and its 3 servers that have keys answer.")


def test_what_is_wrong_comes_with_how_to_mend_it(s3: S3Server, tmp_path: Path) -> None:
    """Servers that are not there and credentials that are wrong; no secret is printed."""
    settings = {
        "DATABASE_URL": "postgresql://me:canary@127.0.0.1:1/x",
        "REDIS_URL": "redis://:canary@127.0.0.1:1",
        "OMNISONIC_DATA_DIR": str(tmp_path),
    }
    wrong = s3.environ("minio") | {"MINIO_SECRET_KEY": "canary-canary"}
    shown = completed("doctor", "--json", **settings, **wrong)
    found = checks(shown.stdout)
    assert shown.returncode == 1
    assert [name for name, check in found.items() if not check["ok"]] == ["database", "redis", "storage"]
    assert all(check["mend"].endswith(".") for check in found.values() if not check["ok"])
    assert "canary" not in shown.stdout + shown.stderr


async def test_a_store_that_lacks_a_call_is_told_with_its_name(s3: S3Server, tmp_path: Path) -> None:
    """Also one that uploads need only when something went wrong: so it is tried before."""
    async with open_s3_proxy(s3.port) as proxy:
        proxy.fault = Fault("GET .*uploads&?.* ", "501")
        settings = s3.environ("minio", port=proxy.port) | {"OMNISONIC_DATA_DIR": str(tmp_path)}
        shown = await trio.to_thread.run_sync(partial(completed, "doctor", "--json", **settings))
    found = checks(shown.stdout)["storage"]
    assert not found["ok"]
    assert "does not know the call ListMultipartUploads, which uploads need" in found["detail"]


def test_a_database_that_is_behind_is_told(postgres_process: Any, tmp_path: Path) -> None:
    """It says which command mends it."""
    shown = completed("doctor", DATABASE_URL=postgres_process.url, OMNISONIC_DATA_DIR=str(tmp_path))
    most = len(known_migrations())
    assert f"{most} of {most} migrations are waiting." in shown.stdout
    assert "Run `omnisonic migrate`." in shown.stdout


def test_what_may_be_a_mistake_is_a_warning_and_no_failure(
    database_url: str, valkey: ValkeyServer, tmp_path: Path
) -> None:
    """Open access that is written out, and names that are no settings: told, with exit code 0."""
    settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey.url, "OMNISONIC_DATA_DIR": str(tmp_path)}
    slips = {"ROOM_ACCES": "ticket", "EXPORT_QUEUE_NAME": "x"}
    doubtful = settings | slips | {"ROOM_ACCESS": "open"}
    shown = completed("doctor", **doubtful)
    assert shown.returncode == 0
    assert shown.stderr == ""
    assert "warn   rooms      ROOM_ACCESS=open: " in shown.stdout
    assert "ROOM_ACCES is set, but there is no such setting: did you mean ROOM_ACCESS?" in shown.stdout
    assert "EXPORT_QUEUE_NAME is set, but not read." in shown.stdout
    assert shown.stdout.endswith("It works; see the warnings above.\n")
    found = checks(completed("doctor", "--json", **doubtful).stdout)
    assert {name for name, check in found.items() if check["warning"]} == {"rooms", "settings"}
    assert all(check["ok"] for check in found.values())
    assert not any(check["warning"] for check in checks(completed("doctor", "--json", **settings).stdout).values())


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that is in a folder: mode, time of the last change, and content."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        about = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (about.st_mode, 0 if path.is_dir() else about.st_mtime_ns, content)
    return found


@pytest.mark.parametrize("there", [(), ("data",), ("data/uploads",)], ids=["nothing", "a data directory", "uploads"])
def test_it_changes_nothing_in_the_data_directory(tmp_path: Path, there: tuple[str, ...]) -> None:
    """Not before the first start, and not where uploads are: no folder is made, and nothing of a try is left."""
    for name in there:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "kept").write_text("kept")
    before = tree(tmp_path)
    shown = completed("doctor", "--json", OMNISONIC_DATA_DIR=str(tmp_path / "data"))
    assert tree(tmp_path) == before
    storage = checks(shown.stdout)["storage"]
    assert storage["ok"], storage
    assert ("is not there yet" in storage["detail"]) == (there != ("data/uploads",))


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Where a file is in the way."""
    (tmp_path / "data").write_text("")
    shown = completed("doctor", "--json", OMNISONIC_DATA_DIR=str(tmp_path / "data"))
    storage = checks(shown.stdout)["storage"]
    assert (storage["ok"], storage["mend"][:8]) == (False, "Make it,")


@pytest.mark.parametrize("migrated", [True, False])
def test_it_changes_nothing_in_database_redis_and_bucket(
    postgres_process: PostgresServer,
    database_url: str,
    valkey: ValkeyServer,
    s3: S3Server,
    tmp_path: Path,
    migrated: bool,
) -> None:
    """A database without tables has none afterwards, either; a bucket and a Valkey are as empty as they were."""
    url = database_url if migrated else postgres_process.url
    name = url.rpartition("/")[2]
    count = "SELECT count(*) FROM pg_class"

    def seen() -> tuple[object, ...]:
        rows = [tuple(row) for row in postgres_process.execute(count, database=name)]
        return rows, s3.objects(), s3.unfinished(), valkey.lives_ms(), tree(tmp_path)

    before = seen()
    settings = {"DATABASE_URL": url, "REDIS_URL": valkey.url, "OMNISONIC_DATA_DIR": str(tmp_path)}
    shown = completed("doctor", "--json", **settings, **s3.environ("minio"))
    assert checks(shown.stdout)["storage"]["ok"]
    assert seen() == before
