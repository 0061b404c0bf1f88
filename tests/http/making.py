"""A worker that makes exports of what the test says they are, beside a running web, on the same rows and storage."""

import hashlib
from collections.abc import AsyncIterator
from typing import Final
from uuid import uuid4

from omnisonic.models import Export
from omnisonic.stores.storage import Label
from omnisonic.studio.exports import MEDIA_TYPES
from omnisonic.studio.exports.export_queue import ExportQueue, Finished, Job
from omnisonic.studio.uploads.garbage_collector import GarbageCollector
from tests.http.running import Web

SOUND: Final = b"RIFF a mixdown of the tests, as good as any"
LENGTH_S: Final = 12.5
LOUDNESS_LUFS: Final = -14.2
PEAK_DBFS: Final = -1.0


def taken(web: Web) -> Job:
    """The export that has waited longest, in the worker's hands."""
    job = web.do(ExportQueue(web.database).take())
    assert isinstance(job, Job), job
    return job


def make(web: Web, content: bytes = SOUND, *, job: Job | None = None, warning: str | None = None) -> Export | None:
    """The export that has waited longest, or that of `job`, once it is made of `content`; None when it was given up.

    `warning` is what is missing in it.
    """
    return web.do(_run_job(web, job or taken(web), content, warning))


def fail(web: Web, reason: str) -> Export:
    """The export that has waited longest, once it has failed for that reason."""
    failed = web.do(ExportQueue(web.database).fail(taken(web), reason))
    assert failed is not None
    return failed


async def _run_job(web: Web, job: Job, content: bytes, warning: str | None) -> Export | None:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    queue, key = ExportQueue(web.database), f"exports/{uuid4()}"
    await queue.note(key)
    label = Label(MEDIA_TYPES[job.export.format], job.export.file_name)
    await web.stores.storage.put(key, chunks(), label)
    digest = hashlib.sha256(content).hexdigest()
    finished = Finished(key, len(content), digest, LENGTH_S, LOUDNESS_LUFS, PEAK_DBFS, warning)
    made = await queue.complete(job, finished)
    if made is None and await queue.abandon(key):
        await GarbageCollector(web.stores.retention, web.stores.storage).collect([key])
    return made
