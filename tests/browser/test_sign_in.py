"""Signing in as a person does it: with the keyboard, in light and dark, on a phone."""

from pathlib import Path

from browsers import needs_chromium
from conftest import Service
from driven import Browser, browser

from serving.database import Database
from serving.passwords import hashed
from serving.people import LEAD, Users

pytestmark = needs_chromium

PASSWORD = "four words that differ"


def test_a_person_signs_in_and_out_with_the_keyboard(shop_service: Service, tmp_path: Path) -> None:
    """From the address to the list, and out again, by Tab and Enter; each page fits a phone and a
    desk in light and dark; the console has nothing to say but that a password was wrong, and no
    other host is asked for anything."""
    database = Database(f"sqlite:///{shop_service.workspace}/milepost.db")
    if Users(database).find("lena") is None:
        Users(database).add("shop", "lena", LEAD, hashed(PASSWORD))
    with browser(tmp_path) as page:
        page.open(f"{shop_service.address}/at-risk")
        assert "/sign-in" == page.run("location.pathname")
        reached = []
        for _ in range(5):
            page.press("Tab")
            reached.append(page.focus)
        assert reached == [
            "Skip to the content", "name", "password", "Sign in", "Sign in with a key instead"
        ]  # fmt: skip
        fits(page)
        page.run("document.getElementById('name').focus()")
        page.type("Lena")
        page.press("Tab")
        page.type("not the password")
        page.press("Enter")
        page.wait("document.querySelector('[role=alert]')")
        fits(page)
        assert "Lena" == page.run("document.getElementById('name').value")
        page.run("document.getElementById('password').focus()")
        page.type(PASSWORD)
        page.press("Enter")
        page.wait("location.pathname === '/at-risk' && document.querySelector('.who button')")
        assert "lena lead Sign out" == " ".join(
            page.run("document.querySelector('.who').innerText").split()
        )
        fits(page)
        page.run("document.querySelector('.who button').focus()")
        page.press("Enter")
        page.wait("location.pathname === '/sign-in' && document.getElementById('name')")
        page.open(f"{shop_service.address}/at-risk")
        assert "/sign-in" == page.run("location.pathname")
        (wrong,) = page.complaints
        assert "401" in wrong
        hosts = {address.split("/")[2] for address in page.asked if address.startswith("http")}
        assert {shop_service.address.removeprefix("http://")} == hosts


def fits(page: Browser) -> None:
    """Assert that the page lies inside a phone and a desk, and is readable in light and dark."""
    for width in (340, 1200):
        for dark in (False, True):
            assert page.see(width, dark) <= width
            ink, paper = page.run(COLOURS)
            assert (ink > paper) == dark and abs(ink - paper) > 120


COLOURS = """["color", "backgroundColor"].map(name => getComputedStyle(document.body)[name]
  .match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3)"""
