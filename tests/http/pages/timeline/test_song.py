"""The model behind the timeline, in Node and without a page (`song.test.mjs`)."""

from pathlib import Path
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import needs_node, run_tests

pytestmark = needs_node

PROGRAM: Final = Path(__file__).with_name("song.test.mjs")


def test_the_song_keeps_its_promises_without_a_page() -> None:
    """Optimistic changes, refusals, order, takes, undo, geometry and words: each a test of its own in the program."""
    run_tests(PROGRAM, STATIC_DIR, count=26)
