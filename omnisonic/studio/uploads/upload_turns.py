"""The next upload that waits for work in the background, and how it is given back.

Users take turns (`omnisonic.studio.user_turns`).
"""

from omnisonic.studio.uploads.upload_statements import COLUMNS
from omnisonic.studio.user_turns import next_in_turn


def take_statement(work: str, *, turn: str) -> str:
    """The SQL that takes the next upload, with a lease.

    $1 is how long nobody else may take it, $2 how often it is tried. What was tried too often does not wait any more,
    and is returned once with `is_tried` false.

    Args:
        work: What the columns `<work>_due_at` and `<work>_tries` of `uploads` begin with.
        turn: The column of `user_turns` with the time of the last turn.
    """
    due, tries = f"{work}_due_at", f"{work}_tries"
    taken = next_in_turn("uploads", due=due, tries=tries, is_leased=f"{tries} > 0", turn=turn, most_tries="$2")
    return f"""
WITH {taken}
UPDATE uploads AS upload
SET {due} = CASE WHEN next.is_tried THEN now() + $1::interval END, {tries} = {tries} + 1
FROM next WHERE upload.id = next.id
RETURNING {COLUMNS}, upload.trace, {tries} AS tries, next.is_tried
"""


def release_statement(work: str) -> str:
    """The SQL that gives back an upload that was taken: that it was tried does not count.

    $1 is the upload, $2 its tries when it was taken, $3 how long it waits. Nothing happens when the work is done, or
    when somebody else has taken the upload since.

    Args:
        work: As for `take_statement`.
    """
    due, tries = f"{work}_due_at", f"{work}_tries"
    return f"""
UPDATE uploads SET {due} = now() + $3::interval, {tries} = {tries} - 1
WHERE id = $1 AND {tries} = $2 AND {due} IS NOT NULL
"""
