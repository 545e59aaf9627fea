// Package peers measures a Lovage worker beside Celery's pools, asynq, machinery, River and a bare limit: the same machine, the same kind of task, in turn, each worker a
// process of its own. It is a module of its own, so that the peers are no dependencies of Lovage.
//
//	make bench                           # all of it
//	make bench ONLY=noop,latency         # some parts: noop latency idle fleet kill heavy scaling
//	make bench ONLY=scaling FULL=1       # with the longest rows
//	make bench ROUNDS=1                  # medians of one
//
// Every handler writes into one file of counters that all processes share (package record): which task ran, how often, or when. So the end of a run is known in the same way
// for every peer, and the counts are checked: a task that did not run, or ran twice, fails the benchmark. Times never do.
package peers
