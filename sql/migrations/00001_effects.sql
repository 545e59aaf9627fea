-- +goose Up
-- What a task has done: one row per task and idempotency key, written in the transaction of the effect itself.
CREATE TABLE lovage.effects (
    task        text        NOT NULL,
    key         text        NOT NULL,
    input       bytea       NOT NULL,               -- SHA-256 of the input that the first run had
    done        boolean     NOT NULL DEFAULT false, -- false: a run in batches that is under way, or was killed
    result      text,                               -- JSON as Python reads it
    progress    text,                               -- where a run in batches goes on
    rows        bigint      NOT NULL DEFAULT 0,
    task_id     text        NOT NULL,
    began_at    timestamptz NOT NULL DEFAULT now(),
    done_at     timestamptz,
    CONSTRAINT effects_once PRIMARY KEY (task, key)
) WITH (fillfactor = 80);
CREATE INDEX effects_began ON lovage.effects USING brin (began_at);

-- The greatest number of a lock's lease under which something was written.
CREATE TABLE lovage.fences (
    key     text PRIMARY KEY,
    number  bigint      NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- +goose Down
DROP TABLE lovage.fences, lovage.effects;
