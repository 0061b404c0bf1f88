-- What members of a session may do (SPEC 3). Whoever shares a session until now may change it: an editor.

-- The owner is in `sessions.owner_id` and nowhere else; their own row here says `editor`, so that `role = 'editor'` is
-- true of everybody who may change what is in the session.
ALTER TABLE session_members ADD COLUMN role text NOT NULL DEFAULT 'editor' CHECK (role IN ('editor', 'listener'));
ALTER TABLE invites ADD COLUMN role text NOT NULL DEFAULT 'editor' CHECK (role IN ('editor', 'listener'));
