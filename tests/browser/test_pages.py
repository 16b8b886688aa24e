"""The pages in a real browser: what Chromium makes of them, without any other host."""

import re
import shutil
from pathlib import Path

from browsers import fits, needs_chromium, rendered, served
from conftest import ROOT, Service, run
from pages import faults, read_page

pytestmark = needs_chromium


def signed_in(service: Service, path: str) -> str:
    """An address that signs a browser in, once, and leads to the path."""
    place = (str(service.config), "--workspace", str(service.workspace))
    done = run("serving", "keys", "link", *place, "--id", service.key.split("_")[1])
    return f"{service.address}{done.stdout.strip()}&to={path}"


def test_the_list_renders_without_a_complaint(shop_service: Service, tmp_path: Path) -> None:
    """Chromium shows the rows and its console stays empty under the strict policy."""
    page, console = rendered(signed_in(shop_service, "/at-risk"), tmp_path)
    assert "" == console
    assert 50 == len(re.findall(r'<span class="id">c\d{3}</span>', page))
    assert "very high" in page


def test_the_documentation_renders_from_this_host_alone(
    shop_service: Service, tmp_path: Path
) -> None:
    """Swagger UI lists the operations although no other host can be resolved."""
    page, console = rendered(signed_in(shop_service, "/docs"), tmp_path)
    assert "/v1/at-risk" in page
    assert "Score one customer" in page
    assert "" == console


def test_a_customer_renders_without_a_complaint(shop_service: Service, tmp_path: Path) -> None:
    """Chromium shows a customer's score, journey and form as they were sent, and its console
    stays empty under the strict policy."""
    rendered(signed_in(shop_service, "/at-risk"), tmp_path)
    page, console = rendered(f"{shop_service.address}/customers/c001", tmp_path)
    assert "" == console
    read = read_page(page)
    assert [] == faults(read)
    assert "Customer c001" == read.all("h1")[0].text
    assert {"score", "journey", "events"} <= {h.attributes["id"] for h in read.all("h2")}


def test_a_customer_fits_a_phone(shop_service: Service, tmp_path: Path) -> None:
    """At the width of a phone, a tablet and a desk nothing of the page hangs over the edge."""
    with shop_service.client() as client:
        listed = client.get("/v1/at-risk", params={"limit": 1}).json()["customers"]
        page = client.get(f"/customers/{listed[0]['customer']}", params={"suppose": "order"})
    assert 200 == page.status_code
    folder = tmp_path / "served"
    (folder / "static").mkdir(parents=True)
    (folder / "customer.html").write_text(page.text)
    shutil.copyfile(ROOT / "serving" / "static" / "style.css", folder / "static" / "style.css")
    with served(folder, "customer.html") as (address, asked):
        fits(address, tmp_path / "profile", pictures=10)
    assert {"/probe.html", "/customer.html", "/static/style.css"} == set(asked)
