-- Roles with the least rights, as an example: psql -f roles.sql, as the owner of the schema lovage, after `lovage migrate up`.
-- Workers run tasks; producers only enqueue; readers look; operators switch runs and pause tasks. Nobody may change audit rows.
CREATE ROLE lovage_worker;
CREATE ROLE lovage_producer;
CREATE ROLE lovage_reader;
CREATE ROLE lovage_operator;

GRANT USAGE ON SCHEMA lovage TO lovage_worker, lovage_producer, lovage_reader, lovage_operator;

GRANT SELECT, INSERT, UPDATE ON lovage.effects, lovage.fences, lovage.attempts, lovage.prediction_runs, lovage.active_runs TO lovage_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON lovage.outbox TO lovage_worker;
GRANT SELECT, INSERT ON lovage.audit TO lovage_worker;
GRANT EXECUTE ON FUNCTION lovage.maintain_attempts(int) TO lovage_worker;

GRANT INSERT ON lovage.outbox TO lovage_producer;
GRANT SELECT (id, seq) ON lovage.outbox TO lovage_producer; -- for RETURNING id
GRANT SELECT ON lovage.prediction_runs, lovage.active_runs TO lovage_producer;

GRANT SELECT ON ALL TABLES IN SCHEMA lovage TO lovage_reader;

GRANT lovage_reader TO lovage_operator;
GRANT INSERT ON lovage.audit, lovage.schedule_audit, lovage.outbox TO lovage_operator;
GRANT UPDATE ON lovage.prediction_runs TO lovage_operator;
GRANT INSERT, UPDATE ON lovage.active_runs TO lovage_operator;
