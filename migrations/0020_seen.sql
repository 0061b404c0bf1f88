-- Until when each member has seen what happens in a session. What happened before they joined is not new to them, and
-- neither is what happened before there was this column.
ALTER TABLE session_members ADD COLUMN seen_at timestamptz NOT NULL DEFAULT clock_timestamp();
