"""Signing in as a person does it: with the keyboard, in light and dark, on a phone."""

from browsers import CHROMIUM, needs_chromium
from conftest import Service
from playwright.sync_api import Page, sync_playwright

from serving.database import Database
from serving.passwords import hashed
from serving.people import LEAD, Users

pytestmark = needs_chromium

PASSWORD = "four words that differ"
FOCUS = "(e => e.id || e.innerText.trim())(document.activeElement)"
COLOURS = """["color", "backgroundColor"].map(name => getComputedStyle(document.body)[name]
  .match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3)"""


def test_a_person_signs_in_and_out_with_the_keyboard(shop_service: Service) -> None:
    """From the address to the list, and out again, by Tab and Enter; each page fits a phone and a
    desk in light and dark; the console has nothing to say but that a password was wrong, and no
    other host is asked for anything."""
    database = Database(f"sqlite:///{shop_service.workspace}/milepost.db")
    if Users(database).find("lena") is None:
        Users(database).add("shop", "lena", LEAD, hashed(PASSWORD))
    asked: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(base_url=shop_service.address)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda said: complaints.append(said.text))
        walk(page)
        chromium.close()
    (wrong,) = complaints
    assert "401" in wrong
    hosts = {address.split("/")[2] for address in asked if address.startswith("http")}
    assert {shop_service.address.removeprefix("http://")} == hosts


def walk(page: Page) -> None:
    """In with a wrong password, in with the right one, and out, without a mouse."""
    page.goto("/at-risk")
    page.wait_for_url("**/sign-in")
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUS))
    assert reached == [
        "Skip to the content", "name", "password", "Sign in", "Sign in with a key instead"
    ]  # fmt: skip
    fits(page)
    page.focus("#name")
    page.keyboard.type("Lena")
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    fits(page)
    assert "Lena" == page.input_value("#name")
    page.focus("#password")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/at-risk")
    assert "lena lead Sign out" == " ".join(page.inner_text(".who").split())
    fits(page)
    page.focus(".who button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign-in")
    page.goto("/at-risk")
    page.wait_for_url("**/sign-in")


def fits(page: Page) -> None:
    """Assert that the page lies inside a phone and a desk, and is readable in light and dark."""
    for width in (340, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        for dark in (False, True):
            page.emulate_media(color_scheme="dark" if dark else "light")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            ink, paper = page.evaluate(COLOURS)
            assert (ink > paper) == dark and abs(ink - paper) > 120
