-- What of a file is missing, though it was taken and is heard as far as it goes; and of the files of a mixdown. A sentence.
ALTER TABLE uploads ADD COLUMN warning text;
ALTER TABLE exports ADD COLUMN warning text;
