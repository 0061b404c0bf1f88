"""Together and alone, and the places in a text, in Node and without a page (`conductor.test.mjs`)."""

from pathlib import Path
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import needs_node, run_tests

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("conductor.test.mjs")
TESTS: Final = 29


def test_the_conductor_keeps_its_promises_without_a_page() -> None:
    """Arithmetic, together, alone, following, count-in, listeners, reconnecting, recordings: each a test there."""
    run_tests(PROGRAM, STATIC_DIR, count=TESTS)
