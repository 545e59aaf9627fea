"""The Celery application of the end-to-end tests: the producer, and the Python worker whose results ours are compared with."""
import datetime
import decimal
import os
import time
import uuid

from celery import Celery

app = Celery("app", broker=os.environ["BROKER"], backend=os.environ.get("BACKEND", os.environ["BROKER"]))
app.conf.update(
    accept_content=["json", "msgpack", "yaml"],
    result_extended=bool(os.environ.get("EXTENDED")),
    worker_hijack_root_logger=False,
    broker_transport_options={"global_keyprefix": os.environ.get("PREFIX", "")},
    result_backend_transport_options={"global_keyprefix": os.environ.get("PREFIX", "")},
)


class BrokenPipe2(Exception):
    pass


@app.task(name="e2e.echo")
def echo(value):
    return value


@app.task(name="e2e.add")
def add(x, y, z=3):
    return x + y


@app.task(name="e2e.made")
def made():
    """Values of the types that kombu 5.3 and later write in a form of their own, and earlier ones as text."""
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    return {
        "utc": datetime.datetime(2026, 2, 28, 23, 59, 59, 123456, datetime.timezone.utc), "offset": datetime.datetime(2026, 1, 1, tzinfo=zone),
        "date": datetime.date(2024, 2, 29), "time": datetime.time(12, 0, 1), "decimal": decimal.Decimal("1.10"), "uuid": uuid.UUID(int=5),
    }


@app.task(name="e2e.only")
def only():
    return "only"


@app.task(name="e2e.collect")
def collect(*args, **kwargs):
    return [list(args), kwargs]


@app.task(name="e2e.keyword")
def keyword(a, *, scale, offset=1):
    return a * scale + offset


@app.task(name="e2e.fail")
def fail(kind, *args):
    import builtins

    raise getattr(builtins, kind)(*args)


@app.task(name="e2e.custom")
def custom(message):
    raise BrokenPipe2(message)


@app.task(name="e2e.request", bind=True)
def request(self):
    r = self.request
    return {
        "id": r.id, "retries": r.retries, "root_id": r.root_id, "parent_id": r.parent_id, "group": r.group,
        "headers": {k: v for k, v in (r.headers or {}).items() if k.startswith("x-")} if isinstance(r.headers, dict) else {},
        "priority": r.delivery_info.get("priority"), "routing_key": r.delivery_info.get("routing_key"),
        "timelimit": list(r.timelimit) if r.timelimit else [None, None],
    }


@app.task(name="e2e.size")
def size(data):
    return len(data)


@app.task(name="e2e.null")
def null():
    return None


@app.task(name="e2e.mark")
def mark(n):
    time.sleep(0.004)  # the work: long enough for the other side to get its share
    client = app.backend.client
    client.sadd("by:python", n)
    client.hincrby("ran", n, 1)
    return "python"


@app.task(name="e2e.retry", bind=True, max_retries=2)
def retry(self, fails, named=True):
    if self.request.retries < fails:
        if named:
            raise self.retry(exc=ValueError("attempt %d" % self.request.retries), countdown=0)
        raise self.retry(countdown=0)
    return [self.request.retries, self.request.id == self.request.root_id]


@app.task(name="e2e.auto", bind=True, autoretry_for=(KeyError,), retry_kwargs={"max_retries": 3, "countdown": 0})
def auto(self, fails):
    if self.request.retries < fails:
        raise KeyError("attempt", self.request.retries)
    return self.request.retries
