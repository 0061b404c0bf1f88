"""Names of files in archives, whatever people call their tracks."""

from pathlib import PureWindowsPath
from typing import Final

import pytest

from omnisonic.studio.archives.file_names import LONGEST_PART_BYTES, ending_of, numbered, safe_name

HOSTILE: Final = [
    "..", ".", "", " ", "\u202egpj.exe", "a/b", "a\\b", "C:", 'say "hi" <now>?*|', "line\nbreak\t", "nul",
    "COM¹.x", "aux .wav",
    "🎸" * 255, "x" * 255, "é" * 255, "e\u0301" * 255, "trailing. ", "\x00\x1f", "~", "-rf", "LEAD", "lead", "lead",
]  # fmt: skip


def test_names_of_tracks_are_names_of_files_everywhere() -> None:
    """No two are alike, none leaves its folder, means a device or a drive, or is too long; their order is theirs."""
    names = [f"{name}.wav" for name in numbered(HOSTILE, "Track")]
    assert len({name.casefold() for name in names}) == len(HOSTILE)
    assert sorted(names) == names
    for name in names:
        assert not set(name) & set('/\\:*?"<>|'), name
        assert name.isprintable(), name
        assert PureWindowsPath(name).name == name
        assert not PureWindowsPath(name).is_reserved(), name
        assert len(name.encode()) <= LONGEST_PART_BYTES + len("99 .wav"), name
        assert name.strip(" .") == name
    assert names[-2:] == ["23 lead.wav", "24 lead.wav"]
    assert numbered(["a"] * 100, "Track")[99] == "100 a"


@pytest.mark.parametrize(
    ("name", "safe"), [("nul", "_nul"), ("Con.demo", "_Con.demo"), ("console", "console"), ("…", "…")]
)
def test_a_name_without_a_number_is_no_device(name: str, safe: str) -> None:
    """Of a folder, or of a project."""
    assert safe_name(name, "Session") == safe


@pytest.mark.parametrize(
    ("file_name", "ending"),
    [
        ("take.WAV", ".wav"),
        ("v1.2 mix", ""),
        ("bass", ""),
        (".wav", ""),
        ("a.b.flac", ".flac"),
        ("a.\u202ewav", ""),
        ("x.", ""),
    ],
)
def test_only_what_looks_like_an_ending_is_one(file_name: str, ending: str) -> None:
    """In small letters."""
    assert ending_of(file_name) == ending
