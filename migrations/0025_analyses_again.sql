-- An outage, or a worker that was stopped, counted as one of the three tries that an upload had. Uploads that were given
-- up for that have neither peaks nor anybody's word that they have no sound: whoever takes a fourth time gives up, and
-- an analysis ends with three tries at most. They are analysed again.
UPDATE uploads SET analysis_due_at = now(), analysis_tries = 0
WHERE analysis_due_at IS NULL AND peaks IS NULL AND analysis_tries > 3;
