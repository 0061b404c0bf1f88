"""Events on their way into the table `webhook_deliveries`: a row for each webhook that is for the event. Asyncio.

`WEBHOOK` and `IS_FOR` are the parts of a `WITH` that queues events; the statement that keeps messages has them, too.
Overload: a webhook for which `MOST_WAITING` events wait gets no more. A database that does not answer: `Unavailable`.
Crash: events are queued all or none. Shutdown: the owner of `Database` closes it; `aclose` does so, too.
"""

from collections.abc import Sequence
from typing import Final

from omnisonic.stores.database.pool import Database
from omnisonic.studio.webhooks import MOST_WAITING, RoomEvent, RoomEvents, Topic

WEBHOOK: Final = f"""
webhook AS MATERIALIZED (
    -- Locked as the foreign key would, so that one that is removed now gets nothing and does not fail the statement.
    SELECT id, room, events, EXISTS (
        SELECT FROM webhook_deliveries
        WHERE webhook_id = webhooks.id AND status = 'waiting' OFFSET {MOST_WAITING - 1} LIMIT 1
    ) AS is_full
    FROM webhooks ORDER BY id FOR KEY SHARE
)
"""


def is_for(type_: str, room: str) -> str:
    """The condition that `webhook` is for an event of this type in this room."""
    return f"{type_} = ANY(webhook.events) AND coalesce(webhook.room = {room}, true)"


_TOPICS: Final = "SELECT DISTINCT unnest(events) AS type, room FROM webhooks"

_QUEUE: Final = f"""
-- $1 ids, $2 types, $3 rooms, $4 bodies.
WITH event AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
        WITH ORDINALITY AS event (id, type, room, body, place)
), {WEBHOOK}, wanted AS MATERIALIZED (
    SELECT event.*, webhook.id AS webhook_id, webhook.is_full
    FROM event JOIN webhook ON {is_for("event.type", "event.room")}
), queued AS (
    INSERT INTO webhook_deliveries (webhook_id, event_id, type, room, body)
    SELECT webhook_id, id, type, room, body FROM wanted WHERE NOT is_full ORDER BY place, webhook_id
    ON CONFLICT ON CONSTRAINT queued_once DO NOTHING
)
SELECT count(*) AS dropped FROM wanted WHERE is_full
"""


class PostgresRoomEvents:
    """A `RoomEvents` in `database`, for the gateway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def topics(self) -> frozenset[Topic]:
        return frozenset(Topic(**row) for row in await self._database.rows(_TOPICS))

    async def queue(self, events: Sequence[RoomEvent]) -> int:
        row = await self._database.row(_QUEUE, *(list(column) for column in zip(*events, strict=True)))
        assert row is not None
        return int(row["dropped"])

    async def aclose(self) -> None:
        await self._database.aclose()


_fits: type[RoomEvents] = PostgresRoomEvents
