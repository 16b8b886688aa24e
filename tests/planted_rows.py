"""Prepared rows with a planted effect, made without any history."""

import numpy as np

from features.config import Problem
from features.cutoffs import Moments
from features.durations import days
from features.engine import Rows
from features.language import events
from training.labels import Labelled
from training.prepare import Prepared, purged_rows
from training.splits import split_rows

PROBLEM = Problem(outcome={"event": "x"}, horizon="30d", every="10d")


def planted(n_customers: int = 150, n_cutoffs: int = 40, seed: int = 4) -> Prepared:
    """Rows at regular cutoffs, whose label follows two of four columns."""
    rng = np.random.default_rng(seed)
    cutoff = np.repeat(np.arange(n_cutoffs) * days(10), n_customers)
    customer = np.tile(np.arange(n_customers), n_cutoffs)
    matrix = rng.normal(size=(len(cutoff), 4)).astype(np.float32)
    margin = 1.5 * matrix[:, 0] - matrix[:, 1] ** 2 - 0.5
    label = (rng.random(len(cutoff)) < 1 / (1 + np.exp(-margin))).astype(np.int8)
    moments = Moments(Rows(customer, cutoff, cutoff), cutoff, cutoff + days(30))
    labelled = Labelled(moments, label, {}, None)
    split = split_rows(PROBLEM, labelled, tuple(f"c{i}" for i in range(n_customers)))
    features = tuple(events(name).count() for name in ("call", "login", "search", "visit"))
    parts = {
        name: (matrix[getattr(split, name)], label[getattr(split, name)])
        for name in ("train", "validation", "test")
    }
    purged = purged_rows(labelled, split)
    parts["purged"] = (matrix[purged], label[purged])
    return Prepared(PROBLEM, labelled, split, features, parts, purged)
