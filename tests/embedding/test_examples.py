"""The programs in docs/embedding.md do what they say, exactly as printed (SPEC 8)."""

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.embedding.acts import ACTS
from tests.embedding.printed import DOCUMENT, programs, save_all


@pytest.mark.timing
@pytest.mark.parametrize("name", ACTS)
async def test_the_printed_program_does_what_it_says(name: str, tmp_path: Path) -> None:
    """It is started in a folder of its own, used, and stopped with Ctrl-C."""
    save_all(tmp_path)
    await ACTS[name](Path(sys.executable), tmp_path)


def test_no_program_is_printed_that_no_test_runs() -> None:
    """But for the one with the studio in it, which has a test on real stores (`tests/embedding/test_web.py`)."""
    assert set(programs()) == {*ACTS, "mounted.py"}


def test_what_is_printed_can_be_parsed() -> None:
    """The snippets, too."""
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL):
        compile(block, "a snippet", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
