-- People, how they prove who they are, and their sign-ins (SPEC 4).

CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text,
    email_verified_at timestamptz,
    name text,
    image text,
    password_hash text,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- Without regard to case, in ASCII only: in some languages another letter becomes a "k" or an "i" when it is lowered,
-- and whoever owns that address must not get at this one's account.
CREATE UNIQUE INDEX users_by_email ON users (lower(email COLLATE "C"));

CREATE TABLE identities (
    provider text NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, subject)
);
CREATE INDEX identities_by_user ON identities (user_id);

-- `id` is a digest of the secret in the cookie.
CREATE TABLE logins (
    id text PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX logins_by_user ON logins (user_id);
CREATE INDEX logins_by_age ON logins (seen_at);

-- The sign-ins that hold: 12 hours idle, 30 days at most.
CREATE VIEW live_logins AS
    SELECT id, user_id, created_at, seen_at,
           least(seen_at + interval '12 hours', created_at + interval '30 days') AS expires_at
    FROM logins
    WHERE seen_at > now() - interval '12 hours' AND created_at > now() - interval '30 days';
