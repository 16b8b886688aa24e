"""Pages of what people write down: `/actions`, `/disagreements`, and the forms that write.

Takes requests; answers with HTML, and a form that was kept with the way back to its page (303). A
form that does not fit is shown again with what was typed. Scores come from the thread that makes
them for the API, so that an opinion stands beside the score that everybody else would get.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

from features.actions import KINDS
from features.durations import this_moment
from features.errors import MilepostError
from serving.access import tenant_of
from serving.action_log import (
    Done,
    follow_up,
    listed,
    new_id,
    read_cursor,
    write_down,
)
from serving.action_routes import Cursor, Who, called
from serving.action_views import LISTED, actions_view, disagreements_view
from serving.action_words import kind_words
from serving.actions import OUTCOMES, FollowUp, Wanted
from serving.at_risk_routes import ProblemName, problem_of
from serving.batching import Together
from serving.bodies import InvalidRequestError, fitted
from serving.customer_page_routes import Wanted as WantedPage
from serving.customer_page_routes import address, page_of
from serving.errors import status_of
from serving.explaining import Asked
from serving.forms import read_form
from serving.keys import Caller
from serving.pages import acts_page, disagreements_page, message_page
from serving.schemas import Strict
from serving.schemas_actions import GiveOpinion, LogAction, LogOutcome, WriteNote
from serving.settling import settle
from serving.sight import Sight, sight_of
from serving.state import State
from serving.writing import give_opinion, write_note

PageKind = Annotated[Literal["", "call", "email", "offer", "training", "discount"], Query()]
PageOutcome = Annotated[str, Query(max_length=40)]
PageCustomer = Annotated[str, Query(max_length=300)]


NOT_FIELDS = {"who", "problem"}
"""What a form can't say, and what it says for its page as well."""

Fields = Mapping[str, str]
Kept = Callable[[Sight, Caller, Fields], Awaitable[str]]
"""Keeps what a form says and gives the place of its page to go back to."""


def add(app: FastAPI, state: State, together: Together[Asked, bytes]) -> None:
    """Add the pages and the forms."""
    _add_pages(app, state)

    async def action(sight: Sight, caller: Caller, fields: Fields) -> str:
        said = fitted(_action_fields(fields), LogAction)
        done = Done(**said.model_dump(exclude={"who"}))
        await run_in_threadpool(write_down, state.intake, sight, called(caller), done)
        return "acts"

    async def outcome(sight: Sight, caller: Caller, fields: Fields) -> str:
        given = {name: fields[name] for name in ("outcome", "note", "id") if name in fields}
        said = fitted(given, LogOutcome)
        word = FollowUp(said.id or new_id(), this_moment(), called(caller), said.outcome, said.note)
        action = fields.get("action", "")[:64]
        await run_in_threadpool(follow_up, state.intake, sight, action, word)
        return "acts"

    async def note(sight: Sight, caller: Caller, fields: Fields) -> str:
        said = fitted(_some(fields, WriteNote), WriteNote)
        await run_in_threadpool(write_note, sight, called(caller), said)
        return "notes"

    async def opinion(sight: Sight, caller: Caller, fields: Fields) -> str:
        said = fitted(_some(fields, GiveOpinion), GiveOpinion)
        problem = problem_of(sight.tenant, fields.get("problem") or None)
        await give_opinion(together, sight, problem, called(caller), said)
        return "opinions"

    _add_form(app, state, together, "/actions", action)
    _add_form(app, state, together, "/actions/outcome", outcome)
    _add_form(app, state, together, "/notes", note)
    _add_form(app, state, together, "/opinions", opinion)


def _add_pages(app: FastAPI, state: State) -> None:
    @app.get("/actions", include_in_schema=False)
    def actions(
        request: Request, kind: PageKind = "", who: Who = "", outcome: PageOutcome = "",
        customer: PageCustomer = "", cursor: Cursor = None,
    ) -> HTMLResponse:  # fmt: skip
        tenant = tenant_of(request, state, "read")
        viewer: Caller = request.scope["caller"]
        sight, business = sight_of(request, tenant), tenant.business.name
        chosen = {"kind": kind, "who": who, "customer": customer, "outcome": outcome}
        if outcome not in OUTCOMES:
            chosen["outcome"] = ""
        try:
            found = listed(sight, Wanted(**chosen, before=read_cursor(cursor)), LISTED)
        except MilepostError as error:
            return message_page(viewer, business, status_of(error), str(error))
        shown = actions_view(sight, found.actions, this_moment())
        people = sorted({each["who"] for each in shown} | {called(viewer), who} - {""})
        view = {
            "business": business, "actions": shown, "next": found.next, "chosen": chosen,
            "people": people, "first": cursor is None, "outcomes": OUTCOMES,
            "kinds": [(each, kind_words(each)) for each in KINDS],
        }  # fmt: skip
        return acts_page(viewer, view)

    @app.get("/disagreements", include_in_schema=False)
    def disagreements(request: Request, problem: ProblemName = None) -> HTMLResponse:
        tenant = tenant_of(request, state, "read")
        viewer: Caller = request.scope["caller"]
        try:
            name = problem_of(tenant, problem or None)
            settle(tenant, name)
            view = disagreements_view(sight_of(request, tenant), name, this_moment())
        except MilepostError as error:
            return message_page(viewer, tenant.business.name, status_of(error), str(error))
        return disagreements_page(viewer, view)


def _add_form(
    app: FastAPI, state: State, together: Together[Asked, bytes], path: str, keep: Kept
) -> None:
    """A form of a customer's page: kept and led back, or shown again."""

    @app.post(path, include_in_schema=False, name=f"form {path}")
    async def form(request: Request) -> Response:
        tenant = tenant_of(request, state, "ingest")
        viewer: Caller = request.scope["caller"]
        try:
            fields = await read_form(request)
            sight = sight_of(request, tenant)
            problem = problem_of(tenant, fields.get("problem") or None)
            customer = fields.get("customer", "")[:300]
            try:
                place = await keep(sight, viewer, fields)
            except InvalidRequestError as error:
                sent = {**fields, "form": path}
                wanted = WantedPage(
                    sight, viewer, problem, customer, {}, sent=sent, refused=_told(error)
                )
                return await page_of(state, together, wanted)
        except MilepostError as error:
            return message_page(viewer, tenant.business.name, status_of(error), str(error))
        back = f"{address(customer)}?{urlencode({'problem': problem})}#{place}"
        return Response(status_code=303, headers={"Location": back})


def _action_fields(fields: Fields) -> dict[str, Any]:
    """The fields of the form of an action as its schema reads them."""
    given: dict[str, Any] = {k: v for k, v in _some(fields, LogAction).items() if v != ""}
    with suppress(ValueError):  # the schema says that it is no number
        given["cost"] = float(given["cost"]) if "cost" in given else None
    return given


def _some(fields: Fields, model: type[Strict]) -> dict[str, str]:
    """The fields that a schema knows and a form sends as such; pages send others beside them."""
    return {name: fields[name] for name in model.model_fields if name in fields.keys() - NOT_FIELDS}


def _told(error: InvalidRequestError) -> str:
    """Where a form does not fit, and why."""
    return "; ".join(
        f"{place['place'].removeprefix('body.')}: {place['reason']}" for place in error.places
    )
