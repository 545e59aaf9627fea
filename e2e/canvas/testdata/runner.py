"""Runs canvases that come as JSON, one a line, and prints for each what matrix.py sees of it. {"name", "spec"} is built here; {"name", "tuple"} was built and sent by somebody else."""
import json
import sys
import time

from celery import chain, chord, group
from celery.result import result_from_tuple

import matrix
from app import PREFIX, app, broker

client = app.backend.client


def build(row, spec):
    kind = spec["kind"]
    if kind == "task":
        sig = app.tasks[spec["task"]].s(*spec["args"], n="%s:%s" % (row, spec["n"]))
        sig.set(queue=spec["queue"])
        if spec.get("immutable"):
            sig.set_immutable(True)
    elif kind == "chain":
        sig = chain(*[build(row, s) for s in spec["tasks"]])
    elif kind == "group":
        sig = group([build(row, s) for s in spec["tasks"]])
    else:
        sig = chord([build(row, s) for s in spec["tasks"]], build(row, spec["body"]))
    for callback in spec.get("link") or []:
        sig.link(build(row, callback))
    for errback in spec.get("errback") or []:
        sig.link_error(build(row, errback))
    return sig


def run(line):
    call = json.loads(line)
    name = call["name"]
    if "tuple" in call:
        result = result_from_tuple(call["tuple"], app=app)
    else:
        try:
            result = build(name, call["spec"]).apply_async()
        except Exception as e:
            return {"name": name, "refused": type(e).__name__}
    hanging = idle(result)
    out = matrix.seen(name, result)
    out["hangs"] = hanging
    out["left"] = [k for k in matrix.left([name]) if not k.startswith("?")]
    keys = client.keys("celery-taskset-meta-*")
    if keys:
        client.delete(*keys)
    return out


def idle(result):
    """Waits until nothing is on its way any more; whether the result is still open then."""
    still, deadline = 0, time.monotonic() + 20
    while still < 6 and time.monotonic() < deadline:
        busy = sum(broker.llen(PREFIX + q) for q in ("a", "b", "celery")) + broker.hlen(PREFIX + "unacked")
        still = 0 if busy else still + 1
        time.sleep(0.004)
    return result is not None and not matrix.settled(result)


for line in sys.stdin:
    print(json.dumps(run(line)), flush=True)
