"""What a run has to tell the tracker, as plain data that survives on disk.

Takes numbers, trials and periods from the stages of a run; gives one JSON object. Knows
nothing about MLflow: `training.tracking` logs a record, `training.outbox` keeps it.
"""

import hashlib
import json
import math
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from uuid import uuid4

from features.durations import format_moment
from models.contract import Contract
from models.fitted import FittedModel
from training.clock import now_ms
from training.label_table import SPLITS
from training.logged_model import pinned
from training.prepare import Prepared

MICROSECONDS = 1_000
"""In a millisecond, MLflow's unit."""

DIGEST_LENGTH = 36
"""What MLflow stores of a data set's digest."""


def this_process() -> str:
    """This process, as others on this machine can recognise it."""
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass
class Point:
    """One value of a metric that has several."""

    key: str
    value: float
    step: int
    timestamp: int
    """Milliseconds since 1970, UTC."""


@dataclass
class Child:
    """A run inside the run: a period of the back-test, or a trial of a search."""

    kind: Literal["period", "trial"]
    title: str
    params: dict[str, str]
    metrics: dict[str, float]
    failed: bool = False
    started: int = 0
    finished: int = 0


@dataclass
class Part:
    """Rows that a model was fitted, stopped or judged on."""

    context: str
    digest: str
    n_rows: int
    n_positive: int


@dataclass
class Record:
    """One run, told while it goes on and complete when its model is saved."""

    id: str = field(default_factory=lambda: uuid4().hex)
    started: int = field(default_factory=now_ms)
    finished: int = 0
    process: str = field(default_factory=this_process)
    business: str = ""
    problem: str = ""
    digest: str = ""
    """What `models.files.save` gave."""
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    children: list[Child] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    """Where the rows came from."""
    requirements: list[str] = field(default_factory=list)

    def log_trial(
        self,
        number: int,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        failed: bool = False,
        started: int | None = None,
    ) -> None:
        """A trial of a search; `started` in milliseconds since 1970."""
        begun = now_ms() if started is None else started
        self.children.append(
            Child(
                "trial", f"trial {number}", _texts(params), finite(metrics), failed, begun, now_ms()
            )
        )

    def log_period(
        self,
        start: int,
        metrics: Mapping[str, float],
        params: Mapping[str, Any] | None = None,
    ) -> None:
        """A period of the rolling back-test; `start` in microseconds since 1970, UTC."""
        title = f"period from {format_moment(start)[:10]}"
        self.children.append(
            Child("period", title, _texts(params or {}), finite(metrics), False, now_ms(), now_ms())
        )

    def log_by_period(self, periods: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Metrics of periods in order: step 1, 2, …, at the time when the period begins.

        Each is a period's start, microseconds since 1970, UTC, and its metrics. They are called
        `period_NAME`, so that MLflow draws them as one line.
        """
        for step, (start, metrics) in enumerate(sorted(periods, key=lambda p: p[0]), 1):
            self._points("period", metrics, step, max(start // MICROSECONDS, 0))

    def log_by_gap(self, gaps: Iterable[tuple[float, Mapping[str, float]]]) -> None:
        """Metrics by the days between cutoff and outcome window: `gap_NAME`, the gap as step."""
        for days, metrics in sorted(gaps, key=lambda g: g[0]):
            self._points("gap", metrics, round(days), self.started)

    def _points(self, prefix: str, metrics: Mapping[str, float], step: int, at: int) -> None:
        self.points += [
            Point(f"{prefix}_{key}", value, step, at) for key, value in finite(metrics).items()
        ]

    def to_json(self) -> bytes:
        """Canonical JSON: the same record gives the same bytes."""
        return json.dumps(
            asdict(self), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False
        ).encode()


def record_from_json(text: bytes) -> Record:
    """Read a record; `ValueError`, `KeyError` or `TypeError` when it is none."""
    data = json.loads(text)
    data["points"] = [Point(**item) for item in data["points"]]
    data["children"] = [Child(**item) for item in data["children"]]
    data["parts"] = [Part(**item) for item in data["parts"]]
    return Record(**data)


def parts_of(ready: Prepared, data_digest: str) -> list[Part]:
    """Train, validation and test with a digest each.

    The digest stands for the histories, the rows and their labels, of which the matrix is a
    function; so nothing as large as the matrix is read.
    """
    rows, label = ready.labelled.moments.rows, ready.labelled.label
    parts = []
    for context in SPLITS:
        chosen = getattr(ready.split, context)
        content = hashlib.sha256(data_digest.encode())
        for column in (rows.customer, rows.cutoff_time, rows.known_time, label):
            content.update(column[chosen].tobytes())
        digest = content.hexdigest()[:DIGEST_LENGTH]
        parts.append(Part(context, digest, len(chosen), int(label[chosen].sum())))
    return parts


def complete(
    record: Record,
    ready: Prepared,
    model: FittedModel,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    manifest: Mapping[str, Any],
) -> None:
    """Complete a record with what a finished run knows; periods and trials are in it already."""
    record.params |= _texts(params)
    record.metrics |= finite(metrics)
    record.tags |= {**tags_of(model.contract), **record.tags}
    record.manifest = dict(manifest)
    record.parts = parts_of(ready, str(manifest["digest"]))
    record.requirements = pinned()
    record.finished = now_ms()


def tags_of(contract: Contract) -> dict[str, str]:
    """What a person reads beside a run and a version."""
    trained = contract.trained
    judged, registered = (trained["fitted"][which] for which in ("judged", "registered"))
    return {
        "split": str(trained["split"]),
        "base_rate": f"{contract.base_rate:.2%} of {trained['n_train']:,} training rows",
        "judged_model": f"fitted on {judged['n_rows']:,} rows whose outcomes were known by "
        f"{judged['known_by'][:10]}; judged on test",
        "registered_model": f"fitted again on {registered['n_rows']:,} rows, the test's among "
        f"them, whose outcomes were known by {registered['known_by'][:10]}",
        "milepost.problem": contract.problem_name,
        "milepost.data_digest": str(trained["data_digest"]),
    }


def is_alive(process: str) -> bool:
    """Whether a process that a record names may still be at work; its own never is."""
    host, _, number = process.rpartition(":")
    if process == this_process() or host != socket.gethostname() or sys.platform == "win32":
        return False  # Windows has no signal 0; asking there would end the process
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        return True
    return True


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics that have a value."""
    return {key: float(value) for key, value in metrics.items() if math.isfinite(value)}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items()}
