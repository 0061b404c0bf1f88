"""The dialog of the links to a mixdown, in Node and without a page (`share.test.mjs`)."""

import subprocess
from pathlib import Path
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import NODE, needs_node

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("share.test.mjs")
DEADLINE_S: Final = 60.0
TESTS: Final = 4


def test_a_link_is_only_shown_with_its_own_mixdown() -> None:
    """However late it comes, and also when it is refused: each a test in the program."""
    ended = subprocess.run(
        [*NODE, "--test-reporter=tap", str(PROGRAM), str(STATIC_DIR)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"# pass {TESTS}" in ended.stdout, ended.stdout
