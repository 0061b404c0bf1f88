"""`omnisonic rooms` without any option finds the gateway of this machine, and the token for it."""

import json
from pathlib import Path

from tests.cli.running import Command, completed, running
from tests.prepared_postgres import prepare_data_directory


def test_the_gateway_of_a_running_studio_is_found(studio: Command) -> None:
    """On whatever port it is, by the data directory alone; nobody else may read where it is."""
    data = studio.printed(r"^  Data +(/.*)$")[1]
    done = completed("rooms", "ls", "--json", OMNISONIC_DATA_DIR=data)
    assert (done.returncode, done.stderr) == (0, "")
    (gateway,) = json.loads(done.stdout)["gateways"]
    assert gateway["gateway"] == f"127.0.0.1:{studio.port('Gateway')}"
    for name in ("gateway", "admin-token"):
        assert (Path(data) / name).stat().st_mode & 0o777 == 0o600


def test_a_studio_that_has_stopped_has_left_no_address(tmp_path: Path) -> None:
    """Whoever listens there later must not be shown the token."""
    with running("serve", OMNISONIC_DATA_DIR=str(prepare_data_directory(tmp_path))) as studio:
        studio.printed("is running")
        assert (tmp_path / "gateway").exists()
        assert studio.stop() == 0
    assert not (tmp_path / "gateway").exists()
    done = completed("rooms", "ls", OMNISONIC_DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")


def test_a_gateway_alone_is_found_where_the_settings_say(tmp_path: Path) -> None:
    """With `ADMIN_TOKEN`, or with the token in a file; without one of its own it is told that there is none."""
    (tmp_path / "token").write_text("of this test\n")
    with running("gateway", ADMIN_TOKEN="of this test") as gateway:
        port = gateway.printed(r"^ws://127\.0\.0\.1:(\d+)$")[1]
        at = {"GATEWAY_PORT": port, "OMNISONIC_DATA_DIR": str(tmp_path)}
        assert completed("rooms", "ls", ADMIN_TOKEN="of this test", **at).returncode == 0
        assert completed("rooms", "ls", "--token-file", str(tmp_path / "token"), **at).returncode == 0
        assert "of this test" not in "\n".join(gateway.lines)
    with running("gateway") as gateway:
        port = gateway.printed(r"^ws://127\.0\.0\.1:(\d+)$")[1]
        done = completed("rooms", "ls", ADMIN_TOKEN="x", GATEWAY_PORT=port)
        assert done.returncode == 1
        assert "refused (404): There is nothing to inspect here: no ADMIN_TOKEN is set." in done.stderr
