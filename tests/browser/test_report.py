"""The report in a real browser: nothing is asked for, nothing hangs over the edge of a phone."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsers import fits, needs_chromium, rendered, served

pytestmark = needs_chromium


@pytest.fixture
def report(shop_run: tuple[Path, object], tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """The report of the shop and a page that measures it, on loopback."""
    folder = tmp_path / "served"
    folder.mkdir()
    shutil.copyfile(shop_run[0] / "shop" / "churn" / "report.html", folder / "report.html")
    with served(folder, "report.html") as found:
        yield found


def test_the_report_asks_for_nothing(report: tuple[str, list[str]], tmp_path: Path) -> None:
    """Chromium requests the page alone, and its console stays empty under the page's policy."""
    address, asked = report
    page, console = rendered(f"{address}/report.html", tmp_path / "profile")
    assert "" == console
    assert ["/report.html"] == asked
    assert "How good it is" in page


def test_nothing_hangs_over_the_edge(report: tuple[str, list[str]], tmp_path: Path) -> None:
    """At the width of a phone, a tablet and a desk everything lies inside; no section is empty."""
    fits(report[0], tmp_path / "profile", pictures=10)
