"""The pages that people open in a browser, made on the server.

Takes answers; gives HTML. Nothing is loaded from another host and no page runs a script of
its own but the API documentation. Knows nothing about how a score is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, select_autoescape

from features.actions import KINDS
from features.config import Business
from features.durations import format_moment
from models.question import is_wanted
from models.question import question as asked
from serving.access import ACTING
from serving.at_risk import AWAKE, Question
from serving.customer_page import FILTERS
from serving.errors import TITLES
from serving.keys import Caller
from serving.page_words import date
from serving.people import ADMIN, LEAD, ROLES, SCIENTIST
from serving.schemas_lists import AtRisk
from serving.worklist import View

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: a browser then calls its own page's origin null when it sends a form.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Sent with every answer."""

DOCS_POLICY = HEADERS["Content-Security-Policy"].replace(
    "style-src 'self'", "style-src 'self' 'unsafe-inline'"
)
"""Swagger UI sets styles on its own elements."""

SNOOZES = {1: "tomorrow", 7: "in a week", 14: "in two weeks", 30: "in a month", 90: "in 3 months"}
"""How long customers may be left out of the list, in days."""
WEEKS_SHARE = 20
"""Customers that a person takes for a week, unless they say otherwise."""
DONE = {
    "snooze": "left out of the list for now", "wake": "shown in the list again",
    "plan": "with a next step planned", "unplan": "without a next step now",
    "assign": "given to their new owner", "take_back": "given back to whom the histories name",
    "pick": "taken for your week",
}  # fmt: skip
"""What a list says after a decision, behind the number of customers."""

PAGES = Environment(loader=PackageLoader("serving"), autoescape=select_autoescape())
PAGES.filters |= FILTERS
PAGES.globals["SITE"] = (
    ("/at-risk", "Customers", ROLES),
    ("/my-week", "My week", ACTING),
    ("/actions", "Actions", ROLES),
    ("/disagreements", "Disagreements", ROLES),
    ("/journey-map", "Journey map", ROLES),
    ("/personas", "Personas", ROLES),
    ("/model", "Model", (LEAD, SCIENTIST, ADMIN)),
    ("/docs", "API", (SCIENTIST, ADMIN)),
)
"""The pages that every page leads to: address, name, and for whom; who has a key sees all."""


@dataclass(frozen=True)
class Desk:
    """What a person finds around the list."""

    viewer: Caller
    query: str
    """The list's filters as an address says them."""
    views: Sequence[View]
    """Filters that the person keeps."""
    forms: bool
    """Whether the person may decide about customers."""
    colleagues: Sequence[str]
    """To whom the person may give customers; empty where they may not."""
    did: str = ""
    """What was decided last, and about how many."""
    many: int = 0
    silence: str = ""
    """Which sources are dead, in a sentence."""
    broken: str = ""
    """Whether events lie beyond the end of the histories, in a sentence."""


def at_risk_page(
    desk: Desk, business: Business, question: Question, shown: AtRisk | None,
    next_page: str, first_page: str, champion: bool = True,
) -> HTMLResponse:  # fmt: skip
    """The list of customers; where the book was not made yet, why there is none.

    Parameters
    ----------
    champion
        Whether a model answers for the problem, so that the list will come by itself.
    """
    more = {
        "champion": champion,
        "search": question.prefix,
        "chosen": {
            "band": question.bands,
            "stage": question.stages,
            "persona": question.personas,
            "owner": question.owners,
        },
        "snoozed": question.snoozed,
        "next_page": next_page,
        "first_page": first_page,
        "export": urlencode(
            {
                "problem": question.problem,
                "snoozed": AWAKE,
                **dict(parse_qsl(desk.query)),
            }
        ),
    }
    return _list("at_risk.html", desk, business, question, shown, more)


def my_week_page(
    desk: Desk, business: Business, question: Question, shown: AtRisk, week: int, taken: int
) -> HTMLResponse:
    """Whom a person took for the week that begins at a moment, in their order."""
    begun = format_moment(week)
    done = [row for row in shown.customers if row.last_action and row.last_action.at >= begun]
    more = {"week": date(week), "taken": taken, "share": WEEKS_SHARE, "done": len(done)}
    return _list("my_week.html", desk, business, question, shown, more)


def _list(
    template: str, desk: Desk, business: Business, question: Question, shown: AtRisk | None,
    more: Mapping[str, Any],
) -> HTMLResponse:  # fmt: skip
    problem = business.problems[question.problem]
    today = datetime.now(UTC).date()
    told = PAGES.get_template(template).render(
        viewer=desk.viewer,
        desk=desk,
        business=business.name,
        problems=list(business.problems),
        problem=question.problem,
        question=asked(problem),
        shown=shown,
        has_value=problem.value is not None,
        unit=business.units.get(problem.value.sum, "") if problem.value else "",
        wanted=is_wanted(problem, question.problem),
        steps=KINDS,
        snoozes=SNOOZES,
        today=today.isoformat(),
        done_words=DONE,
        **more,
    )
    return HTMLResponse(told)


def customer_page(
    viewer: Caller | None, view: Mapping[str, Any], status: int = 200
) -> HTMLResponse:
    """One customer; see `serving.customer_page` for what is shown."""
    return HTMLResponse(PAGES.get_template("customer.html").render(view, viewer=viewer), status)


def acts_page(viewer: Caller | None, view: Mapping[str, Any]) -> HTMLResponse:
    """The newest actions; see `serving.action_views`."""
    return HTMLResponse(PAGES.get_template("actions.html").render(view, viewer=viewer))


def disagreements_page(viewer: Caller | None, view: Mapping[str, Any]) -> HTMLResponse:
    """Where person and model say different things; see `serving.action_views`."""
    return HTMLResponse(PAGES.get_template("disagreements.html").render(view, viewer=viewer))


def further_page(viewer: Caller | None, view: Mapping[str, Any]) -> HTMLResponse:
    """A further page of a customer's events."""
    return HTMLResponse(PAGES.get_template("customer_events.html").render(view, viewer=viewer))


def journey_map_page(
    viewer: Caller | None, business: Business, view: Mapping[str, Any]
) -> HTMLResponse:
    """How journeys flow and where they break; see `serving.journey_map` for what is shown."""
    problem = business.problems[view["shown"].problem]
    told = PAGES.get_template("journey_map.html").render(
        view, viewer=viewer, business=business.name, problems=list(business.problems),
        units=business.units, value_of=problem.value and problem.value.sum,
    )  # fmt: skip
    return HTMLResponse(told)


def message_page(viewer: Caller | None, business: str, status: int, says: str) -> HTMLResponse:
    """What went wrong, as a person reads it, and the way back."""
    told = PAGES.get_template("message.html").render(
        viewer=viewer, business=business, title=TITLES.get(status, "Error"), says=says
    )
    return HTMLResponse(told, status)


def sign_in_page(token: str, problem: str, status: int, name: str, provider: str) -> HTMLResponse:
    """The forms that ask for a name and a password or for a key.

    Parameters
    ----------
    problem
        Why the page is shown again; "" the first time.
    provider
        What people know the identity provider by; "" without one.
    """
    told = PAGES.get_template("sign_in.html").render(
        token=token, problem=problem, name=name, provider=provider
    )
    return HTMLResponse(told, status)


def arrived_page(name: str, to: str) -> HTMLResponse:
    """The way in for who comes from the identity provider.

    A redirect from there would be the other site's request to the browser, which then keeps the
    session's strict cookie to itself; a page of ours leads on by itself.
    """
    return HTMLResponse(PAGES.get_template("arrived.html").render(name=name, to=to))


def docs_page(viewer: Caller | None) -> HTMLResponse:
    """The API documentation, from a copy of Swagger UI that is installed with the service."""
    return HTMLResponse(
        PAGES.get_template("docs.html").render(viewer=viewer),
        headers={"Content-Security-Policy": DOCS_POLICY},
    )
