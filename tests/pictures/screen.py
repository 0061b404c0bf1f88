"""A recording of a page: the pictures that Chromium shows, in an MP4 (H.264) at a steady rate."""

import base64
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import av.video
from av.video.frame import PictureType
from av.video.reformatter import ColorRange
from playwright.sync_api import Page

RATE: Final = 15
"""Pictures a second."""
QUALITY: Final = {"crf": "27", "preset": "fast"}
LONGEST_GAP: Final = 150
"""Pictures between two that stand for themselves. A player can seek to those."""


@dataclass
class Screen:
    """What a page has shown. `pictures` are pairs of a time in seconds and a JPEG."""

    width: int
    height: int
    pictures: list[tuple[float, bytes]] = field(default_factory=list)
    begun_s: float = field(default_factory=time.time)
    ended_s: float = 0.0

    def write(self, path: Path) -> None:
        """Write all of it. A picture stays until the next one."""
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as file:
            stream = file.add_stream("libx264", rate=RATE, options=QUALITY)
            assert isinstance(stream, av.video.VideoStream)
            stream.width, stream.height, stream.pix_fmt = self.width, self.height, "yuv420p"
            stream.codec_context.gop_size = LONGEST_GAP
            for number, frame in enumerate(self._frames()):
                frame.pts, frame.time_base = number, Fraction(1, RATE)
                file.mux(stream.encode(frame))
            file.mux(stream.encode())

    def _frames(self) -> Iterator[av.VideoFrame]:
        pictures = iter([*self.pictures, (float("inf"), b"")])
        shown, coming = b"", next(pictures)
        for number in range(round((self.ended_s - self.begun_s) * RATE)):
            new = shown
            while coming[0] <= self.begun_s + number / RATE:
                new, coming = coming[1], next(pictures)
            shown = new or self.pictures[0][1]
            with av.open(io.BytesIO(shown), "r", format="jpeg_pipe") as file:
                frame = next(file.decode(video=0))
            frame = frame.reformat(
                self.width, self.height, "yuv420p", src_color_range=ColorRange.JPEG, dst_color_range=ColorRange.MPEG
            )
            # Otherwise each would be stored whole, as a JPEG is.
            frame.pict_type = PictureType.NONE
            yield frame


@contextmanager
def recorded(page: Page) -> Iterator[Screen]:
    """Record the page until the block ends. Wait in the block by `page.wait_for_timeout`, never by `time.sleep`."""
    size = page.viewport_size
    assert size is not None
    screen = Screen(size["width"], size["height"])
    devtools = page.context.new_cdp_session(page)

    def shown(event: dict[str, Any]) -> None:
        screen.pictures.append((event["metadata"]["timestamp"], base64.b64decode(event["data"])))
        devtools.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    devtools.on("Page.screencastFrame", shown)
    devtools.send("Page.startScreencast", {"format": "jpeg", "quality": 92, "everyNthFrame": 2})
    yield screen
    screen.ended_s = time.time()
    devtools.remove_listener("Page.screencastFrame", shown)
    devtools.send("Page.stopScreencast")
    devtools.detach()
