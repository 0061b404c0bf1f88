"""DAWproject files, version 1.0: an open format for projects of any DAW (https://github.com/bitwig/dawproject). Pure.

A file is a zip with `project.xml` and `metadata.xml`, which follow the published schemas. The WAVs are beside it, not
in it, so they are not there twice. The format has no sections: a section is a marker at its beginning, and another at
its end unless something else begins there. It says nothing about pan laws, which differ between programs: in the
middle, a track with one channel is up to 3 dB louder in some than it is in the studio.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from omnisonic import __version__
from omnisonic.models import TEMPO_BPM
from omnisonic.models.names import without_controls
from omnisonic.studio.archives.zip_stream import MODE, dos_date
from omnisonic.studio.mixdown import RATE_HZ
from omnisonic.studio.stems import BEAT_UNIT, Arrangement, Song, TrackFile, decimal

ENDING: Final = ".dawproject"
APPLICATION: Final = "Omnisonic Studio"
LOUDEST: Final = 2.0
"""The highest factor of a fader, unless a track is louder: 6 dB."""
MASTER: Final = "master"

_NOT_XML: Final = re.compile("[\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 cannot have (2.2), besides control characters."""


def make_dawproject(arrangement: Arrangement) -> bytes:
    """The file with this project."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, root in ("metadata.xml", _metadata(arrangement.song)), ("project.xml", _project(arrangement)):
            info = zipfile.ZipInfo(name, dos_date(arrangement.song.made_at))
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, MODE
            archive.writestr(info, tostring(root, "UTF-8", xml_declaration=True))
    return file.getvalue()


def _text(name: str) -> str:
    return _NOT_XML.sub(" ", without_controls(name))


def _metadata(song: Song) -> Element:
    root = Element("MetaData")
    SubElement(root, "Title").text = _text(song.name)
    return root


def _project(arrangement: Arrangement) -> Element:
    song = arrangement.song
    root = Element("Project", version="1.0")
    SubElement(root, "Application", name=APPLICATION, version=__version__)
    transport = SubElement(root, "Transport")
    low, high = map(decimal, TEMPO_BPM)
    SubElement(
        transport, "Tempo", id="tempo", name="Tempo", unit="bpm", value=decimal(song.tempo_bpm), min=low, max=high
    )
    beats = str(song.beats_per_bar)
    SubElement(transport, "TimeSignature", id="meter", numerator=beats, denominator=str(BEAT_UNIT))
    structure = SubElement(root, "Structure")
    for number, file in enumerate(arrangement.files, 1):
        _add_track(structure, file, f"track{number}")
    master = SubElement(structure, "Track", id=MASTER, name="Master", contentType="audio", loaded="true")
    _add_channel(master, MASTER, role="master", channels=2, gain=1.0)
    _add_arrangement(root, arrangement)
    SubElement(root, "Scenes")
    return root


def _add_track(structure: Element, file: TrackFile, track: str) -> None:
    added = SubElement(structure, "Track", id=track, name=_text(file.name), contentType="audio", loaded="true")
    _add_channel(
        added, track, role="regular", channels=file.channels, gain=file.gain, pan=file.pan, is_muted=file.is_muted
    )


def _add_channel(
    parent: Element, track: str, *, role: str, channels: int, gain: float, pan: float = 0.0, is_muted: bool = False
) -> None:
    channel = SubElement(parent, "Channel", id=f"{track}-channel", role=role, audioChannels=str(channels), solo="false")
    if track != MASTER:
        channel.set("destination", f"{MASTER}-channel")
    SubElement(channel, "Mute", id=f"{track}-mute", name="Mute", value="true" if is_muted else "false")
    place = {"unit": "normalized", "min": "0", "max": "1", "value": decimal((pan + 1) / 2)}
    SubElement(channel, "Pan", place, id=f"{track}-pan", name="Pan")
    level = {"unit": "linear", "min": "0", "max": decimal(max(LOUDEST, gain)), "value": decimal(gain)}
    SubElement(channel, "Volume", level, id=f"{track}-volume", name="Volume")


def _add_arrangement(root: Element, arrangement: Arrangement) -> None:
    whole = SubElement(root, "Arrangement", id="arrangement")
    lanes = SubElement(whole, "Lanes", id="lanes", timeUnit="seconds")
    duration = decimal(arrangement.duration_s)
    for number, file in enumerate(arrangement.files, 1):
        lane = SubElement(lanes, "Lanes", id=f"track{number}-lane", track=f"track{number}")
        clips = SubElement(lane, "Clips", id=f"track{number}-clips")
        times = {"time": "0", "duration": duration, "contentTimeUnit": "seconds", "playStart": "0"}
        clip = SubElement(clips, "Clip", times, name=_text(file.name), playStop=duration)
        sound = {"channels": str(file.channels), "sampleRate": str(RATE_HZ), "duration": duration}
        audio = SubElement(clip, "Audio", sound, id=f"track{number}-audio", timeUnit="seconds")
        SubElement(audio, "File", path=file.file_name, external="true")
    if markers := list(_markers(arrangement.song)):
        timeline = SubElement(whole, "Markers", id="markers", timeUnit="beats")
        for name, beat in markers:
            SubElement(timeline, "Marker", name=_text(name), time=decimal(beat))


def _markers(song: Song) -> Iterator[tuple[str, float]]:
    beginnings = {marker.at_beat for marker in song.markers}
    marks = [(marker.at_beat, marker.name) for marker in song.markers]
    marks += [
        (marker.end_beat, f"{marker.name} (end)")
        for marker in song.markers
        if marker.end_beat is not None and marker.end_beat not in beginnings
    ]
    yield from ((name, beat) for beat, name in sorted(marks))
