-- An upload has a bounded number of pieces, and all of them are let loose in one step.
ALTER TABLE resumable_uploads ADD COLUMN piece_count integer NOT NULL DEFAULT 0;
UPDATE resumable_uploads SET piece_count = (SELECT count(*) FROM upload_pieces WHERE resumable_id = resumable_uploads.id);

CREATE FUNCTION let_objects_loose() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO loose_objects (object_key, due_at, doomed) SELECT object_key, now(), true FROM gone
    ON CONFLICT (object_key) DO UPDATE SET due_at = now(), doomed = true;
    RETURN NULL;
END $$;

DROP TRIGGER upload_pieces_let_loose ON upload_pieces;
CREATE TRIGGER upload_pieces_let_loose AFTER DELETE ON upload_pieces REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION let_objects_loose();
