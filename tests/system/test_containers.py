"""The Dockerfile and the files for Docker Compose: they name only what there is. Docker itself does not run here."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from typer.core import TyperGroup
from typer.main import get_command

from omnisonic.cli.main import app
from omnisonic.settings.fields import variable_of
from omnisonic.settings.settings import Settings
from tests.system.printed import OPERATING, ROOT, block

DOCKERFILE: Final = ROOT / "Dockerfile"
COMPOSE: Final = ("compose.yaml", "compose.parts.yaml")
IMAGES_OWN: Final = {"PATH", "PYTHONUNBUFFERED", "HEALTH_URL"}
"""Variables of the image that are no settings."""
LINT_S: Final = 60.0


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each with its arguments on one line."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def known_variables() -> set[str]:
    """The variables that are settings."""
    return {variable_of(name) for name in Settings.model_fields}


def services(name: str) -> dict[str, Any]:
    """The services of a compose file that run our image."""
    found = msgspec.yaml.decode((ROOT / name).read_bytes())["services"]
    return {service: fields for service, fields in found.items() if "build" in fields}


def test_hadolint_has_nothing_to_say(generator_python: Path) -> None:
    """It knows what goes wrong in a Dockerfile."""
    hadolint = generator_python.with_name("hadolint")
    ended = subprocess.run(
        [hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, timeout=LINT_S, check=False
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


def test_what_is_copied_is_there_and_nothing_else_is_sent_to_the_builder() -> None:
    """A checkout has environments, uploads and secrets beside the code."""
    copied = {
        source
        for word, arguments in instructions()
        if word == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    }
    assert all((ROOT / source).exists() for source in copied)
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    assert sent[0] == "*"
    assert {line[1:] for line in sent if line.startswith("!")} == copied
    links = {link.resolve().name for link in (ROOT / "omnisonic").iterdir() if link.is_symlink()}
    assert links < copied, "the package has links to folders beside it"


def test_the_image_runs_as_nobody_special_and_keeps_its_data_in_a_volume() -> None:
    """The account has a number, which is not that of root, and the data directory is the volume."""
    found = instructions()
    assert [rest for word, rest in found if word == "USER"] == ["10001"]
    (environ,) = [rest for word, rest in found if word == "ENV"]
    values = dict(pair.split("=", 1) for pair in environ.split())
    assert ("VOLUME", values["OMNISONIC_DATA_DIR"]) in found
    assert values["OMNISONIC_ENV"] == "production"
    assert set(values) - IMAGES_OWN <= known_variables()


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_names_commands_and_settings_that_there_are(name: str) -> None:
    """And no port is open to other machines."""
    commands = get_command(app)
    assert isinstance(commands, TyperGroup)
    for fields in services(name).values():
        assert fields.get("command", "serve") in commands.commands
        assert set(fields["environment"]) - IMAGES_OWN <= known_variables()
        assert all(port.startswith("127.0.0.1:") for port in fields.get("ports", []))
        assert fields["init"] is True


def test_compose_asks_for_what_is_said_beside_it() -> None:
    """Each variable that has no default is in the comment at the top, and those of the document are enough."""
    for name in COMPOSE:
        text = (ROOT / name).read_text()
        head = text.partition("services:")[0].partition("x-part:")[0]
        assert set(re.findall(r"\$\{(\w+):\?", text)) == set(re.findall(r"^# +(\w+)=", head, re.MULTILINE))
    printed = block("sh", "docker compose up", OPERATING)
    assert set(re.findall(r"\$\{(\w+):\?", (ROOT / "compose.yaml").read_text())) == set(
        re.findall(r"^(\w+)=", printed, re.MULTILINE)
    )
