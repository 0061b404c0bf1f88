"""The panel that records, and the way of a recording to the studio, in Node and without a page."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import NODE, needs_node

pytestmark = needs_node

FOLDER: Final = Path(__file__).parent
DEADLINE_S: Final = 60.0


@pytest.mark.parametrize(("program", "tests"), [("recording.test.mjs", 8), ("keeping.test.mjs", 5)])
def test_a_recording_can_always_be_ended_and_is_kept_until_the_studio_has_it(program: str, tests: int) -> None:
    """Whatever is still waited for, and whatever is removed or full meanwhile: each a test in the program."""
    ended = subprocess.run(
        [*NODE, "--test-reporter=tap", str(FOLDER / program), str(STATIC_DIR)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"# pass {tests}" in ended.stdout, ended.stdout
