"""The Python side of the benchmark: a task that does nothing, and the message that asks for it."""
import os

from celery import Celery

app = Celery("app", broker=os.environ["BROKER"], backend=os.environ["BROKER"])


@app.task(name="bench.noop")
def noop():
    pass
