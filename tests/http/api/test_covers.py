"""The waveform of an upload as a small picture (`omnisonic.http.api.covers`)."""

from xml.etree import ElementTree as ET

from omnisonic.http.api.covers import BARS, HEIGHT, draw_cover
from tests.http.api.test_uploads import brought
from tests.http.running import Web


def test_a_cover_is_drawn_once_there_are_peaks_and_kept(web: Web) -> None:
    """The loudest bar fills the height, whatever the level; silence is a line."""
    ada = web.sign_up("ada@example.com")
    path = f"/api/upload/{brought(ada)['id']}/cover"
    pending = ada.get(path)
    assert (pending.status_code, pending.json()["code"]) == (409, "peaks_pending")
    set_peaks = "UPDATE uploads SET peaks = $1, sample_rate = 48000, duration_seconds = 1, analysis_due_at = NULL"
    web.do(web.database.row(set_peaks, bytes([10, 20, 40] * 100)))
    answer = ada.get(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    (drawn,) = ET.fromstring(answer.text)
    assert drawn.attrib["d"].count("M") == BARS
    assert f"v{HEIGHT}" in drawn.attrib["d"]
    assert draw_cover([0.0, 0.0]).count("v2") == 2
    assert "M" not in draw_cover([])
