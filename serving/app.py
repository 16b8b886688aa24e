"""The service: scores, the at-risk list, health and documentation over HTTP.

Takes a business and a workspace; loads them; gives a FastAPI application. Routes check what
crosses the edge and hand over to `serving.scoring`.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from time import time
from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

from features.config import Business
from features.durations import SECOND, format_moment
from features.engine import warm_up
from features.errors import MilepostError, nearest
from models.persona import Persona
from models.reasons import Reason
from models.registry import connect, load_alias, model_name
from serving.errors import ModelUnavailableError, NotFoundError, answer, documented, install
from serving.inline import InlineEvent, inline_journey
from serving.pages import HEADERS, at_risk_page, docs_page
from serving.schemas import (
    AtRisk,
    AtRiskRow,
    IntervalOut,
    Live,
    NoScore,
    PersonaOut,
    ProblemDocument,
    Ready,
    ReasonOut,
    ScoreAnswer,
    ScoreRequest,
    WeekOut,
)
from serving.scoring import Score, Scorer
from serving.store import Store, open_store

LOG = logging.getLogger("milepost.serving")

BEYOND = ("beyond_history", "the stored histories end before as_of, so silence would mean nothing")

ProblemName = Annotated[str | None, Query(max_length=64, description="the first problem if absent")]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many customers")]


@dataclass
class State:
    """What the service answers from; loaded once, before it listens."""

    business: Business
    store: Store
    scorers: dict[str, Scorer] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Why a problem has no model."""

    def scorer(self, problem: str | None) -> Scorer:
        """The scorer of a problem, the first problem's if none is named."""
        name = problem if problem is not None else next(iter(self.business.problems), "")
        if name not in self.business.problems:
            raise NotFoundError(
                "problem_unknown",
                f"There is no problem of that name.{nearest(name, self.business.problems)}",
            )
        if name not in self.scorers:
            raise ModelUnavailableError(self.missing[name])
        return self.scorers[name]


def load_state(business: Business, workspace: Path) -> State:
    """Read the histories and load each problem's champion; a missing one is kept as a reason.

    Raises
    ------
    MilepostError
        When a source can't be read or the registry can't be opened.
    """
    warm_up()
    state = State(business, open_store(business))
    client = connect(workspace)
    for name in business.problems:
        try:
            registered = load_alias(client, model_name(business.name, name))
            scorer = Scorer(registered, state.store)
            scorer.warm()
            state.scorers[name] = scorer
        except MilepostError as error:
            LOG.warning("no model for %s: %s", name, error)
            state.missing[name] = str(error)
    return state


def create_app(state: State) -> FastAPI:
    """The application."""
    app = FastAPI(
        title="Milepost",
        description="Scores of customer journeys, with reasons.",
        version="0.1.0",
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        responses=documented(405),
    )
    install(app)
    _add_scores(app, state)
    _add_health(app, state)
    _add_pages(app, state)
    _document_problems(app)
    return app


def _add_scores(app: FastAPI, state: State) -> None:
    @app.post(
        "/v1/scores", response_model=None, tags=["scores"], summary="Score one customer",
        responses={200: {"model": ScoreAnswer}, **documented(400, 404, 422, 503)},
    )  # fmt: skip
    async def score(request: ScoreRequest) -> Response:
        scorer = state.scorer(request.problem)
        answered, unread = _score(scorer, request)
        return _json(_score_answer(request, scorer, answered, unread))

    @app.get(
        "/v1/customers/at-risk", response_model=None, tags=["scores"],
        summary="The customers with the highest scores",
        responses={200: {"model": AtRisk}, **documented(404, 422, 503)},
    )  # fmt: skip
    async def at_risk(problem: ProblemName = None, limit: Limit = 20) -> Response:
        return _json(_at_risk(state.scorer(problem), limit))


def _add_health(app: FastAPI, state: State) -> None:
    @app.get("/livez", tags=["health"], summary="Whether the process runs")
    async def livez() -> Live:
        return Live(status="live")

    @app.get(
        "/readyz", response_model=None, tags=["health"],
        summary="Whether every problem has its champion",
        responses={200: {"model": Ready}, **documented(503)},
    )  # fmt: skip
    async def readyz() -> Response:
        store = state.store
        if state.missing or not state.scorers:
            why = " ".join(state.missing.values()) or "The business declares no problem."
            return answer(503, "not_ready", why)
        sources = [
            {
                "name": s.name,
                "rows": s.kept,
                "last_event": None if s.last is None else format_moment(s.last),
            }
            for s in store.sources
        ]
        models = {name: scorer.version for name, scorer in state.scorers.items()}
        return _json(
            Ready(status="ready", models=models, as_of=format_moment(store.end), sources=sources)
        )


def _add_pages(app: FastAPI, state: State) -> None:
    here = files("serving") / "static"
    app.mount("/static", StaticFiles(directory=str(here)), name="static")
    swagger = files("fastapi_offline") / "static"
    app.mount("/swagger", StaticFiles(directory=str(swagger)), name="swagger")

    @app.middleware("http")
    async def add_headers(
        request: Request, following: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await following(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        return Response(status_code=307, headers={"Location": "/at-risk"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return docs_page()

    @app.get("/at-risk", include_in_schema=False)
    async def at_risk(problem: ProblemName = None, limit: Limit = 50) -> HTMLResponse:
        scorer = state.scorer(problem)
        shown = _at_risk(scorer, limit)
        return at_risk_page(state.business, scorer.registered.model.contract, shown)


def _score(scorer: Scorer, request: ScoreRequest) -> tuple[Score, list[str]]:
    """Score what the request names, and name what it holds that the model never reads."""
    unread: list[str] = []
    if request.events is None:
        journey = scorer.store.journey(request.customer or "")
        if journey is None:
            raise NotFoundError(
                "customer_unknown", "No event or attribute of that customer is stored."
            )
        as_of = scorer.store.end if request.as_of is None else request.as_of
        if as_of > scorer.store.end:
            return Score(as_of, None, no_score=BEYOND), unread
    else:
        given = [
            InlineEvent(e.event, e.event_time, e.recorded_time, e.__pydantic_extra__)
            for e in request.events
        ]
        contract = scorer.registered.model.contract
        journey, unread = inline_journey(contract, given, request.attributes or {})
        as_of = int(time() * SECOND) if request.as_of is None else request.as_of
    return scorer.score(journey, as_of, request.reasons, request.features), unread


def _score_answer(
    request: ScoreRequest, scorer: Scorer, score: Score, unread: list[str]
) -> ScoreAnswer:
    return ScoreAnswer(
        problem=request.problem,
        customer=request.customer,
        status="scored" if score.no_score is None else "no_score",
        probability=score.probability,
        interval=_interval(score),
        percentile=score.percentile,
        band=score.band,
        base_points=score.base,
        reasons=[_reason(reason) for reason in score.reasons],
        weekly_risk=[
            WeekOut(until=format_moment(until), probability=p) for until, p in score.weekly
        ],
        value_at_stake=score.value_at_stake,
        as_of=format_moment(score.as_of),
        valid_until=_moment(score.valid_until),
        model=scorer.registered.name,
        model_version=scorer.version,
        no_score=_why(score.no_score),
        persona=_persona(score.persona),
        no_persona=_why(score.no_persona),
        unread=unread,
        features=None if score.vector is None else dict(score.vector),
    )


def _at_risk(scorer: Scorer, limit: int) -> AtRisk:
    return AtRisk(
        problem=scorer.registered.model.contract.problem_name,
        model=scorer.registered.name,
        model_version=scorer.version,
        as_of=format_moment(scorer.store.end),
        cohort=scorer.book_size,
        customers=[
            AtRiskRow(
                customer=standing.customer,
                probability=standing.score.probability or 0.0,
                interval=_interval(standing.score),
                percentile=standing.score.percentile or 0.0,
                band=standing.score.band,
                value_at_stake=standing.score.value_at_stake,
                persona=_persona(standing.score.persona),
                as_of=format_moment(standing.score.as_of),
                valid_until=_moment(standing.score.valid_until),
                reasons=[_reason(reason) for reason in standing.score.reasons],
            )
            for standing in scorer.highest(limit)
        ],
    )


def _why(reason: tuple[str, str] | None) -> NoScore | None:
    return None if reason is None else NoScore(code=reason[0], detail=reason[1])


def _persona(persona: Persona | None) -> PersonaOut | None:
    return None if persona is None else PersonaOut(name=persona.name, says=persona.says)


def _interval(score: Score) -> IntervalOut | None:
    if score.interval is None:
        return None
    low, high, level = score.interval
    return IntervalOut(low=low, high=high, level=level)


def _reason(reason: Reason) -> ReasonOut:
    return ReasonOut(
        feature=reason.feature,
        group=reason.group,
        value=reason.value,
        usual=reason.usual,
        unit=reason.unit,
        points=reason.points,
        direction="raises" if reason.points > 0 else "lowers",
        statement=reason.statement,
        sentence=reason.sentence,
    )


def _moment(moment: int | None) -> str | None:
    return None if moment is None else format_moment(moment)


def _json(document: ScoreAnswer | AtRisk | Ready) -> Response:
    """An answer without FastAPI's second validation, which costs more than the score."""
    return Response(document.model_dump_json(), media_type="application/json")


def _document_problems(app: FastAPI) -> None:
    """Put the error document into the OpenAPI schema, where the routes refer to it."""
    made = app.openapi

    def openapi() -> dict[str, object]:
        schema = made()
        schemas = schema["components"]["schemas"]
        schemas["ProblemDocument"] = ProblemDocument.model_json_schema()
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI documents this as its hook
