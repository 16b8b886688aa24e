"""Signing in at an identity provider, which is another site to the browser."""

from axe_playwright_python.sync_playwright import Axe
from browsers import CHROMIUM, needs_chromium
from conftest import Service
from identity_provider import IdentityProvider
from owned import command
from playwright.sync_api import sync_playwright

pytestmark = needs_chromium


def test_a_person_comes_in_from_another_site(
    provider_service: tuple[Service, IdentityProvider],
) -> None:
    """From a page that asks for a sign-in to the provider and back by two keys, into a page that
    shows who came; the browser keeps a session that it gives to no other site."""
    service, provider = provider_service
    role = ("--role", "lead", "--no-password")
    command(service, "add", "--name", "kim@example.com", *role)
    provider.person = {"sub": "18", "email": "kim@example.com", "email_verified": True}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(f"{service.address}/at-risk")
        assert f"{service.address}/sign-in" == page.url
        serious = [v["id"] for v in Axe().run(page).response["violations"]]
        assert [] == serious
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert "Sign in with localhost" == page.evaluate("document.activeElement.innerText")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{service.address}/at-risk")
        assert "kim@example.com" in page.locator("form.who").inner_text()
        (session,) = [c for c in page.context.cookies() if c["name"] == "milepost"]
        assert ("Strict", True) == (session["sameSite"], session["httpOnly"])
        page.goto(f"{provider.address}/keys")
        page.evaluate(f"location = '{service.address}/at-risk'")
        page.wait_for_url(f"{service.address}/sign-in")
        chromium.close()
