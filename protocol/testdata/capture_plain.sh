#!/usr/bin/env bash
# Captures the golden files again, from the versions of kombu that make setup installs. git diff then shows what has changed.
set -euo pipefail
cd "$(dirname "$0")"
for celery in 5.2.7 4.4.7; do
  python=../../.venv/celery-$celery/bin/python
  kombu=$("$python" -W ignore -c 'import kombu; print(kombu.__version__)')
  "$python" -W ignore capture_plain.py > "plain-kombu-$kombu.json"
  echo "captured plain-kombu-$kombu.json"
done
