"""`python -m omnisonic.studio.media.identification < HEAD`: prints the format of a file as JSON, or `null`.

`HEAD` is the beginning of the file. The format is FFmpeg's name of a container whose sound can be decoded. Like
`omnisonic.studio.media.probe`, with lower limits: only the beginning is decoded.
"""

from contextlib import closing
from itertools import islice
from typing import BinaryIO, Final

from av.error import FFmpegError

from omnisonic.process.sandbox import Limits
from omnisonic.studio.media.decoding import Decoder, NoSound
from omnisonic.studio.media.sandboxed_process import print_sandboxed

LIMITS: Final = Limits(cpu_s=5, memory_bytes=536_870_912, descriptors=16, written_bytes=0)
BARE: Final = ("aac", "ac3", "eac3", "mp3")
"""Formats of packets without a header: a few bytes of anything may look like one."""
STREAMS: Final = ("mpeg", "mpegts")
"""Formats with hardly any header."""
CERTAIN_FRAMES: Final = 5
"""So many faultless frames in a row are no coincidence; in a bare format, from the first byte on."""


def identify(head: BinaryIO) -> str | None:
    """The format of the file that begins with `head`; None when no sound in it can be decoded."""
    try:
        with closing(Decoder(head)) as decoder:
            has_header = decoder.format not in (*BARE, *STREAMS)
            wanted = 1 if has_header else CERTAIN_FRAMES
            if sum(1 for _ in islice(decoder.frames(), wanted)) < wanted:
                return None
            is_whole = decoder.undecodable == 0 and (decoder.format not in BARE or decoder.begins_at == 0)
            return decoder.format if has_header or is_whole else None
    except (NoSound, FFmpegError, ValueError, MemoryError):
        return None


if __name__ == "__main__":
    print_sandboxed(identify, LIMITS)
