"""The list of customers in a real browser: how much room it takes, and how bands are coloured."""

from collections.abc import Iterator

import pytest
from browsers import CHROMIUM, needs_chromium
from conftest import Service
from owned import PASSWORD
from playwright.sync_api import Page, sync_playwright

pytestmark = needs_chromium

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
BACKGROUND = "getComputedStyle(document.querySelector('.chance')).backgroundColor"


@pytest.fixture(scope="module")
def page(owned_service: Service) -> Iterator[Page]:
    """The list as somebody sees it who may decide about customers."""
    assert CHROMIUM is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(base_url=owned_service.address)
        page.goto("/at-risk")
        page.fill("#name", "bert")
        page.fill("input[type=password]", PASSWORD)
        page.press("input[type=password]", "Enter")
        page.wait_for_url("**/at-risk*")
        yield page
        browser.close()


def test_on_a_phone_a_customer_takes_little_room(page: Page) -> None:
    """Who, how likely and which band stand on one line, and of the reasons the strongest is
    shown; at a desk all of them are."""
    page.set_viewport_size(PHONE)
    rows = page.locator("table.list tbody tr")
    heights = rows.evaluate_all("rows => rows.map(row => row.offsetHeight)")
    assert sum(heights) / len(heights) < 230
    for part in ("a", ".likely strong", ".band"):
        box, name = rows.first.locator(part).first.bounding_box(), rows.first.locator("a")
        line = name.bounding_box()
        assert box is not None and line is not None
        assert abs(box["y"] + box["height"] / 2 - line["y"] - line["height"] / 2) < 6, part
    shown = rows.first.locator(".why li:visible").count()
    assert shown == rows.first.locator(".why li.first").count() <= 2
    page.set_viewport_size(DESK)
    assert 3 == rows.first.locator(".why li:visible").count()


def test_what_is_decided_leaves_room_for_the_list(page: Page) -> None:
    """At a desk the bar of decisions stays in sight and covers less than an eighth of it."""
    page.set_viewport_size(DESK)
    box = page.locator(".decide").bounding_box()
    assert box is not None and box["height"] < DESK["height"] / 8
    assert box["y"] + box["height"] <= DESK["height"]


def test_a_high_chance_of_something_wanted_is_no_warning(page: Page) -> None:
    """Where the outcome is wanted a very high band is green and not red."""
    page.evaluate("document.querySelector('.chance').className = 'band chance very-high'")
    churn = page.evaluate(BACKGROUND)
    assert page.locator("main.wanted").count() == 0
    page.evaluate("document.querySelector('main').classList.add('wanted')")
    red, green, blue = (int(part) for part in page.evaluate(BACKGROUND)[4:-1].split(","))
    assert green > max(red, blue)
    assert churn != page.evaluate(BACKGROUND)
