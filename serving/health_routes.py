"""`/livez` and `/readyz`: how the process is.

Open to everybody. Of a workspace `/readyz` tells its own key alone, and what one workspace lacks
makes no other's answers unready.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response

from features.durations import BEGINNING, format_moment
from features.errors import MilepostError
from serving.access import tenant_of
from serving.champions import Condition
from serving.errors import answer, json_answer
from serving.event_store import Feed
from serving.examples import METRICS, READY, shown
from serving.freshness import MOST_TOLD, broken_sentence
from serving.keys import Caller
from serving.looks import Look
from serving.schemas import Live, Ready
from serving.state import State, Tenant

OPEN = {"security": list[str]()}
"""`openapi_extra` of what answers without a key."""
MOST_WAITING = 4
"""Requests that may wait for what the store says of a workspace."""
LACKING = "A workspace lacks a model; its own key shows which."
OUTDATED = "Some models could not be brought up to date and answer as they are; a key shows why."


@dataclass(frozen=True)
class Kept:
    """How what the store keeps of a workspace is."""

    end: int | None = None
    """Up to which its histories reach, microseconds UTC."""
    feeds: tuple[Feed, ...] = ()
    broken: str = ""
    """What there is to say where events lie beyond that; "" of nothing."""
    unread: str = ""
    """Why the store could not be asked; "" if it was."""


def add(app: FastAPI, state: State) -> None:
    """Add the routes of health."""

    @app.get(
        "/livez", tags=["health"], summary="Whether the process runs", openapi_extra=OPEN,
        responses={200: shown(Live, {"status": "live"})},
    )  # fmt: skip
    async def livez() -> Live:
        return Live(status="live")

    looks = {t.name: Look(partial(_kept, t), MOST_WAITING) for t in state.tenants.values()}

    @app.get(
        "/readyz", response_model=None, tags=["health"], summary="Whether the process can answer",
        description="Ready where some workspace has all its models. With a key: how its own "
        "workspace is, with versions and sources.",
        openapi_extra=OPEN, responses={200: shown(Ready, READY)},
    )  # fmt: skip
    async def readyz(request: Request) -> Response:
        if state.budget.stopping:
            return answer(503, "stopping", "The service stops; ask another one.")
        conditions = {tenant.name: tenant.champions.state() for tenant in state.tenants.values()}
        caller: Caller | None = request.scope.get("caller")
        own = None if caller is None else conditions.get(caller.workspace)
        if not any(condition.ready for condition in conditions.values()):
            why = " ".join(own.missing.values()) if own is not None else ""
            return answer(503, "not_ready", why or LACKING)
        if caller is None or own is None:
            return json_answer(_of_all(conditions.values()))
        try:
            kept = await looks[caller.workspace].again()
        except MilepostError as error:
            kept = Kept(unread=str(error))
        return json_answer(_of_one(own, kept))

    @app.get("/metrics", tags=["health"], summary="Counts for Prometheus", response_model=None,
             response_class=PlainTextResponse,
             responses={200: {"content": {"text/plain": {"example": METRICS}}}})  # fmt: skip
    async def metrics(request: Request) -> Response:
        tenant_of(request, state, "read")
        return Response(state.metrics.text(), media_type="text/plain; version=0.0.4")


def _of_all(conditions: Iterable[Condition]) -> Ready:
    """What a stranger may know: how the process is, and nothing of any workspace."""
    every = list(conditions)
    reason = (
        LACKING if not all(condition.ready for condition in every)
        else OUTDATED if any(condition.degraded for condition in every) else ""
    )  # fmt: skip
    return Ready(status="degraded" if reason else "ready", reason=reason, models={})


def _of_one(own: Condition, kept: Kept) -> Ready:
    """What a key may know of its workspace."""
    told = [*own.missing.values(), *own.degraded, *([kept.unread] if kept.unread else ())]
    return Ready(
        status="degraded" if told else "ready",
        reason=told[0] if told else "",
        models={problem: loaded.version for problem, loaded in own.models.items()},
        degraded=told,
        as_of=None if kept.end is None else format_moment(kept.end),
        sources=[_source(feed) for feed in kept.feeds],
        broken_off=[kept.broken] if kept.broken else [],
    )


def _kept(tenant: Tenant) -> Kept:
    """Read how what is kept of a workspace is."""
    why = tenant.kept.broken_off()
    feeds = tenant.kept.feeds(MOST_TOLD)
    return Kept(tenant.kept.end(), tuple(feeds), "" if why is None else broken_sentence(why))


def _source(feed: Feed) -> dict[str, object]:
    last = feed.last_event
    return {
        "name": feed.name,
        "rows": feed.rows,
        "last_event": None if last is None or last <= BEGINNING else format_moment(last),
    }
