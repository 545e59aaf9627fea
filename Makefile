# Each target is one line that a person could type. `make help` lists them.
SHELL := /bin/bash
comma := ,
.DEFAULT_GOAL := help
.PHONY: help setup build demo stop dev test race chaos fuzz bench bench-template test-effects canvas lint golden clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

setup: ## install what is missing (Redis, PostgreSQL, Python environments); root only for Debian packages
	@setup/setup.sh

build: ## the lovage command, into bin/
	go build -o bin/ ./cmd/...

demo: setup build ## FastAPI, the four insurance tasks, one request's whole trail; KEEP=1 leaves it running, EXAMPLE=quickstart is smaller
	@go build -o bin/quickstart-worker ./examples/quickstart/worker && go build -o bin/insurance-worker ./examples/insurance/worker && go build -o bin/ ./examples/demo && KEEP=$(KEEP) exec bin/demo $(EXAMPLE)

stop: ## stop what make demo KEEP=1 has left running
	@go run ./examples/demo stop

dev: build ## an embedded broker and a worker with example tasks; nothing else needed
	bin/lovage dev

test: setup ## all tests, against real Redis, PostgreSQL and Celery
	go test -count=1 -timeout 25m ./...

race: setup ## the tests of the concurrent packages under the race detector
	go test -count=1 -race -timeout 25m ./worker/... ./internal/transport/... ./tasks/... ./client/...

chaos: setup ## the fault tests in full size, about an hour; ONLY=Kill runs those whose name matches
	go test -count=1 -v -run '$(or $(ONLY),.)' -timeout 120m ./chaos -args -full

fuzz: ## every fuzz target for FUZZTIME (default 30s)
	@setup/fuzz.sh $(or $(FUZZTIME),30s)

bench: setup ## Lovage beside its peers: tables in artifacts/; ONLY=noop,latency,... ROUNDS=3 FULL=1
	cd bench/peers && GOFLAGS=-mod=mod ROUNDS=$(ROUNDS) FULL=$(FULL) go test -run '^$$' -bench '^BenchmarkSideBySide$$$(if $(ONLY),/^($(subst $(comma),|,$(ONLY)))$$)' -benchtime 1x -timeout 90m .

canvas: setup ## the long form of the canvas tests: 2,000 random canvases, 20 rounds of kill -9, chords of 100,000 beside Celery's
	CANVAS_CASES=2000 CANVAS_ROUNDS=20 go test -count=1 -v -run 'Random|Killed' -timeout 25m ./e2e/canvas
	go test -run '^$$' -bench Chord -benchtime 1x -timeout 25m ./e2e/canvas

bench-template: setup ## the task template beside the same by hand in Python, and River: one effect, one commit, one ledger row a task
	cd bench/template && go test -run '^$$' -bench . -benchtime 1x -timeout 30m .

test-effects: setup ## the tests of effects once at full size: 1,000 triggers, 500 kills, a million rows, a minute of switches
	LOVAGE_FULL=1 go test -count=1 -v -timeout 60m ./once ./cache ./ledger ./outbox ./cmd/lovage ./examples/insurance

lint: ## vet and staticcheck
	go vet ./... && go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

golden: setup ## capture the golden files from real Celery again
	for script in protocol/testdata/capture*.sh client/testdata/capture*.sh; do $$script || exit 1; done

clean: ## remove what was built; keeps the Python environments
	rm -rf bin .run artifacts
