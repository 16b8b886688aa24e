"""`/livez` and `/readyz`: how the service is.

Open to everybody; `/readyz` says little to who has no key.
"""

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from features.durations import BEGINNING, format_moment
from serving.access import tenant_of
from serving.champions import Condition
from serving.database import StoreUnavailableError
from serving.errors import answer, json_answer
from serving.event_store import Feed
from serving.examples import METRICS, READY, shown
from serving.freshness import broken_sentence
from serving.schemas import Live, Ready
from serving.state import State, Tenant

OPEN = {"security": list[str]()}
"""`openapi_extra` of what answers without a key."""


def add(app: FastAPI, state: State) -> None:
    """Add the routes of health."""

    @app.get(
        "/livez", tags=["health"], summary="Whether the process runs", openapi_extra=OPEN,
        responses={200: shown(Live, {"status": "live"})},
    )  # fmt: skip
    async def livez() -> Live:
        return Live(status="live")

    @app.get(
        "/readyz", response_model=None, tags=["health"],
        summary="Whether every problem has its champion",
        openapi_extra=OPEN, responses={200: shown(Ready, READY)},
    )  # fmt: skip
    async def readyz(request: Request) -> Response:
        if state.budget.stopping:
            return answer(503, "stopping", "The service stops; ask another one.")
        tenants = list(state.tenants.values())
        caller = request.scope.get("caller")
        own = [t for t in tenants if caller is not None and t.name == caller.workspace]
        conditions = {tenant.name: tenant.champions.state() for tenant in tenants}
        shown = [conditions[tenant.name] for tenant in own]
        if not all(condition.ready for condition in conditions.values()):
            why = " ".join(w for condition in shown for w in condition.missing.values())
            return answer(503, "not_ready", why or "A model is missing; a key shows which.")
        degraded = any(condition.degraded for condition in conditions.values())
        return json_answer(_ready(own, shown, degraded))

    @app.get("/metrics", tags=["health"], summary="Counts for Prometheus", response_model=None,
             response_class=PlainTextResponse,
             responses={200: {"content": {"text/plain": {"example": METRICS}}}})  # fmt: skip
    async def metrics(request: Request) -> Response:
        tenant_of(request, state, "read")
        return Response(state.metrics.text(), media_type="text/plain; version=0.0.4")


def _ready(tenants: list[Tenant], shown: list[Condition], degraded: bool) -> Ready:
    told = [told for condition in shown for told in condition.degraded]
    sources, ends, broken = [], [], []
    for tenant in tenants:
        try:
            ends.append(tenant.kept.end())
            sources += [_source(feed) for feed in tenant.kept.feeds()]
            why = tenant.kept.broken_off()
            broken += [] if why is None else [broken_sentence(why)]
        except StoreUnavailableError as error:
            told.append(str(error))
    models = {name: m.version for condition in shown for name, m in condition.models.items()}
    as_of = format_moment(max(ends)) if ends else None
    return Ready(
        status="degraded" if degraded or told else "ready",
        models=models,
        degraded=told,
        as_of=as_of,
        sources=sources,
        broken_off=broken,
    )


def _source(feed: Feed) -> dict[str, object]:
    last = feed.last_event
    return {
        "name": feed.name,
        "rows": feed.rows,
        "last_event": None if last is None or last <= BEGINNING else format_moment(last),
    }
