#!/bin/sh
# Captures client/testdata/golden.jsonl from real Celery, with a private Redis.
set -e
cd "$(dirname "$0")"
dir=$(mktemp -d)
redis-server --port 0 --unixsocket "$dir/redis.sock" --save '' --daemonize yes --dir "$dir" --pidfile "$dir/pid" >/dev/null
trap 'kill "$(cat "$dir/pid")"; rm -rf "$dir"' EXIT
until [ -S "$dir/redis.sock" ]; do :; done
BROKER="redis+socket://$dir/redis.sock" PYTHONWARNINGS=ignore ../../.venv/celery-5.7.0/bin/python capture.py >golden.jsonl
