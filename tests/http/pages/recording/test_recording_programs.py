"""The panel that records, in Node and without a page (`recording.test.mjs`)."""

import subprocess
from pathlib import Path
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import NODE, needs_node

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("recording.test.mjs")
DEADLINE_S: Final = 60.0
TESTS: Final = 8


def test_a_recording_that_has_not_begun_can_always_be_ended() -> None:
    """By Stop, an unplugged microphone and the end of a session, whatever is still waited for: each a test in it."""
    ended = subprocess.run(
        [*NODE, "--test-reporter=tap", str(PROGRAM), str(STATIC_DIR)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"# pass {TESTS}" in ended.stdout, ended.stdout
