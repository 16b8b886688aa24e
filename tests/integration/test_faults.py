"""The fault benches in short: what `benchmarks/faults/` counts at length holds for a few cases."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.mark.parametrize(
    ("bench", "says"),
    [
        (["hostile.py", "--cases", "1500"], "; 0 wrong"),
        (["stops.py", "--stops", "2", "--kills", "0"], "0 lost; readiness first in 2"),
        (["stops.py", "--stops", "0", "--kills", "2", "--back", "60"], "2 kill -9 under load"),
        (["overload.py", "--seconds", "2", "--ratio", "50"], "503 + Retry-After"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_faults_break_no_promise(
    bench: list[str], says: str, shop: Path, shop_run: tuple[Path, object]
) -> None:
    """Bad input gets 4xx, a stop loses no request, and too much load gets 503 at once."""
    command = [sys.executable, str(ROOT / "benchmarks" / "faults" / bench[0]), str(shop)]
    done = subprocess.run(
        [*command, "--workspace", str(shop_run[0]), *bench[1:]],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (0, True) == (done.returncode, says in done.stdout), done.stdout + done.stderr
