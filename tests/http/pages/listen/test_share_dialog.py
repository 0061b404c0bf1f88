"""The dialog of the links to a mixdown, in Node and without a page (`share.test.mjs`)."""

from pathlib import Path
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import needs_node, run_tests

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("share.test.mjs")
TESTS: Final = 6


def test_a_link_is_only_shown_with_its_own_mixdown() -> None:
    """However late it comes, and also when it is refused; one press makes one: each a test in the program."""
    run_tests(PROGRAM, STATIC_DIR, count=TESTS)
