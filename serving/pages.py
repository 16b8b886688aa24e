"""The pages that people open in a browser, made on the server.

Takes answers; gives HTML. Nothing is loaded from another host and no page runs a script of
its own but the API documentation. Knows nothing about how a score is made.
"""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, select_autoescape

from features.config import Business
from models.question import question as asked
from serving.at_risk import Question
from serving.customer_page import FILTERS
from serving.errors import TITLES
from serving.keys import Caller
from serving.people import ADMIN, ROLES, SCIENTIST
from serving.schemas_lists import AtRisk

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

PAGES = Environment(loader=PackageLoader("serving"), autoescape=select_autoescape())
PAGES.filters |= FILTERS
PAGES.globals["SITE"] = (
    ("/at-risk", "Customers", ROLES),
    ("/actions", "Actions", ROLES),
    ("/disagreements", "Disagreements", ROLES),
    ("/docs", "API", (SCIENTIST, ADMIN)),
)
"""The pages that every page leads to: address, name, and for whom; who has a key sees all."""


def at_risk_page(
    viewer: Caller | None, business: Business, question: Question, shown: AtRisk | None,
    next_page: str, first_page: str,
) -> HTMLResponse:  # fmt: skip
    """The list of customers; without one where the book was not made yet."""
    problem = business.problems[question.problem]
    return HTMLResponse(
        PAGES.get_template("at_risk.html").render(
            viewer=viewer,
            business=business.name,
            problems=list(business.problems),
            problem=question.problem,
            question=asked(problem),
            shown=shown,
            has_value=problem.value is not None,
            search=question.prefix,
            chosen={
                "band": question.bands,
                "stage": question.stages,
                "persona": question.personas,
                "owner": question.owners,
            },
            next_page=next_page,
            first_page=first_page,
        )
    )


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


def events_page(viewer: Caller | None, view: Mapping[str, Any]) -> HTMLResponse:
    """A further page of a customer's events."""
    return HTMLResponse(PAGES.get_template("customer_events.html").render(view, viewer=viewer))


def message_page(viewer: Caller | None, business: str, status: int, says: str) -> HTMLResponse:
    """What went wrong, as a person reads it, and the way back."""
    told = PAGES.get_template("message.html").render(
        viewer=viewer, business=business, title=TITLES.get(status, "Error"), says=says
    )
    return HTMLResponse(told, status)


def sign_in_page(token: str, problem: str, status: int, name: str) -> HTMLResponse:
    """The forms that ask for a name and a password or for a key.

    Parameters
    ----------
    problem
        Why the page is shown again; "" the first time.
    """
    told = PAGES.get_template("sign_in.html").render(token=token, problem=problem, name=name)
    return HTMLResponse(told, status)


def docs_page(viewer: Caller | None) -> HTMLResponse:
    """The API documentation, from a copy of Swagger UI that is installed with the service."""
    return HTMLResponse(
        PAGES.get_template("docs.html").render(viewer=viewer),
        headers={"Content-Security-Policy": DOCS_POLICY},
    )
