"""What an export of stems is made of: the tracks and markers of a job, and the room that they take. Pure, but for the
question how much room there is.
"""

import shutil
import tempfile
from collections.abc import Sequence

import msgspec

from omnisonic.studio.archives.file_names import LONGEST_PART_BYTES, safe_name
from omnisonic.studio.exports import DISK_FULL, CannotRender, RenderLater
from omnisonic.studio.exports.export_queue import MOST_STEMS, Job
from omnisonic.studio.exports.export_store import FALLBACK_NAME, STEMS_ENDING
from omnisonic.studio.exports.transfer import MOST_BYTES, stem_of
from omnisonic.studio.stems import Song, SongTrack
from omnisonic.studio.stems.exporter import scratch_and_output_bytes
from omnisonic.studio.uploads import StoredUpload


def select_tracks(stems: Sequence[StoredUpload]) -> list[StoredUpload]:
    """The tracks of a session in their order, muted ones as well: of each the take that is chosen.

    Raises:
        CannotRender: There are none, too many, or too large ones.
    """
    if not stems:
        raise CannotRender("There is nothing to export yet. Upload or record something first.")
    if len(stems) > MOST_STEMS:
        raise CannotRender(f"At most {MOST_STEMS} tracks can be exported. Remove some, then ask again.")
    if sum(stored.upload.file_size for stored in stems) > MOST_BYTES:
        raise CannotRender(
            f"The tracks are too large to be exported: at most {MOST_BYTES // 2**30} GB together. Remove some, then "
            "ask again."
        )
    return sorted(stems, key=lambda stored: (stored.upload.position, stored.upload.created_at, stored.upload.id))


def song_of(job: Job, tracks: Sequence[StoredUpload]) -> Song:
    """What the exporter is asked for."""
    export = job.export
    return Song(
        name=safe_name(export.file_name.removesuffix(STEMS_ENDING), FALLBACK_NAME, LONGEST_PART_BYTES),
        made_at=export.created_at,
        tempo_bpm=job.tempo_bpm,
        beats_per_bar=job.beats_per_bar,
        tracks=[_track_of(stored) for stored in tracks],
        markers=job.markers,
    )


def _track_of(stored: StoredUpload) -> SongTrack:
    """The track with its own name, not that of the file."""
    return SongTrack(msgspec.structs.replace(stem_of(stored), name=stored.upload.name), stored.upload.muted)


def check_room(tracks: Sequence[StoredUpload]) -> None:
    """Check that this machine has room for the files and the archive, as far as is known. Raises `RenderLater`."""
    uploads = [stored.upload for stored in tracks]
    duration_s = max(upload.offset_seconds + (upload.duration_seconds or 0.0) for upload in uploads)
    needed_bytes = sum(upload.file_size for upload in uploads)
    needed_bytes += scratch_and_output_bytes(duration_s, len(uploads))
    if shutil.disk_usage(tempfile.gettempdir()).free < needed_bytes:
        raise RenderLater(DISK_FULL)
