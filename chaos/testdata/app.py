"""The Python half of a mixed fleet: the task of the chaos tests, writing to the same ledger."""
import os
import time

import redis
from celery import Celery

app = Celery("app", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=2,
    broker_transport_options={"visibility_timeout": int(os.environ["VISIBILITY_TIMEOUT"])},
)
ledger = redis.Redis.from_url(os.environ["LEDGER"])


@app.task(name="chaos.work", bind=True)
def work(self, id, millis=0, again=False, due=0):
    # The parent of a prefork pool is what the tests kill and know.
    pid = int(os.environ.get("SOLO") and os.getpid() or os.getppid())
    ledger.rpush("runs", f"S {id} {self.request.retries} {pid} 0")
    time.sleep(millis / 1000)
    ledger.rpush("runs", f"E {id} {self.request.retries} {pid} 0")
    if again and self.request.retries == 0:
        raise self.retry(countdown=0)
    return id
