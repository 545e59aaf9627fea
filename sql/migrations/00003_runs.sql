-- +goose Up
-- Rows of audit tables stay as they were written, whoever asks.
-- +goose StatementBegin
CREATE FUNCTION lovage.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on %.%: audit rows are only ever added', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd

CREATE TABLE lovage.audit (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    who            text  NOT NULL CHECK (who <> ''),
    why            text  NOT NULL CHECK (why <> ''),
    action         text  NOT NULL CHECK (action <> ''), -- run.activate, lock.break, task.pause, ledger.replay ...
    subject        text  NOT NULL,
    before         text,
    after          text,
    correlation_id text  NOT NULL DEFAULT '',
    db_user        text  NOT NULL DEFAULT session_user
);
CREATE INDEX audit_subject ON lovage.audit (action, subject, id);
CREATE TRIGGER audit_rows BEFORE UPDATE OR DELETE ON lovage.audit FOR EACH ROW EXECUTE FUNCTION lovage.refuse_change();
CREATE TRIGGER audit_table BEFORE TRUNCATE ON lovage.audit FOR EACH STATEMENT EXECUTE FUNCTION lovage.refuse_change();

CREATE TABLE lovage.schedule_audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    who     text NOT NULL CHECK (who <> ''),
    why     text NOT NULL CHECK (why <> ''),
    action  text NOT NULL CHECK (action <> ''), -- pause, resume, run_now, change
    entry   text NOT NULL,
    before  text,
    after   text,
    db_user text NOT NULL DEFAULT session_user
);
CREATE INDEX schedule_audit_entry ON lovage.schedule_audit (entry, id);
CREATE TRIGGER schedule_audit_rows BEFORE UPDATE OR DELETE ON lovage.schedule_audit FOR EACH ROW EXECUTE FUNCTION lovage.refuse_change();
CREATE TRIGGER schedule_audit_table BEFORE TRUNCATE ON lovage.schedule_audit FOR EACH STATEMENT EXECUTE FUNCTION lovage.refuse_change();

-- A refresh of predicted data. Its rows carry its id; readers see the one that is active.
CREATE TABLE lovage.prediction_runs (
    id             text PRIMARY KEY,
    scope          text NOT NULL,                     -- what is predicted, e.g. risk
    state          text NOT NULL DEFAULT 'writing' CHECK (state IN ('writing', 'active', 'superseded', 'failed')),
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by     text NOT NULL,
    correlation_id text NOT NULL DEFAULT '',
    activated_at   timestamptz
);
CREATE INDEX prediction_runs_scope ON lovage.prediction_runs (scope, created_at DESC);
CREATE TABLE lovage.active_runs (
    scope       text PRIMARY KEY,
    run_id      text   NOT NULL REFERENCES lovage.prediction_runs (id),
    version     bigint NOT NULL DEFAULT 1,            -- counts the switches
    switched_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What is to be sent once the transaction that wrote it has committed. Anybody may INSERT: see roles.sql.
CREATE TABLE lovage.outbox (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         uuid  NOT NULL DEFAULT gen_random_uuid() UNIQUE, -- of a task: its id; sent once under it
    topic      text  NOT NULL DEFAULT 'task' CHECK (topic IN ('task', 'invalidate')),
    order_key  text  NOT NULL DEFAULT '',             -- for people: all entries are sent in the order of seq
    queue      text  NOT NULL DEFAULT 'celery',
    task       text  NOT NULL DEFAULT '',
    args       jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(args) = 'array'),
    kwargs     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(kwargs) = 'object'),
    headers    jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(headers) = 'object'),
    eta        timestamptz,
    expires    timestamptz,
    priority   int   NOT NULL DEFAULT 0 CHECK (priority BETWEEN 0 AND 9),
    payload    jsonb,                                 -- of an invalidation
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at    timestamptz,
    error      text,                                  -- why it can never be sent
    CHECK (topic <> 'task' OR task <> '')
);
CREATE INDEX outbox_waiting ON lovage.outbox (seq) WHERE sent_at IS NULL;

-- +goose Down
DROP TABLE lovage.outbox, lovage.active_runs, lovage.prediction_runs, lovage.schedule_audit, lovage.audit;
DROP FUNCTION lovage.refuse_change();
