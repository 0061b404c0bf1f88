-- Whoever sends bytes of an upload in pieces last may add some; who was there before may not any more.
ALTER TABLE resumable_uploads ADD COLUMN writer bigint NOT NULL DEFAULT 0;
