"""The command line: help that is true, and one sentence for whatever is wrong."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from omnisonic import __version__
from omnisonic.cli.command import (
    BackupCommand,
    CleanUploadsCommand,
    DatabaseCommand,
    DoctorCommand,
    GatewayCommand,
    ParityCommand,
    ServeCommand,
    SettingsCommand,
    WebCommand,
    WorkerCommand,
)
from omnisonic.settings.fields import variable_of
from omnisonic.settings.settings import Settings
from tests.cli.running import completed, environ, running
from tests.postgres_server import PostgresServer
from tests.processes import ended_with_block

HEAVY_FOR_GATEWAY = {"quart", "hypercorn", "typer"}
HEAVY_FOR_WEB = {"trio", "trio_websocket", "typer", "rich", "joserfc", "authlib"}


def test_the_help_lists_the_commands() -> None:
    """Those that exist, each with what it does."""
    shown = completed("--help")
    assert shown.returncode == 0
    assert [line.split()[0] for line in shown.stdout.partition("Commands:")[2].splitlines() if line.strip()] == [
        "serve",
        "gateway",
        "web",
        "worker",
        "parity",
        "migrate",
        "clean-uploads",
        "backup",
        "restore",
        "doctor",
        "units",
        "users",
        "keys",
        "webhooks",
        "rooms",
        "monitoring",
    ]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("serve", ServeCommand),
        ("gateway", GatewayCommand),
        ("web", WebCommand),
        ("worker", WorkerCommand),
        ("parity", ParityCommand),
        ("migrate", DatabaseCommand),
        ("clean-uploads", CleanUploadsCommand),
        ("backup", BackupCommand),
        ("restore", BackupCommand),
        ("doctor", DoctorCommand),
        ("users add", DatabaseCommand),
    ],
)
def test_a_commands_help_explains_its_environment(name: str, command: type[SettingsCommand]) -> None:
    """Each variable that matters to it, from the settings themselves."""
    shown = completed(*name.split(), "--help")
    assert shown.returncode == 0
    listed = {line.split()[0] for line in shown.stdout.partition("Environment:")[2].splitlines() if line.strip()}
    assert {variable_of(field) for field in command.fields} <= listed


def test_serve_explains_every_setting() -> None:
    """A setting that no help mentions is a setting nobody finds."""
    assert set(ServeCommand.fields) == set(Settings.model_fields)


def test_the_version_is_the_packages() -> None:
    """`omnisonic --version`."""
    assert completed("--version").stdout == f"omnisonic {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("gateway", "--fd", "x"),
        ("gateway", "--fd", "1"),
        ("web", "now"),
        ("users",),
        ("users", "add"),
        ("users", "add", "ada@example.com", "--replace", "--name", "Ada"),
    ],
)
def test_wrong_arguments_exit_with_2(arguments: tuple[str, ...]) -> None:
    """And say how to get help, without a traceback."""
    shown = completed(*arguments)
    assert shown.returncode == 2
    assert "Traceback" not in shown.stderr
    assert "Usage: omnisonic" in shown.stdout + shown.stderr


@pytest.mark.parametrize("command", ["serve", "gateway", "web", "worker", "parity", "migrate"])
def test_bad_settings_stop_the_start_with_all_problems(command: str) -> None:
    """A sentence each, and exit code 2."""
    shown = completed(command, WEB_PORT="abc", PRESENCE_TTL="5")
    assert shown.returncode == 2
    assert shown.stdout == ""
    assert shown.stderr.splitlines() == [
        'omnisonic: WEB_PORT is "abc": it must be a whole number.',
        'omnisonic: PRESENCE_TTL is "5": it must be at least 15.',
    ]


@pytest.mark.parametrize("command", ["gateway", "web", "worker", "migrate", "rooms ls", "users ls", "clean-uploads"])
def test_every_command_tells_of_variables_that_are_no_settings(command: str, tmp_path: Path) -> None:
    """By name and with what was likely meant, on standard error; those of others are not told of."""
    others = {"AWS_SESSION_TOKEN": "x", "OTEL_SERVICE_NAME": "x", "GITHUB_TOKEN": "x"}
    stop = {"GATEWAY_PORT": "0", "OMNISONIC_DATA_DIR": str(tmp_path), "ROOM_ACCESS": "ticket"}
    shown = completed(*command.split(), ROOM_ACCES="open", **stop, **others)
    assert shown.returncode != 0
    (reported,) = [line for line in shown.stderr.splitlines() if "ROOM_ACCES " in line or "variable=ROOM_ACCES" in line]
    assert "ROOM_ACCESS?" in reported or "likely=ROOM_ACCESS" in reported
    assert not any(name in shown.stderr for name in others)


def test_in_production_a_variable_that_is_no_setting_is_an_event_of_the_log() -> None:
    """One JSON object, as every line."""
    reported = completed("worker", OMNISONIC_ENV="production", EXPORT_QUEUE_NAME="x").stderr.splitlines()[0]
    event = json.loads(reported)
    assert (event["event"], event["variable"], event["likely"]) == ("settings.unknown", "EXPORT_QUEUE_NAME", None)


def test_web_alone_needs_places_to_meet_the_others() -> None:
    """Stores in its own process would silently be empty ones."""
    shown = completed("web")
    assert shown.returncode == 2
    assert shown.stderr.splitlines() == [
        "omnisonic: REDIS_URL is not set: set it to the Redis that the gateway uses, or run `omnisonic serve`.",
        "omnisonic: DATABASE_URL is not set: set it to the database of the studio, or run `omnisonic serve`.",
    ]


def test_the_worker_alone_needs_a_place_to_meet_the_others() -> None:
    """The database, for its work, and Redis, for telling the rooms what has come of it."""
    shown = completed("worker")
    assert shown.returncode == 2
    assert shown.stderr.splitlines() == [
        "omnisonic: REDIS_URL is not set: set it to the Redis that the gateway uses, or run `omnisonic serve`.",
        "omnisonic: DATABASE_URL is not set: set it to the database of the studio, or run `omnisonic serve`.",
    ]


@pytest.mark.parametrize(("command", "secret"), [("serve", "short"), ("web", ""), ("web", "changeme" * 2)])
def test_production_does_not_start_with_a_secret_that_can_be_guessed(command: str, secret: str) -> None:
    """Nor without one; the sentence does not show it."""
    urls = {"REDIS_URL": "redis://127.0.0.1:1", "DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    shown = completed(command, OMNISONIC_ENV="production", LOG_FORMAT="text", NEXTAUTH_SECRET=secret, **urls)
    assert shown.returncode == 2
    about_secret, about_provider = shown.stderr.splitlines()
    assert about_secret.startswith("omnisonic: NEXTAUTH_SECRET is ")
    assert about_provider.startswith("omnisonic: GITHUB_CLIENT_ID is not set: ")
    assert not secret or secret not in shown.stderr


def test_a_gateway_with_tickets_does_not_start_in_production_without_the_secret() -> None:
    """It would take forged tickets, or none."""
    urls = {"REDIS_URL": "redis://127.0.0.1:1", "DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    shown = completed("gateway", OMNISONIC_ENV="production", LOG_FORMAT="text", ROOM_ACCESS="ticket", **urls)
    assert shown.returncode == 2
    assert shown.stderr.startswith("omnisonic: NEXTAUTH_SECRET is not set")
    assert shown.stderr.count("\n") == 1


def test_a_gateway_with_tickets_does_not_start_without_redis() -> None:
    """Nobody could tell it who has signed out."""
    shown = completed("gateway", ROOM_ACCESS="ticket", DATABASE_URL="postgresql://127.0.0.1:1/x")
    assert shown.returncode == 2
    assert shown.stderr.startswith("omnisonic: REDIS_URL is not set, and ROOM_ACCESS=ticket needs it")


@pytest.mark.parametrize("command", ["web", "gateway", "worker"])
def test_a_part_does_not_start_on_a_database_that_is_behind(
    command: str, postgres_process: PostgresServer, tmp_path: Path
) -> None:
    """It says how to bring it up to date."""
    shown = completed(
        command,
        DATABASE_URL=postgres_process.url,
        REDIS_URL="redis://127.0.0.1:1",
        ROOM_ACCESS="ticket",
        OMNISONIC_DATA_DIR=str(tmp_path),
    )
    assert shown.returncode == 1
    assert shown.stderr == "omnisonic: The database is behind: run `omnisonic migrate`.\n"


@pytest.mark.parametrize("command", ["serve", "gateway"])
def test_a_port_in_use_is_a_sentence(command: str, tmp_path: Path) -> None:
    """It says which port, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        shown = completed(command, GATEWAY_PORT=str(port), OMNISONIC_DATA_DIR=str(tmp_path))
    assert shown.returncode == 1
    assert shown.stderr == (
        f"omnisonic: Port {port} is in use on 127.0.0.1; set GATEWAY_PORT, or stop the other program.\n"
    )


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.1", "GATEWAY_HOST is '192.0.2.1', which is no address of this machine."),
        ("no such host", "GATEWAY_HOST is 'no such host', which is no address: "),
    ],
)
def test_an_address_that_is_not_ours_is_a_sentence(host: str, reason: str) -> None:
    """It names the variable."""
    shown = completed("gateway", GATEWAY_HOST=host)
    assert shown.returncode == 1
    assert shown.stderr.startswith(f"omnisonic: {reason}")
    assert shown.stderr.count("\n") == 1


def test_a_descriptor_that_is_no_listening_socket_is_a_sentence() -> None:
    """Closed, or not a socket at all."""
    shown = completed("gateway", "--fd", "99")
    assert shown.returncode == 1
    assert shown.stderr == "omnisonic: --fd 99 is no open socket: Bad file descriptor.\n"


def test_a_data_directory_that_cannot_be_written_to_is_a_sentence(tmp_path: Path) -> None:
    """It names the variable to change."""
    (tmp_path / "file").touch()
    shown = completed("serve", OMNISONIC_DATA_DIR=str(tmp_path / "file" / "data"))
    assert shown.returncode == 1
    assert shown.stderr == (
        f"omnisonic: The data directory {tmp_path}/file/data cannot be written to (Not a directory); "
        "set OMNISONIC_DATA_DIR to another one.\n"
    )


def test_a_bug_is_a_sentence_and_one_log_line() -> None:
    """Even wrapped by nurseries; the line says what was raised, and where."""
    program = (
        "import sys; from omnisonic.cli.main import app, main\n"
        "@app.command()\n"
        "def boom(): raise ExceptionGroup('a nursery', [ZeroDivisionError('by zero')])\n"
        "sys.argv = ['omnisonic', 'boom']; main()"
    )
    command = [sys.executable, "-c", program]
    shown = subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=40, check=False)
    assert shown.returncode == 1
    logged, said = shown.stderr.splitlines()
    assert 'omnisonic.crashed error="ZeroDivisionError: by zero"' in logged
    assert said == ("omnisonic: This should not have happened (ZeroDivisionError); the line above says where it did.")


def test_the_gateway_alone_prints_its_url_and_stops_when_told() -> None:
    """Without Redis, on a free port."""
    with running("gateway") as gateway:
        port = int(gateway.printed(r"^ws://127\.0\.0\.1:(\d+)$")[1])
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        assert gateway.stop() == 0


def test_an_inherited_socket_is_served() -> None:
    """`--fd`: whoever starts it may have opened the socket already."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = subprocess.Popen(
            [sys.executable, "-m", "omnisonic", "gateway", "--fd", str(listener.fileno())],
            env=environ(),
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            text=True,
        )
        with ended_with_block(started) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == f"ws://127.0.0.1:{listener.getsockname()[1]}\n"
            process.terminate()
            assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("part", "heavy"), [("gateway", HEAVY_FOR_GATEWAY), ("web", HEAVY_FOR_WEB)], ids=["gateway", "web"]
)
def test_a_part_starts_without_the_other_parts_libraries(part: str, heavy: set[str]) -> None:
    """Starting is quick, and a gateway holds no web framework in memory."""
    program = f"import sys, omnisonic.cli.{part}; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", program], env=environ(), capture_output=True, text=True, timeout=40, check=True
    )
    assert heavy.isdisjoint(shown.stdout.split())
