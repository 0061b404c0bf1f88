"""What is scheduled when somebody plays, seeks, stops and counts in: in Node, without a page (`playing.test.mjs`)."""

from pathlib import Path
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import needs_node, run_tests

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("playing.test.mjs")
TESTS: Final = 16


def test_what_is_heard_begins_with_its_first_sample_and_ends_when_it_is_to() -> None:
    """Whatever the latency of the device, at the first press and later: each a test in the program."""
    run_tests(PROGRAM, STATIC_DIR, count=TESTS)
