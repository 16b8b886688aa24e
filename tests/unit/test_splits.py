"""Splits: purged by time where the history allows, honest about it where not."""

import numpy as np
import pytest

from features.config import Problem
from features.cutoffs import Moments
from features.durations import days
from features.engine import Rows
from features.errors import ProblemError
from training.label_table import SPLITS
from training.labels import Labelled
from training.splits import Split, split_rows

CUSTOMERS = tuple(f"c{i:03d}" for i in range(200))


def labelled(cutoff_days: list[int], horizon: int, given: list[str] | None = None) -> Labelled:
    """200 customers at each cutoff, every fifth positive."""
    cutoff = np.repeat(np.array(cutoff_days), len(CUSTOMERS)) * days(1)
    customer = np.tile(np.arange(len(CUSTOMERS)), len(cutoff_days))
    label = (customer % 5 == 0).astype(np.int8)
    split = None
    if given is not None:
        split = np.repeat([SPLITS.index(name) for name in given], len(CUSTOMERS)).astype(np.int8)
    moments = Moments(Rows(customer, cutoff, cutoff), cutoff, cutoff + days(horizon))
    return Labelled(moments, label, {}, split)


def check_disjoint(split: Split) -> None:
    rows = split.all_rows
    assert len(rows) == len(set(rows.tolist()))


PROBLEM = Problem(outcome={"event": "x"}, horizon="30d", every="10d")


def test_no_label_window_reaches_into_a_later_part() -> None:
    """A window of train is over when validation begins, one of validation when test begins."""
    rows = labelled(list(range(0, 400, 10)), 30)
    split = split_rows(PROBLEM, rows, CUSTOMERS)
    check_disjoint(split)
    cutoff, closes = rows.moments.rows.cutoff_time, rows.moments.closes
    assert closes[split.train].max() <= cutoff[split.validation].min()
    assert closes[split.validation].max() <= cutoff[split.test].min()
    assert cutoff[split.test].max() == cutoff.max()
    assert "purge" in split.how and "purged" in split.notes[0]


def test_a_short_history_keeps_its_test_part_in_the_future() -> None:
    """With room for one purge, test is still later; validation holds other customers."""
    rows = labelled([0, 30], 30)
    split = split_rows(PROBLEM, rows, CUSTOMERS)
    check_disjoint(split)
    customer, cutoff = rows.moments.rows.customer, rows.moments.rows.cutoff_time
    assert cutoff[split.test].min() >= rows.moments.closes[split.train].max()
    assert not set(customer[split.train]) & set(customer[split.validation])
    assert "too short" in split.notes[0]


def test_one_cutoff_is_split_by_customer_and_says_so() -> None:
    """Where time can't split, customers do, and a note says what the metrics do not say."""
    rows = labelled([0], 30)
    split = split_rows(PROBLEM, rows, CUSTOMERS)
    check_disjoint(split)
    assert "by customer" == split.how and "ages" in split.notes[0]
    assert len(rows) == len(split.all_rows)


def test_a_given_split_is_used_as_it_is() -> None:
    """Rows stay where the business put them; nothing is purged."""
    rows = labelled([0, 1, 2], 30, ["train", "validation", "test"])
    split = split_rows(Problem(labels="x"), rows, CUSTOMERS)
    for number, part in enumerate((split.train, split.validation, split.test)):
        assert np.flatnonzero(rows.given_split == number).tolist() == part.tolist()


def test_a_given_split_without_validation_takes_it_from_train() -> None:
    """A fifth of the training customers validate; the test rows are untouched."""
    rows = labelled([0, 1], 30, ["train", "test"])
    split = split_rows(Problem(labels="x"), rows, CUSTOMERS)
    assert 200 == len(split.test)
    assert 0.1 < len(split.validation) / 200 < 0.3
    assert 200 == len(split.train) + len(split.validation)


def test_a_given_split_without_a_test_part_is_refused() -> None:
    """A part that can't be judged is an error, not a surprise."""
    with pytest.raises(ProblemError, match="0 labelled rows in 'test'"):
        split_rows(Problem(labels="x"), labelled([0, 1], 30, ["train", "validation"]), CUSTOMERS)


def test_too_few_rows_say_so() -> None:
    """Two rows can't be split, and the message counts them."""
    few = labelled([0], 30)
    pair = Labelled(few.moments.take(np.array([0, 1])), few.label[:2], {})
    with pytest.raises(ProblemError, match="2 labelled rows with 1 positives"):
        split_rows(PROBLEM, pair, CUSTOMERS)
