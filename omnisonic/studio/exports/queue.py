"""The exports that wait to be made, as a worker sees them. Adapter: `omnisonic.studio.exports.export_queue`.

A job is taken under a lease, which its worker renews; when that ends, others may take it, and what the first one makes
of it then counts for nothing: exactly one of them completes it. So a worker may be killed at any moment. What fails for
a while is tried again, each time later; what failed `TRIES` times, or for good, has failed.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol

import msgspec

from omnisonic.models import Export, Upload
from omnisonic.observability.trace_context import Trace
from omnisonic.stores.storage import Key
from omnisonic.studio.uploads import StoredUpload

LEASE_S: Final = 20.0
"""How long a job belongs to its worker from the last beat on."""
BEAT_S: Final = 4.0
"""The time between two beats: a few of them may fail."""
TRIES: Final = 5
BACKOFF_S: Final = (2.0, 10.0, 30.0, 120.0)
"""How long a job waits after each failure."""
MOST_STEMS: Final = 200
"""As many as can be mixed: each is an open file."""
CRASHED: Final = "Making this mixdown failed again and again. Tell whoever runs the studio."
"""Why a job has failed whose workers died of it."""


class Job(msgspec.Struct, frozen=True):
    """An export to be made, under the lease `lease`: how the session is now, and its files with how they are mixed.

    `stems` are what may hold sound, oldest first but for those that are muted, which come last; of more than
    `MOST_STEMS` there is one more than that. `trace` is the trace in which it was asked for.
    """

    export: Export
    lease: str
    tempo_bpm: float
    beats_per_bar: int
    stems: list[StoredUpload]
    trace: Trace | None = None


class Finished(msgspec.Struct, frozen=True):
    """What was put: `key`, its size in bytes and SHA-256 in hexadecimal, and what was measured (as `Export` has it)."""

    key: Key
    file_size: int
    sha256: str
    duration_seconds: float
    loudness_lufs: float | None
    peak_dbfs: float | None
    warning: str | None = None


class ExportQueue(Protocol):
    """Errors: every method may raise `Unavailable`. Several workers may use it at once."""

    async def take(self) -> Job | Export | None:
        """The next job in turn, from now on the caller's; None when none waits. Users take turns.

        An `Export` is one that has just failed, because too many of its workers died: tell its room, and ask again.
        """
        ...

    async def waiting(self) -> int:
        """How many could be taken now."""
        ...

    async def beat(self, job: Job, progress: int) -> bool:
        """Renew the lease, and note the progress. False when the job is not the caller's any more, or was removed."""
        ...

    async def gone(self, job: Job, stems: Sequence[Upload]) -> Upload | None:
        """The first of these stems that is not in the job's session any more."""
        ...

    async def note(self, key: Key) -> None:
        """Note `key` as loose, before anything is put there."""
        ...

    async def abandon(self, key: Key) -> bool:
        """Give the object `key` up, put or not: it is loose, and due now. False when it is an export's after all."""
        ...

    async def complete(self, job: Job, finished: Finished) -> Export | None:
        """The export is made: its file is loose no more. None when the job is not the caller's any more.

        It may be said again when it is not known whether it was heard; so may `postpone` and `fail`.
        Errors: `NoSuchObject` when the key was not loose any more, for that took too long: put it anew.
        """
        ...

    async def postpone(self, job: Job, reason: str) -> Export | None:
        """It did not work this time: it is tried again later, or, when it was tried too often, has failed for `reason`.

        `reason` is a sentence for musicians. The export as it is now; None when the job is not the caller's any more.
        """
        ...

    async def fail(self, job: Job, reason: str) -> Export | None:
        """It cannot be made, for `reason`, a sentence for musicians. As above."""
        ...

    async def release(self, job: Job, after_s: float = 0.0) -> None:
        """Let it be taken again, `after_s` from now, without counting this as a try: nobody could have made it now."""
        ...

    async def drop_old(self, older_than: timedelta, limit: int) -> int:
        """Delete some of the exports that are over and older, oldest first; how many. Their files are due."""
        ...
