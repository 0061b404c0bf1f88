"""The columns of `uploads` about its sound: which ones wait for a worker, and what was heard."""

from typing import Final

from omnisonic.studio.uploads.upload_statements import COLUMNS
from omnisonic.studio.user_turns import next_in_turn

_NEXT: Final = next_in_turn(
    "uploads",
    due="analysis_due_at",
    tries="analysis_tries",
    is_leased="analysis_tries > 0",
    turn="analysed_at",
    most_tries="$2",
)

TAKE: Final = f"""
-- $1 how long nobody else may take it, $2 how often it is tried. What was tried too often waits no more.
-- The last columns: the trace in which it was uploaded, and whether it is tried.
WITH {_NEXT}
UPDATE uploads AS upload
SET analysis_due_at = CASE WHEN next.is_tried THEN now() + $1::interval END, analysis_tries = analysis_tries + 1
FROM next WHERE upload.id = next.id
RETURNING {COLUMNS}, upload.trace, next.is_tried
"""

FINISH: Final = f"""
-- $1 upload, $2 duration in seconds, $3 sample rate, $4 channels, $5 peaks, $6 warning: NULLs when nothing was heard,
-- which is no reason to forget what another worker has heard.
UPDATE uploads AS upload
SET analysis_due_at = NULL, duration_seconds = coalesce($2, duration_seconds), sample_rate = coalesce($3, sample_rate),
    channels = coalesce($4, channels), peaks = coalesce($5, peaks),
    warning = coalesce($6, warning)
WHERE upload.id = $1
RETURNING {COLUMNS}
"""
