"""The queue of events that wait to be delivered, on the tables `webhooks` and `webhook_deliveries` in Postgres.

A worker takes a webhook under a lease, delivers its oldest event, and gives it back: so each webhook has one request
at a time, in order. When the lease runs out, another worker may take the webhook, and what the first one reports is
ignored; the event may be delivered twice. After a failure the webhook rests, for longer each time, and the same event
is next. An event that its receiver has answered with an error `TRIES_IN_ORDER` times waits aside for `ASIDE_S`, and the
next one comes after the first pause, with all pauses before it again, so that it does not hold up the others. When an
attempt fails, events that are older than `GIVE_UP_S` are given up.

Overload, or the database unavailable: `Unavailable` (`omnisonic.stores.database.pool`). Shutdown: whoever opened the
database closes it.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

from omnisonic.stores.database.pool import Database

LEASE_S: Final = 30.0
"""How long a webhook belongs to its worker: longer than a request may take."""
PAUSES_S: Final = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
"""How long a webhook rests after each failure in a row; the last pause repeats."""
TRIES_IN_ORDER: Final = 5
ASIDE_S: Final = 3600.0
GIVE_UP_S: Final = 86_400.0
RESULT_LENGTH: Final = 200
"""Characters of the outcome that are stored."""
_LEASE: Final = timedelta(seconds=LEASE_S)
_ASIDE: Final = timedelta(seconds=ASIDE_S)
_PAUSES: Final = [timedelta(seconds=pause_s) for pause_s in PAUSES_S]

Outcome: TypeAlias = Literal["delivered", "failed", "given_up", "lost"]
"""What became of an attempt. `lost`: another worker has the webhook, so what the attempt did is not recorded."""

_TAKE: Final = """
-- $1 now, $2 how long the lease lasts.
WITH next AS MATERIALIZED (
    SELECT id FROM webhooks AS webhook
    WHERE due_at <= $1 AND EXISTS (
        SELECT FROM webhook_deliveries WHERE webhook_id = webhook.id AND status = 'waiting' AND due_at <= $1
    )
    ORDER BY due_at, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE webhooks AS webhook SET due_at = $1 + $2::interval, lease = gen_random_uuid()
FROM next WHERE webhook.id = next.id
RETURNING webhook.id, webhook.url, webhook.salt, webhook.secret_digest, webhook.lease
"""

_FIRST: Final = """
-- $1 webhook, $2 now. A statement of its own: it sees what the last holder of the lease has reported.
SELECT number, event_id, body FROM webhook_deliveries
WHERE webhook_id = $1 AND status = 'waiting' AND due_at <= $2 ORDER BY number LIMIT 1
"""

_RELEASE: Final = "UPDATE webhooks SET due_at = $3, lease = NULL WHERE id = $1 AND lease = $2"

_DELIVERED: Final = """
-- $1 webhook, $2 lease, $3 number, $4 now, $5 result. A row when the lease is valid.
WITH webhook AS (
    UPDATE webhooks SET due_at = $4, lease = NULL, failures = 0 WHERE id = $1 AND lease = $2 RETURNING id
)
UPDATE webhook_deliveries SET status = 'delivered', attempts = attempts + 1, result = $5, body = NULL, finished_at = $4
FROM webhook WHERE number = $3
RETURNING status
"""

_FAILED: Final = """
-- $1 webhook, $2 lease, $3 number, $4 now, $5 result, $6 the pauses, $7 when what is given up was queued, $8 how often
-- it is tried in order (NULL: for ever), $9 how long it waits aside. A row when the lease is valid.
WITH webhook AS (
    UPDATE webhooks SET lease = NULL, failures = CASE WHEN is_aside THEN 0 ELSE failures + 1 END,
        due_at = $4::timestamptz
            + ($6::interval[])[CASE WHEN is_aside THEN 1 ELSE least(failures + 1, cardinality($6)) END]
    FROM (
        SELECT coalesce((SELECT attempts + 1 >= $8::int FROM webhook_deliveries WHERE number = $3), false) AS is_aside
    ) AS attempt
    WHERE id = $1 AND lease = $2 RETURNING id
), outcome AS (
    UPDATE webhook_deliveries AS delivery
    SET attempts = attempts + (number = $3)::int,
        result = CASE WHEN number = $3 THEN $5 ELSE result END,
        due_at = CASE WHEN number = $3 AND attempts + 1 >= $8 THEN $4 + $9::interval ELSE due_at END,
        status = CASE WHEN created_at <= $7 THEN 'failed' ELSE status END,
        finished_at = CASE WHEN created_at <= $7 THEN $4 END
    FROM webhook
    WHERE webhook_id = webhook.id AND delivery.status = 'waiting' AND (number = $3 OR created_at <= $7)
    RETURNING number, status
)
SELECT status FROM outcome WHERE number = $3
"""

_DROP_OLD: Final = """
-- $1 age, $2 how many.
WITH old AS MATERIALIZED (
    SELECT number FROM webhook_deliveries WHERE finished_at < now() - $1::interval
    ORDER BY finished_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM webhook_deliveries AS delivery USING old WHERE delivery.number = old.number RETURNING delivery.number
)
SELECT count(*) AS dropped FROM gone
"""


class Delivery(NamedTuple):
    """An event to be delivered, under a lease on its webhook. `salt` and `digest` are those of its secret."""

    webhook_id: int
    lease: UUID
    number: int
    event_id: UUID
    url: str
    salt: bytes
    digest: bytes
    body: str


def utc_now() -> datetime:
    """The time in UTC."""
    return datetime.now(UTC)


class DeliveryQueue:
    """The queue in `database`. Several workers may use it at once. Every method may raise `Unavailable`."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._now = now

    async def take(self) -> Delivery | None:
        """Take the webhook that has waited longest, and its first event. None when nothing is to be delivered now."""
        now = self._now()
        async with self._database.transaction() as connection:
            webhook = await connection.fetchrow(_TAKE, now, _LEASE)
            if webhook is None:
                return None
            first = await connection.fetchrow(_FIRST, webhook["id"], now)
            if first is None:
                await connection.execute(_RELEASE, webhook["id"], webhook["lease"], now)
                return None
        return Delivery(
            webhook_id=webhook["id"],
            lease=webhook["lease"],
            number=first["number"],
            event_id=first["event_id"],
            url=webhook["url"],
            salt=webhook["salt"],
            digest=webhook["secret_digest"],
            body=first["body"],
        )

    async def record_success(self, delivery: Delivery, result: str) -> Outcome:
        """Record that the event was delivered. The webhook's next event may be taken at once."""
        values = delivery.webhook_id, delivery.lease, delivery.number, self._now(), result[:RESULT_LENGTH]
        return "lost" if await self._database.row(_DELIVERED, *values) is None else "delivered"

    async def record_failure(self, delivery: Delivery, result: str, *, is_answered: bool) -> Outcome:
        """Record an attempt that failed, and let the webhook rest. Give up what is too old.

        `is_answered`: the receiver is there, and has answered this event with an error.
        """
        now = self._now()
        attempt = delivery.webhook_id, delivery.lease, delivery.number, now, result[:RESULT_LENGTH]
        patience = _PAUSES, now - timedelta(seconds=GIVE_UP_S), TRIES_IN_ORDER if is_answered else None, _ASIDE
        row = await self._database.row(_FAILED, *attempt, *patience)
        if row is None:
            return "lost"
        return "given_up" if row["status"] == "failed" else "failed"

    async def drop_old(self, older_than: timedelta, limit: int) -> int:
        """Delete at most `limit` deliveries that ended longer ago, the oldest first, and return how many."""
        row = await self._database.row(_DROP_OLD, older_than, limit)
        assert row is not None
        return int(row["dropped"])

    async def ping(self) -> None:
        """One round trip."""
        await self._database.ping()
