-- Tracks, their order and their takes, and what is heard of a file (omnisonic.studio.uploads.tracks).

-- A track is what one or more uploads of a session are takes of. Every upload has a track of its own, with its id; when
-- it is a take of another track, its own one waits empty. `chosen_id` is the upload that is heard. It refers to nothing:
-- when that upload is not there any more, the newest take is heard.
CREATE TABLE tracks (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    position double precision NOT NULL CHECK (position BETWEEN -1000000 AND 1000000),
    chosen_id uuid NOT NULL
);

-- So far every upload is a track, called like its file without the ending, the oldest first.
INSERT INTO tracks (id, name, position, chosen_id)
SELECT id, coalesce(nullif(btrim(left(regexp_replace(file_name, '\.(?=[0-9]*[A-Za-z])[0-9A-Za-z]{1,5}$', ''), 120)), ''),
        left(file_name, 120)),
    least(row_number() OVER (PARTITION BY session_id ORDER BY created_at, id), 1000000), id
FROM uploads;

ALTER TABLE uploads
    ADD COLUMN track_id uuid REFERENCES tracks,
    ADD COLUMN trim_start_seconds double precision NOT NULL DEFAULT 0 CHECK (trim_start_seconds BETWEEN 0 AND 14400),
    ADD COLUMN trim_end_seconds double precision NOT NULL DEFAULT 0 CHECK (trim_end_seconds BETWEEN 0 AND 14400),
    ADD COLUMN fade_in_seconds double precision NOT NULL DEFAULT 0 CHECK (fade_in_seconds BETWEEN 0 AND 600),
    ADD COLUMN fade_out_seconds double precision NOT NULL DEFAULT 0 CHECK (fade_out_seconds BETWEEN 0 AND 600);
UPDATE uploads SET track_id = id;
ALTER TABLE uploads ALTER COLUMN track_id SET NOT NULL;
CREATE INDEX uploads_by_track ON uploads (track_id);
ALTER TABLE resumable_uploads ADD COLUMN track_id uuid;

-- A track goes with its last take, unless it is the own one of an upload. It is locked by a statement of its own, so that
-- the next one sees the takes that have come meanwhile.
CREATE FUNCTION drop_unused_tracks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM tracks WHERE id IN (OLD.id, OLD.track_id) ORDER BY id FOR UPDATE;
    DELETE FROM tracks WHERE id IN (OLD.id, OLD.track_id)
        AND NOT EXISTS (SELECT FROM uploads WHERE uploads.track_id = tracks.id OR uploads.id = tracks.id);
    RETURN NULL;
END $$;
CREATE TRIGGER uploads_drop_tracks AFTER DELETE OR UPDATE OF track_id ON uploads
    FOR EACH ROW EXECUTE FUNCTION drop_unused_tracks();

-- Uploads whose session is deleted belong to their uploaders alone, so each is a track of its own again.
CREATE FUNCTION separate_takes_of_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE uploads SET track_id = id WHERE session_id = OLD.id AND track_id <> id;
    RETURN OLD;
END $$;
CREATE TRIGGER sessions_separate_takes BEFORE DELETE ON sessions
    FOR EACH ROW EXECUTE FUNCTION separate_takes_of_session();
