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
from training.splits import Split, rolling, split_rows

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
    with pytest.raises(ProblemError, match="2 labelled rows of 1970-01-01 with 1 positives"):
        split_rows(PROBLEM, pair, CUSTOMERS)


APART = Problem(outcome={"event": "x"}, horizon="30d", every="10d", split={"customers": "apart"})


def test_customers_can_be_kept_apart_too() -> None:
    """No customer stands in two parts, and time and purge hold as before."""
    rows = labelled(list(range(0, 400, 10)), 30)
    split = split_rows(APART, rows, CUSTOMERS)
    customer, cutoff = rows.moments.rows.customer, rows.moments.rows.cutoff_time
    parts = (split.train, split.validation, split.test)
    train, validation, test = (set(customer[part].tolist()) for part in parts)
    assert not train & test and not validation & test and not train & validation
    assert min(len(train), len(validation), len(test)) > 20
    assert rows.moments.closes[split.train].max() <= cutoff[split.validation].min()
    assert rows.moments.closes[split.validation].max() <= cutoff[split.test].min()
    assert "customers apart" in split.how


def test_a_short_history_keeps_customers_apart_too() -> None:
    """Two parts by time: the customers of test are in neither of the others."""
    rows = labelled([0, 30], 30)
    split = split_rows(APART, rows, CUSTOMERS)
    customer = rows.moments.rows.customer
    earlier = customer[np.concatenate([split.train, split.validation])]
    assert not set(earlier.tolist()) & set(customer[split.test].tolist())
    assert "customers apart" in split.how


def test_a_given_split_that_mixes_customers_is_refused_when_they_are_to_be_apart() -> None:
    """The message counts them, names one, and says what to do."""
    given = labelled([0, 1, 2], 30, ["train", "validation", "test"])
    problem = Problem(labels="x", split={"customers": "apart"})
    with pytest.raises(
        ProblemError, match="200 customers of the given 'test' part, such as 'c000'"
    ):
        split_rows(problem, given, CUSTOMERS)


def test_a_period_is_judged_by_what_was_over_before_it() -> None:
    """Periods follow each other, newest first, and every training window ends before its own."""
    rows = labelled(list(range(0, 400, 10)), 30)
    split = split_rows(PROBLEM, rows, CUSTOMERS)
    used = split.all_rows
    moments = rows.moments.take(used)
    cutoff, closes = moments.rows.cutoff_time, moments.closes
    found = rolling(PROBLEM, rows, split, used, 4)
    assert 4 == len(found)
    ends = [cutoff.max() + 1]
    for train, test in found:
        assert closes[train].max() <= cutoff[test].min()
        assert cutoff[test].max() < ends[-1]
        ends.append(cutoff[test].min())
    assert set(split.test.tolist()) == set(used[found[0][1]].tolist())


def test_periods_keep_customers_apart_too() -> None:
    """Where the split keeps customers apart, so does every period."""
    rows = labelled(list(range(0, 400, 10)), 30)
    split = split_rows(APART, rows, CUSTOMERS)
    customer = rows.moments.rows.customer[split.all_rows]
    found = rolling(APART, rows, split, split.all_rows, 4)
    assert found
    for train, test in found:
        assert not set(customer[train].tolist()) & set(customer[test].tolist())


def test_a_search_among_apart_customers_is_judged_on_those_of_validation() -> None:
    """Where the rows are those before the test, no customer of the test is among them."""
    rows = labelled(list(range(0, 400, 10)), 30)
    split = split_rows(APART, rows, CUSTOMERS)
    used = np.concatenate([split.train, split.validation])
    customer = rows.moments.rows.customer
    found = rolling(APART, rows, split, used, 4)
    assert found
    for train, test in found:
        assert set(customer[used[test]].tolist()) <= set(customer[split.validation].tolist())
        assert not set(customer[used[train]].tolist()) & set(customer[used[test]].tolist())


@pytest.mark.parametrize("apart", [0, 1])
def test_a_table_without_a_horizon_has_periods_of_days(apart: int) -> None:
    """One cutoff in the test part, and earlier ones months before it, all at the same moment of a
    day or each at a microsecond of its own: the periods are found at once, each of a day."""
    rows = labelled([0, 100, 200, 300], 0, ["train", "train", "validation", "test"])
    cutoff = rows.moments.rows.cutoff_time + apart * np.arange(len(rows)) * (rows.given_split < 2)
    moments = Moments(Rows(rows.moments.rows.customer, cutoff, cutoff), cutoff, cutoff)
    rows = Labelled(moments, rows.label, {}, rows.given_split)
    problem = Problem(labels="x")
    split = split_rows(problem, rows, CUSTOMERS)
    found = rolling(problem, rows, split, split.all_rows, 4)
    tested = [cutoff[split.all_rows[test]] // days(1) for _, test in found]
    assert [{300}, {200}, {100}] == [set(days_of.tolist()) for days_of in tested]
    assert [600, 400, 200] == [len(train) for train, _ in found]


def test_every_part_holds_every_lead() -> None:
    """Rows asked ahead of a date are split by that date, with purge, so none lacks long leads."""
    leads = np.tile([120, 30], 100 * 40)
    due = np.repeat(np.arange(200, 1000, 20), 200) * days(1)
    cutoff = due - leads * days(1)
    customer = np.tile(np.repeat(np.arange(100), 2), 40)
    label = (np.arange(len(due)) // 2 % 5 == 0).astype(np.int8)
    rows = Labelled(Moments(Rows(customer, cutoff, cutoff), cutoff, due), label, {})
    problem = Problem(
        outcome={"not": "renewed", "by": "ends"},
        before={"property": "ends", "lead": ["120d", "30d"]},
    )
    split = split_rows(problem, rows, CUSTOMERS)
    for part in (split.train, split.validation, split.test):
        assert [120, 30] == sorted(set(leads[part].tolist()), reverse=True)
        assert (leads[part] == 120).sum() == (leads[part] == 30).sum()
    assert due[split.train].max() <= cutoff[split.validation].min()
    assert due[split.validation].max() <= cutoff[split.test].min()
    for train, test in rolling(problem, rows, split, split.all_rows, 3):
        used = split.all_rows
        assert due[used[train]].max() <= cutoff[used[test]].min()
        assert {30, 120} == set(leads[used[test]].tolist())
