"""When a connection counts as lost, by a clock of the tests, in Node (`heartbeats.test.mjs`)."""

import subprocess
from pathlib import Path
from typing import Final

from tests.client_js.programs import MODULE, NODE, needs_node

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("heartbeats.test.mjs")
DEADLINE_S: Final = 60.0
TESTS: Final = 6


def test_a_connection_is_lost_when_nothing_arrives_and_only_then() -> None:
    """Overlapping heartbeats, moves, silence and a program that stood still: each a test in the program."""
    ended = subprocess.run(
        [*NODE, "--test-reporter=tap", str(PROGRAM), str(MODULE)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"# pass {TESTS}" in ended.stdout, ended.stdout
