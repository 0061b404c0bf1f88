"""The model behind the timeline, in Node and without a page (`song.test.mjs`)."""

import subprocess
from pathlib import Path
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import NODE, needs_node

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("song.test.mjs")
DEADLINE_S: Final = 60.0


def test_the_song_keeps_its_promises_without_a_page() -> None:
    """Optimistic changes, refusals, order, takes, undo, geometry and words: each a test of its own in the program."""
    ended = subprocess.run(
        [*NODE, "--test-reporter=tap", str(PROGRAM), str(STATIC_DIR)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "# pass 18" in ended.stdout, ended.stdout
