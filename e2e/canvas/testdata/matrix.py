"""Sends the shapes and prints, for each, a JSON line with all that can be seen of it: results, states, children, ids and what ran. Ids are replaced by labels, so that the lines of several fleets
can be compared.

Arguments: names of shapes; none: all."""
import json
import re
import sys
import time

from celery.result import AsyncResult, GroupResult

from app import PREFIX, app, broker
from shapes import Labels, beyond, shapes

client = app.backend.client
JOIN = re.compile(r"Join error: ValueError\('no [0-9]+'\)")
UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def send(name):
    sig = {**shapes, **beyond}[name](Labels(name))
    return sig.apply_async()


def settled(result):
    """All leaves have ended."""
    if isinstance(result, GroupResult):
        return all(settled(r) for r in result.results)
    return result.state in ("SUCCESS", "FAILURE", "REVOKED")


def parents(result):
    while result is not None:
        yield result
        result = result.parent


class Names:
    """Gives each id a name that is the same in every run: its label where it ran, else by where it was met."""

    def __init__(self, log):
        self.names, self.members = {}, {line["id"] for line in log if line["chord"]}
        roots = {line["root"] for line in log if line["chord"]}
        if len(roots) > 1:
            self.members |= roots
        for line in log:
            if line["id"]:
                self.names.setdefault(line["id"], "<" + line["n"].split(":")[1] + ">" if line["n"] else "<none>")

    def of(self, id_, hint="?"):
        if id_ is None:
            return None
        if id_ not in self.names:
            self.names[id_] = "<%s%d>" % (hint, sum(1 for v in self.names.values() if v.startswith("<" + hint)))
        return self.names[id_]

    def above(self, id_, hint):
        """The name of a parent or root. Which member of a chord was the last, and so is the parent of the body, is chance."""
        return "<member>" if id_ in self.members else self.of(id_ or None, hint)

    def text(self, value):
        text = json.dumps(value, sort_keys=True)
        for id_, name in self.names.items():
            text = text.replace(id_, name)
        text = UUID.sub("<id>", text)  # of what neither ran nor is promised
        text = JOIN.sub("Join error: one of them", text)  # which of several failures Celery finds first in a header that is not flat is chance: it looks in a set
        return json.loads(text)


def children(tuples, names):
    """Stored children, as labels: a task's name, a group's members."""
    out = []
    for (id_, parent), members in tuples or []:
        if members is not None:
            out.append({"group": children(members, names)})
        else:
            out.append(names.of(id_, "child"))
    return out


def meta(id_, names):
    raw = client.get(app.backend.get_key_for_task(id_))
    if not raw:
        return {"status": "PENDING"}
    doc = json.loads(raw)
    if doc["status"] == "FAILURE" and not doc.get("group_id") and not doc.get("parent_id"):
        doc["children"] = []  # of a chord's body that cannot run they are those of the last member, which is chance
    return {
        "status": doc["status"], "result": doc["result"], "traceback": bool(doc["traceback"]), "children": children(doc["children"], names),
        "done": bool(doc["date_done"]), "parent": names.above(doc.get("parent_id"), "parent"), "group": bool(doc.get("group_id")),
    }


def tree(result, names):
    """The result as the producer holds it, with what is stored for each of its ids."""
    if result is None:
        return None
    if isinstance(result, GroupResult):
        return {"group": [tree(r, names) for r in result.results]}
    return {"id": names.of(result.id, "task"), "stored": meta(result.id, names)}


def once(log):
    """The log without the runs that had to be repeated because a worker died: those of a redelivered message. And what ran twice though its message came but once each time: it was sent twice."""
    first, fresh, doubled = {}, set(), []
    for line in log:
        first.setdefault(json.dumps([line["n"], line["id"], line["retries"], line["args"]]), line)
        if line["id"] and not line["redelivered"]:
            attempt = (line["n"], line["id"], line["retries"], line["nesting"])
            if attempt in fresh:
                doubled.append(line["n"])
            fresh.add(attempt)
    return list(first.values()), doubled


def seen(name, result):
    log, doubled = once([json.loads(line) for line in broker.lrange("log:" + name, 0, -1)])
    names = Names(log)
    out = {"doubled": doubled, "name": name, "tree": [tree(r, names) for r in parents(result)], "stored": meta(result.id, names)["status"] if result is not None else None}
    ran = []
    for line in log:
        ran.append({
            "n": line["n"], "task": line["task"], "id": names.of(line["id"] or None), "parent": names.above(line["parent"], "parent"), "root": names.above(line["root"], "root"),
            "group": bool(line["group"]), "retries": line["retries"], "args": line["args"], "stamps": line["stamps"], "chord": line["chord"], "nesting": line["nesting"],
            "stored": meta(line["id"], names) if line["id"] else None,
        })
    out["ran"] = sorted(ran, key=lambda r: json.dumps(names.text([r["n"], r["retries"], r["args"]])))
    return names.text(out)


def quiet(names, results, seconds=60):
    """Waits until every shape has ended and nothing is on its way any more."""
    deadline = time.monotonic() + seconds
    open_ = set(names)
    while open_ and time.monotonic() < deadline:
        open_ = {n for n in open_ if results[n] is not None and not settled(results[n])}
        time.sleep(0.02)
    still = 0
    while still < 5 and time.monotonic() < deadline:
        busy = sum(broker.llen(PREFIX + q) for q in ("a", "b", "celery")) + broker.hlen(PREFIX + "unacked")
        still = 0 if busy else still + 1
        time.sleep(0.02)
    return open_


def main(names):
    results = {name: send(name) for name in names}
    hanging = quiet(names, results)
    for name in names:
        out = seen(name, results[name])
        out["hangs"] = name in hanging
        print(json.dumps(out))
    print(json.dumps({"name": "left behind", "keys": left(names), "hanging": sorted(hanging)}))


def left(names):
    """The chord keys that are still there, by shape."""
    groups = {}
    for name in names:
        for line in broker.lrange("log:" + name, 0, -1):
            groups[json.loads(line)["group"]] = name
    keys = (k.decode() for k in client.keys(PREFIX + "celery-taskset-meta-*") if k[-2:] in (b".j", b".t", b".s"))
    return sorted(groups.get(k[len(PREFIX + "celery-taskset-meta-"):-2], "?") + k[-2:] for k in keys)


if __name__ == "__main__":
    main(sys.argv[1:] or list(shapes))
