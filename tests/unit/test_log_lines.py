"""A process whose log is lines of JSON."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

SAYS = """
import logging, threading, warnings
from features.log_lines import log_in_lines
log_in_lines()
more = {"told": {"route": "/a"}}
logging.getLogger("some.library").warning("two\\nlines of %s", "text", extra=more)
warnings.warn("outdated")
threading.Thread(target=lambda: 1 / 0).start()
"""


def said(program: str) -> list[dict[str, str]]:
    """What a process wrote to standard error."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("last", ["raise ValueError('lost')", "[].pop()"])
def test_whatever_is_said_is_a_line(last: str) -> None:
    """Records of libraries with what was added, warnings, and faults that end a thread or the
    process itself."""
    library, warning, *faults = said(SAYS + last)
    assert ("warning", "some.library", "two\nlines of text", "/a") == (
        library["level"], library["logger"], library["message"], library["route"]
    )  # fmt: skip
    assert "outdated" in warning["message"]
    assert ["critical"] * 2 == [fault["level"] for fault in faults]
    kinds = [fault["fault"].splitlines()[-1].partition(":")[0] for fault in faults]
    assert sorted(["ZeroDivisionError", "ValueError" if "Value" in last else "IndexError"]) == (
        sorted(kinds)
    )


def test_a_log_that_nobody_reads_ends_nothing() -> None:
    """With standard error closed a process says what it says and goes on."""
    program = "import sys; sys.stderr.close()\n" + SAYS + "\nprint('went on')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (0, "went on\n", "") == (done.returncode, done.stdout, done.stderr)
