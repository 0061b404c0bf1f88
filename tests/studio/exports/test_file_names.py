"""What exports are called: after their session, and so that every system takes it."""

import pytest

from omnisonic.studio.archives.file_names import LONGEST_NAME_BYTES
from omnisonic.studio.exports.export_store import FALLBACK_NAME, file_name_of
from omnisonic.studio.uploads import checked_file_name


@pytest.mark.parametrize(
    ("session", "file_name"),
    [
        ("Night jam", "Night jam.wav"),
        ("Bø's 夜 🎸", "Bø's 夜 🎸.wav"),
        ("AC/DC", "AC-DC.wav"),
        ("../../etc/passwd", "-..-etc-passwd.wav"),
        ('C:\\mix "1"?*', "C-mix -1-.wav"),
        ("a\x00b\r\nc\u202ed", "a b c d.wav"),
        ("...", f"{FALLBACK_NAME}.wav"),
        ("/", f"{FALLBACK_NAME}.wav"),
        ("\u2028", f"{FALLBACK_NAME}.wav"),
        ("", f"{FALLBACK_NAME}.wav"),
        ("v1.", "v1.wav"),
        ("con", "_con.wav"),
        ("LPT1.demo", "_LPT1.demo.wav"),
    ],
)
def test_an_export_is_called_after_its_session(session: str, file_name: str) -> None:
    """But for what means something to a file system, and what cannot be seen."""
    assert file_name_of(session, "wav") == file_name


@pytest.mark.parametrize("letter", ["a", "é", "夜", "🎸"])
def test_a_long_name_is_cut_between_letters(letter: str) -> None:
    """To what file systems take, which count bytes."""
    name = file_name_of(letter * 120, "flac")
    assert name.endswith(f"{letter}.flac")
    assert LONGEST_NAME_BYTES - 4 < len(name.encode()) - len(".flac") <= LONGEST_NAME_BYTES or letter == "a"
    assert checked_file_name(name) == name
