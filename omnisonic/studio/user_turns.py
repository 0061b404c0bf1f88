"""The table `user_turns`, and which job a worker takes next: users take turns, however many jobs each of them has.

Next is the oldest job of the user who has the fewest jobs under way; of several such users, of the one whose last job
was taken longest ago. So the job of a user who has none under way waits for at most one more job of others, for each
free worker.
"""

from typing import Final

_NEXT: Final = """
waiting AS MATERIALIZED (
    SELECT id, user_id, due_at, under_way + row_number() OVER (PARTITION BY user_id ORDER BY due_at, id) AS place
    FROM (
        SELECT id, user_id, {due} AS due_at, {due} <= now() AS is_due,
            count(*) FILTER (WHERE {due} > now() AND {is_leased}) OVER (PARTITION BY user_id) AS under_way
        FROM {table} WHERE {due} IS NOT NULL
    ) AS job
    WHERE is_due
), next AS MATERIALIZED (
    SELECT job.id, job.user_id, job.{tries} < {most_tries} AS is_tried
    FROM waiting JOIN {table} AS job ON job.id = waiting.id LEFT JOIN user_turns AS turn ON turn.user_id = job.user_id
    WHERE job.{due} <= now()
    ORDER BY waiting.place, turn.{turn} NULLS FIRST, waiting.due_at, job.id LIMIT 1
    FOR NO KEY UPDATE OF job SKIP LOCKED
), turned AS (
    -- An account that is being deleted is locked, and needs no more turns.
    INSERT INTO user_turns AS turn (user_id, {turn})
    SELECT person.id, clock_timestamp() FROM next JOIN users AS person ON person.id = next.user_id
    FOR KEY SHARE OF person SKIP LOCKED
    ON CONFLICT (user_id) DO UPDATE SET {turn} = excluded.{turn}
)
"""


def next_in_turn(table: str, *, due: str, tries: str, is_leased: str, turn: str, most_tries: str) -> str:
    """The part of a `WITH` that locks the next job of `table` and records the turn: `next` (id, user_id, is_tried).

    Args:
        table: The table of the jobs.
        due: Column with the time from which a job may be taken.
        tries: Column that counts the tries.
        is_leased: Condition that tells a job that a worker has from one that waits for its time.
        turn: Column of `user_turns` with the time of the user's last turn.
        most_tries: Parameter that says how often a job is tried.
    """
    return _NEXT.format(table=table, due=due, tries=tries, is_leased=is_leased, turn=turn, most_tries=most_tries)
