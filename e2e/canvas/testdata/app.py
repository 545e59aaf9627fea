"""The tasks of the canvas tests, for a Python worker and for the producer. The Go worker of the tests has the same ones (tasks_test.go)."""
import json
import os

import redis
from celery import Celery, signature

PREFIX = os.environ.get("PREFIX", "")
broker = redis.Redis.from_url(os.environ["BROKER"])  # where the logs are, too

app = Celery("app", broker=os.environ["BROKER"], backend=os.environ.get("BACKEND", os.environ["BROKER"]))
app.conf.update(
    worker_hijack_root_logger=False,
    task_acks_late=True,
    result_chord_join_timeout=10,
    broker_transport_options={"visibility_timeout": 3600, "global_keyprefix": PREFIX},
    result_backend_transport_options={"result_chord_ordered": not os.environ.get("UNORDERED"), "global_keyprefix": PREFIX},
)


def note(self, n, args):
    """Leaves a line in the row's log: what ran, under which ids."""
    r = self.request
    line = {
        "n": n, "task": self.name, "id": r.id, "parent": r.parent_id, "root": r.root_id, "group": r.group, "retries": r.retries, "args": args,
        "redelivered": bool((r.delivery_info or {}).get("redelivered")), "stamps": r.stamps or {}, "nesting": r.replaced_task_nesting or 0,
        "chord": bool(r.chord),
    }
    broker.rpush("log:" + (n or "?").split(":")[0], json.dumps(line))


@app.task(name="c.add", bind=True)
def add(self, x, y=0, n=None):
    note(self, n, [x, y])
    return x + y


@app.task(name="c.echo", bind=True)
def echo(self, *args, n=None):
    note(self, n, list(args))
    return list(args)


@app.task(name="c.tsum", bind=True)
def tsum(self, values, n=None):
    note(self, n, [sorted(values, key=str)])  # what has no place of its own in a chord comes in any order
    return sum(v for v in values if isinstance(v, int))


@app.task(name="c.fail", bind=True)
def fail(self, *args, n=None):
    note(self, n, list(args))
    raise ValueError("no " + n.split(":")[1])


@app.task(name="c.flaky", bind=True, max_retries=5)
def flaky(self, x, times=1, n=None):
    note(self, n, [x, times])
    if self.request.retries < times:
        raise self.retry(countdown=0, exc=KeyError("again"))
    return x


@app.task(name="c.giveup", bind=True, max_retries=1)
def giveup(self, *args, n=None):
    note(self, n, list(args))
    raise self.retry(countdown=0, exc=KeyError("gave up"))


@app.task(name="c.errback", bind=True)
def errback(self, task_id, n=None):
    note(self, n, [task_id])
    return task_id


@app.task(name="c.errback3")
def errback3(request, exc, traceback, n=None):
    line = {"n": n, "task": "c.errback3", "id": "", "parent": "", "root": "", "group": "", "retries": 0, "args": [request.id, repr(exc)], "redelivered": False, "stamps": {}, "nesting": 0, "chord": False}
    broker.rpush("log:" + n.split(":")[0], json.dumps(line))


@app.task(name="c.replace", bind=True)
def replace(self, *args, sig=None, n=None):
    note(self, n, list(args))
    sig = signature(sig)
    if not sig.get("immutable") and sig.get("subtask_type") is None and args:
        sig = sig.clone(args)
    return self.replace(sig)


@app.task(name="c.addto", bind=True)
def addto(self, x, sig=None, n=None):
    note(self, n, [x])
    self.add_to_chord(signature(sig))
    return x


@app.task(name="c.ignored", bind=True, ignore_result=True)
def ignored(self, *args, n=None):
    note(self, n, list(args))
    return "ignored"


def flat(value):
    return value if isinstance(value, int) else sum(map(flat, value)) if isinstance(value, list) else 1


@app.task(name="c.mix", bind=True)
def mix(self, *args, n=None):
    """Makes one number of whatever it gets."""
    note(self, n, list(args))
    return flat(list(args)) + 1


@app.task(name="c.again", bind=True, max_retries=3)
def again(self, *args, n=None):
    note(self, n, list(args))
    if self.request.retries < 1:
        raise self.retry(countdown=0, exc=KeyError("again"))
    return flat(list(args)) + 1


@app.task(name="c.plain")
def plain(x):
    return x


@app.task(name="c.count")
def count(values):
    assert values == list(range(len(values)))
    return len(values)
