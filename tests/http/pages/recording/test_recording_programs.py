"""The panel that records, and the way of a recording to the studio, in Node and without a page."""

from pathlib import Path
from typing import Final

import pytest

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import needs_node, run_tests

pytestmark = needs_node

FOLDER: Final = Path(__file__).parent


PROGRAMS: Final = [
    ("recording.test.mjs", 8),
    ("refused.test.mjs", 7),
    ("microphone.test.mjs", 22),
    ("headphones.test.mjs", 6),
    ("strip.test.mjs", 3),
    ("keeping.test.mjs", 5),
]
"""How many tests each has."""


@pytest.mark.parametrize(("program", "tests"), PROGRAMS)
def test_a_recording_can_always_be_ended_and_is_kept_until_the_studio_has_it(program: str, tests: int) -> None:
    """Whatever is still waited for, and whatever is removed or full meanwhile: each a test in the program."""
    run_tests(FOLDER / program, STATIC_DIR, count=tests)
