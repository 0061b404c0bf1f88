-- What people upload (SPEC 3), and the objects that belong to nothing (omnisonic.uploads).

-- Objects that were, or are being, put into the storage and that no row keeps. Whoever keeps house deletes them once they
-- are due; a doomed one was taken for that, and cannot become an upload any more.
CREATE TABLE loose_objects (
    object_key text PRIMARY KEY,
    due_at timestamptz NOT NULL,
    doomed boolean NOT NULL DEFAULT false
);
CREATE INDEX loose_objects_by_due ON loose_objects (due_at);

CREATE FUNCTION let_object_loose() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO loose_objects (object_key, due_at, doomed) VALUES (OLD.object_key, now(), true)
    ON CONFLICT (object_key) DO UPDATE SET due_at = now(), doomed = true;
    RETURN NULL;
END $$;

-- `peaks` are bytes, 255 for full scale. `analysis_due_at` is when a worker may take it, NULL when it was heard.
CREATE TABLE uploads (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    session_id uuid REFERENCES sessions ON DELETE SET NULL,
    object_key text NOT NULL UNIQUE,
    file_name text NOT NULL,
    file_size bigint NOT NULL CHECK (file_size > 0),
    mime_type text NOT NULL,
    sha256 text NOT NULL,
    duration_seconds double precision,
    sample_rate integer,
    channels integer,
    peaks bytea,
    analysis_due_at timestamptz,
    analysis_tries integer NOT NULL DEFAULT 0,
    gain_db double precision NOT NULL DEFAULT 0 CHECK (gain_db BETWEEN -60 AND 12),
    pan double precision NOT NULL DEFAULT 0 CHECK (pan BETWEEN -1 AND 1),
    muted boolean NOT NULL DEFAULT false,
    offset_seconds double precision NOT NULL DEFAULT 0 CHECK (offset_seconds BETWEEN 0 AND 3600),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX uploads_by_session ON uploads (session_id, created_at DESC, id DESC);
CREATE INDEX uploads_by_user ON uploads (user_id, created_at DESC, id DESC);
CREATE INDEX uploads_alone ON uploads (created_at) WHERE session_id IS NULL;
CREATE INDEX uploads_to_analyse ON uploads (analysis_due_at) WHERE analysis_due_at IS NOT NULL;
CREATE TRIGGER uploads_let_loose AFTER DELETE ON uploads FOR EACH ROW EXECUTE FUNCTION let_object_loose();

-- Uploads that arrive in pieces. Without its session there is nothing to bring it into.
CREATE TABLE resumable_uploads (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    session_id uuid REFERENCES sessions ON DELETE CASCADE,
    file_name text NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    received bigint NOT NULL DEFAULT 0 CHECK (received BETWEEN 0 AND size),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX resumable_uploads_by_user ON resumable_uploads (user_id);
CREATE INDEX resumable_uploads_by_session ON resumable_uploads (session_id);
CREATE INDEX resumable_uploads_by_age ON resumable_uploads (expires_at);

CREATE TABLE upload_pieces (
    resumable_id uuid NOT NULL REFERENCES resumable_uploads ON DELETE CASCADE,
    begins_at bigint NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    object_key text NOT NULL UNIQUE,
    PRIMARY KEY (resumable_id, begins_at)
);
CREATE TRIGGER upload_pieces_let_loose AFTER DELETE ON upload_pieces FOR EACH ROW EXECUTE FUNCTION let_object_loose();
