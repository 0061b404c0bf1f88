-- Messages of a session's room that were said with `keep` (SPEC 5.2): they are acknowledged once they are committed
-- here.

-- `number` is their order in a session. `client_id` is the `id` that the client gave the message, as JSON, and
-- `content_digest` is one of type and payload: a message that is sent again finds the row that is there, and another one
-- that a client calls the same is not lost. `display_name` is what the sender was called when they said it. `payload` is the JSON
-- text as it was relayed; jsonb would refuse some of it and rewrite the rest.
CREATE TABLE kept_messages (
    number bigint GENERATED ALWAYS AS IDENTITY,
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    epoch text NOT NULL,
    message_offset bigint NOT NULL,
    member_id text NOT NULL,
    client_id text NOT NULL,
    content_digest bytea NOT NULL,
    user_id uuid REFERENCES users ON DELETE SET NULL,
    display_name text NOT NULL,
    type text NOT NULL,
    payload text NOT NULL,
    said_at timestamptz NOT NULL,
    PRIMARY KEY (session_id, number),
    CONSTRAINT kept_once UNIQUE (session_id, member_id, client_id, content_digest)
);
CREATE INDEX kept_messages_by_age ON kept_messages (said_at);
CREATE INDEX kept_messages_by_user ON kept_messages (user_id) WHERE user_id IS NOT NULL;
