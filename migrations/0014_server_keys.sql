-- Keys by which the programs of an installation send messages into rooms over HTTP (SPEC 3). Only the digest of a key is
-- stored. `room` is the only room that the key is for; NULL: every room.
CREATE TABLE server_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL UNIQUE,
    digest bytea NOT NULL UNIQUE,
    room text,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz
);
