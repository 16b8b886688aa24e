"""The pages of personas and of the model, made on the server.

Takes documents and views; gives HTML. Knows nothing about where they come from.
"""

from collections.abc import Mapping
from typing import Any

from fastapi.responses import HTMLResponse

from features.config import Business
from models.spoken import Words
from serving.keys import Caller
from serving.page_words import amount
from serving.pages import PAGES
from serving.quality_charts import rate_bar
from serving.schemas_insight import ModelAnswer, PersonasAnswer

MEANING = (
    "Reasons say what moved a score. They do not say that changing it would change the outcome: no "
    "cause was tested.",
    "A high score is not a high gain. Who can be won by an action is another question, which only "
    "an experiment answers.",
)
"""What a score does not mean, where the version does not say it itself."""


def personas_page(
    viewer: Caller | None, business: Business, problem: str, told: PersonasAnswer
) -> HTMLResponse:
    """Who the customers are."""
    known = [each for each in told.personas if each.rate is not None]
    top = max((each.rate_high or 0.0 for each in known), default=1.0) or 1.0
    bars = [
        "" if each.rate is None or each.rate_low is None or each.rate_high is None
        else rate_bar(each.rate, each.rate_low, each.rate_high, told.base_rate,
                      max(top, told.base_rate), f"How often the outcome came: {each.name}")
        for each in told.personas
    ]  # fmt: skip
    value = business.problems[problem].value
    unit = Words(units=business.units)
    return HTMLResponse(
        PAGES.get_template("personas.html").render(
            viewer=viewer, business=business.name, problems=list(business.problems),
            problem=problem, told=told, bars=bars, has_value=value is not None,
            limited=viewer is not None and told.own_others is not None,
            money=lambda sum_: amount(sum_, value.sum if value else "", unit),
        )
    )  # fmt: skip


def model_page(
    viewer: Caller | None, business: Business, told: ModelAnswer, view: Mapping[str, Any]
) -> HTMLResponse:
    """How good the model is; see `serving.model_view` for what is shown."""
    return HTMLResponse(
        PAGES.get_template("model.html").render(
            view, viewer=viewer, business=business.name, problems=list(business.problems),
            told=told, meaning=MEANING,
        )
    )  # fmt: skip
