-- What is arriving counts towards the quota of whoever sends it, for as long as the lease of its reservation lasts.
-- Of a piece, only what goes beyond the size of its resumable upload does, which counts already.
ALTER TABLE loose_objects
    ADD COLUMN user_id uuid REFERENCES users ON DELETE SET NULL,
    ADD COLUMN resumable_id uuid REFERENCES resumable_uploads ON DELETE SET NULL,
    ADD COLUMN reserved_bytes bigint NOT NULL DEFAULT 0,
    ADD COLUMN reserved_until timestamptz;
CREATE INDEX loose_objects_by_user ON loose_objects (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX loose_objects_by_resumable ON loose_objects (resumable_id) WHERE resumable_id IS NOT NULL;
