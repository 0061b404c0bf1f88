"""The colours of the page are legible: WCAG 2.2 AA (1.4.3, 1.4.11), measured on the stylesheet itself."""

import re
from typing import Final

import pytest

from omnisonic.http.core.static_files import STATIC_DIR

TEXT: Final = 4.5
GRAPHIC: Final = 3.0
ON_MEMBERS: Final = "#14120f"

STYLE: Final = (STATIC_DIR / "studio.css").read_text()
COLOURS: Final = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", STYLE[: STYLE.index("@media")]))
LIGHT: Final = COLOURS | dict(
    re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", STYLE[STYLE.index("@media") : STYLE.index(".colour-0")])
)
MEMBERS: Final = re.findall(r"--member: (#[0-9a-f]{6})", STYLE)


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG defines it."""
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [COLOURS, LIGHT], ids=["dark", "light"])
def test_words_and_edges_can_be_seen(scheme: dict[str, str]) -> None:
    """Ink, quiet words and faults on every ground; edges of controls and live lamps beside what is around them."""
    grounds = [scheme[name] for name in ("ground", "panel", "raised")]
    for name in ("ink", "quiet", "fault"):
        assert min(contrast(scheme[name], ground) for ground in grounds) >= TEXT, name
    for name in ("edge", "live"):
        assert min(contrast(scheme[name], ground) for ground in grounds[:2]) >= GRAPHIC, name


def test_initials_can_be_read_on_every_member_colour() -> None:
    """Ten colours, all different, all light enough for dark letters."""
    assert len(set(MEMBERS)) == 10
    assert min(contrast(colour, ON_MEMBERS) for colour in MEMBERS) >= TEXT
