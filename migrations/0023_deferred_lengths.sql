-- The length of an upload in pieces may not be known before its end, as of a recording: then its size is NULL until it is
-- said. Whether it was like that at first: the header of a WAV that was written meanwhile cannot have its length.
ALTER TABLE resumable_uploads ALTER COLUMN size DROP NOT NULL;
ALTER TABLE resumable_uploads ADD COLUMN is_deferred boolean NOT NULL DEFAULT false;
