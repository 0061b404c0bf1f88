"""The projects that place the stems: a DAWproject that its published schema accepts, and one that a reader of Reaper's
files reads. Neither the schemas nor the reader are ours.
"""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import rpp  # type: ignore[import-untyped]
from lxml import etree  # type: ignore[import-untyped]

from omnisonic.studio.mixdown import RATE_HZ, Stem
from omnisonic.studio.stems import Arrangement, Song, SongMarker, SongTrack, TrackFile
from omnisonic.studio.stems.dawproject import make_dawproject
from omnisonic.studio.stems.reaper import make_rpp

SCHEMAS: Final = Path(__file__).with_name("dawproject")
HOSTILE: Final = """<Bass> & "bo's" `take`\n\x00]]> ' 🎸 \ufffe"""
FRAMES: Final = 3 * RATE_HZ


def arrangement_of(*files: TrackFile, markers: list[SongMarker] | None = None, beats: int = 7) -> Arrangement:
    tracks = [SongTrack(Stem(file.name)) for file in files]
    song = Song("Night jam", datetime(2026, 3, 4, tzinfo=UTC), 93.5, beats, tracks, markers or [])
    return Arrangement(song, list(files), FRAMES)


def dawproject_of(arrangement: Arrangement) -> Any:
    """Its XML, once the published schemas have accepted it."""
    with zipfile.ZipFile(io.BytesIO(make_dawproject(arrangement))) as archive:
        assert archive.testzip() is None
        roots = {name: etree.fromstring(archive.read(name)) for name in archive.namelist()}
    for name, schema in ("project.xml", "Project.xsd"), ("metadata.xml", "MetaData.xsd"):
        etree.XMLSchema(etree.parse(str(SCHEMAS / schema))).assertValid(roots[name])
    return roots["project.xml"]


ARRANGEMENT: Final = arrangement_of(
    TrackFile("Lead", "01 Lead.wav", 1, 0.5, -1.0, is_muted=False),
    TrackFile(HOSTILE, "02 -Bass- & 'bo' `take` 🎸.wav", 2, 3.25, 0.25, is_muted=True),
    markers=[
        SongMarker(HOSTILE, 0.0),
        SongMarker("Verse", 7.0, 14.0),
        SongMarker("Chorus", 14.0, 28.5),
    ],
)


def test_a_dawproject_is_as_its_schema_wants_it() -> None:
    """Tempo, meter, tracks in their order with fader, pan and mute, the files beside it from bar 1 on, markers."""
    root = dawproject_of(ARRANGEMENT)
    assert (root.find("Transport/Tempo").get("value"), root.find("Transport/Tempo").get("unit")) == ("93.5", "bpm")
    assert root.find("Transport/TimeSignature").attrib["numerator"] == "7"
    lead, bass, master = root.findall("Structure/Track")
    assert (lead.get("name"), master.find("Channel").get("role")) == ("Lead", "master")
    assert bass.get("name") == """<Bass> & "bo's" `take` ]]> ' 🎸  """
    values = [
        [track.find(f"Channel/{name}").get("value") for name in ("Mute", "Pan", "Volume")] for track in (lead, bass)
    ]
    assert values == [["false", "0", "0.5"], ["true", "0.625", "3.25"]]
    assert [track.find("Channel").get("audioChannels") for track in (lead, bass)] == ["1", "2"]
    lanes = root.findall("Arrangement/Lanes/Lanes")
    assert [lane.get("track") for lane in lanes] == [lead.get("id"), bass.get("id")]
    for lane, file in zip(lanes, ARRANGEMENT.files, strict=True):
        (clip,) = lane.findall("Clips/Clip")
        assert (float(clip.get("time")), float(clip.get("duration")), float(clip.get("playStart"))) == (0, 3, 0)
        assert dict(clip.find("Audio/File").attrib) == {"path": file.file_name, "external": "true"}
    marks = [(float(mark.get("time")), mark.get("name")) for mark in root.findall("Arrangement/Markers/Marker")]
    assert marks[1:] == [(7.0, "Verse"), (14.0, "Chorus"), (28.5, "Chorus (end)")]


def test_a_reaper_project_says_the_same() -> None:
    """Read by a library of its own. Places are in seconds, and a section is a region."""
    root = rpp.loads(make_rpp(ARRANGEMENT).decode())
    assert root.tag == "REAPER_PROJECT"
    assert root.find("TEMPO") == ["TEMPO", "93.5", "7", "4"]
    lead, bass = root.findall("TRACK")
    assert [lead.find("NAME")[1], lead.find("VOLPAN")[1:3], lead.find("MUTESOLO")[1]] == ["Lead", ["0.5", "-1"], "0"]
    assert [bass.find("VOLPAN")[1:3], bass.find("MUTESOLO")[1]] == [["3.25", "0.25"], "1"]
    assert bass.find("NAME")[1].startswith("<Bass> & \"bo's\" 'take' ")  # there is no mark left to quote it with
    laws = [float(track.find("VOLPAN")[3]) for track in (lead, bass)]
    assert laws == pytest.approx([2**-0.5, 2**0.5])
    for track, file in zip((lead, bass), ARRANGEMENT.files, strict=True):
        item = track.find("ITEM")
        assert [item.find("POSITION")[1], item.find("LENGTH")[1]] == ["0", "3"]
        assert item.find("SOURCE").find("FILE")[1] == file.file_name
    found = [(int(number), name, int(is_region)) for _, number, _, name, is_region in root.findall("MARKER")]
    assert found[1:] == [(2, "Verse", 1), (2, "", 1), (3, "Chorus", 1), (3, "", 1)]
    at_s = [float(at_s) for _, _, at_s, _, _ in root.findall("MARKER")]
    assert at_s == pytest.approx([beat * 60 / 93.5 for beat in (0, 7, 14, 14, 28.5)])


def test_a_song_without_markers_has_none() -> None:
    """The schema wants at least one in a list of them."""
    arrangement = arrangement_of(TrackFile("Lead", "01 Lead.wav", 2, 1.0, 0.0, is_muted=False))
    assert dawproject_of(arrangement).find("Arrangement/Markers") is None
    assert rpp.loads(make_rpp(arrangement).decode()).find("MARKER") is None
