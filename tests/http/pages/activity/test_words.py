"""The words for what happens to tracks and markers: `http/static/panels/activity_words.js`, read by Node."""

import json
import subprocess
from typing import Final

from omnisonic.http.core.static_files import STATIC_DIR
from tests.client_js.programs import DEADLINE_S, NODE, needs_node

pytestmark = needs_node

PROGRAM: Final = """
const [words, events] = process.argv.slice(-2);
const { inWords } = await import(words);
const about = { kind: "upload.changed", subjectName: "Bass" };
console.log(JSON.stringify(JSON.parse(events).map((event) => inWords({ ...about, ...event }))));
"""
MARKER: Final = {"kind": "marker.changed", "subjectName": "Verse", "field": "place"}
EVENTS: Final = {
    "renamed a track from “Bass” to “Low end”": {"field": "name", "before": "Bass", "after": "Low end"},
    "moved Bass up": {"field": "position", "before": 4, "after": 1.5},
    "moved Bass back down": {"field": "position", "before": 1.5, "after": 4, "undoes": "e"},
    "made Bass a track of its own": {"field": "takeOf", "subjectId": "u", "before": "t", "after": "u"},
    "moved a take to the track Bass": {"field": "takeOf", "subjectId": "u", "before": "u", "after": "t"},
    "chose another take of Bass": {"field": "chosen", "before": "u", "after": "v"},
    "went back to the take of Bass before": {"field": "chosen", "before": "v", "after": "u", "undoes": "e"},
    "chose another take of Bass and went back": {"field": "chosen", "before": "u", "after": "u"},
    "trimmed the beginning of Bass from 0 s to 1.5 s": {"field": "trimStartSeconds", "before": 0, "after": 1.5},
    "trimmed the end of Bass from 0 s to 2 s": {"field": "trimEndSeconds", "before": 0, "after": 2},
    "set the fade-in of Bass back from 2 s to 0 s": {"field": "fadeInSeconds", "before": 2, "after": 0, "undoes": "e"},
    "set the fade-out of Bass from 0 s to 2 s": {"field": "fadeOutSeconds", "before": 0, "after": 2},
    "renamed a marker from “Verse” to “Chorus”": MARKER | {"field": "name", "before": "Verse", "after": "Chorus"},
    "moved the marker Verse from beat 17 to beats 33\N{EN DASH}65": MARKER | {"before": [16], "after": [32, 64]},
    "moved the marker Verse back from beats 33\N{EN DASH}65 to beat 17": MARKER
    | {"before": [32, 64], "after": [16], "undoes": "e"},
    "moved the marker Verse away from beat 17 and back": MARKER | {"before": [16], "after": [16]},
}


def test_what_happens_to_tracks_and_markers_has_words() -> None:
    """Each field of a track, of a clip and of a marker, and how it sounds when it is undone."""
    words = (STATIC_DIR / "panels" / "activity_words.js").as_uri()
    options = "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "--input-type=module", "--eval", PROGRAM
    ended = subprocess.run(
        [*NODE, *options, words, json.dumps(list(EVENTS.values()))],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == list(EVENTS)
