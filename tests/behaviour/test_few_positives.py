"""Fitting where few rows have the rarer label: when, on which columns, and the same each time."""

from dataclasses import replace

import numpy as np

from features.config import Problem
from features.cutoffs import Moments
from features.engine import Rows
from features.feature import Feature
from features.language import attribute_level, events
from training.few_positives import (
    FEW,
    LEADING,
    cross_fitted_few,
    fit_few,
    is_few,
    leading,
    power_alone,
    rarer,
)
from training.labels import Labelled
from training.prepare import PURGED, Prepared
from training.splits import Split

N_COLUMNS = 60
FEATURES: tuple[Feature, ...] = (
    *(events(f"e{number}").count() for number in range(N_COLUMNS - 1)),
    attribute_level("plan", ("a", "b", "c")),
)
RATE = 0.15
N_TEST = 8_000


def drawn(seed: int, n_rows: int, monotone: dict[str, str] | None = None) -> Prepared:
    """Rows of which one column says much, ten say a little, and the others nothing."""
    rng = np.random.default_rng(seed)
    n = n_rows + N_TEST
    matrix = rng.exponential(size=(n, N_COLUMNS)).astype(np.float32)
    matrix[:, -1] = rng.integers(0, 3, n)
    margin = 0.9 * matrix[:, 0] - 0.3 * matrix[:, 1:11].sum(axis=1)
    margin += np.log(RATE / (1 - RATE)) - margin.mean()
    label = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(np.int8)
    place = np.arange(n)
    ends = (int(n_rows * 0.8), n_rows)
    train, validation, test = np.split(place, ends)
    nothing = np.empty(0, np.int64)
    parts = {"train": train, "validation": validation, "test": test, PURGED: nothing}
    problem = Problem.model_validate(
        {"outcome": {"event": "e0"}, "horizon": "1d", "monotone": monotone or {}}
    )
    return Prepared(
        problem,
        Labelled(Moments(Rows(place, place, place), place, place), label, {}),
        Split(train, validation, test, "drawn"),
        FEATURES,
        {name: (matrix[rows], label[rows]) for name, rows in parts.items()},
        nothing,
    )


def test_the_same_rows_give_the_same_bytes() -> None:
    """Two fits of the same rows are one text; another seed gives another."""
    ready = drawn(1, 300)
    one, again = (fit_few(ready, ready.before_test, again=True) for _ in range(2))
    assert one.model_to_string() == again.model_to_string()
    other = replace(ready, problem=ready.problem.model_copy(update={"seed": 99}))
    assert one.model_to_string() != fit_few(other, ready.before_test, again=True).model_to_string()


def test_the_rarer_label_decides_not_the_rows() -> None:
    """Thousands of rows with few positives are few; as many with both labels are not."""
    few, many = drawn(1, FEW), drawn(1, 30 * FEW)
    assert is_few(few)
    assert not is_few(many)
    assert rarer(np.array([1, 1, 1, 0], dtype=np.int8)) == 1


def test_a_declared_direction_is_kept_against_the_rows() -> None:
    """However the rows lie, the score moves one way with a feature that was declared so."""
    ready = drawn(2, 400, {"e0_*": "down"})
    booster = fit_few(ready, ready.before_test, again=True)
    grid = np.linspace(0, 6, 100)
    for base in ready.parts["test"][0][:20]:
        moved = np.repeat(base[None, :].astype(np.float64), len(grid), axis=0)
        moved[:, 0] = grid
        assert (np.diff(booster.predict(moved, raw_score=True)) <= 1e-12).all()


def test_leading_columns_rank_best_alone() -> None:
    """The column that says most comes first, a category never, and no more than asked for."""
    ready = drawn(3, 2_000)
    rows = ready.parts["train"]
    power, found = power_alone(ready.features, rows), leading(ready.features, rows)
    assert found[0] == 0
    assert power[0] > 0
    assert power[N_COLUMNS - 1] == 0
    assert len(found) == LEADING
    assert N_COLUMNS - 1 not in found


def test_margins_to_calibrate_on_are_those_of_fits_that_did_not_see_the_customer() -> None:
    """All rows before the test get one, and a customer's labels move no margin of its own."""
    ready = drawn(5, 150)
    margin, label, customer = cross_fitted_few(ready)
    assert len(margin) == len(label) == 150
    assert np.array_equal(np.sort(customer), np.arange(150))
    turned = ready.labelled.label.copy()
    mine = int(customer[0])
    turned[mine] = 1 - turned[mine]
    parts = {name: (matrix, turned[rows]) for (name, (matrix, _)), rows in zip(
        ready.parts.items(),
        (ready.split.train, ready.split.validation, ready.split.test, ready.purged),
        strict=True,
    )}  # fmt: skip
    other = replace(ready, parts=parts, labelled=replace(ready.labelled, label=turned))
    again, _, _ = cross_fitted_few(other)
    assert again[0] == margin[0]
    assert (again != margin).mean() > 0.5
