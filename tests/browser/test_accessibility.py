"""Every page as axe-core sees it, in light and dark, and what each asks the network for.

axe is put into the page through the browser's own protocol, which the page's policy doesn't bind;
the policy itself stays on, so what it forbids would show as missing.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import CHROMIUM, needs_chromium
from conftest import ROOT, Service
from playwright.sync_api import Page, sync_playwright

pytestmark = needs_chromium

SERIOUS = ("serious", "critical")
PAGES = (
    "/sign-in", "/at-risk", "/at-risk?search=nobody", "/customers/{customer}?suppose=order",
    "/customers/nobody-here", "/actions", "/disagreements", "/my-week", "/journey-map",
    "/personas", "/model",
)  # fmt: skip
"""The pages of the site; `/docs` is Swagger UI's."""


@dataclass
class Visit:
    """A signed-in page of a browser, and what it asked for."""

    page: Page
    customer: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def visit(shop_service: Service) -> Iterator[Visit]:
    """A browser that is signed in with a key."""
    place = (str(shop_service.config), "--workspace", str(shop_service.workspace))
    key = shop_service.key.split("_")[1]
    done = subprocess.run(
        [sys.executable, "-m", "serving", "keys", "link", *place, "--id", key],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    with shop_service.client() as client:
        customer = client.get("/v1/at-risk", params={"limit": 1}).json()["customers"][0]["customer"]
    assert CHROMIUM is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(base_url=shop_service.address)
        found = Visit(page, customer)
        page.on("request", lambda request: found.asked.append(request.url))
        page.on("console", lambda said: found.complaints.append(said.text))
        page.goto(f"{done.stdout.strip()}&to=/at-risk")
        yield found
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_no_serious_fault(visit: Visit, path: str, scheme: str) -> None:
    """Contrast, names, roles, landmarks and order are such that everybody can use the page."""
    visit.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    visit.page.goto(path.format(customer=visit.customer))
    visit.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    seen = Axe().run(visit.page).response
    assert len(seen["passes"]) > 10, "axe has looked at next to nothing"
    told = [
        (fault["id"], fault["help"], fault["nodes"][0]["html"][:200],
         fault["nodes"][0].get("failureSummary", "")[:300])
        for fault in seen["violations"]
        if fault["impact"] in SERIOUS
    ]  # fmt: skip
    assert [] == told


def test_no_page_asks_another_host(visit: Visit, shop_service: Service) -> None:
    """All that the pages load comes from the service, and no page breaks its own policy."""
    visit.asked.clear()
    visit.complaints.clear()
    for path in PAGES:
        visit.page.goto(path.format(customer=visit.customer))
    hosts = {url.split("/")[2] for url in visit.asked if url.startswith(("http", "ws"))}
    assert {shop_service.address.removeprefix("http://")} == hosts
    missing = [said for said in visit.complaints if "404" not in said]
    assert [] == missing


@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_a_phone(visit: Visit, path: str) -> None:
    """At 390 pixels nothing needs to be scrolled sideways."""
    size = visit.page.viewport_size
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.page.goto(path.format(customer=visit.customer))
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    if size is not None:
        visit.page.set_viewport_size(size)
