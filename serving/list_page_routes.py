"""`/at-risk` and `/my-week`: the list as a person works through it.

Takes a request; answers with HTML of the caller's workspace. Forms come back to the page that they
were on.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlencode

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

from features.durations import DAY, this_moment
from features.errors import MilepostError
from serving.access import tenant_of
from serving.at_risk import ALL, AWAKE, BookMissingError, Question, page
from serving.at_risk_routes import (
    By,
    Cursor,
    Filters,
    Limit,
    Name,
    Prefix,
    ProblemName,
    Sleeping,
    book_of,
    list_answer,
    problem_of,
    question_of,
)
from serving.deciding import (
    DO,
    PICK,
    SNOOZE,
    Decision,
    best,
    decide,
    everybody,
    may_assign,
    may_decide,
)
from serving.errors import status_of
from serving.forms import read_form
from serving.keys import Caller
from serving.page_words import silence
from serving.pages import Desk, at_risk_page, message_page, my_week_page
from serving.schemas_worklist import begin_of
from serving.sight import Sight, sight_of
from serving.state import State, Tenant
from serving.worklist import View, WorklistError, monday

PageBand = Annotated[Literal["", "low", "medium", "high", "very high"], Query()]
"""A form sends an empty text for all bands."""
KEPT = ("problem", "by", "band", "stage", "persona", "owner", "search", "snoozed")
"""What an address of the list may say."""
MOST_ROWS = 1_000
"""Rows of the longest page of a list."""
TICKED = "pick:"
"""What the names of the boxes before the rows begin with; the customer follows."""


def add(app: FastAPI, state: State) -> None:
    """Add the list's pages and what their forms send."""
    _add_pages(app, state)
    _add_forms(app, state)


def _add_pages(app: FastAPI, state: State) -> None:
    @app.get("/at-risk", include_in_schema=False)
    def at_risk(
        request: Request, problem: ProblemName = None, by: By = None, band: PageBand = "",
        stage: Name = "", persona: Name = "", owner: Name = "", search: Prefix = "",
        snoozed: Sleeping = "awake", limit: Limit = 50, cursor: Cursor = None,
        did: Name = "", many: Annotated[int, Query(ge=0, le=10**6)] = 0,
    ) -> HTMLResponse:  # fmt: skip
        sight = sight_of(request, tenant_of(request, state, "read"))
        filters = Filters(_one(band), _one(stage), _one(persona), _one(owner), search, snoozed)
        question = question_of(sight, problem or None, by, filters, limit, cursor)
        query = kept_of(request.query_params)
        desk = _desk(state, sight, request.scope["caller"], query, did, many)
        try:
            shown = list_answer(sight.tenant, page(book_of(sight.tenant), question), question)
        except BookMissingError:
            return _no_list(desk, sight, question)
        following = _link({**query, "cursor": shown.next}) if shown.next else ""
        first = _link(query) if cursor else ""
        return at_risk_page(desk, sight.tenant.business, question, shown, following, first)

    @app.get("/my-week", include_in_schema=False)
    def my_week(request: Request, problem: ProblemName = None) -> HTMLResponse:
        sight = sight_of(request, tenant_of(request, state, "read"))
        caller: Caller = request.scope["caller"]
        name, week = problem_of(sight.tenant, problem or None), monday(this_moment())
        names = sight.tenant.worklist.picked(name, caller.id, week)
        question = question_of(
            sight, name, None, Filters(snoozed=ALL, among=tuple(names)), max(1, len(names))
        )
        desk = _desk(state, sight, caller, {"problem": name}, "", 0)
        try:
            shown = list_answer(sight.tenant, page(book_of(sight.tenant), question), question)
        except BookMissingError:
            return _no_list(desk, sight, question)
        shown.customers.sort(key=lambda row: names.index(row.customer))
        return my_week_page(desk, sight.tenant.business, question, shown, week, len(names))


def _no_list(desk: Desk, sight: Sight, question: Question) -> HTMLResponse:
    """The page of a list that was not made yet."""
    champion = question.problem in sight.tenant.champions.state().models
    return at_risk_page(desk, sight.tenant.business, question, None, "", "", champion)


def _add_forms(app: FastAPI, state: State) -> None:
    @app.post("/at-risk", include_in_schema=False)
    async def decided(request: Request) -> Response:
        return await _sent(request, state, "ingest", _decide, MOST_ROWS)

    @app.post("/my-week", include_in_schema=False)
    async def taken(request: Request) -> Response:
        return await _sent(request, state, "ingest", _take)

    @app.post("/views", include_in_schema=False)
    async def viewed(request: Request) -> Response:
        return await _sent(request, state, "read", _view)


async def _sent(
    request: Request, state: State, scope: str,
    done: Callable[[Sight, Caller, Mapping[str, str]], str], rows: int = 0,
) -> Response:  # fmt: skip
    """Do what a form says, and go where it leads."""
    tenant = tenant_of(request, state, scope)
    caller: Caller = request.scope["caller"]
    try:
        fields = await read_form(request, rows=rows)
        place = await run_in_threadpool(done, sight_of(request, tenant), caller, fields)
    except MilepostError as error:
        return message_page(caller, tenant.business.name, status_of(error), str(error))
    return Response(status_code=303, headers={"Location": place})


def _decide(sight: Sight, caller: Caller, fields: Mapping[str, str]) -> str:
    """Decide about the ticked rows, or about all that the list's filters let through."""
    query = kept_of(dict(parse_qsl(fields.get("back", ""))))
    problem = problem_of(sight.tenant, query.get("problem"))
    if fields.get("all"):
        customers = everybody(sight, _asked(sight, problem, query))
    else:
        customers = [name.removeprefix(TICKED) for name in fields if name.startswith(TICKED)]
        if not customers:
            raise WorklistError("No customer is ticked. Go back and tick some.")
    do = fields.get("do", "")
    days = fields.get("days", "")
    until = begin_of(fields.get("until"))
    if do == SNOOZE and days.isdecimal() and len(days) < 4:
        until = (this_moment() // DAY + int(days)) * DAY
    if do not in DO:
        raise WorklistError("The list knows no such button.")
    decision = Decision(
        problem, customers, do, until, fields.get("kind") or None, begin_of(fields.get("due")),
        fields.get("owner"),
    )  # fmt: skip
    many = decide(sight, caller, decision)
    return _link({**query, "did": do, "many": str(many)})


def _take(sight: Sight, caller: Caller, fields: Mapping[str, str]) -> str:
    """Take the best customers who are not taken yet for the week."""
    problem = problem_of(sight.tenant, fields.get("problem"))
    given = fields.get("many", "")
    if not (given.isdecimal() and 0 < len(given) < 4 and int(given) > 0):
        raise WorklistError("Say how many customers you can look after this week: 1 to 200.")
    taken = frozenset(sight.tenant.worklist.picked(problem, caller.id, monday(this_moment())))
    question = _asked(sight, problem, {})
    customers = best(sight, question, int(given), taken)
    if not customers:
        raise WorklistError("Nobody is left to take: all are taken, or left out for now.")
    decide(sight, caller, Decision(problem, customers, PICK))
    return f"/my-week?{urlencode({'problem': problem})}"


def _view(sight: Sight, caller: Caller, fields: Mapping[str, str]) -> str:
    """Keep the list's filters under a name, or forget them."""
    query = kept_of(dict(parse_qsl(fields.get("back", ""))))
    kept = sight.tenant.worklist
    if fields.get("do") == "drop":
        kept.drop_view(caller.id, fields.get("name", ""))
    else:
        kept.keep_view(caller.id, View(fields.get("name", ""), urlencode(query)))
    return _link(query)


def _asked(sight: Sight, problem: str, query: Mapping[str, str]) -> Question:
    """The question of a list's address."""
    band, stage, persona, owner = (_one(query.get(name, "")) for name in KEPT[2:6])
    filters = Filters(
        band, stage, persona, owner, query.get("search", ""), query.get("snoozed", AWAKE)
    )
    return question_of(sight, problem, None, filters, 50)


def _one(text: str) -> tuple[str, ...]:
    """A filter that a form sends: empty for all."""
    return (text,) if text else ()


def _desk(
    state: State, sight: Sight, caller: Caller, query: Mapping[str, str], did: str, many: int
) -> Desk:
    """What a person finds around the list."""
    tenant = sight.tenant
    forms = bool(caller.token) and may_decide(caller)
    sources = msgspec.json.decode(tenant.sources.at(tenant.kept.end()))
    return Desk(
        caller, urlencode(query), tenant.worklist.views(caller.id) if caller.token else [],
        forms, _colleagues(state, tenant, sight) if forms and may_assign(caller) else [],
        did if did in DO else "", many, silence(sources, "dead"), tenant.sources.broken(),
    )  # fmt: skip


def _colleagues(state: State, tenant: Tenant, sight: Sight) -> list[str]:
    """To whom customers can be given."""
    known = state.roster.owners(tenant.name)
    return sorted(known if sight.owners is None else known & sight.owners)


def kept_of(given: Mapping[str, str]) -> dict[str, str]:
    """What of an address says which list it is."""
    return {name: given[name] for name in KEPT if given.get(name)}


def _link(query: Mapping[str, str]) -> str:
    return f"/at-risk?{urlencode(query)}"
