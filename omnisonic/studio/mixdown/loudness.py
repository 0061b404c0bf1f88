"""How loud the mix is on the whole (ITU-R BS.1770-5, as EBU R 128 has it), measured while it goes by. Blocking.

By FFmpeg's own filter: it measures three minutes in a seventh of a second, without holding up other threads, and
loading scipy alone, for the same two filters, takes longer than that.
"""

from typing import Final

import av
import av.error
from av.filter import Graph

from omnisonic.studio.mixdown import RATE_HZ
from omnisonic.studio.mixdown.blocks import Samples

QUIETEST_LUFS: Final = -70.0
"""The absolute gate: what is no louder than this does not count, so that there is nothing to be measured."""
INTEGRATED: Final = "lavfi.r128.I"


class LoudnessMeter:
    """Takes the mix in blocks of two rows. One task owns it."""

    def __init__(self) -> None:
        graph = Graph()
        self._begin = graph.add_abuffer(sample_rate=RATE_HZ, format="fltp", layout="stereo")
        # A frame of a tenth of a second comes out for each that went in, and says how loud it was so far.
        self._end = graph.add("abuffersink")
        graph.link_nodes(self._begin, graph.add("ebur128", "metadata=1:framelog=quiet"), self._end).configure()
        self._graph = graph
        self._lufs = QUIETEST_LUFS

    def go_on(self, block: Samples) -> None:
        """The mix goes on with this."""
        if not block.shape[1]:
            return
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate = RATE_HZ
        self._begin.push(frame)
        last = None
        while True:
            try:
                last = self._end.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                break
        if last is not None:
            self._lufs = float(last.metadata.get(INTEGRATED, self._lufs))

    @property
    def lufs(self) -> float | None:
        """The integrated loudness so far; None when it was too quiet or too short to have one."""
        return self._lufs if self._lufs > QUIETEST_LUFS else None
