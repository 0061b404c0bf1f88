-- Share links: a mixdown for people without an account (omnisonic.studio.shares).

-- Only a digest of a link's secret is stored. A link that was revoked stays for a while, so that whoever has it is told
-- what happened.
CREATE TABLE shares (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    digest text NOT NULL UNIQUE,
    export_id uuid NOT NULL REFERENCES exports ON DELETE CASCADE,
    user_id uuid REFERENCES users ON DELETE SET NULL,
    download boolean NOT NULL,
    comments boolean NOT NULL,
    plays bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX shares_by_export ON shares (export_id, created_at DESC, id DESC);
CREATE INDEX shares_by_user ON shares (user_id);

-- What the page of a link draws and plays of a mixdown: its waveform, and an MP3 unless it is one. It can be made again
-- from the mixdown, so no backup holds it (omnisonic.operations.backup).
CREATE TABLE export_previews (
    export_id uuid PRIMARY KEY REFERENCES exports ON DELETE CASCADE,
    peaks bytea NOT NULL,
    object_key text UNIQUE,
    file_size bigint,
    sha256 text,
    CHECK ((object_key IS NULL) = (file_size IS NULL) AND (object_key IS NULL) = (sha256 IS NULL))
);
CREATE TRIGGER export_previews_let_loose AFTER DELETE ON export_previews FOR EACH ROW
    WHEN (OLD.object_key IS NOT NULL) EXECUTE FUNCTION let_object_loose();

-- `preview_due_at` is when a worker may make it, NULL when nobody waits for it.
ALTER TABLE exports
    ADD COLUMN preview_due_at timestamptz,
    ADD COLUMN preview_tries integer NOT NULL DEFAULT 0;
CREATE INDEX exports_to_preview ON exports (preview_due_at) WHERE preview_due_at IS NOT NULL;
ALTER TABLE user_turns ADD COLUMN previewed_at timestamptz;

-- Comments of guests, who have no account. Which link they came through is forgotten with the link.
ALTER TABLE comments
    ADD COLUMN is_guest boolean NOT NULL DEFAULT false,
    ADD COLUMN share_id uuid REFERENCES shares ON DELETE SET NULL;
CREATE INDEX comments_by_share ON comments (share_id, created_at, id) WHERE share_id IS NOT NULL;
