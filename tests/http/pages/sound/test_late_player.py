"""The player that is loaded later, and the presses that let its sound out, in Node (`late_player.test.mjs`)."""

from pathlib import Path
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import needs_node, run_tests

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("late_player.test.mjs")
TESTS: Final = 4


def test_sound_is_let_out_by_a_press_and_loaded_again_when_it_has_failed() -> None:
    """What some browsers want of a press, and what a bad connection does: each a test in the program."""
    run_tests(PROGRAM, STATIC_DIR, count=TESTS)
