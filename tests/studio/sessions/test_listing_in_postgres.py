"""What a list says of each session: when something happened last, what is unread, its cover; and what that costs."""

from datetime import UTC, datetime, timedelta
from typing import Final

from omnisonic.models import ListedSession
from omnisonic.studio.comments import NewComment
from omnisonic.studio.comments.comment_store import CommentStore
from omnisonic.studio.messages import MessageToKeep
from omnisonic.studio.messages.message_store import PostgresMessages
from omnisonic.studio.sessions import MOST_UNREAD, listing_statements
from omnisonic.studio.uploads import Mix
from tests.studio.databases import Base
from tests.studio.people import PostgresPeople
from tests.studio.sessions.test_sessions_in_postgres import MAKE, buffers, explained, nodes
from tests.studio.uploading import Studio

SESSIONS: Final = 1_000
EVENTS: Final = 10_000
BUFFERS_OF_A_SESSION: Final = 12
"""Its role, the session, and the newest row of three tables; each through an index of two or three levels."""

HAPPEN: Final = (
    """
INSERT INTO activity (session_id, actor_name, kind, subject_id, subject_name)
SELECT session.id, 'Bo', 'upload.added', session.id, 'bass.wav'
FROM sessions AS session, generate_series(1, $1::int) AS n
""",
    """
INSERT INTO kept_messages (session_id, epoch, message_offset, member_id, client_id, content_digest, display_name, type,
    payload, said_at)
SELECT session.id, 'e', n, 'bo', n::text, '', 'Bo', 'chat', 'null', clock_timestamp()
FROM sessions AS session, generate_series(1, $1::int) AS n
""",
    """
INSERT INTO comments (session_id, author_name, text)
SELECT session.id, 'Bo', 'Louder.' FROM sessions AS session, generate_series(1, $1::int) AS n
""",
)


async def listed(studio: Studio, name: str) -> ListedSession:
    (session,) = (await studio.people.store.list(studio.logins[name], limit=10, order="activity")).sessions
    return session


async def unread(studio: Studio) -> tuple[int, int]:
    """How much is unread by Ada and by Bo."""
    return (await listed(studio, "ada")).unread, (await listed(studio, "bo")).unread


async def test_what_others_do_is_unread_until_it_is_seen(studio: Studio) -> None:
    """Messages, comments and changes, but one's own never; what happened before one came is not new."""
    ada, bo, bos = studio.logins["ada"], studio.logins["bo"], studio.persons["bo"]
    comments = studio.base.of(CommentStore(studio.base.database))
    messages = studio.base.of(PostgresMessages(studio.base.database))
    assert await unread(studio) == (1, 0)  # Bo came
    upload = await studio.upload("bo", studio.session)
    comment = await comments.add(bo, studio.session, NewComment("Louder."))
    said_at = datetime.now(UTC) + timedelta(seconds=10)
    said = MessageToKeep(studio.session, "e", 1, "bo", '"1"', bos.id, "Bo", "chat", "null", said_at)
    await messages.keep([said])
    assert await unread(studio) == (4, 0)
    assert (await listed(studio, "ada")).last_activity_at == said_at
    await studio.base.sql("UPDATE kept_messages SET said_at = clock_timestamp()")
    await comments.remove(bo, comment.id)
    assert await unread(studio) == (3, 0)
    await studio.people.store.see(ada, studio.session)
    assert await unread(studio) == (0, 0)
    await studio.uploads.change(ada, upload.id, Mix(pan=0.5))
    assert await unread(studio) == (0, 1)
    await studio.base.sql(HAPPEN[0], MOST_UNREAD)
    assert await unread(studio) == (MOST_UNREAD, MOST_UNREAD)


async def test_the_cover_is_the_oldest_stem_with_a_waveform(studio: Studio) -> None:
    """Not one in the bin, nor one that has no sound."""
    first, second, _ = [await studio.upload("ada", studio.session) for _ in range(3)]
    assert (await listed(studio, "bo")).cover_upload_id is None
    await studio.base.sql("UPDATE uploads SET peaks = 'x' WHERE id IN ($1, $2)", first.id, second.id)
    assert (await listed(studio, "bo")).cover_upload_id == first.id
    await studio.uploads.remove(studio.logins["ada"], first.id)
    assert (await listed(studio, "bo")).cover_upload_id == second.id


async def test_a_thousand_sessions_with_ten_thousand_events_are_listed_by_index(base: Base) -> None:
    """Whatever has happened in them: of each session only the end of each index is read."""
    ada, person = await PostgresPeople(base).arrives("ada")
    await base.sql(MAKE, person.id, SESSIONS)
    for statement in HAPPEN:
        await base.sql(statement, EVENTS // SESSIONS)
    await base.sql("VACUUM ANALYZE")
    values = ada, "infinity", person.id, 51, "{%}"
    plan = await explained(base, (), listing_statements.FIND_BY_ACTIVITY, *values)
    assert plan["Actual Rows"] == 51
    read_whole = {node["Relation Name"] for node in nodes(plan) if node["Node Type"] == "Seq Scan"}
    assert read_whole & {"activity", "comments", "kept_messages"} == set()
    assert buffers(plan) < BUFFERS_OF_A_SESSION * SESSIONS
