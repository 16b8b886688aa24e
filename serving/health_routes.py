"""`/livez` and `/readyz`: how the service is.

Open to everybody; `/readyz` says little to who has no key.
"""

from fastapi import FastAPI
from fastapi.responses import Response

from features.durations import format_moment
from serving.errors import answer, documented, json_answer
from serving.schemas import Live, Ready
from serving.state import State, Tenant


def add(app: FastAPI, state: State) -> None:
    """Add the routes of health."""

    @app.get("/livez", tags=["health"], summary="Whether the process runs")
    async def livez() -> Live:
        return Live(status="live")

    @app.get(
        "/readyz", response_model=None, tags=["health"],
        summary="Whether every problem has its champion",
        responses={200: {"model": Ready}, **documented(503)},
    )  # fmt: skip
    async def readyz() -> Response:
        tenants = list(state.tenants.values())
        if any(tenant.missing or not tenant.scorers for tenant in tenants):
            why = " ".join(w for tenant in tenants for w in tenant.missing.values())
            return answer(503, "not_ready", why or "The business declares no problem.")
        return json_answer(_ready(tenants))


def _ready(tenants: list[Tenant]) -> Ready:
    sources = [
        {
            "name": s.name,
            "rows": s.kept,
            "last_event": None if s.last is None else format_moment(s.last),
        }
        for tenant in tenants
        for s in tenant.store.sources
    ]
    models = {name: s.version for tenant in tenants for name, s in tenant.scorers.items()}
    end = max(tenant.store.end for tenant in tenants)
    return Ready(status="ready", models=models, as_of=format_moment(end), sources=sources)
