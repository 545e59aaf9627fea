"""The guarantees of Lovage's task template by hand: redis-py's lock, psycopg, the same tables. Names and order are those of package once."""
import datetime
import hashlib
import json
import os
import time

import psycopg
import redis
from celery import Celery
from celery.signals import worker_process_init

app = Celery("bench", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_prefetch_multiplier=64, broker_connection_retry_on_startup=True)
state = {}


@worker_process_init.connect
def connect(**_):
    state["db"] = psycopg.connect(os.environ["DATABASE"], autocommit=True)
    state["redis"] = redis.Redis.from_url(os.environ["BROKER"])


CLAIM = """INSERT INTO lovage.effects (task, key, input, task_id) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"""
FINISH = """WITH fence AS (INSERT INTO lovage.fences AS f (key, number) VALUES (%(lock)s, %(number)s)
  ON CONFLICT (key) DO UPDATE SET number = greatest(f.number, excluded.number), seen_at = now() RETURNING number)
UPDATE lovage.effects SET done = true, result = %(result)s, rows = 1, done_at = now() WHERE task = %(task)s AND key = %(key)s RETURNING (SELECT number FROM fence)"""
LEDGER = """INSERT INTO lovage.attempts (day, task_id, retries, delivery, task, state, root_id, started_at, finished_at, run_ms, access_mode, effect_key, lock_key, lock_result,
  lock_release, rows_written, args, kwargs) VALUES (%s, %s, 0, 0, %s, 'succeeded', %s, %s, %s, %s, %s, %s, %s, 'acquired', 'released', 1, %s, %s)"""


@app.task(bind=True, name="bench.effect")
def effect(self, n, access_mode):
    began = time.time()
    db, key = state["db"], "%s|mode=%s|run=" % (n, access_mode)
    lock_key = "bench.effect:" + key
    number = state["redis"].incr("fence")
    lock = state["redis"].lock("lock:" + lock_key, timeout=15, blocking_timeout=2)
    if not lock.acquire():
        raise self.retry(countdown=1)
    try:
        with db.transaction():
            digest = hashlib.sha256(json.dumps([n, access_mode]).encode()).digest()
            if db.execute(CLAIM, (self.name, key, digest, self.request.id)).rowcount == 1:
                db.execute("INSERT INTO bench_effects (n) VALUES (%s)", (n,))
                seen = db.execute(FINISH, {"lock": lock_key, "number": number, "result": str(n), "task": self.name, "key": key}).fetchone()[0]
                if seen > number:
                    raise RuntimeError("fenced")
            else:
                row = db.execute("SELECT input, result FROM lovage.effects WHERE task = %s AND key = %s", (self.name, key)).fetchone()
                if bytes(row[0]) != digest:
                    raise RuntimeError("another input")
    finally:
        lock.release()
    now = time.time()
    at = lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    db.execute(LEDGER, (at(began).date(), self.request.id, self.name, self.request.root_id, at(began), at(now), (now - began) * 1000, access_mode, key, lock_key,
                        json.dumps(self.request.args), json.dumps(self.request.kwargs)))
    return n


if __name__ == "__main__":
    import sys
    with app.pool.acquire(block=True) as connection, app.amqp.Producer(connection) as producer:
        for i in range(int(sys.argv[1]), int(sys.argv[2])):
            effect.apply_async((), {"n": i, "access_mode": "public"}, producer=producer, queue="bench")
