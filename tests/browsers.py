"""A real Chromium for tests: a page as it renders, what it asks for, what hangs over its edge."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed; on Debian: make system"
)

PROBE = """<!doctype html><title>probe</title><link rel="icon" href="data:,">
<style>iframe { border: 0; height: 600px; }</style>
<script>
const widths = [340, 700, 1200], found = {};
for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.style.width = width + "px";
  frame.src = "PAGE";
  frame.onload = () => {
    const page = frame.contentDocument;
    for (const each of page.querySelectorAll("details")) each.open = true;
    const over = [...page.querySelectorAll("body *")].filter(
      (e) => !e.closest(".hidden, thead, desc") && e.getBoundingClientRect().right > width + 1);
    const empty = [...page.querySelectorAll("section")].filter((e) => !e.innerText.trim());
    found[width] = [page.documentElement.scrollWidth, over.slice(0, 3).map((e) => e.outerHTML),
                    empty.length, page.querySelectorAll("svg").length];
    const done = document.createElement("pre");
    done.textContent = JSON.stringify(found);
    if (Object.keys(found).length === widths.length) document.body.append(done);
  };
  document.documentElement.append(frame);
}
</script>"""


class Served(SimpleHTTPRequestHandler):
    """Files of a folder; remembers what was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        super().do_GET()

    def log_message(self, *said: object) -> None:
        pass


@contextmanager
def served(folder: Path, page: str) -> Iterator[tuple[str, list[str]]]:
    """A folder on loopback, with a page that measures one of its pages; what was asked for."""
    (folder / "probe.html").write_text(PROBE.replace("PAGE", page))
    handler = type("Handler", (Served,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
        server.shutdown()


def rendered(url: str, profile: Path) -> tuple[str, str]:
    """The page after its scripts have run, and what the browser complained of."""
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    quiet += ["--disable-background-networking", "--disable-component-update"]
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", *quiet, f"--user-data-dir={profile}",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--enable-logging=stderr",
            "--window-size=1400,2400", "--virtual-time-budget=8000", "--dump-dom", url,
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return done.stdout, "\n".join(console)


def fits(address: str, profile: Path, pictures: int) -> None:
    """Assert that at the width of a phone, a tablet and a desk everything lies inside."""
    page, console = rendered(f"{address}/probe.html", profile)
    assert "" == console
    told: Any = re.search(r"<pre>(.*?)</pre>", page, re.DOTALL)
    assert told is not None, page[-400:]
    for width, (needed, over, empty, drawn) in json.loads(told[1]).items():
        assert [] == over, width
        assert needed <= int(width)
        assert 0 == empty
        assert drawn >= pictures
