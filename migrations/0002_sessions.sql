-- Music sessions, and who has a role in them (SPEC 3). Times that give an order are the clock's, not the transaction's:
-- those are the same for all that one transaction makes.

CREATE TABLE sessions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    owner_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    tempo_bpm double precision NOT NULL DEFAULT 120 CHECK (tempo_bpm BETWEEN 20 AND 400),
    beats_per_bar integer NOT NULL DEFAULT 4 CHECK (beats_per_bar BETWEEN 1 AND 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX sessions_by_owner ON sessions (owner_id);

-- Everybody with a role in a session: its owner, and its collaborators. `created_at` is the session's own, never
-- changed, and here so that one index gives a user's sessions in order, however many there are.
CREATE TABLE session_members (
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    joined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (session_id, user_id)
);
CREATE INDEX session_members_in_order ON session_members (user_id, created_at DESC, session_id DESC);

-- `digest` is one of the secret in the link.
CREATE TABLE invites (
    digest text PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX invites_by_session ON invites (session_id);
CREATE INDEX invites_by_age ON invites (expires_at);
