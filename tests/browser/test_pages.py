"""The pages in a real browser: what Chromium makes of them, without any other host."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Service, run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed; on Debian: make system"
)


def rendered(url: str, profile: Path) -> tuple[str, str]:
    """The page after its scripts have run, and what the browser complained of."""
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    quiet += ["--disable-background-networking", "--disable-component-update"]
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", *quiet, f"--user-data-dir={profile}",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--enable-logging=stderr",
            "--virtual-time-budget=8000", "--dump-dom", url,
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return done.stdout, "\n".join(console)


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
