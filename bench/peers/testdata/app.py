"""The Celery side of the benchmark: the tasks of record/record.go and the demo's risk score."""
import mmap
import os
import sys
import threading
import time

from celery import Celery

sys.path.insert(0, os.environ["QUICKSTART"])
import risk  # noqa: E402

app = Celery("app", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.task_acks_late = os.environ.get("ACKS_LATE") == "1"
app.conf.task_reject_on_worker_lost = app.conf.task_acks_late
if "VISIBILITY_TIMEOUT" in os.environ:
    app.conf.broker_transport_options = {"visibility_timeout": int(os.environ["VISIBILITY_TIMEOUT"])}
lock = threading.Lock()
slots = None


def record():
    global slots
    if slots is None:
        with open(os.environ["RECORD"], "r+b") as file:
            slots = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
    return slots


@app.task(name="bench.count")
def count(i, fill=""):
    with lock:
        record()[i] += 1


@app.task(name="bench.stamp")
def stamp(i):
    now = time.time_ns()
    if record()[i] == 0:
        record()[i] = now


@app.task(name="bench.slow")
def slow(i):
    time.sleep(float(os.environ["PAUSE"].removesuffix("ms")) / 1000)
    count.run(i)


app.task(risk.plain, name="risk.score")
app.task(risk.vectorized, name="risk.vectorized")
