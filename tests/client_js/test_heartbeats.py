"""When a connection counts as lost, by a clock of the tests, in Node (`heartbeats.test.mjs`)."""

from pathlib import Path
from typing import Final

from tests.client_js.programs import MODULE, needs_node, run_tests

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("heartbeats.test.mjs")
TESTS: Final = 6


def test_a_connection_is_lost_when_nothing_arrives_and_only_then() -> None:
    """Overlapping heartbeats, moves, silence and a program that stood still: each a test in the program."""
    run_tests(PROGRAM, MODULE, count=TESTS)
