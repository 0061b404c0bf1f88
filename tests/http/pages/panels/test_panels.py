"""Small parts of the panels, in Node and without a page (`panels.test.mjs`)."""

from pathlib import Path
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import needs_node, run_tests

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("panels.test.mjs")
TESTS: Final = 5


def test_small_parts_keep_their_promises_without_a_page() -> None:
    """Invites, what is new, Enter, and what is pressed twice: each a test in the program."""
    run_tests(PROGRAM, STATIC_DIR, count=TESTS)
