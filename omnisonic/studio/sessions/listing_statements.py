"""Lists of sessions: their order, a search, and what is new in them for the user. The tables `session_members`,
`sessions`, `activity`, `comments` and `kept_messages`.

Nothing is counted when something happens: that would make every message write to a row that all share. The last
activity is read from the end of three indexes. What is unread is counted only in sessions where something happened
since the user has seen them, and of messages only among the newest `_NEWEST`.
"""

from typing import Final

from omnisonic.studio.sessions import MOST_UNREAD
from omnisonic.studio.sessions.session_statements import ROLE, asked, columns

_NEWEST: Final = MOST_UNREAD + 1

_LAST_ACTIVITY: Final = """greatest(
        session.updated_at,
        (SELECT at FROM activity WHERE session_id = session.id ORDER BY at DESC, id DESC LIMIT 1),
        (SELECT created_at FROM comments WHERE session_id = session.id ORDER BY created_at DESC, id DESC LIMIT 1),
        (SELECT said_at FROM kept_messages WHERE session_id = session.id ORDER BY number DESC LIMIT 1)
    )"""
"""When something happened last in `sessions AS session`. Changes that become one event have the time of the first."""

_UNREAD: Final = f"""
    SELECT least({MOST_UNREAD}, (
        SELECT count(*) FROM (
            SELECT user_id, said_at FROM kept_messages WHERE session_id = session.id
            ORDER BY number DESC LIMIT {_NEWEST}
        ) AS message WHERE message.said_at > place.seen_at AND message.user_id IS DISTINCT FROM login.user_id
    ) + (
        SELECT count(*) FROM (
            SELECT author_id, text FROM comments WHERE session_id = session.id AND created_at > place.seen_at
            ORDER BY created_at DESC, id DESC LIMIT {_NEWEST}
        ) AS comment WHERE comment.author_id IS DISTINCT FROM login.user_id AND comment.text IS NOT NULL
    ) + (
        SELECT count(*) FROM (
            SELECT actor_id FROM activity WHERE session_id = session.id AND at > place.seen_at
            ORDER BY at DESC, id DESC LIMIT {_NEWEST}
        ) AS event WHERE event.actor_id IS DISTINCT FROM login.user_id
    )) AS unread
    WHERE latest.at > place.seen_at
"""

_COVER: Final = """
    SELECT id FROM uploads WHERE session_id = session.id AND removed_at IS NULL AND peaks IS NOT NULL
    ORDER BY created_at, id LIMIT 1
"""


def _list(places: str, order: str) -> str:
    """A list of the sessions in `places` (session_id, role, seen_at). One row at least, while the sign-in holds."""
    return f"""
SELECT {columns("session")}, {ROLE.format(member="place")}, login.user_id::text, place.seen_at,
    latest.at AS last_activity_at, coalesce(new.unread, 0) AS unread, cover.id::text AS cover_upload_id
FROM live_logins AS login
LEFT JOIN LATERAL ({places}) AS place ON true
LEFT JOIN sessions AS session ON session.id = place.session_id
LEFT JOIN users AS owner ON owner.id = session.owner_id
CROSS JOIN LATERAL (SELECT {_LAST_ACTIVITY} AS at OFFSET 0) AS latest
LEFT JOIN LATERAL ({_UNREAD}) AS new ON true
LEFT JOIN LATERAL ({_COVER}) AS cover ON true
WHERE login.id = $1
ORDER BY {order} DESC, session.id DESC
"""


LIST: Final = _list(
    """
    -- $1 sign-in, $2 and $3 the time and the id to begin after, $4 how many. The places come from one index, no more of
    -- them than wanted; the constant tells the planner that they are few.
    SELECT first.session_id, first.role, first.seen_at FROM (
        SELECT member.session_id, member.role, member.seen_at FROM session_members AS member
        WHERE member.user_id = login.user_id AND (member.created_at, member.session_id) < ($2, $3)
        ORDER BY member.created_at DESC, member.session_id DESC
        LIMIT 101
    ) AS first LIMIT $4
""",
    "session.created_at",
)
"""All sessions of a user, the newest first."""


def _places_found(order: str) -> str:
    """The places of the sessions whose names are searched, by `order`, which is an expression on `session`.

    Without OFFSET the planner puts it in twice, and it is computed for the comparison and again for the order.
    """
    return f"""
    -- $1 to $4 as above, $5 patterns of names.
    SELECT member.session_id, member.role, member.seen_at
    FROM session_members AS member JOIN sessions AS session ON session.id = member.session_id
    CROSS JOIN LATERAL (SELECT {order} AS at OFFSET 0) AS ordered
    WHERE member.user_id = login.user_id AND session.name ILIKE ANY ($5::text[])
        AND (ordered.at, member.session_id) < ($2, $3)
    ORDER BY ordered.at DESC, member.session_id DESC LIMIT $4
"""


FIND_BY_CREATION: Final = _list(_places_found("session.created_at"), "session.created_at")
FIND_BY_ACTIVITY: Final = _list(_places_found(_LAST_ACTIVITY), "latest.at")

SEE: Final = asked("""
, seen AS (
    UPDATE session_members AS member SET seen_at = greatest(member.seen_at, clock_timestamp())
    FROM asked, session_members AS old
    WHERE member.session_id = asked.session_id AND member.user_id = asked.user_id
        AND old.session_id = member.session_id AND old.user_id = member.user_id
    RETURNING member.seen_at AS now, old.seen_at AS before
)
SELECT seen.now, seen.before FROM asked LEFT JOIN seen ON true
""")


def patterns_of(search: str | None) -> list[str]:
    """The patterns for names that have `search` in them.

    ILIKE follows the database's locale, which may know only ASCII. So the usual spellings of other letters are tried.
    """
    if not search:
        return ["%"]
    spellings = dict.fromkeys([search, search.lower(), search.upper(), search.title(), search.capitalize()])
    return [f"%{_escape(each)}%" for each in spellings]


def _escape(text: str) -> str:
    """Text for a pattern of LIKE. No name has a zero byte, and Postgres takes none."""
    for special in "\\%_":
        text = text.replace(special, "\\" + special)
    return text.replace("\0", "\ufffd")
