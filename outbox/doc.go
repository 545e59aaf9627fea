// Package outbox sends what transactions have written into the table lovage.outbox once they have committed.
//
//	BEGIN; INSERT INTO claims ...; INSERT INTO lovage.outbox (queue, task, kwargs) VALUES ('heavy', 'task_claim_calc', '{"policy": "P-1"}'); COMMIT;
//	                                        │
//	Relay.Run (in any number of processes; one works, the others stand by) ──▶ the queue in Redis, in the order of the table, each once
//
// Each message is pushed by a script that notes its id: a relay that dies between the push and its commit sends nothing twice. That memory lasts a day and is Redis': if it is lost, a message
// may come twice, and the task template then returns the first result. The order is that of the rows' seq: of two transactions that run at the same time either may come first.
package outbox
