-- The trace in which something was asked for that a worker does later (SPEC 7), as W3C's `traceparent`; NULL: in none.
ALTER TABLE exports ADD COLUMN trace text;
ALTER TABLE uploads ADD COLUMN trace text;
