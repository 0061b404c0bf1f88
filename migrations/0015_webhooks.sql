-- Webhooks: addresses that are told what happens in rooms (docs/webhooks.md).

-- `room` is the only room that the webhook is for; NULL: every room. The secret is not stored: it is derived from the
-- signing secret and `salt`, and `secret_digest` tells whether the signing secret is still the same. `due_at` is when a
-- worker may take the webhook: at once, when its lease ends, or after a failure. `failures` counts the attempts that
-- have failed since the last one that succeeded.
CREATE TABLE webhooks (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL,
    room text,
    events text[] NOT NULL,
    salt bytea NOT NULL,
    secret_digest bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT '-infinity',
    lease uuid,
    failures integer NOT NULL DEFAULT 0
);

-- What is delivered, by `number` in order. `due_at` is later than the first attempt only for one that waits aside while
-- others go ahead. `result` is the outcome of the last attempt. `body` is dropped once it is delivered.
CREATE TABLE webhook_deliveries (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id integer NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    event_id uuid NOT NULL,
    type text NOT NULL,
    room text NOT NULL,
    body text,
    status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    result text,
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT '-infinity',
    finished_at timestamptz,
    CONSTRAINT queued_once UNIQUE (webhook_id, event_id),
    CHECK ((status = 'waiting') = (finished_at IS NULL)),
    CHECK ((status = 'delivered') = (body IS NULL))
);
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (webhook_id, number) WHERE status = 'waiting';
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (finished_at) WHERE finished_at IS NOT NULL;
