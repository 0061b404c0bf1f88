"""The webhooks of an installation, in the table `webhooks`, and their deliveries as an operator sees them. Asyncio.

A database that does not answer: `Unavailable`. Shutdown: the owner of `Database` closes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias
from uuid import UUID

from omnisonic.errors import OmnisonicError
from omnisonic.identity.webhook_secrets import WebhookSecret
from omnisonic.models import RoomId
from omnisonic.stores.database.pool import Database
from omnisonic.studio.webhooks import MOST_WEBHOOKS, EventType

_ADD: Final = """
-- $1 address, $2 room or NULL, $3 events, $4 salt, $5 digest, $6 how many there may be. No row when there are as many.
INSERT INTO webhooks (url, room, events, salt, secret_digest)
SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM webhooks) < $6
RETURNING id
"""

_LIST: Final = """
-- $1 the only one, or NULL: all.
SELECT id, url, room, events, created_at, failures, salt, secret_digest,
    (SELECT count(*) FROM webhook_deliveries WHERE webhook_id = webhooks.id AND status = 'waiting') AS waiting,
    (
        SELECT result FROM webhook_deliveries
        WHERE webhook_id = webhooks.id AND status = 'waiting' AND attempts > 0 ORDER BY number LIMIT 1
    ) AS problem
FROM webhooks WHERE id = coalesce($1, id) ORDER BY id
"""

_REMOVE: Final = "DELETE FROM webhooks WHERE id = $1 RETURNING id"

_DELIVERIES: Final = """
-- $1 webhook, $2 status or NULL, $3 how many.
SELECT event_id, type, room, status, attempts, result, created_at, finished_at, body FROM webhook_deliveries
WHERE webhook_id = $1 AND status = coalesce($2, status) ORDER BY number DESC LIMIT $3
"""

DeliveryStatus: TypeAlias = Literal["waiting", "delivered", "failed"]


class NoSuchWebhook(OmnisonicError):
    """There is no webhook with that number."""

    code = "webhook_not_found"


class TooManyWebhooks(OmnisonicError):
    """There are as many webhooks as there may be."""

    code = "too_many_webhooks"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as the operator sees it.

    `room` is the only room that it is for; None: every room. `failures` counts the attempts that have failed since an
    event was delivered or set aside, `waiting` the events that wait, and `problem` is why the first of them was not
    delivered.
    """

    id: int
    url: str
    room: RoomId | None
    events: tuple[EventType, ...]
    created_at: datetime
    failures: int
    waiting: int
    problem: str | None
    salt: bytes = field(repr=False)
    secret_digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """What became of an event for one webhook. `result` is the outcome of the last attempt.

    `status` is `waiting`, `delivered`, or `failed`: given up. `body` is None when it is delivered.
    """

    event_id: UUID
    type: str
    room: RoomId
    status: DeliveryStatus
    attempts: int
    result: str | None
    created_at: datetime
    finished_at: datetime | None
    body: str | None


class WebhookStore:
    """The webhooks in `database`. Every method raises `Unavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, url: str, room: RoomId | None, events: Sequence[EventType], secret: WebhookSecret) -> int:
        """Make a webhook and return its number. Raises `TooManyWebhooks`."""
        values = url, room, list(events), secret.salt, secret.digest, MOST_WEBHOOKS
        row = await self._database.row(_ADD, *values)
        if row is None:
            raise TooManyWebhooks(f"There are {MOST_WEBHOOKS} webhooks, as many as there may be. Remove one first.")
        return int(row["id"])

    async def all(self) -> list[Webhook]:
        """All webhooks, oldest first."""
        return await self._read(None)

    async def find(self, webhook_id: int) -> Webhook:
        """The webhook of this number. Raises `NoSuchWebhook`."""
        for webhook in await self._read(webhook_id):
            return webhook
        raise _no_such(webhook_id)

    async def remove(self, webhook_id: int) -> None:
        """Delete a webhook with all that waits for it. Raises `NoSuchWebhook`."""
        if await self._database.row(_REMOVE, webhook_id) is None:
            raise _no_such(webhook_id)

    async def deliveries(
        self, webhook_id: int, *, limit: int, status: DeliveryStatus | None = None
    ) -> list[DeliveryRecord]:
        """The last deliveries of a webhook, newest first. Raises `NoSuchWebhook`."""
        await self.find(webhook_id)
        return [DeliveryRecord(**row) for row in await self._database.rows(_DELIVERIES, webhook_id, status, limit)]

    async def _read(self, webhook_id: int | None) -> list[Webhook]:
        rows = await self._database.rows(_LIST, webhook_id)
        return [Webhook(**{**row, "events": tuple(row["events"])}) for row in rows]


def _no_such(webhook_id: int) -> NoSuchWebhook:
    return NoSuchWebhook(f"There is no webhook {webhook_id}. `omnisonic webhooks ls` lists them.")
