// Package canvas works out what follows the end of a task: which messages are to be sent, which results to be stored, which chords to be counted. It is pure: ids, clock and
// what Redis holds come in as arguments, what is to be written goes out as a Plan.
//
//	the embed of a message (callbacks, errbacks, chain, chord)
//	          +  the end of its task (a result, or an exception)
//	                         │
//	       Succeeded / Failed / Revoked / Replace / Join
//	                         │
//	                         ▼
//	Plan: messages ── chord sizes ── saved groups ── results of tasks that will never run ── parts of chords ── errbacks
//
// It must agree with celery/canvas.py (freeze, apply_async and run of each primitive), celery/app/trace.py (the order of follow-ups), and celery/backends/base.py and redis.py (failures and
// chords) of Celery 5.7.0. As there, a signature is a tree that is changed while it is prepared: freezing gives ids to its tasks, and a chord's header refers to the one body.
package canvas
