-- The sound of uploads in segments, for playing many stems together (omnisonic.studio.segments).

-- All segments of an upload are one object, one after the other; `ends` are the bytes at which each of them ends. They
-- can be made again from the upload, so no backup holds them (omnisonic.operations.backup).
CREATE TABLE upload_segments (
    upload_id uuid PRIMARY KEY REFERENCES uploads ON DELETE CASCADE,
    format integer NOT NULL,
    object_key text NOT NULL UNIQUE,
    sha256 text NOT NULL,
    ends bigint[] NOT NULL CHECK (cardinality(ends) > 0),
    frames bigint NOT NULL CHECK (frames > 0),
    channels integer NOT NULL,
    bits integer NOT NULL,
    gain integer NOT NULL,
    warning text
);
CREATE TRIGGER upload_segments_let_loose AFTER DELETE ON upload_segments
    FOR EACH ROW EXECUTE FUNCTION let_object_loose();

-- `segments_due_at` is when a worker may make them, NULL when nobody waits for them. `segments_problem` says why there
-- are none, for good.
ALTER TABLE uploads
    ADD COLUMN segments_due_at timestamptz,
    ADD COLUMN segments_tries integer NOT NULL DEFAULT 0,
    ADD COLUMN segments_problem text;
CREATE INDEX uploads_to_segment ON uploads (segments_due_at) WHERE segments_due_at IS NOT NULL;
ALTER TABLE user_turns ADD COLUMN segmented_at timestamptz;
