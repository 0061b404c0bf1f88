-- Mixdowns of sessions (SPEC 3): a row is a job until it is completed or has failed.

-- `due_at` is when a worker may take it: at once, when its lease ends, or after a failure; NULL when it is done.
-- `lease` is new with each taking, so that a worker that comes too late is told from the one that has it now.
CREATE TABLE exports (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    user_id uuid REFERENCES users ON DELETE SET NULL,
    format text NOT NULL CHECK (format IN ('wav', 'flac', 'mp3')),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
    progress integer NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
    error_message text,
    file_name text NOT NULL,
    file_size bigint,
    sha256 text,
    object_key text UNIQUE,
    duration_seconds double precision,
    loudness_lufs double precision,
    peak_dbfs double precision,
    due_at timestamptz DEFAULT now(),
    lease uuid,
    tries integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at timestamptz,
    CHECK ((status = 'completed') = (object_key IS NOT NULL)),
    CHECK ((status IN ('pending', 'processing')) = (due_at IS NOT NULL)),
    CHECK ((status = 'failed') = (error_message IS NOT NULL))
);
CREATE INDEX exports_by_session ON exports (session_id, created_at DESC, id DESC);
CREATE INDEX exports_to_make ON exports (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX exports_by_age ON exports (created_at) WHERE due_at IS NULL;
CREATE INDEX exports_by_user ON exports (user_id);
CREATE TRIGGER exports_let_loose AFTER DELETE ON exports FOR EACH ROW
    WHEN (OLD.object_key IS NOT NULL) EXECUTE FUNCTION let_object_loose();
