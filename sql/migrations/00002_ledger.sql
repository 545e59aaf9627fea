-- +goose Up
-- One row per attempt of a task. The day is that of its start, or of its queueing while it has not started.
CREATE TABLE lovage.attempts (
    day               date NOT NULL,
    task_id           text NOT NULL,
    retries           int  NOT NULL,
    delivery          int  NOT NULL,                -- how often the message was restored from a lost worker before
    task              text NOT NULL,
    state             text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'retried', 'refused', 'lost')),
    reused            boolean NOT NULL DEFAULT false, -- the result is that of an earlier run with the same key
    correlation_id    text NOT NULL DEFAULT '',
    trace_id          text NOT NULL DEFAULT '',
    root_id           text NOT NULL DEFAULT '',
    parent_id         text NOT NULL DEFAULT '',
    worker            text NOT NULL DEFAULT '',
    queue             text NOT NULL DEFAULT '',
    queued_at         timestamptz,
    started_at        timestamptz,
    finished_at       timestamptz,
    queue_ms          double precision,
    run_ms            double precision,
    access_mode       text NOT NULL DEFAULT '',
    region_scope      text NOT NULL DEFAULT '',
    region_code       text NOT NULL DEFAULT '',
    time_from         timestamptz,
    time_to           timestamptz,
    data_type         text NOT NULL DEFAULT '',
    weather_type      text NOT NULL DEFAULT '',
    product_id        text NOT NULL DEFAULT '',
    prediction_run_id text NOT NULL DEFAULT '',
    effect_key        text NOT NULL DEFAULT '',
    lock_key          text NOT NULL DEFAULT '',
    lock_result       text NOT NULL DEFAULT '',     -- acquired, held by others, error, off
    lock_release      text NOT NULL DEFAULT '',     -- released, lost, error
    lock_number       bigint NOT NULL DEFAULT 0,
    lock_waited_ms    double precision,
    lock_held_ms      double precision,
    rows_written      bigint NOT NULL DEFAULT 0,
    cache_keys        text[] NOT NULL DEFAULT '{}',
    error_class       text NOT NULL DEFAULT '',     -- retryable, permanent, business
    error_code        text NOT NULL DEFAULT '',
    error_message     text NOT NULL DEFAULT '',
    stack             text NOT NULL DEFAULT '',
    args              text NOT NULL DEFAULT '',
    kwargs            text NOT NULL DEFAULT '',
    headers           text NOT NULL DEFAULT '',
    PRIMARY KEY (day, task_id, retries, delivery)
) PARTITION BY RANGE (day);
CREATE INDEX attempts_correlation ON lovage.attempts (correlation_id) WHERE correlation_id <> '';
CREATE INDEX attempts_root ON lovage.attempts (root_id);
CREATE INDEX attempts_bad ON lovage.attempts (task, started_at) WHERE state IN ('failed', 'refused', 'lost');
CREATE INDEX attempts_started ON lovage.attempts USING brin (started_at);
CREATE TABLE lovage.attempts_other PARTITION OF lovage.attempts DEFAULT;

-- Makes the partitions of the coming days and drops those that are older than keep_days (0: none). Runs with the rights of its owner, so that workers need none on the schema.
-- +goose StatementBegin
CREATE FUNCTION lovage.maintain_attempts(keep_days int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
    today   date := (now() AT TIME ZONE 'UTC')::date;
    name    text;
    dropped int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('lovage.maintain_attempts'));
    FOR i IN -1..3 LOOP
        name := 'attempts_' || to_char(today + i, 'YYYYMMDD');
        IF to_regclass('lovage.' || name) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE lovage.%I PARTITION OF lovage.attempts FOR VALUES FROM (%L) TO (%L)', name, today + i, today + i + 1);
            EXCEPTION WHEN check_violation THEN
                NULL; -- the default partition has rows of that day, and keeps them
            END;
        END IF;
    END LOOP;
    IF keep_days > 0 THEN
        FOR name IN
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'lovage.attempts'::regclass AND c.relname ~ '^attempts_\d{8}$'
              AND to_date(right(c.relname, 8), 'YYYYMMDD') < today - keep_days
        LOOP
            EXECUTE format('DROP TABLE lovage.%I', name);
            dropped := dropped + 1;
        END LOOP;
        DELETE FROM lovage.attempts_other WHERE day < today - keep_days;
    END IF;
    RETURN dropped;
END $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION lovage.maintain_attempts(int) FROM PUBLIC;
SELECT lovage.maintain_attempts(0);

-- +goose Down
DROP FUNCTION lovage.maintain_attempts(int);
DROP TABLE lovage.attempts;
