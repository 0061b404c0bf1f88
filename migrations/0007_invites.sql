-- Invites have names of their own, by which they are listed and withdrawn: the digest stays between link and database.
ALTER TABLE invites ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid();
CREATE UNIQUE INDEX invites_by_id ON invites (id);
