"""A FastAPI application that only enqueues and reads: no route computes. What it writes and what it sends are one transaction, through lovage.outbox."""
import asyncio
import datetime
import os
import time
import uuid
from contextlib import asynccontextmanager
from decimal import Decimal

import psycopg
import redis
from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import HTMLResponse
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from pydantic import BaseModel, Field

from lovage_cache import Cache, cache_key

DATABASE = os.environ["LOVAGE_DATABASE_URL"]
QUEUE = "heavy"
cache = Cache(redis.Redis.from_url(os.environ["CELERY_BROKER_URL"], socket_timeout=0.5))
connections: asyncio.Queue = asyncio.Queue()
lags: list = []


async def watch_the_loop():
    """How late the event loop is, every 5 ms: what a route that computed would show."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        lags.append(max(0.0, time.perf_counter() - began - 0.005) * 1000)
        del lags[:-100_000]


@asynccontextmanager
async def lifespan(_):
    for _ in range(8):
        connections.put_nowait(await psycopg.AsyncConnection.connect(DATABASE, autocommit=True, row_factory=dict_row))
    watcher = asyncio.create_task(watch_the_loop())
    yield
    watcher.cancel()
    while not connections.empty():
        await connections.get_nowait().close()


app = FastAPI(title="Storm insurance", lifespan=lifespan)


@asynccontextmanager
async def database():
    conn = await connections.get()
    try:
        yield conn
    finally:
        connections.put_nowait(conn)


async def send(conn, task: str, kwargs: dict, dimensions: dict) -> str:
    """Enqueues a task in the connection's transaction: it is sent when that commits, and only then."""
    cursor = await conn.execute("INSERT INTO lovage.outbox (queue, task, kwargs, headers) VALUES (%s, %s, %s, %s) RETURNING id", (QUEUE, task, Jsonb(kwargs), Jsonb(dimensions)))
    return str((await cursor.fetchone())["id"])


def accepted(task_ids: list, correlation: str) -> dict:
    return {"correlation_id": correlation, "task_ids": task_ids, "status_url": f"/requests/{correlation}"}


class Weather(BaseModel):
    regions: list[str] = Field(min_length=1, max_length=200)
    weather_type: str = "hail"
    days: int = Field(7, ge=1, le=60)


@app.post("/weather", status_code=202)
async def sync_weather(body: Weather):
    correlation = str(uuid.uuid4())
    end = datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc)
    time_range = f"{(end - datetime.timedelta(days=body.days)).isoformat()}/{end.isoformat()}"
    async with database() as conn, conn.transaction():
        ids = [await send(conn, "task_weather_sync", {}, {"correlation_id": correlation, "access_mode": "internal", "region_scope": "country", "region_code": region,
                                                        "weather_type": body.weather_type, "time_range": time_range}) for region in body.regions]
    return accepted(ids, correlation)


class Refresh(BaseModel):
    regions: list[str] = Field(min_length=1, max_length=200)
    weather_type: str = "hail"
    shards: int = Field(4, ge=1, le=64)
    draws: int = Field(200, ge=1, le=100_000)


@app.post("/risk/refresh", status_code=202)
async def refresh_risk(body: Refresh):
    correlation, run = str(uuid.uuid4()), "run-" + uuid.uuid4().hex[:12]
    async with database() as conn, conn.transaction():
        task = await send(conn, "task_risk_recalc_predicted", {"regions": body.regions, "shards": body.shards, "draws": body.draws},
                          {"correlation_id": correlation, "access_mode": "internal", "data_type": "predicted", "weather_type": body.weather_type, "prediction_run_id": run})
    return {"prediction_run_id": run, **accepted([task], correlation)}


class Claim(BaseModel):
    policy: str = Field(min_length=1, max_length=64)
    product_id: str
    region_code: str
    sum_insured: Decimal
    event_date: datetime.date
    weather_type: str = "hail"


@app.post("/claims", status_code=202)
async def calculate_claim(body: Claim):
    correlation = str(uuid.uuid4())
    async with database() as conn, conn.transaction():
        task = await send(conn, "task_claim_calc", {"policy": body.policy, "sum_insured": str(body.sum_insured), "event_date": body.event_date.isoformat()},
                          {"correlation_id": correlation, "access_mode": "broker", "product_id": body.product_id, "region_code": body.region_code, "weather_type": body.weather_type})
    return accepted([task], correlation)


@app.get("/claims/{policy}")
async def read_claims(policy: str):
    async with database() as conn:
        cursor = await conn.execute("SELECT id, policy, product_id, event_date, prediction_run_id, payout::text FROM claims WHERE policy = %s ORDER BY id", (policy,))
        return await cursor.fetchall()


@app.get("/risk/{level}")
async def read_risk(level: str, x_access_mode: str = Header("public")):
    """One request, one run: the active run is read once, and all that is read carries its id."""
    async with database() as conn:
        cursor = await conn.execute("SELECT run_id FROM lovage.active_runs WHERE scope = 'risk'")
        active = await cursor.fetchone()
        if active is None:
            raise HTTPException(404, "no prediction run is active")
        run = active["run_id"]
        try:
            key = cache_key("risk." + level, {"access_mode": x_access_mode, "data_type": "predicted", "prediction_run_id": run})
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        value = await asyncio.to_thread(cache.get, key)
        if value is not None:
            return {"source": "cache", "cache_key": key.text, **value}
        cursor = await conn.execute("SELECT name, value FROM aggregates WHERE prediction_run_id = %s AND access_mode = %s AND level = %s ORDER BY name", (run, x_access_mode, level))
        values = {row["name"]: row["value"] for row in await cursor.fetchall()}
    if not values:
        raise HTTPException(404, f"nothing for {level} in mode {x_access_mode}")
    return {"source": "database", "run": run, "mode": x_access_mode, "values": values}


@app.get("/requests/{correlation}")
async def read_request(correlation: str):
    """The state of a request: every attempt of every task that came of it."""
    async with database() as conn:
        cursor = await conn.execute("""SELECT task, task_id, state, reused, retries, delivery, access_mode, region_code, prediction_run_id, queue_ms, run_ms, lock_key, lock_result, lock_release,
            rows_written, cache_keys, error_code, error_message FROM lovage.attempts WHERE correlation_id = %s ORDER BY started_at""", (correlation,))
        attempts = await cursor.fetchall()
        cursor = await conn.execute("SELECT count(*) FILTER (WHERE sent_at IS NULL) AS waiting, count(*) AS sent FROM lovage.outbox WHERE headers->>'correlation_id' = %s", (correlation,))
        outbox = await cursor.fetchone()
    ended = {a["task_id"] for a in attempts if a["state"] in ("succeeded", "failed", "refused")}
    return {"correlation_id": correlation, "tasks": outbox["sent"], "ended": len(ended), "complete": outbox["sent"] > 0 and len(ended) >= outbox["sent"], "attempts": attempts}


@app.get("/lag")
async def read_lag():
    seen = sorted(lags)
    return {"samples": len(seen), "p99_ms": seen[int(len(seen) * 0.99)] if seen else 0, "max_ms": seen[-1] if seen else 0}


@app.get("/healthz")
async def healthz():
    return {"status": "ok"}


@app.get("/", response_class=HTMLResponse)
async def page():
    return """<!doctype html><meta charset="utf-8"><title>Storm insurance</title>
<style>body{font:15px sans-serif;margin:2em}table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:4px 8px;text-align:left}</style>
<h1>A request and its trail</h1><input id="id" size="40" placeholder="correlation id"> <button onclick="load()">show</button><p id="state"></p><table id="trail"></table>
<script>
const columns = ["task", "state", "retries", "run_ms", "access_mode", "region_code", "prediction_run_id", "lock_result", "lock_release", "rows_written", "error_code"];
async function load() {
  const r = await (await fetch("/requests/" + encodeURIComponent(document.getElementById("id").value))).json();
  document.getElementById("state").textContent = r.ended + " of " + r.tasks + " tasks have ended";
  const table = document.getElementById("trail"); table.replaceChildren();
  const add = (cells, tag) => { const row = table.insertRow(); for (const c of cells) { const cell = document.createElement(tag); cell.textContent = c ?? ""; row.append(cell); } };
  add(columns, "th"); for (const a of r.attempts) add(columns.map(c => a[c]), "td");
  if (!r.complete) setTimeout(load, 500);
}
if (location.hash) { document.getElementById("id").value = location.hash.slice(1); load(); }
</script>"""
