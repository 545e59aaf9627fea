"""Sends each row twice, to the queue of the Go worker and to that of the Python worker, and compares what AsyncResult gives.

Prints one JSON line per row: {"name", "equal", "go", "py"}.
"""
import datetime
import decimal
import json
import sys
import time
import uuid

import celery
from celery import exceptions

from app import app

UTC = datetime.timezone.utc
NEW = tuple(int(p) for p in celery.__version__.split(".")[:2]) >= (5, 3)  # kombu's typed JSON values
rows = []


def row(name, task, args=(), kwargs=None, both=True, ignored=False, **options):
    rows.append((name, task, args, kwargs or {}, options, ignored))


for name, value in {
    "none": None, "true": True, "false": False, "zero": 0, "int": 42, "negative": -7, "beyond 2^53": 2**53 + 1, "beyond 2^64": 2**70 + 3,
    "float": 1.5, "one as float": 1.0, "tiny": 5e-324, "huge": 1e308, "exponent": 1e16, "small exponent": 1e-7, "infinity": float("inf"),
    "minus infinity": float("-inf"), "nan": float("nan"), "empty text": "", "text": "hello", "umlauts": "äöü ß", "cjk": "日本語", "emoji": "🌧️ rain",
    "lone surrogate": "\ud800x", "control characters": "\x00\x01\n\t\x7f", "quotes": "it's \"quoted\" \\ here", "html": "<a href='&'>",
    "line separators": "\u2028\u2029", "empty list": [], "list": [1, "two", 3.0, None, [4, [5]]], "empty dict": {},
    "dict": {"b": 1, "a": {"c": [1, 2]}}, "dict with odd keys": {"": 1, "ключ": 2, "a b": 3}, "deep": [[[[[[[[[[1]]]]]]]]]], "long list": list(range(2000)),
}.items():
    row("echo " + name, "e2e.echo", (value,))
if NEW:
    for name, value in {
        "datetime": datetime.datetime(2026, 2, 28, 23, 59, 59, 123456, UTC), "naive datetime": datetime.datetime(2026, 3, 29, 2, 30),
        "datetime with offset": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30))),
        "date": datetime.date(2024, 2, 29), "time": datetime.time(12, 0, 1, 5), "decimal": decimal.Decimal("1.10"),
        "large decimal": decimal.Decimal("12345678901234567890.123456789"), "uuid": uuid.UUID(int=5), "bytes": b"abc", "binary": b"\xff\x00\xfe",
        "types in a dict": {"when": datetime.datetime(2026, 1, 1, tzinfo=UTC), "sum": [decimal.Decimal("0.30")]},
    }.items():
        row("echo " + name, "e2e.echo", (value,))

row("positional", "e2e.add", (2, 3))
row("keywords", "e2e.add", (), {"x": 2, "y": 3})
row("mixed", "e2e.add", (2,), {"y": 3, "z": 9})
row("default overridden", "e2e.add", (2, 3, 4))
row("no arguments", "e2e.only")
row("typed result", "e2e.made")
row("null result", "e2e.null")
row("star arguments", "e2e.collect", (1, "a"), {"k": [1], "l": None})
row("keyword only", "e2e.keyword", (3,), {"scale": 2})
row("missing argument", "e2e.add", (1,))
row("missing arguments", "e2e.add")
row("too many arguments", "e2e.add", (1, 2, 3, 4))
row("too many for none", "e2e.only", (1,))
row("unexpected keyword", "e2e.add", (1, 2), {"q": 1})
row("multiple values", "e2e.add", (1, 2), {"x": 1})
row("missing keyword only", "e2e.keyword", (3,))
for kind, args in [
    ("ValueError", ("too small",)), ("KeyError", ("a", 1)), ("RuntimeError", ()), ("TypeError", ("no",)), ("ZeroDivisionError", ("division by zero",)),
    ("Exception", ("plain", [1, 2], {"k": None})), ("OSError", (2, "No such file")), ("LookupError", ("ümlaut",)), ("ArithmeticError", (1.0,)),
]:
    row("raises " + kind, "e2e.fail", (kind,) + args)
row("raises a class of the application", "e2e.custom", ("broken",))
row("unknown task", "e2e.nobody-knows", (1,))
for serializer in ("json", "msgpack", "yaml"):
    row("serializer " + serializer, "e2e.echo", ({"a": [1, 2.5, "text", None, True, -3], "ü": "日本"},), serializer=serializer)
    row("errors by " + serializer, "e2e.fail", ("ValueError", "x"), serializer=serializer)
row("msgpack large numbers", "e2e.echo", ([2**63, -(2**63), 2**32, 127, 128, -33],), serializer="msgpack")
row("yaml text that looks like other things", "e2e.echo", (["yes", "no", "null", "1", "1.0", "~", "2024-01-01", "a: b", "- c", ""],), serializer="yaml")
for compression in ("zlib", "bzip2"):
    row("compression " + compression, "e2e.echo", ("x" * 5000,), compression=compression)
for compression in ("lzma", "brotli", "zstd"):
    try:
        from kombu import compression as registry

        registry.get_encoder(compression)
        row("compression " + compression, "e2e.echo", ("x" * 5000,), compression=compression)
    except KeyError:
        pass
row("compressed msgpack", "e2e.echo", (list(range(500)),), serializer="msgpack", compression="zlib")
for priority in (0, 3, 6, 9):
    row("priority %d" % priority, "e2e.request", priority=priority, task_id="priority-%d-QUEUE" % priority)
row("countdown 0", "e2e.add", (1, 2), countdown=0)
row("countdown", "e2e.add", (1, 2), countdown=0.3)
row("eta in the past", "e2e.add", (1, 2), eta=datetime.datetime(2020, 1, 1, tzinfo=UTC))
row("expires later", "e2e.add", (1, 2), expires=60)
row("expires as a date", "e2e.add", (1, 2), expires=datetime.datetime(2099, 1, 1, tzinfo=UTC))
row("expired", "e2e.add", (1, 2), expires=datetime.datetime(2020, 1, 1, tzinfo=UTC))
row("big body", "e2e.size", ("0123456789" * 1_000_000,))
row("big body compressed", "e2e.size", ("0123456789" * 1_000_000,), compression="zlib")
row("custom id", "e2e.request", task_id="any string: ü / 1 QUEUE")
if NEW:  # before 5.3 Celery keeps unknown headers from its own tasks
    row("unknown headers", "e2e.request", task_id="headers-QUEUE", headers={"x-one": "1", "x-two": [1, {"a": None}]})
row("time limits", "e2e.request", task_id="limits-QUEUE", time_limit=100, soft_time_limit=50)
row("root and parent ids", "e2e.request", task_id="ids-QUEUE", root_id="the-root", parent_id="the-parent")
row("ignored result", "e2e.add", (1, 2), ignored=True, ignore_result=True)
row("shadow", "e2e.add", (1, 2), shadow="another.name")
row("retried once", "e2e.retry", (1,))
row("retried twice", "e2e.retry", (2,))
row("retried too often", "e2e.retry", (3,))
row("retried too often without a reason", "e2e.retry", (3, False), task_id="no-reason-QUEUE")
row("retried by itself", "e2e.auto", (3,))
row("retried by itself too often", "e2e.auto", (4,))
row("retried with msgpack and zlib", "e2e.retry", (2,), serializer="msgpack", compression="zlib")
row("protocol 1 retried", "e2e.retry", (2,), protocol1=True)
row("protocol 1", "e2e.add", (1, 2), protocol1=True)
row("protocol 1 keywords", "e2e.add", (), {"x": 1, "y": 5}, protocol1=True)


def canonical(value):
    """repr, with dicts in the order of their keys: Go's maps have none."""
    if isinstance(value, dict):
        return "{" + ", ".join("%r: %s" % (k, canonical(value[k])) for k in sorted(value, key=str)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(canonical, value)) + "]"
    return repr(value)


def outcome(result, ignored):
    if ignored:
        return ["ignored", app.backend.client.exists(app.backend.get_key_for_task(result.id))]
    try:
        # get() alone would do; but with Celery 5.2 and redis-py 4 it takes a second for a result that is there already.
        deadline = time.monotonic() + 60
        while not result.ready() and time.monotonic() < deadline:
            time.sleep(0.005)
        value = result.get(timeout=1)
        return ["value", type(value).__name__, canonical(value), result.state]
    except (exceptions.TimeoutError, AssertionError) as e:
        return ["no result", repr(e)]
    except Exception as e:
        return ["raised", type(e).__name__, repr(e), str(e), result.state]


def send(task, args, kwargs, options, queue):
    options = dict(options, queue=queue)
    if "task_id" in options:
        options["task_id"] = options["task_id"].replace("QUEUE", queue)
    app.conf.task_protocol = 1 if options.pop("protocol1", False) else 2
    app.amqp.__dict__.pop("create_task_message", None)
    return app.send_task(task, args, kwargs, **options)


pending = [
    (name, ignored, send(task, args, kwargs, options, "go"), send(task, args, kwargs, options, "py"))
    for name, task, args, kwargs, options, ignored in rows
]
barrier = [app.send_task("e2e.only", queue=q).get(timeout=30, interval=0.02) for q in ("go", "py")]
for name, ignored, go, py in pending:
    a, b = outcome(go, ignored), outcome(py, ignored)
    b = json.loads(json.dumps(b).replace("-py", "-go").replace(" py", " go").replace("'py'", "'go'"))
    a = json.loads(json.dumps(a))
    sys.stdout.write(json.dumps({"name": name, "equal": a == b, "go": [str(p)[:300] for p in a], "py": [str(p)[:300] for p in b]}) + "\n")
