"""Reads what Go has written: one JSON list of {"kind": ..., "raw": base64} in, one JSON list of {"ok": meaning} or {"error": text} out."""
import base64
import json
import sys

from meaning import meaning

for line in sys.stdin:
    answers = []
    for case in json.loads(line):
        try:
            answers.append({'ok': meaning(case['kind'], base64.b64decode(case['raw']).decode())})
        except Exception as exc:
            answers.append({'error': f'{type(exc).__name__}: {exc}'})
    print(json.dumps(answers), flush=True)
