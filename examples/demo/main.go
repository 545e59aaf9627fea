// Command demo shows an example from one end to the other: it starts Redis, PostgreSQL, the FastAPI application and the Go worker on free ports, posts
// requests, follows them, and stops everything. With KEEP=1 it leaves everything running. The example is "insurance" unless "quickstart" is named.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	what := "insurance"
	if len(os.Args) == 2 {
		what = os.Args[1]
	}
	keep := os.Getenv("KEEP") == "1"
	folder, err := filepath.Abs(filepath.Join(".run", "demo"))
	switch {
	case err != nil:
	case what == "stop":
		err = stopKept(folder)
	case what == "quickstart":
		err = quickstart(ctx, folder, keep)
	case what == "insurance":
		err = insurance(ctx, folder, keep)
	default:
		err = fmt.Errorf("there is no example %q: insurance, quickstart", what)
	}
	switch {
	case ctx.Err() != nil:
		say("\ndemo: interrupted; everything is stopped")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
