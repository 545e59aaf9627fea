"""A FastAPI application that only enqueues and reads. It knows Celery and nothing of Lovage: the worker behind the queue may be Python or Go."""
import os

from celery import Celery
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

celery = Celery("quickstart", broker=os.environ["CELERY_BROKER_URL"], backend=os.environ["CELERY_RESULT_BACKEND"])
app = FastAPI(title="Storm risk")


class RiskRequest(BaseModel):
    region: str = Field(min_length=1, examples=["north-sea"])
    seed: int = 1
    size: int = Field(64, ge=2, le=512, description="grid cells per side")
    runs: int = Field(200, ge=1, le=100_000, description="Monte-Carlo runs per cell")


@app.post("/risk", status_code=202)
def request_risk(body: RiskRequest):
    result = celery.send_task("risk.score", kwargs=body.model_dump(), queue="heavy")
    return {"task_id": result.id, "status_url": f"/risk/{result.id}"}


@app.get("/risk/{task_id}")
def read_risk(task_id: str):
    result = celery.AsyncResult(task_id)
    if result.state == "FAILURE":
        raise HTTPException(500, detail={"task_id": task_id, "state": result.state, "error": repr(result.result)})
    return {"task_id": task_id, "state": result.state, "result": result.result if result.successful() else None}


@app.get("/healthz")
def healthz():
    return {"status": "ok"}
