-- Comments and markers of sessions (omnisonic.studio.comments, omnisonic.studio.markers).

-- `author_name` is the name as it was written then. Without `author_id` the author is a guest, or their account was
-- deleted. A reply has the first comment of its thread as `parent_id`, and no place of its own. Without `text` it was
-- removed, and is there because it has replies. A comment is pinned to a beat, to a stem or a mixdown, or to both;
-- `pinned_name` outlives the stem or the mixdown. `at_seconds` is the place in a mixdown's file, whatever the tempo is
-- later.
CREATE TABLE comments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    parent_id uuid REFERENCES comments ON DELETE CASCADE,
    author_id uuid REFERENCES users ON DELETE SET NULL,
    author_name text NOT NULL,
    text text CHECK (length(text) BETWEEN 1 AND 2000),
    at_beat double precision CHECK (at_beat BETWEEN 0 AND 1000000),
    at_seconds double precision CHECK (at_seconds >= 0),
    upload_id uuid REFERENCES uploads ON DELETE SET NULL,
    export_id uuid REFERENCES exports ON DELETE SET NULL,
    pinned_name text,
    resolved_at timestamptz,
    resolved_by uuid REFERENCES users ON DELETE SET NULL,
    resolved_by_name text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    edited_at timestamptz,
    CHECK (upload_id IS NULL OR export_id IS NULL),
    CHECK (parent_id IS NULL OR text IS NOT NULL),
    CHECK (parent_id IS NULL OR num_nonnulls(at_beat, at_seconds, upload_id, export_id, pinned_name, resolved_at) = 0),
    CHECK ((resolved_at IS NULL) = (resolved_by_name IS NULL))
);
CREATE INDEX comments_by_session ON comments (session_id, created_at DESC, id DESC);
CREATE INDEX comments_by_parent ON comments (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX comments_by_author ON comments (author_id) WHERE author_id IS NOT NULL;
CREATE INDEX comments_by_resolver ON comments (resolved_by) WHERE resolved_by IS NOT NULL;
CREATE INDEX comments_by_upload ON comments (upload_id) WHERE upload_id IS NOT NULL;
CREATE INDEX comments_by_export ON comments (export_id) WHERE export_id IS NOT NULL;

-- A marker with an end is a section. One that was removed is kept for its undo.
CREATE TABLE markers (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    at_beat double precision NOT NULL CHECK (at_beat BETWEEN 0 AND 1000000),
    end_beat double precision CHECK (end_beat <= 1000000 AND end_beat - at_beat >= 0.25),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    removed_at timestamptz
);
CREATE INDEX markers_by_session ON markers (session_id, at_beat, id) WHERE removed_at IS NULL;
CREATE INDEX markers_removed ON markers (session_id, removed_at DESC, id DESC) WHERE removed_at IS NOT NULL;
