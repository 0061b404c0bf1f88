"""Kept messages on Postgres: the gateway writes them in batches, the web reads them in pages.

A message is the same if its room, its sender, the `id` that the client gave it, its type and its payload are the same.
It is written once, however often it is sent. Numbers rise in the order in which one gateway wrote the messages of a
room; pages are read by number.

Overload: the gateway's writer bounds a batch. A database that does not answer: `Unavailable`
(`omnisonic.stores.database.pool`). Crash: a batch is committed whole or not at all. Shutdown: the owner of `Database`
closes it; `aclose` does so, too.
"""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from omnisonic.models import KeptMessage, LoginId, RoomId
from omnisonic.stores.database.pool import Database, Row
from omnisonic.stores.database.uuids import uuid_or_none
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.messages import Kept, KeptMessages, MessageToKeep, Outcome
from omnisonic.studio.sessions import NoSuchSession
from omnisonic.studio.sessions.session_statements import asked
from omnisonic.studio.webhooks import MESSAGE_KEPT, PAYLOAD_BYTES
from omnisonic.studio.webhooks.event_queue import WEBHOOK, is_for

LONGEST_PAGE: Final = 200
"""Most messages in one page, however many are asked for."""
DIGEST_BYTES: Final = 16
LAST_NUMBER: Final = 2**63 - 1

_EVENT: Final = f"""
format(
    '{{"type":"{MESSAGE_KEPT}","timestamp":"%1$s","data":{{"roomId":"%2$s","epoch":%3$s,"offset":%4$s,"id":%5$s,'
    '"from":%6$s,"userId":%7$s,"displayName":%8$s,"type":%9$s,"payload":%10$s,"payloadOmitted":%11$s}}}}',
    to_char(kept.said_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), kept.session_id, to_json(kept.epoch),
    kept.message_offset, kept.client_id, to_json(kept.member_id), coalesce(to_json(kept.user_id::text), 'null'),
    to_json(kept.display_name), to_json(kept.type),
    CASE WHEN octet_length(kept.payload) <= {PAYLOAD_BYTES} THEN kept.payload ELSE 'null' END,
    to_json(octet_length(kept.payload) > {PAYLOAD_BYTES})
)
"""
"""The body of a kept message's event, as JSON. PostgreSQL's own functions for JSON would rewrite the payload."""

_KEEP: Final = f"""
-- $1 sessions, $2 epochs, $3 offsets, $4 members, $5 client ids, $6 users, $7 names, $8 types, $9 payloads, $10 times,
-- $11 digests.
-- The rows of sessions and users are locked as the foreign keys would, so that one that is deleted now leaves out its
-- own messages and does not fail the statement. Messages that are there already are not in the result. The events for
-- webhooks are queued with the messages.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::uuid[], $7::text[],
        $8::text[], $9::text[], $10::timestamptz[], $11::bytea[]) WITH ORDINALITY AS given (session_id, epoch,
        message_offset, member_id, client_id, user_id, display_name, type, payload, said_at, content_digest, place)
), person AS MATERIALIZED (
    SELECT id FROM users WHERE id = ANY($6) ORDER BY id FOR KEY SHARE
), session AS MATERIALIZED (
    SELECT id FROM sessions WHERE id = ANY($1) ORDER BY id FOR KEY SHARE
), kept AS (
    INSERT INTO kept_messages (session_id, epoch, message_offset, member_id, client_id, user_id, display_name, type,
        payload, said_at, content_digest)
    SELECT given.session_id, given.epoch, given.message_offset, given.member_id, given.client_id, person.id,
        given.display_name, given.type, given.payload, given.said_at, given.content_digest
    FROM given JOIN session ON session.id = given.session_id LEFT JOIN person ON person.id = given.user_id
    ORDER BY given.place
    ON CONFLICT ON CONSTRAINT kept_once DO NOTHING
    RETURNING *
), {WEBHOOK}, queued AS (
    INSERT INTO webhook_deliveries (webhook_id, event_id, type, room, body)
    SELECT webhook.id, gen_random_uuid(), '{MESSAGE_KEPT}', kept.session_id::text, {_EVENT}
    FROM kept JOIN webhook ON NOT webhook.is_full AND {is_for(f"'{MESSAGE_KEPT}'", "kept.session_id::text")}
    ORDER BY kept.number, webhook.id
)
SELECT given.place, kept.epoch, kept.message_offset
FROM given JOIN kept USING (session_id, member_id, client_id, content_digest)
"""

_FIND: Final = """
-- $1 sessions, $2 members, $3 client ids, $4 digests.
SELECT given.place, kept.epoch, kept.message_offset
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY
    AS given (session_id, member_id, client_id, content_digest, place)
JOIN kept_messages AS kept USING (session_id, member_id, client_id, content_digest)
"""

_READ: Final = asked("""
-- $3 the number to begin before, $4 how many. One row at least, as soon as the sign-in holds.
SELECT asked.session_id IS NOT NULL AS is_there, message.*
FROM asked
LEFT JOIN LATERAL (
    SELECT number, epoch, message_offset, member_id, client_id, user_id::text, display_name, type, payload, said_at
    FROM kept_messages WHERE session_id = asked.session_id AND number < $3 ORDER BY number DESC LIMIT $4
) AS message ON true
ORDER BY message.number DESC
""")

_DROP_OLD: Final = """
-- $1 age, $2 how many.
WITH old AS MATERIALIZED (
    SELECT session_id, number FROM kept_messages WHERE said_at < now() - $1::interval ORDER BY said_at LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM kept_messages AS message USING old
    WHERE message.session_id = old.session_id AND message.number = old.number RETURNING message.number
)
SELECT count(*) AS dropped FROM gone
"""


class Page(msgspec.Struct, frozen=True):
    """Some messages of a session, newest first. `next_before` begins the next page; None on the last one."""

    messages: list[KeptMessage]
    next_before: int | None


class PostgresMessages:
    """A `KeptMessages` in `database`, for the gateway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, messages: Sequence[MessageToKeep]) -> list[Outcome]:
        sessions = [uuid_or_none(message.room) for message in messages]
        digests = [_digest(message) for message in messages]
        columns = [list(column) for column in zip(*messages, strict=True)]
        rows = await self._database.rows(_KEEP, sessions, *columns[1:], digests)
        kept = {row["place"] - 1: Kept(row["epoch"], row["message_offset"]) for row in rows}
        missing = [place for place in range(len(messages)) if place not in kept]
        if missing:
            # A statement of its own: it sees what another connection has committed during the first one.
            senders = [messages[place].member_id for place in missing]
            ids = [messages[place].client_id for place in missing]
            named = [sessions[place] for place in missing], senders, ids, [digests[place] for place in missing]
            for row in await self._database.rows(_FIND, *named):
                kept[missing[row["place"] - 1]] = Kept(row["epoch"], row["message_offset"])
        return [kept.get(place) for place in range(len(messages))]

    async def aclose(self) -> None:
        await self._database.aclose()


class MessageStore:
    """Kept messages in `database`, for the web. `use` notes that sign-ins are used.

    Raises:
        Unavailable: Every method, when the database does not answer.
    """

    def __init__(self, database: Database, use: LoginUse | None = None) -> None:
        self._database = database
        self._use = use or LoginUse(database)

    async def read(self, login: LoginId, room: RoomId, *, limit: int, before: int | None = None) -> Page:
        """Read the messages of a session's room with numbers below `before`, newest first.

        Raises:
            NotSignedIn: The sign-in has ended.
            NoSuchSession: The room is no session's, or the user has no role in it.
        """
        length = max(1, min(limit, LONGEST_PAGE))
        cursor = LAST_NUMBER if before is None else before
        rows = await self._use.fetch_rows(_READ, login, uuid_or_none(room), cursor, length + 1)
        if not rows[0]["is_there"]:
            raise NoSuchSession
        messages = [_message(row) for row in rows if row["number"] is not None]
        page = messages[:length]
        return Page(page, rows[length - 1]["number"] if len(messages) > length else None)

    async def drop_old(self, older_than: timedelta, limit: int) -> int:
        """Delete at most `limit` messages that are older, the oldest first, and return how many."""
        row = await self._database.row(_DROP_OLD, older_than, limit)
        assert row is not None
        return int(row["dropped"])


def _digest(message: MessageToKeep) -> bytes:
    """A digest of the message's type and payload."""
    content = msgspec.json.encode(message.type) + message.payload.encode()
    return hashlib.sha256(content).digest()[:DIGEST_BYTES]


def _message(row: Row) -> KeptMessage:
    return KeptMessage(
        epoch=row["epoch"],
        offset=row["message_offset"],
        id=msgspec.json.decode(row["client_id"]),
        sender=row["member_id"],
        user_id=row["user_id"],
        display_name=row["display_name"],
        type=row["type"],
        payload=msgspec.Raw(row["payload"].encode()),
        at=row["said_at"],
    )


_fits: type[KeptMessages] = PostgresMessages
