"""The demonstration, from a journey.toml to a score with its reasons."""

import subprocess
import sys
from pathlib import Path

from conftest import ROOT, free_port


def test_the_demonstration_ends_with_a_score_and_its_reasons(shop: Path, tmp_path: Path) -> None:
    """It trains, serves, waits for the first list, scores whoever stands on top, and stops."""
    command = [sys.executable, "examples/demo.py", str(shop), "--workspace", str(tmp_path)]
    done = subprocess.run(
        [*command, "--port", str(free_port()), "--stop"],
        cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "this one has the highest churn score" in done.stdout
    told = done.stdout.partition("\nwhy:\n")[2]
    assert told.lstrip().startswith(("+", "-")), done.stdout
    assert "the at-risk list:  http://127.0.0.1:" in told
    assert "open in a browser: http://127.0.0.1:" in told
