"""Sends one message, as an application does, for the benchmark to make copies of. Arguments as JSON on standard input."""
import json
import sys
from datetime import datetime, timedelta, timezone

from app import app

ask = json.load(sys.stdin)
args = [ask["number"]] + (["x" * ask["fill"]] if ask["fill"] else [])
eta = datetime.now(timezone.utc) + timedelta(days=1) if ask["parked"] else None
kwargs = None
if ask["task"].startswith("risk."):
    args, kwargs = None, {"region": "north-sea", "seed": ask["number"], "size": 64, "runs": 200}
app.send_task(ask["task"], args, kwargs, task_id=ask["id"], queue="bench", ignore_result=ask["ignored"], eta=eta)
