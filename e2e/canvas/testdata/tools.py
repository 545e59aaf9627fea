"""What Celery's own tools see of a canvas, as JSON: collect(), graph, join, children, the builtin tasks."""
import json
import sys
import uuid

from celery import chain, chord, group
from celery.result import AsyncResult, GroupResult, ResultSet, result_from_tuple

from app import app
app.conf.task_default_queue = "a"
mix = app.tasks["c.mix"]


def t(*args):
    return mix.s(*args, n="tools:1").set(queue="a")


def outcome(result):
    try:
        return ["value", result.get(timeout=20)]
    except Exception as e:
        return [type(e).__name__, str(e)]


def sent(name, *args, **kwargs):
    return app.send_task(name, args, kwargs, queue="a")


out = {}
res = chain(t(1), t(2), group(t(3), t(4))).apply_async()
res.get(timeout=20)
root = res
while root.parent:
    root = root.parent
root = AsyncResult(root.id, app=app)
out["collect"] = [v if not isinstance(v, list) else sorted(v) for _, v in root.collect()]
out["graph"] = sorted(len(edges) for _, edges in root.graph.items())
out["children"] = [len(root.children), type(root.children[0]).__name__, len(root.children[0].children)]
g = group(t(1), t(2), t(3)).apply_async()
out["join"] = g.join(timeout=20)
out["join_native"] = g.join_native(timeout=20)
out["completed_count"] = g.completed_count()
g.save()
out["restore"] = GroupResult.restore(g.id, app=app).get(timeout=20)
c = chord([t(1), t(2)], t(3)).apply_async()
out["chord"] = [c.get(timeout=20), c.parent.get(timeout=20), c.parent.completed_count()]
out["as_list"] = len(chain(t(1), t(2), t(3)).apply_async().as_list())
done = chain(t(1), t(2)).apply_async()
done.get(timeout=20)
done.forget()
out["forget"] = [done.state, done.parent.state]
out["ResultSet"] = ResultSet([t(1).apply_async(), t(2).apply_async()], app=app).get(timeout=20)

out["accumulate"] = outcome(sent("celery.accumulate", 1, 2, 3))
out["accumulate index"] = outcome(sent("celery.accumulate", 1, 2, 3, index=1))
out["accumulate last"] = outcome(sent("celery.accumulate", 1, 2, 3, index=-1))
out["accumulate beyond"] = outcome(sent("celery.accumulate", 1, index=5))
out["map"] = outcome(sent("celery.map", dict(t()), [[1], [2, 3]]))
out["map by name"] = outcome(sent("celery.map", task=dict(t()), it=[1, 2]))
out["starmap"] = outcome(sent("celery.starmap", dict(t()), [[1, 2], [3]]))
out["map of nothing"] = outcome(sent("celery.map", dict(t()), []))
out["chunks"] = outcome(result_from_tuple(sent("celery.chunks", dict(t()), [[1], [2], [3]], 2).get(timeout=20), app=app))
out["chain"] = outcome(sent("celery.chain"))
out["backend_cleanup"] = outcome(sent("celery.backend_cleanup"))
ids = [str(uuid.uuid4()) for _ in range(2)]
members = [dict(t(n).set(task_id=i)) for n, i in enumerate(ids)]
gid = str(uuid.uuid4())
tuples = [[[i, None], None] for i in ids]
out["group"] = [outcome(sent("celery.group", members, [[gid, None], tuples], gid, []))[0], [AsyncResult(i, app=app).get(timeout=20) for i in ids]]
body = str(uuid.uuid4())
sent("celery.chord_unlock", gid, dict(t().set(task_id=body)), interval=0.01, max_retries=None, result=tuples)
out["chord_unlock"] = outcome(AsyncResult(body, app=app))
bad = app.tasks["c.fail"].s(n="tools:2").set(queue="a").apply_async()
outcome(bad)
body = str(uuid.uuid4())
sent("celery.chord_unlock", gid, dict(t().set(task_id=body)), interval=0.01, result=[[[bad.id, None], None]])
out["chord_unlock of a failure"] = [x.replace(bad.id, "<id>") for x in outcome(AsyncResult(body, app=app))]
body = str(uuid.uuid4())
sent("celery.chord", [dict(t(1)), dict(t(2))], dict(t().set(task_id=body)))
out["chord task"] = outcome(AsyncResult(body, app=app))
print(json.dumps(out, indent=1, sort_keys=True))
