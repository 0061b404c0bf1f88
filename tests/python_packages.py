"""Programs from PyPI that do not go together with the versions of this checkout, in an environment of their own.

`tests/generator/requirements.txt` names each with its version; they are installed into `.venv-generator`
(`tests.installed_once`). What is missing is a skip that names it.
"""

import sys
from pathlib import Path
from typing import Final

import pytest

from tests.installed_once import install_once

FOLDER: Final = Path(__file__).with_name("generator")
ENVIRONMENT: Final = Path(__file__).parent.parent / ".venv-generator"


@pytest.fixture(scope="session")
def generator_python() -> Path:
    """A Python that has `openapi-python-client`, and what the clients need that it makes."""
    python, wanted = ENVIRONMENT / "bin" / "python", FOLDER / "requirements.txt"
    trouble = install_once(
        ENVIRONMENT,
        [wanted],
        [
            [sys.executable, "-m", "venv", "--clear", ENVIRONMENT],
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", wanted],
        ],
    )
    if trouble:
        pytest.skip(trouble)
    return python
