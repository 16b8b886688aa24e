"""`GET /v1/at-risk`: the customers in the order in which to look at them.

Takes a query; answers from the book of the caller's workspace.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from features.durations import format_moment, this_moment
from features.errors import nearest
from serving.access import tenant_of
from serving.actions import Action, Actions
from serving.at_risk import AWAKE, Page, Question, page
from serving.book_names import score_id
from serving.book_store import BookStore, Generation
from serving.errors import documented, json_answer
from serving.examples import AT_RISK, shown
from serving.refusals import NotFoundError
from serving.schemas_lists import (
    AtRisk,
    Band,
    Bounds,
    Choice,
    LastAction,
    LastEvent,
    ListedCustomer,
    ListedReason,
    ListTotals,
    NextStep,
    Rank,
    Snoozed,
)
from serving.sight import Sight, sight_of
from serving.state import State, Tenant
from serving.worklist import Standing

NOTHING = Standing()
"""Nobody decided anything about a customer."""

ProblemName = Annotated[
    str | None, Query(max_length=64, description="the first problem if absent", examples=["churn"])
]
By = Annotated[Rank | None, Query(description="probability if absent")]
Sleeping = Annotated[
    Snoozed, Query(description="who is left out for now: without them, only them, or all")
]
Bands = Annotated[list[Band], Query(max_length=4)]
Name = Annotated[str, Query(max_length=200)]
Names = Annotated[list[Annotated[str, Query(max_length=200)]], Query(max_length=50)]
Prefix = Annotated[str, Query(max_length=300, description="what the id begins with")]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many customers")]
Cursor = Annotated[str | None, Query(max_length=40, description="`next` of the page before")]


def add(app: FastAPI, state: State) -> None:
    """Add the list."""

    @app.get(
        "/v1/at-risk", response_model=None, tags=["lists"],
        summary="The customers in the order in which to look at them",
        responses={200: shown(AtRisk, AT_RISK), **documented(404, 410, 422, missing="problem")},
    )  # fmt: skip
    def at_risk(
        request: Request, problem: ProblemName = None, by: By = None, band: Bands = [],  # noqa: B006
        stage: Names = [], persona: Names = [], owner: Names = [], search: Prefix = "",  # noqa: B006
        snoozed: Sleeping = "awake", limit: Limit = 20, cursor: Cursor = None,
    ) -> Response:  # fmt: skip
        tenant = tenant_of(request, state, "read")
        filters = Filters(tuple(band), tuple(stage), tuple(persona), tuple(owner), search, snoozed)
        question = question_of(
            sight_of(request, tenant), problem, by or "probability", filters, limit, cursor
        )
        return json_answer(list_answer(tenant, page(book_of(tenant), question), question))


def book_of(tenant: Tenant) -> BookStore:
    """The book of a workspace."""
    return BookStore(tenant.kept.database, tenant.kept.workspace)


def problem_of(tenant: Tenant, problem: str | None) -> str:
    """The problem of that name, the first one if none is named."""
    problems = tenant.business.problems
    name = problem if problem is not None else next(iter(problems), "")
    if name not in problems:
        raise NotFoundError(
            "problem_unknown", f"There is no problem of that name.{nearest(name, problems)}"
        )
    return name


@dataclass(frozen=True)
class Filters:
    """Which customers a query lets through; what is empty lets all through."""

    bands: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    personas: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    prefix: str = ""
    snoozed: str = AWAKE
    among: tuple[str, ...] | None = None


def question_of(
    sight: Sight, problem: str | None, by: str | None, filters: Filters, limit: int,
    cursor: str | None = None,
) -> Question:  # fmt: skip
    """What a query asks; by default by money where there is any."""
    name = problem_of(sight.tenant, problem)
    usual = "expected_value" if sight.tenant.business.problems[name].value else "probability"
    return Question(
        name, by or usual, **vars(filters), limit=limit, cursor=cursor, sees=sight.owners
    )


def list_answer(tenant: Tenant, shown: Page, question: Question) -> AtRisk:
    """A page as a document."""
    made = shown.generation
    choices = {
        name: [Choice(value=value, customers=count) for value, count in counted]
        for name, counted in shown.choices.items()
    }
    names = [row.customer for row in shown.rows]
    decided = tenant.worklist.standing(made.problem, names)
    actions = Actions(tenant.kept.database, tenant.kept.workspace).newest(names)
    return AtRisk(
        problem=made.problem, by=question.by, model=made.model, model_version=made.version,
        as_of=format_moment(made.as_of), cohort=shown.rows_seen,
        unscored=dict(made.unscored) if question.sees is None else {}, snoozed=shown.left_out,
        totals=ListTotals(**vars(shown.totals)),
        customers=[
            customer(row, made, decided.get(row.customer, NOTHING), actions.get(row.customer))
            for row in shown.rows
        ],
        next=shown.next, bands=choices["band"], stages=choices["stage"],
        personas=choices["persona"], owners=choices["owner"],
    )  # fmt: skip


def customer(
    row: Any, made: Generation, decided: Standing, action: Action | None
) -> ListedCustomer:
    """A row of a book as a document, with what people decided and did."""
    interval = None
    if row.interval_low is not None:
        interval = Bounds(low=row.interval_low, high=row.interval_high)
    last = None
    if row.last_event is not None:
        last = LastEvent(event=row.last_event, event_time=format_moment(row.last_event_time))
    step = None
    if decided.next_kind is not None:
        due = day(decided.next_due)
        step = NextStep(kind=decided.next_kind, due=due, planned_by=decided.done_by)
    sleeps = decided.snoozed_until is not None and decided.snoozed_until > this_moment()
    return ListedCustomer(
        score_id=score_id(made.made, made.number, made.problem, row.customer),
        customer=row.customer, probability=row.probability, interval=interval,
        percentile=row.percentile, band=row.band, band_before=row.band_before,
        week_ago=row.week_ago, value_at_stake=row.value_at_stake,
        expected_value=row.expected_value, stage=row.stage, persona=row.persona, owner=row.owner,
        last_event=last, last_action=None if action is None else LastAction(
            kind=action.kind, at=format_moment(action.at), who=action.who, outcome=action.outcome
        ),
        next_step=step,
        snoozed_until=day(decided.snoozed_until) if sleeps else None,
        date_due=moment(row.date_due), days_to_date=row.days_to_date, as_of=moment(row.as_of),
        valid_until=moment(row.valid_until), base_points=row.base_points,
        reasons=[ListedReason(**reason) for reason in json.loads(row.reasons)],
    )  # fmt: skip


def day(microseconds: int | None) -> str | None:
    return None if microseconds is None else format_moment(microseconds)[:10]


def moment(microseconds: int | None) -> str | None:
    return None if microseconds is None else format_moment(microseconds)
