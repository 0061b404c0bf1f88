"""What the sound engine computes, in Node and without a browser (`pure_cases.mjs`)."""

import json
import subprocess
from pathlib import Path
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import DEADLINE_S, NODE, needs_node

pytestmark = needs_node

CASES: Final = Path(__file__).with_name("pure_cases.mjs")


def test_places_fades_clicks_clocks_and_segments_are_right() -> None:
    """Each case is a sentence in the program; what is wrong is printed with it."""
    ended = subprocess.run(
        [*NODE, "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", str(CASES), (STATIC_DIR / "sound").as_uri()],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found
    assert {name: error for name, error in found.items() if error is not None} == {}
