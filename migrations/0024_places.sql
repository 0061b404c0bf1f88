-- Where in the session an upload in pieces will begin. So a take of a recording is never heard at another place first.
ALTER TABLE resumable_uploads ADD COLUMN offset_seconds double precision NOT NULL DEFAULT 0;
