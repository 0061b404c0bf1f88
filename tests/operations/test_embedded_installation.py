"""The programs of Postgres, where the account that they run as cannot read them."""

import os
import shutil
import threading
from pathlib import Path
from typing import Final

import pytest

from omnisonic.operations.embedded.cluster import Cluster
from omnisonic.operations.embedded.installation import PARTS, find_postgres
from tests.cli.postgres_running import DEADLINE_S, public_folder
from tests.process.other_users import import_path

IS_ROOT: Final = os.geteuid() == 0


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user needs no copy")
def test_programs_in_a_private_home_are_copied_once(tmp_path: Path) -> None:
    """The account that Postgres runs as under root cannot read them there, whatever the modes of the files."""
    private = tmp_path / "home"
    for part in PARTS:
        if (Path(import_path()[1]) / part).is_dir():
            shutil.copytree(Path(import_path()[1]) / part, private / "site-packages" / part)
    for path in private.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
    with public_folder() as copies:
        found = find_postgres(site=private / "site-packages", copies=copies / "new")
        assert found.programs.is_relative_to(copies)
        assert found.runs()
        assert len(list((copies / "new").iterdir())) == 1
        made = found.programs.stat().st_mtime_ns
        assert find_postgres(site=private / "site-packages", copies=copies / "new") == found
        assert found.programs.stat().st_mtime_ns == made
        cluster = Cluster(tmp_path / "data", found)
        cluster.create("secret")
        assert cluster.exists
        writable = [path for path in (copies / "new").rglob("*") if path.lstat().st_mode & 0o022]
        assert not writable


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user needs no copy")
def test_two_copies_at_once_become_one(tmp_path: Path) -> None:
    """Whoever is second uses the first one's."""
    (tmp_path / "site-packages").symlink_to(import_path()[1])
    with public_folder() as copies:
        found = []

        def find() -> None:
            found.append(find_postgres(site=tmp_path / "site-packages", copies=copies))

        threads = [threading.Thread(target=find) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert found[0] == found[1]
        assert [path.name.startswith("pixeltable") for path in copies.iterdir()] == [True]
