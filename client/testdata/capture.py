"""Captures what Celery puts on Redis for canvases of tasks that the producer does not know: one JSON line per canvas, {"name", "messages", "keys"}. Ids are replaced by their number in the order of
their coming, see client/golden_test.go."""
import json
import os
import re
import sys

from celery import Celery, chain, chord, group, signature

app = Celery("capture", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.set_current()
shapes = {}


def t(name, *args, **options):
    return signature("tasks." + name, args=args, options=options, app=app)


def shape(f):
    shapes[f.__name__] = f
    return f


@shape
def task(): return t("a", 1, "two", queue="q")
@shape
def task_kwargs(): return signature("tasks.a", args=(1,), kwargs={"k": [1, None]}, app=app)
@shape
def task_options():
    return t("a", 1, queue="q", priority=3, headers={"x-a": 1}, ignore_result=True, time_limit=60, soft_time_limit=30.5, shadow="other", retries=2)
@shape
def immutable(): return t("a", 1) | signature("tasks.b", args=(2,), immutable=True, app=app)
@shape
def chain_three(): return chain(t("a", 1), t("b", 2), t("c"))
@shape
def chain_nested(): return chain(t("a", 1), chain(t("b"), t("c")), t("d"))
@shape
def chain_queues(): return chain(t("a", 1, queue="q1"), t("b", 2, queue="q2"))
@shape
def group_two(): return group(t("a", 1), t("b", 2))
@shape
def group_nested(): return group(t("a", 1), group(t("b", 2), t("c", 3)))
@shape
def group_of_chains(): return group(chain(t("a", 1), t("b")), chain(t("c", 1), t("d")))
@shape
def chord_two(): return chord([t("a", 1), t("b", 2)], t("c"))
@shape
def chord_body_chain(): return chord([t("a", 1), t("b", 2)], chain(t("c"), t("d")))
@shape
def chord_body_group(): return chord([t("a", 1), t("b", 2)], group(t("c"), t("d")))
@shape
def chord_header_chains(): return chord([chain(t("a", 1), t("b")), t("c", 2)], t("d"))
@shape
def chord_header_complex(): return chord([chain(t("a", 1), group(t("b"), t("c"))), t("d", 2)], t("e"))
@shape
def chord_empty(): return chord([], t("c"))
@shape
def chord_of_chords(): return chord([chord([t("a", 1), t("b", 2)], t("c")), t("d", 3)], t("e"))
@shape
def chain_group_task(): return chain(t("a", 1), group(t("b"), t("c")), t("d"))
@shape
def chain_group_task_task(): return chain(t("a", 1), group(t("b"), t("c")), t("d"), t("e"))
@shape
def chain_starts_with_group(): return chain(group(t("a", 1), t("b", 2)), t("c"), t("d"))
@shape
def chain_ends_in_group(): return chain(t("a", 1), group(t("b"), t("c")))
@shape
def chain_two_chords(): return chain(group(t("a", 1), t("b", 2)), t("c"), group(t("d"), t("e")), t("f"))
@shape
def linked():
    s = t("a", 1)
    s.link(t("b"))
    s.link(t("c"))
    s.link_error(t("e"))
    return s
@shape
def link_of_chord():
    s = chord([t("a", 1), t("b", 2)], t("c"))
    s.link(t("d"))
    s.link_error(t("e"))
    return s
@shape
def chunks():
    from celery.canvas import chunks
    return chunks(t("a"), [[1, 1], [2, 2], [3, 3]], 2, app=app).group()
@shape
def starmap():
    from celery.canvas import xstarmap
    return xstarmap(t("a"), [[1, 1], [2, 2]], app=app)
@shape
def xmap():
    from celery.canvas import xmap
    return xmap(t("a"), [1, 2], app=app)
@shape
def stamped():
    s = chain(t("a", 1), t("b"))
    s.stamp(tenant="acme")
    return s


client = app.backend.client
for name, make in shapes.items():
    client.flushdb()
    make().apply_async()
    messages, keys = [], {}
    for key in sorted(k.decode() for k in client.keys("*")):
        if key.startswith("_kombu"):
            continue
        if client.type(key) == b"list":
            messages += [[key, m.decode()] for m in reversed(client.lrange(key, 0, -1))]
        else:
            keys[key] = client.get(key).decode()
    print(json.dumps({"name": name, "messages": messages, "keys": keys}))
