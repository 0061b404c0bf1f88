"""The worker by itself: a real process, which listens, tells and tidies."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec
import pytest

from omnisonic.identity.logins import login_id
from omnisonic.identity.webhook_secrets import make_webhook_secret
from omnisonic.models import LoginId, Upload
from omnisonic.stores.bus import ROOM_EVENTS, Delivery
from omnisonic.stores.bus.events import RoomSaid, decode
from omnisonic.stores.bus.valkey import ValkeyBus
from omnisonic.stores.database.pool import Database
from omnisonic.stores.storage.local import LocalStorage
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.sessions.postgres import PostgresSessions
from omnisonic.studio.uploads import ReceivedFile
from omnisonic.studio.uploads.peaks import DEFAULT_POINTS
from omnisonic.studio.uploads.upload_store import UploadStore
from omnisonic.studio.webhooks import EVENT_TYPES, RoomEvent
from omnisonic.studio.webhooks.event_queue import PostgresRoomEvents
from omnisonic.studio.webhooks.webhook_store import WebhookStore
from tests.cli.running import START_S, eventually, running
from tests.cli.webhook_receiver import Receiver
from tests.postgres_server import PATIENT, blocking
from tests.studio.media.recordings import tone
from tests.valkey_server import ValkeyServer

NO_REDIS: Final = "redis://127.0.0.1:1"
"""Where none is."""
SECRET: Final = "a signing secret of this test's own"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_worker_works_until_it_is_told_to_stop(how: signal.Signals, database_url: str) -> None:
    """Exit code 0, and no word of complaint, although nobody could be told anything now."""
    with running("worker", DATABASE_URL=database_url, REDIS_URL=NO_REDIS) as worker:
        worker.printed("^At work\\.$")
        assert worker.stop(how) == 0
        assert worker.lines == ["At work."]


def test_the_worker_goes_to_work_while_its_database_is_away() -> None:
    """It says so, without the passwords, and tries again."""
    with running(
        "worker", DATABASE_URL="postgresql://me:canary@127.0.0.1:1/x", REDIS_URL="redis://:canary@127.0.0.1:1"
    ) as worker:
        worker.printed("housekeeping.postponed")
        worker.printed("analysis.postponed")
        worker.printed("export.postponed")
        assert worker.stop() == 0
        assert "canary" not in "".join(worker.lines)


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    """All of it at once."""
    yield data


async def uploaded(database: Database, folder: Path, data: bytes) -> tuple[LoginId, Upload]:
    """Somebody, and what they have just uploaded into their session."""
    accounts, uploads, storage = AccountStore(database), UploadStore(database), LocalStorage(folder)
    login = login_id(await accounts.open_login(await accounts.register("ada@example.com", "x")))
    session = await PostgresSessions(database).create(login, "Jam")
    upload = str(uuid4())
    key = f"uploads/{upload}"
    await uploads.begin(login, key, session=session.id, size=len(data))
    await storage.put(key, chunks(data))
    await storage.aclose()
    received = ReceivedFile("a.flac", len(data), "audio/x-flac", "00")
    return login, await uploads.commit(login, upload, key, received, session=session.id)


async def queued_for(database: Database, url: str) -> None:
    """An event that waits for a webhook at this address."""
    made = make_webhook_secret(SECRET)
    await WebhookStore(database).add(url, None, EVENT_TYPES, made)
    await PostgresRoomEvents(database).queue([RoomEvent(uuid4(), "room.opened", "jam", '{"type":"room.opened"}')])


def test_the_worker_listens_and_tells_the_room(
    database_url: str, valkey: ValkeyServer, tmp_path: Path, receiver: Receiver
) -> None:
    """Within moments; then the waveform can be fetched. What waits for a webhook is delivered."""

    async def run() -> None:
        database, bus = Database(database_url, deadlines=PATIENT), ValkeyBus(valkey.url)
        await database.open()
        try:
            async with asyncio.timeout(START_S), bus.subscribe(ROOM_EVENTS) as messages:
                await queued_for(database, receiver.url)
                login, upload = await uploaded(database, tmp_path, tone("flac", "flac", seconds=2))
                delivery = await anext(messages)
                assert isinstance(delivery, Delivery)
                said = decode(delivery.data)
                assert isinstance(said, RoomSaid)
                assert (said.room, said.type) == (upload.session_id, "upload.changed")
                changed = msgspec.json.decode(said.payload, type=Upload)
                assert (changed.id, changed.channels, changed.duration_seconds) == (upload.id, 2, 2.0)
                peaks = await UploadStore(database).peaks(login, upload.id)
                assert len(peaks.peaks) == DEFAULT_POINTS
        finally:
            await bus.aclose()
            await database.aclose()

    environment = {"DATABASE_URL": database_url, "REDIS_URL": valkey.url, "STORAGE_LOCAL_DIR": str(tmp_path)}
    with running("worker", NEXTAUTH_SECRET=SECRET, **environment) as worker:
        worker.printed("^At work\\.$")
        blocking(run())
        eventually(lambda: receiver.taken == [{"type": "room.opened"}], what="the event is delivered")
        assert worker.stop() == 0
        assert worker.lines == ["At work."]
