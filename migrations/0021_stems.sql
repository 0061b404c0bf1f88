-- An export may also be all tracks of the session, each in a file of its own (omnisonic.studio.stems).
ALTER TABLE exports DROP CONSTRAINT exports_format_check;
ALTER TABLE exports ADD CONSTRAINT exports_format_check CHECK (format IN ('wav', 'flac', 'mp3', 'stems'));
