"""A foreign web shop's clickstream: the journey map and its page tell where checkout breaks."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from conftest import ROOT

from features.config import Business, read_config
from features.cutoffs import resolve
from features.sources import read_histories
from models.journey_map import Map
from serving.journey_map import map_answer, map_view
from serving.pages import journey_map_page
from training.journey_map import journey_map

EVENTS = ROOT.parent / "shared" / "data" / "ecom_synthetic" / "events.parquet"

WEBSHOP = """
name = "webshop"
[[events]]
sql = \"\"\"select customer_id as customer, timestamp as event_time, event, channel, platform,
         session_id as session from '{events}'\"\"\"
[stages]
browsing = ["home", "catalog", "search", "filter_results", "promo_page", "product_view"]
cart = ["add_to_cart", "cart"]
shipping = ["shipping_details"]
payment = ["payment_details"]
purchase = ["purchase"]
[problems.purchase]
outcome = {{ event = "purchase", repeats = true }}
cohort = {{ active_within = "7d" }}
horizon = "7d"
every = "7d"
"""

pytestmark = pytest.mark.skipif(
    not EVENTS.is_file(), reason="the data sets for cross-checks are not here"
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Business, Map]:
    """The web shop's map, without a model: no personas."""
    config: Path = tmp_path_factory.mktemp("webshop") / "journey.toml"
    config.write_text(WEBSHOP.format(events=EVENTS))
    business = read_config(config)
    histories = read_histories(business)
    problem = resolve(business.problem("purchase"), histories.log, histories.attributes)
    return business, journey_map(business, "purchase", problem, histories)


def touchpoints(found: Map) -> dict[str, dict[str, Any]]:
    """Those of all customers, by what they are called."""
    return {one["says"]: one for one in found["parts"][0]["touchpoints"]}


def test_the_data_do_have_the_fault() -> None:
    """Counted without the map: of sessions that come to payment most end in a purchase, unless
    the payment fails."""
    bought = dict(
        duckdb.sql(
            f"""select failed, avg(bought::int) from (
                  select bool_or(event = 'payment_error') as failed,
                         bool_or(event = 'purchase') as bought
                  from '{EVENTS}' group by session_id
                  having bool_or(event = 'payment_details')) group by failed"""
        ).fetchall()
    )
    assert bought[True] < 0.2 and bought[False] > 0.8


def test_the_payment_error_is_blamed_first_and_surely(drawn: tuple[Business, Map]) -> None:
    """A purchase within a week is some 21 points less likely, with an interval clear of zero."""
    worst = touchpoints(drawn[1])["payment error"]
    assert (1, True, True) == (worst["rank"], worst["surely"], worst["hurts"])
    assert worst["effect"] == pytest.approx(-0.21, abs=0.03)
    assert worst["low"] < worst["effect"] < worst["high"] < -0.1


def test_the_unadjusted_ranking_would_miss_it(drawn: tuple[Business, Map]) -> None:
    """Who comes to payment is keen to buy, so the plain difference is next to nothing, and
    others stand before it."""
    worst = touchpoints(drawn[1])["payment error"]
    assert abs(worst["unadjusted"]) < 0.02
    assert worst["unadjusted_rank"] > 3


def test_pages_of_a_checkout_that_works_are_not_blamed(drawn: tuple[Business, Map]) -> None:
    """Cart, shipping and payment details bring customers nearer to a purchase."""
    found = touchpoints(drawn[1])
    for says in ("add to cart", "cart", "shipping details", "payment details"):
        assert not found[says]["hurts"], says


def test_the_page_says_it_in_words(drawn: tuple[Business, Map]) -> None:
    """One sentence names the fault, how much less likely a purchase is and beside whom; the row
    of the table has the interval."""
    business, found = drawn
    worst = touchpoints(found)["payment error"]
    loaded: Any = SimpleNamespace(
        model=SimpleNamespace(journey_map=found), name="webshop-purchase", version="1"
    )
    page = bytes(
        journey_map_page(None, business, map_view(map_answer("purchase", loaded, {}))).body
    )
    text = " ".join(re.sub(r"<[^>]+>", " ", page.decode()).split())
    assert (
        "It breaks most surely at payment error : for customers who met it a purchase was" in text
    )
    assert f"{-100 * worst['effect']:.1f} percentage points less likely" in text
    first = text.index("Payment error 87 ")
    assert first < text.index("Support chat")
    shown = f"−{-100 * worst['low']:.1f} to −{-100 * worst['high']:.1f}"
    assert shown in text[first : first + 120]
