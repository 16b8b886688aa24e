"""Fitting the trees on several machines at once.

Takes a training set on disk and a way to run tasks together; gives a LightGBM booster.
LightGBM's own data-parallel learner does the work: each task reads its share of the files,
the tasks exchange histograms over sockets, and all of them end with the same trees. Knows
nothing about journeys, labels or what runs the tasks.

Every task holds its share of the training rows and the validation rows that fitting stops
by: LightGBM judges a round on each machine alone, so all must judge the same rows to stop
at the same round.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.cluster import Runner
from features.config import Problem
from features.feature import Feature
from training.fitting import fit, refit
from training.prepare import ENOUGH_ROWS, Part, Prepared, joined
from training.training_set import SCRATCH, rows_of

VALIDATION = "validation.npz"
WAIT_MINUTES = 5
"""How long a machine waits for the others."""


def fit_together(ready: Prepared, runner: Runner) -> lgb.Booster:
    """Fit trees on the training part of `ready.folder`, as `training.fitting.fit` does.

    Returns
    -------
    lightgbm.Booster
        Differs from a fit by one process as two draws of rows do: each machine draws its
        own. The same files, seed and number of tasks give the same trees.
    """
    matrix, label = ready.parts["validation"]
    step = -(-len(label) // ENOUGH_ROWS)
    return _together(ready, runner, ("train",), (matrix[::step], label[::step]), None)


def refit_together(
    ready: Prepared, runner: Runner, splits: Sequence[str], first: lgb.Booster
) -> lgb.Booster:
    """Fit as many trees on several splits of `ready.folder`, as `training.fitting.refit` does."""
    return _together(ready, runner, splits, None, first.model_to_string())


def _together(
    ready: Prepared,
    runner: Runner,
    splits: Sequence[str],
    validation: Part | None,
    first: str | None,
) -> lgb.Booster:
    assert ready.folder is not None
    counts = {path: _n_rows(path, splits) for path in sorted(ready.folder.glob("part-*.parquet"))}
    shares = _shares({path: n for path, n in counts.items() if n}, runner.n_slots)
    scratch = ready.folder / SCRATCH
    scratch.mkdir(exist_ok=True)
    try:
        if validation is not None:
            np.savez(scratch / VALIDATION, matrix=validation[0], label=validation[1])
        work = partial(
            _fit_share, ready.features, shares, splits, scratch / VALIDATION, first,
            ready.problem, ready.more, len(ready.split.train),
        )  # fmt: skip
        return lgb.Booster(model_str=runner.together(work, len(shares))[0])
    finally:
        rmtree(scratch, ignore_errors=True)


def _fit_share(
    features: Sequence[Feature],
    shares: Sequence[Sequence[Path]],
    splits: Sequence[str],
    validation: Path,
    first: str | None,
    problem: Problem,
    tuned: dict[str, Any],
    n_train: int,
    number: int,
    addresses: Sequence[str],
) -> str:
    """What one machine does; the first gives the model, all of which are the same."""
    rows = joined(*(rows_of(path, features, splits) for path in shares[number]))
    network = {
        "num_machines": len(addresses),
        "machines": ",".join(addresses),
        "local_listen_port": int(addresses[number].rsplit(":", 1)[1]),
        "tree_learner": "data",
        "pre_partition": True,
        "time_out": WAIT_MINUTES,
    }
    lgb.register_logger(_Silent())
    more = {**tuned, "num_threads": 1, **({} if len(addresses) == 1 else network)}
    seed, monotone = problem.seed, problem.monotone
    if first is None:
        with np.load(validation) as held:
            stop_by = held["matrix"], held["label"]
        booster = fit(features, rows, stop_by, seed, None, n_train, more, monotone)
    else:
        booster = refit(features, rows, n_train, seed, lgb.Booster(model_str=first), monotone, more)
    return _nowhere(booster.model_to_string()) if number == 0 else ""


def _nowhere(model: str) -> str:
    """A model's text without the machines that fitted it: addresses are nobody's business."""
    for name, value in (("machines", ""), ("local_listen_port", "12400"), ("num_machines", "1")):
        model = re.sub(rf"^\[{name}: .*\]$", f"[{name}: {value}]", model, flags=re.MULTILINE)
    return model


class _Silent:
    """LightGBM tells of every knock at another machine's door before it hears of `verbosity`."""

    def info(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...


def _shares(counts: dict[Path, int], most: int) -> list[list[Path]]:
    """Files shared out so that the largest share of rows is small; the same every time."""
    shares: list[list[Path]] = [[] for _ in range(max(1, min(most, len(counts))))]
    weight = [0] * len(shares)
    for path in sorted(counts, key=lambda path: (-counts[path], path)):
        lightest = weight.index(min(weight))
        shares[lightest].append(path)
        weight[lightest] += counts[path]
    return shares


def _n_rows(path: Path, splits: Sequence[str]) -> int:
    split = pq.read_table(path, columns=["split"])["split"]
    return int(pc.sum(pc.is_in(split, pa.array(splits, pa.string()))).as_py() or 0)
