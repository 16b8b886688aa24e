"""Scores in one process: `python in_process.py CONFIG WORKSPACE DATABASE PROBLEM FOLDER`.

Chooses the scored customers whose histories are nearest to 200 events, times their answers as the
scoring thread makes them (features, score, reasons, JSON, the ledger's note), and writes what the
servers are asked: `stored.json`, `inline.json`. Journeys are read from the store for every answer,
and, for comparison, held from the answer before.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from features.config import read_config
from serving.explaining import Asked
from serving.recent import Recent
from serving.schemas_scores import ScoreRequest
from serving.scores import answer_all
from serving.settings import Settings
from serving.sight import Sight
from serving.state import State, Tenant, load_state
from serving.tables import EVENTS

N_EVENTS, N_STORED, N_INLINE = 200, 100, 400
LEAST_CALLS, LEAST_SECONDS = 3_000, 6.0


def main() -> None:
    config, workspace, database, problem, folder = sys.argv[1:]
    settings = Settings(workspace=Path(workspace), database=database, log_requests=False)
    state = load_state([read_config(Path(config))], settings)
    (tenant,) = state.tenants.values()
    counts = histories(state)
    by_size = sorted(counts, key=lambda one: (abs(counts[one] - N_EVENTS), one))
    stored = scored(state, tenant, problem, by_size, N_STORED)
    inline = scored(state, tenant, problem, sorted(counts), N_INLINE, features=True)
    answers = [json.loads(answer) for answer in inline.values()]
    out = Path(folder)
    out.joinpath("inline.json").write_text(
        json.dumps([{k: one[k] for k in ("features", "probability")} for one in answers])
    )
    out.joinpath("stored.json").write_text(
        json.dumps([{"customer": one, "bytes": len(answer)} for one, answer in stored.items()])
    )
    told = {
        "events": [min(counts[c] for c in stored), max(counts[c] for c in stored)],
        "features": len(answers[0]["features"]),
        "held": timed(state, tenant, problem, list(stored)),
    }
    tenant.kept.journeys._recent = Recent(0)
    told["read"] = timed(state, tenant, problem, list(stored))
    state.end()
    print(json.dumps(told))


def histories(state: State) -> dict[str, int]:
    """How many events each customer has."""
    with state.database.reading() as connection:
        query = sa.select(EVENTS.c.customer, sa.func.count()).group_by(EVENTS.c.customer)
        return {row[0]: row[1] for row in connection.execute(query)}


def answer(state: State, tenant: Tenant, request: ScoreRequest) -> bytes:
    """One answer, as the scoring thread makes it."""
    (found,) = answer_all([Asked(Sight(tenant, None), request)], state.ledger)
    if isinstance(found, Exception):
        raise found
    return found


def scored(
    state: State, tenant: Tenant, problem: str, customers: list[str], n: int, **wish: Any
) -> dict[str, bytes]:
    """The answers of the first `n` customers that get a score."""
    found: dict[str, bytes] = {}
    for customer in customers:
        request = ScoreRequest(problem=problem, customer=customer, **wish)
        given = answer(state, tenant, request)
        if b'"status":"scored"' in given:
            found[customer] = given
        if len(found) == n:
            break
    return found


def timed(state: State, tenant: Tenant, problem: str, customers: list[str]) -> dict[str, float]:
    """Milliseconds of an answer, customers in rotation."""
    requests = [ScoreRequest(problem=problem, customer=customer) for customer in customers]
    seconds: list[float] = []
    until = time.perf_counter() + LEAST_SECONDS
    while len(seconds) < LEAST_CALLS or time.perf_counter() < until:
        for request in requests:
            began = time.perf_counter()
            answer(state, tenant, request)
            seconds.append(time.perf_counter() - began)
    half, late = np.quantile(seconds[len(requests) :], [0.5, 0.99])
    return {"median_ms": 1e3 * float(half), "p99_ms": 1e3 * float(late), "calls": len(seconds)}


if __name__ == "__main__":
    main()
