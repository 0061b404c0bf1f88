"""The sound of a share link's page, in Node and without a page (`deck.test.mjs`)."""

from pathlib import Path
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import needs_node, run_tests

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("deck.test.mjs")
TESTS: Final = 4


def test_a_file_that_is_replaced_plays_on_only_if_it_played() -> None:
    """At the place that was asked for: each a test in the program."""
    run_tests(PROGRAM, STATIC_DIR, count=TESTS)
