"""Together and alone, and the places in a text, in Node and without a page (`conductor.test.mjs`)."""

import subprocess
from pathlib import Path
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import NODE, needs_node

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("conductor.test.mjs")
DEADLINE_S: Final = 60.0
TESTS: Final = 24


def test_the_conductor_keeps_its_promises_without_a_page() -> None:
    """Arithmetic, together, alone, following, count-in, listeners, reconnecting, recordings: each a test there."""
    ended = subprocess.run(
        [*NODE, "--test-reporter=tap", str(PROGRAM), str(STATIC_DIR)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"# pass {TESTS}" in ended.stdout, ended.stdout
