"""Duties of a worker: each fails alone, and no broken standard error ends anything."""

import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT

from serving.audit import Asked, Log, asked_of
from serving.database import Database
from serving.duties import Duties, Rounds
from serving.migrations import upgrade

ASKED = Asked(1, "r", "GET", "/livez", 200, 1.0, "key", "shop")


def test_a_duty_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The others are done, it is tried again, and the log says once what stays the same."""
    faults: list[Exception | None] = [ValueError("a"), ValueError("a"), KeyError("b"), None]
    faults.append(KeyError("b"))
    waiting, done = iter(faults), []

    def bad() -> None:
        fault = next(waiting)
        if fault is not None:
            raise fault

    duties = Duties((bad, lambda: done.append(1)))
    with caplog.at_level(logging.ERROR, "milepost.serving"):
        for _ in faults:
            duties.do()
    assert len(faults) == len(done)
    assert ["a", "'b'", "'b'"] == [str(r.exc_info[1]) for r in caplog.records if r.exc_info]


def test_a_duty_that_hangs_holds_up_its_group_alone() -> None:
    """Who waits for a slow provider or a full pipe keeps nobody from learning of revoked keys."""
    hang, went_on = threading.Event(), threading.Event()
    turns = []

    def count() -> None:
        turns.append(1)
        if len(turns) == 3:
            went_on.set()

    rounds = Rounds([(hang.wait,), (count,)], 0.001)
    rounds.start()
    assert went_on.wait(60)
    hang.set()
    rounds.stop(60)
    after = len(turns)
    assert 3 <= after == len(turns)


@pytest.mark.parametrize("closed", [False, True])
def test_a_log_that_nobody_reads_keeps_the_audit(
    closed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a broken or closed standard error the lines are lost, and the rows are written."""
    database = Database(f"sqlite:///{tmp_path}/store.db")
    upgrade(database)
    log = Log(database, shown=True)
    raw = io.FileIO(_broken(), "w")
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, write_through=True))
    if closed:
        raw.close()
    for _ in range(3):
        log.add(ASKED)
        log.show()
        log.keep()
    assert [ASKED] * 3 == asked_of(database, "shop", 9)


def test_a_row_that_fails_waits(tmp_path: Path) -> None:
    """Rows that could not be written are written the next time, in their order."""
    database = Database(f"sqlite:///{tmp_path}/store.db")
    log = Log(database, shown=False)
    for at in (1, 2):
        log.add(ASKED._replace(at=at))
    log.keep()
    upgrade(database)
    log.keep()
    assert [2, 1] == [row.at for row in asked_of(database, "shop", 9)]


PARENT = """
import sys
from pathlib import Path
from serving.workers import Workers

def begin():
    with Path(sys.argv[1]).open("ab") as file:
        file.write(b".")
    raise ValueError("a worker that dies, and says so")

sys.exit(Workers(1, begin).run())
"""


def test_a_parent_that_nobody_listens_to_keeps_its_workers(tmp_path: Path) -> None:
    """With a standard error whose reader is gone, as of `| head -1`, a worker that died is started
    again, and the parent ends when it is told to."""
    begun = tmp_path / "begun"
    nobody = _broken()
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(begun)], cwd=ROOT, stderr=nobody)
    os.close(nobody)
    try:
        deadline = time.monotonic() + 120
        while parent.poll() is None and time.monotonic() < deadline:
            if begun.exists() and begun.stat().st_size >= 3:
                break
            time.sleep(0.02)
        assert parent.poll() is None and begun.stat().st_size >= 3
        parent.send_signal(signal.SIGTERM)
        assert 0 == parent.wait(60)
    finally:
        parent.kill()


def _broken() -> int:
    """A descriptor of a pipe whose reader is gone."""
    reads, writes = os.pipe()
    os.close(reads)
    return writes
