"""A new account manager's first call, in a real browser."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import CHROMIUM, needs_chromium
from conftest import Service
from owned import PASSWORD
from playwright.sync_api import Page, sync_playwright

pytestmark = needs_chromium

SCRIPT = "<script>document.title = 'taken'</script>"
TWO_MINUTES, TEN_CLICKS = 120.0, 10


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


class Hand:
    """Clicks, counted."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks = page, 0

    def click(self, what: str) -> None:
        self.page.click(what)
        self.clicks += 1

    def choose(self, what: str, choice: str) -> None:
        """A click opens the choices, another takes one."""
        self.page.select_option(what, label=choice)
        self.clicks += 2


def serious(page: Page) -> list[str]:
    """What axe-core finds that keeps somebody from using a page."""
    found = Axe().run(page).response["violations"]
    return [
        f"{v['id']}: {v['nodes'][0]['html']}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


def test_the_first_call_takes_ten_clicks(owned_service: Service, chromium: Any) -> None:
    """Sign in, filter the list, open a customer, log a call, and see it in the journey and in the
    list of actions: in ten clicks, without a word of documentation. A script in the note stays
    text, no other host is asked for anything, and axe-core finds no serious fault, on a phone
    neither."""
    began = time.monotonic()
    page = chromium.new_context(viewport={"width": 1200, "height": 900}).new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    hand = Hand(page)
    page.goto(f"{owned_service.address}/at-risk")
    hand.click("input[name=name]")
    page.keyboard.type("bert")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    hand.click("button:text('Sign in')")
    hand.choose("select[name=band]", page.locator("select[name=band] option").last.inner_text())
    hand.click("button:text('Show')")
    customer = page.locator("tbody th a").first.inner_text()
    hand.click("tbody th a >> nth=0")
    hand.click("text=Log an action")
    hand.click("label:text('Note') >> nth=0")
    page.keyboard.type(f"Nobody there. {SCRIPT}")
    hand.click("button:text('Log it')")
    page.wait_for_url("**#acts")
    assert hand.clicks <= TEN_CLICKS
    assert time.monotonic() - began < TWO_MINUTES
    act = page.locator("li.act").first.inner_text()
    assert "Call" in act and "bert" in act and SCRIPT in act
    assert 1 == page.locator("svg.lanes path.act").count()
    assert "Call" in page.locator("section[aria-labelledby=events] tbody tr").first.inner_text()
    assert [] == serious(page)
    title = page.title()
    page.click("nav.site a:text('Actions')")
    assert customer in page.locator("li.act").first.inner_text()
    assert [] == serious(page)
    assert "taken" not in (title, page.title())
    page.click("nav.site a:text('Disagreements')")
    assert [] == serious(page)
    page.goto(f"{owned_service.address}/customers/{customer}")
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    for width in (340, 700, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 340, "height": 800})
    page.emulate_media(color_scheme="dark")
    assert [] == serious(page)
    assert [] == complaints
    assert {owned_service.address} == {"/".join(address.split("/")[:3]) for address in asked}
