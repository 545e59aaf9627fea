#!/usr/bin/env bash
# Captures the golden files again, from each version of Celery that make setup has installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
for version in 5.7.0 5.2.7 4.4.7; do
  PYTHONDONTWRITEBYTECODE=1 ".venv/celery-$version/bin/python" protocol/testdata/capture.py
done
