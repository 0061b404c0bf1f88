-- When a user's job was last taken by a worker, so that users take turns (omnisonic.database.user_turns).
CREATE TABLE user_turns (
    user_id uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    mixed_at timestamptz,
    analysed_at timestamptz
);
-- Waiting jobs are ordered within each user's own, and what is being made is counted for each user.
CREATE INDEX exports_active_by_user ON exports (user_id) WHERE due_at IS NOT NULL;
