"""`/customers/{id}`: one customer as a person reads it.

Takes a request; asks for the score as `/v1/scores` does, in the same thread, so that the page
and the API never disagree; answers with HTML.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from fastapi import FastAPI, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from features.durations import DAY, this_moment
from features.errors import MilepostError
from models.removals import MOST_TRIED
from serving.access import may, tenant_of
from serving.action_views import acts_view, alike_view, form_view, words_of
from serving.at_risk_routes import ProblemName, problem_of
from serving.batching import Together
from serving.bodies import fitted
from serving.customer_events import MOST_READ, StoredCustomer, events_page, stored_customer
from serving.customer_page import (
    EVENTS,
    MOST_PAST,
    REASONS,
    Shown,
    customer_view,
    events_view,
)
from serving.customer_rows import Page
from serving.errors import status_of
from serving.explaining import Asked
from serving.keys import Caller
from serving.ledger import Recorded
from serving.pages import customer_page, further_page, message_page
from serving.refusals import ModelUnavailableError
from serving.schemas_scores import ScoreRequest, WhatIfRequest
from serving.sight import Sight, sight_of
from serving.state import State, Tenant
from serving.supposing import forms, supposition

Customer = Annotated[str, Path(min_length=1, max_length=300)]
Since = Annotated[str | None, Query(max_length=64, description="the score to compare with")]
Cursor = Annotated[str | None, Query(max_length=1000, description="where the events go on")]


@dataclass(frozen=True)
class Wanted:
    """Which page."""

    sight: Sight
    viewer: Caller
    problem: str
    customer: str
    filled: Mapping[str, str]
    """The fields of the form, by name."""
    since: str | None = None
    cursor: str | None = None
    sent: Mapping[str, str] = field(default_factory=dict)
    """The fields of a form that could not be kept."""
    refused: str = ""
    """Why it could not."""

    @property
    def tenant(self) -> Tenant:
        return self.sight.tenant


def add(app: FastAPI, state: State, together: Together[Asked, bytes]) -> None:
    """Add the page; its scores come from the thread that does them together."""

    @app.get("/customers/{customer:path}", include_in_schema=False)
    async def customer(
        request: Request, customer: Customer, problem: ProblemName = None, since: Since = None,
        cursor: Cursor = None,
    ) -> HTMLResponse:  # fmt: skip
        tenant = tenant_of(request, state, "read")
        viewer: Caller = request.scope["caller"]
        try:
            name = problem_of(tenant, problem or None)
            wanted = Wanted(
                sight_of(request, tenant), viewer, name, customer, dict(request.query_params),
                since or None, cursor or None,
            )  # fmt: skip
            return await page_of(state, together, wanted)
        except MilepostError as error:
            return message_page(viewer, tenant.business.name, status_of(error), str(error))


def address(customer: str) -> str:
    """The address of a customer's page."""
    return f"/customers/{quote(customer, safe='')}"


async def page_of(state: State, together: Together[Asked, bytes], wanted: Wanted) -> HTMLResponse:
    """A customer's page, or a further page of their events.

    Raises
    ------
    NotFoundError, CursorError, StoreUnavailableError
    """
    tenant, problem = wanted.tenant, wanted.problem
    asked = wanted.sight, wanted.customer
    page = await run_in_threadpool(events_page, *asked, EVENTS, wanted.cursor)
    most = MOST_READ if wanted.cursor is None else EVENTS
    stored = await run_in_threadpool(stored_customer, *asked, most)
    here = await run_in_threadpool(tenant.kept.end)
    if wanted.cursor is not None:
        shown = Shown(
            tenant.business, problem, wanted.customer, stored, here, None, "", (), this_moment()
        )  # fmt: skip
        return _events(wanted.viewer, shown, page)
    past = await run_in_threadpool(
        state.ledger.of_customer, tenant.kept.workspace, wanted.customer, problem, None, MOST_PAST
    )
    answer, why_not = await _scored(together, wanted, past, here, stored.n_events)
    shown = Shown(
        tenant.business,
        problem,
        wanted.customer,
        stored,
        here,
        answer,
        why_not,
        past,
        this_moment(),
    )
    view = customer_view(shown) | {
        **_listed(shown, page),
        **await _supposed(together, wanted, stored, answer),
        **await run_in_threadpool(_written_down, wanted, answer),
    }
    return customer_page(wanted.viewer, view, 422 if wanted.refused else 200)


def _written_down(wanted: Wanted, answer: dict[str, Any] | None) -> dict[str, Any]:
    """What people wrote down about the customer, the forms that write, and similar customers."""
    sight, clock = wanted.sight, this_moment()
    problem = wanted.tenant.business.problems[wanted.problem]
    may_write = bool(wanted.viewer.token) and may(wanted.viewer, "POST", "/actions")
    return {
        "acts": acts_view(sight, wanted.customer, wanted.problem, clock),
        "write": form_view(problem, words_of(sight), clock, wanted.sent) if may_write else None,
        "not_kept": wanted.refused,
        "alike": alike_view(sight, problem, answer, clock),
    }


def _listed(shown: Shown, page: Page) -> dict[str, Any]:
    """A part of the list of events."""
    return {
        "events": events_view(shown, page.rows),
        "n_events": shown.stored.n_events,
        "uncounted": shown.stored.uncounted,
        "next": page.next,
    }


def _events(viewer: Caller, shown: Shown, page: Page) -> HTMLResponse:
    """A further page of the events alone; it asks for no score."""
    view = {
        "business": shown.business.name,
        "customer": shown.customer,
        "problem": shown.problem,
        "problems": list(shown.business.problems),
        **_listed(shown, page),
    }
    return further_page(viewer, view)


async def _scored(
    together: Together[Asked, bytes], wanted: Wanted, past: list[Recorded], here: int, n_events: int
) -> tuple[dict[str, Any] | None, str]:
    """The answer that the API gives, or why there is no model."""
    try:
        version = wanted.tenant.scorer(wanted.problem)[0].version
    except ModelUnavailableError as error:
        return None, str(error)
    body = {
        "problem": wanted.problem,
        "customer": wanted.customer,
        "reasons": REASONS,
        "touchpoints": n_events <= MOST_TRIED,
        "changed": wanted.since or _before(past, here, version) or True,
    }
    try:
        answer = await together.do(Asked(wanted.sight, fitted(body, ScoreRequest)))
    except ModelUnavailableError as error:
        return None, str(error)
    return msgspec.json.decode(answer), ""


def _before(past: list[Recorded], here: int, version: str) -> str | None:
    """The last score that is at least a day old: what changed since a minute ago tells nobody
    anything. One of another version than the one that answers counts however old it is."""
    for each in past:
        if each.probability is None or each.as_of > here:
            continue
        if each.as_of <= here - DAY or each.version != version:
            return each.score_id
    return None


async def _supposed(
    together: Together[Asked, bytes], wanted: Wanted, stored: StoredCustomer,
    answer: dict[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    """The what-if form, and what came of it if it was filled in."""
    found: dict[str, Any] = {"forms": [], "supposed": None, "refused": None}
    if answer is None or answer["no_score"] is not None:
        return found
    contract = wanted.tenant.scorer(wanted.problem)[1].model.contract
    found["forms"] = forms(contract, stored, wanted.filled)
    found["declared"] = contract.actionable.events is not None
    try:
        suppose = supposition(contract, stored, wanted.filled)
        if suppose is not None:
            body = {"problem": wanted.problem, "customer": wanted.customer, "suppose": suppose}
            asked = Asked(wanted.sight, fitted(body, WhatIfRequest))
            found["supposed"] = msgspec.json.decode(await together.do(asked))
    except MilepostError as error:
        found["refused"] = str(error)
    return found
