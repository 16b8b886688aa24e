"""`GET /v1/at-risk`: the customers in the order in which to look at them.

Takes a query; answers from the book of the caller's workspace.
"""

import json
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from features.durations import format_moment
from features.errors import nearest
from serving.access import tenant_of
from serving.at_risk import Page, Question, page
from serving.book_store import BookStore
from serving.errors import NotFoundError, documented, json_answer
from serving.examples import AT_RISK, shown
from serving.schemas_lists import (
    AtRisk,
    Band,
    Bounds,
    Choice,
    ListedCustomer,
    ListedReason,
    ListTotals,
    Rank,
)
from serving.sight import Sight, sight_of
from serving.state import State, Tenant

ProblemName = Annotated[
    str | None, Query(max_length=64, description="the first problem if absent", examples=["churn"])
]
By = Annotated[Rank | None, Query(description="probability if absent")]
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
        limit: Limit = 20, cursor: Cursor = None,
    ) -> Response:  # fmt: skip
        tenant = tenant_of(request, state, "read")
        question = question_of(
            sight_of(request, tenant), problem, by or "probability", band, stage, persona, owner,
            search, limit, cursor,
        )  # fmt: skip
        return json_answer(list_answer(page(book_of(tenant), question), question))


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


def question_of(
    sight: Sight, problem: str | None, by: str | None, bands: list[Any], stages: list[str],
    personas: list[str], owners: list[str], search: str, limit: int, cursor: str | None,
) -> Question:  # fmt: skip
    """What a query asks; by default by money where there is any."""
    name = problem_of(sight.tenant, problem)
    usual = "expected_value" if sight.tenant.business.problems[name].value else "probability"
    return Question(
        name, by or usual, tuple(bands), tuple(stages), tuple(personas), tuple(owners), search,
        limit, cursor, sight.owners,
    )  # fmt: skip


def list_answer(shown: Page, question: Question) -> AtRisk:
    """A page as a document."""
    made = shown.generation
    choices = {
        name: [Choice(value=value, customers=count) for value, count in counted]
        for name, counted in shown.choices.items()
    }
    return AtRisk(
        problem=made.problem, by=question.by, model=made.model, model_version=made.version,
        as_of=format_moment(made.as_of), cohort=shown.rows_seen,
        unscored=dict(made.unscored) if question.sees is None else {},
        totals=ListTotals(**vars(shown.totals)), customers=[customer(row) for row in shown.rows],
        next=shown.next, bands=choices["band"], stages=choices["stage"],
        personas=choices["persona"], owners=choices["owner"],
    )  # fmt: skip


def customer(row: Any) -> ListedCustomer:
    """A row of the book as a document."""
    interval = None
    if row.interval_low is not None:
        interval = Bounds(low=row.interval_low, high=row.interval_high)
    return ListedCustomer(
        customer=row.customer, probability=row.probability, interval=interval,
        percentile=row.percentile, band=row.band, band_before=row.band_before,
        week_ago=row.week_ago, value_at_stake=row.value_at_stake,
        expected_value=row.expected_value, stage=row.stage, persona=row.persona, owner=row.owner,
        date_due=moment(row.date_due), days_to_date=row.days_to_date, as_of=moment(row.as_of),
        valid_until=moment(row.valid_until), base_points=row.base_points,
        reasons=[ListedReason(**reason) for reason in json.loads(row.reasons)],
    )  # fmt: skip


def moment(microseconds: int | None) -> str | None:
    return None if microseconds is None else format_moment(microseconds)
