-- What happens in sessions, and how it is undone (omnisonic.studio.activity).

-- `actor_name` and `subject_name` are the names as they were. `before` and `after` are values of `field`, both NULL where
-- nothing has one value instead of another. `undone_by` and `undoes` are rows of this table: an older one may be gone.
CREATE TABLE activity (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_id uuid REFERENCES users ON DELETE SET NULL,
    actor_name text NOT NULL,
    kind text NOT NULL,
    field text,
    subject_id uuid NOT NULL,
    subject_name text NOT NULL,
    before jsonb,
    after jsonb,
    undone_by uuid,
    undoes uuid,
    CHECK ((field IS NULL) = (after IS NULL) AND (before IS NULL) = (after IS NULL))
);
CREATE INDEX activity_by_session ON activity (session_id, at DESC, id DESC);
CREATE INDEX activity_by_subject ON activity (session_id, subject_id, field, at DESC, id DESC);
CREATE INDEX activity_by_actor ON activity (actor_id);

-- The bin: an upload is removed for good 30 days after `removed_at`, or with its session.
ALTER TABLE uploads ADD COLUMN removed_at timestamptz;
CREATE INDEX uploads_in_bin ON uploads (removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX uploads_in_bin_by_user ON uploads (user_id, removed_at DESC) WHERE removed_at IS NOT NULL;

CREATE FUNCTION empty_bin_of_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM uploads WHERE session_id = OLD.id AND removed_at IS NOT NULL;
    RETURN OLD;
END $$;
CREATE TRIGGER sessions_empty_bin BEFORE DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION empty_bin_of_session();
