package record

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// Worker is what the benchmark tells a worker process by its environment.
type Worker struct {
	*Record
	// Broker is the URL of Redis or PostgreSQL; Address the host and port in it.
	Broker, Address string
	// Queue to consume.
	Queue string
	// Concurrency is how many handlers run at once.
	Concurrency int
	// Results tells that results are to be stored.
	Results bool
	// Pause is how long the task "slow" takes.
	Pause time.Duration
	// Profile is where a CPU profile is to be written; empty: nowhere.
	Profile string
}

// FromEnvironment reads the variables that the benchmark sets: BROKER, ADDRESS, QUEUE, RECORD, CONCURRENCY, RESULTS, PAUSE, PROFILE.
func FromEnvironment() (Worker, error) {
	w := Worker{Broker: os.Getenv("BROKER"), Address: os.Getenv("ADDRESS"), Queue: os.Getenv("QUEUE"), Results: os.Getenv("RESULTS") == "1", Profile: os.Getenv("PROFILE")}
	var err error
	if w.Record, err = Open(os.Getenv("RECORD")); err != nil {
		return w, err
	}
	if w.Concurrency, err = strconv.Atoi(os.Getenv("CONCURRENCY")); err != nil {
		return w, fmt.Errorf("CONCURRENCY: %w", err)
	}
	if w.Pause, err = time.ParseDuration(os.Getenv("PAUSE")); err != nil {
		return w, fmt.Errorf("PAUSE: %w", err)
	}
	return w, nil
}
