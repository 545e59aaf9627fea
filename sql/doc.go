// Package store is Lovage's part of a PostgreSQL database (13 or later), in the schema lovage: its migrations, and the statements on its tables.
//
//	Open(ctx, url) ──▶ Store        Migrate(ctx, db)      the schema, to the newest version; safe with several starting at once
//
//	effects, fences                 what tasks have done, and under which lease: written by package once in the task's own transaction
//	attempts                        the ledger: one row per attempt, a partition per day
//	prediction_runs, active_runs    CreateRun, Switch, Active
//	audit, schedule_audit           who, why, from, to; UPDATE and DELETE are refused by the database itself
//	outbox                          what is sent when a transaction has committed: Enqueue, and any INSERT from elsewhere
//
// The folder is called sql because that is what is in it; import it under the name store.
package store
