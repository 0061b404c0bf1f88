"""The uploads that wait to be listened to, and what was heard. Adapter: `omnisonic.studio.uploads.analysis_queue`.

Several workers may take at once: each gets another upload. Crash: what was taken and not done is taken again after
`LEASE_S`, `TRIES` times in all; then it counts as having no sound.
"""

from typing import Final, Protocol

import msgspec

from omnisonic.models import Upload
from omnisonic.studio.uploads import Peaks, StoredUpload

LEASE_S: Final = 300
TRIES: Final = 3


class Analysis(msgspec.Struct, frozen=True):
    """What is in a file: its sound in all, the number of channels, and the waveform. `warning`: a sentence on what of
    it is missing.
    """

    channels: int
    peaks: Peaks
    warning: str | None = None


class AnalysisQueue(Protocol):
    """Errors: every method may raise `Unavailable`."""

    async def take(self) -> StoredUpload | None:
        """The next upload in turn, for the caller to listen to; None when none waits. Users take turns."""
        ...

    async def finish(self, upload: Upload, heard: Analysis | None) -> Upload | None:
        """Keep what was heard, None for no sound. The upload as it is now; None when it was removed meanwhile."""
        ...
