"""The same computation as risk/risk.go in plain Python and in numpy, as Celery tasks; used to compare results and speed."""
import os

from celery import Celery

app = Celery("quickstart", broker=os.environ.get("CELERY_BROKER_URL"), backend=os.environ.get("CELERY_RESULT_BACKEND"))
MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def seed_of(region, seed):
    for c in region.encode():
        seed = (seed * 31 + c) & MASK
    return seed & MASK


def plain(region, seed, size=64, runs=200):
    base, total, most, worst = seed_of(region, seed), 0, -1, [0, 0]
    for index in range(size * size):
        state = (base + index * GOLDEN) & MASK
        draws = []
        storms = 0
        for n in range(2 + 2 * runs):
            state = (state + GOLDEN) & MASK
            z = state
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
            draws.append((z ^ (z >> 31)) >> 54)
        wind, pressure = draws[0], draws[1]
        for n in range(runs):
            if wind + draws[2 + 2 * n] > 1400 and pressure + draws[3 + 2 * n] > 1200:
                storms += 1
        total += storms
        if storms > most:
            most, worst = storms, [index // size, index % size]
    return {"region": region, "cells": size * size, "draws": size * size * runs, "storms": total, "score": total / (size * size * runs), "worst": worst}


def vectorized(region, seed, size=64, runs=200):
    import numpy as np

    u = np.uint64
    with np.errstate(over="ignore"):
        starts = u(seed_of(region, seed)) + np.arange(size * size, dtype=np.uint64) * u(GOLDEN)
        steps = (np.arange(1, 2 * runs + 3, dtype=np.uint64) * u(GOLDEN))[None, :]
        storms = np.empty(size * size, dtype=np.int64)
        for row in range(size):
            part = slice(row * size, (row + 1) * size)
            z = starts[part, None] + steps
            z = (z ^ (z >> u(30))) * u(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> u(27))) * u(0x94D049BB133111EB)
            draws = ((z ^ (z >> u(31))) >> u(54)).astype(np.int64)
            storm = (draws[:, :1] + draws[:, 2::2] > 1400) & (draws[:, 1:2] + draws[:, 3::2] > 1200)
            storms[part] = storm.sum(axis=1)
    worst = int(storms.argmax())
    total = int(storms.sum())
    return {"region": region, "cells": size * size, "draws": size * size * runs, "storms": total, "score": total / (size * size * runs), "worst": [worst // size, worst % size]}


app.task(plain, name="risk.score")
app.task(vectorized, name="risk.vectorized")
