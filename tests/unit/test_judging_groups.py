"""The test part by gap, period and category; the back-test; the random split's claim."""

from dataclasses import replace

import numpy as np
import pytest

from features.config import Problem
from features.cutoffs import Moments
from features.durations import days, parse_moment
from features.engine import Rows
from features.feature import Feature
from features.language import attribute_level, events
from models.calibration import sigmoid
from training.backtest import backtest, pool, random_split_claims
from training.baselines import fit_logistic
from training.evaluation import Rival
from training.fitting import parameters
from training.judging import judge_test, look_back, look_back_json, summary_lines, verdict_json
from training.label_table import SPLITS
from training.labels import Labelled
from training.prepare import PURGED, Prepared, purged_rows
from training.slices import Judged, begin_of, by_category, by_gap, by_period
from training.splits import split_rows
from training.weighted import Acting

N = 300
CUSTOMERS = tuple(f"c{i:03d}" for i in range(N))
FEATURES = (
    events("a").count(),
    events("a").recency(),
    events().sum("value", days(365)),
    attribute_level("plan", ("free", "pro")),
)
PROBLEM = Problem(
    outcome={"event": "x"}, horizon="30d", every="10d",
    value={"sum": "value", "last": "365d"},
    action={"capacity": 0.2, "success": 0.5, "cost": 2.0},
)  # fmt: skip


def prepared(problem: Problem = PROBLEM) -> Prepared:
    """300 customers asked every ten days; each has a habit of its own that never changes."""
    rng = np.random.default_rng(4)
    cutoff = np.repeat(np.arange(0, 400, 10), N) * days(1)
    customer = np.tile(np.arange(N), 40)
    habit = np.tile(rng.normal(0, 1.5, N), 40)
    known = rng.normal(0, 1, len(cutoff))
    label = (rng.random(len(cutoff)) < sigmoid(known + habit - 1.5)).astype(np.int8)
    matrix = np.column_stack([
        np.round(np.exp(known)), np.where(known > 0, 3.0, np.nan),
        np.tile(rng.gamma(2, 50, N), 40), customer % 3,
    ]).astype(np.float32)  # fmt: skip
    matrix[matrix[:, 3] == 2, 3] = np.nan
    moments = Moments(Rows(customer, cutoff, cutoff), cutoff, cutoff + days(30))
    labelled = Labelled(moments, label, {})
    split = split_rows(problem, labelled, CUSTOMERS)
    purged = purged_rows(labelled, split)
    places = {name: getattr(split, name) for name in SPLITS} | {PURGED: purged}
    parts = {name: (matrix[rows], label[rows]) for name, rows in places.items()}
    stake = parts["test"][0][:, 2].astype(np.float64)
    return Prepared(problem, labelled, split, FEATURES, parts, purged, stake=stake)


def judged(ready: Prepared) -> tuple[Judged, Moments]:
    """The test part with the first column as its score."""
    matrix, label = ready.parts["test"]
    moments = ready.labelled.moments.take(ready.split.test)
    score = sigmoid(np.log1p(matrix[:, 0].astype(np.float64)) - 2)
    rivals = {"best_rule": Rival(matrix[:, 0].astype(np.float64))}
    return Judged(label, score, rivals, moments.rows.customer, Acting(), 1), moments


def test_groups_add_up_to_the_test_part() -> None:
    """Months, and the levels of a category with the unknown, each hold every row once."""
    ready = prepared()
    part, moments = judged(ready)
    for groups in (
        by_period(part, moments.rows.cutoff_time),
        by_category(part, ready.features, ready.parts["test"][0], "best_rule"),
    ):
        assert len(part.label) == sum(group.n for group in groups)
        assert part.label.sum() == sum(group.n_positive for group in groups)
    plans = by_category(part, ready.features, ready.parts["test"][0], None)
    assert {"free", "pro", "unknown"} == {group.level for group in plans}
    assert {"customer_plan"} == {group.by for group in plans}


def test_a_group_that_is_too_small_is_counted_and_not_judged() -> None:
    """Fewer than a hundred rows, or twenty of a class, tell nothing."""
    part, _ = judged(prepared())
    assert part.group("plan", "tiny", np.arange(60)).judgement is None
    negatives = np.flatnonzero(part.label == 0)
    group = part.group("plan", "quiet", negatives)
    assert (None, 0, len(negatives)) == (group.judgement, group.n_positive, group.n)
    assert part.group("plan", "all", np.arange(len(part.label))).judgement is not None


def test_many_months_become_quarters() -> None:
    """More than two years of cutoffs are told by the quarter."""
    part, _ = judged(prepared())
    cutoff = np.linspace(0, 3 * 365, len(part.label)).astype(np.int64) * days(1)
    names = [group.level for group in by_period(part, cutoff)]
    assert "1970-Q1" == names[0] and names == sorted(names) and 12 <= len(names) <= 13


def test_gaps_are_read_from_the_window_that_ends_with_the_date() -> None:
    """A missed date closes the window, so its length is the gap, up to a day."""
    lead = np.tile([30, 90], 300)
    rows = Rows(np.arange(600), np.zeros(600, np.int64), np.zeros(600, np.int64))
    moments = Moments(rows, rows.cutoff_time, lead * days(1) + days(1) - 1)
    problem = Problem(
        outcome={"not": "renewed", "by": "ends"},
        before={"property": "ends", "lead": ["30d", "90d"]},
    )
    label = (np.arange(600) % 3 == 0).astype(np.int8)
    part = Judged(label, np.linspace(0.1, 0.9, 600), {}, np.arange(600), Acting(), 1)
    found = by_gap(part, problem, moments, FEATURES, np.zeros((600, 4), np.float32))
    assert [("90d", 300), ("30d", 300)] == [(group.level, group.n) for group in found]
    assert [] == by_gap(part, PROBLEM, moments, FEATURES, np.zeros((600, 4), np.float32))


def test_gaps_are_read_from_the_column_of_the_date() -> None:
    """An outcome event before a date has its gap in the days until the date."""
    lead = np.tile([7.0, 21.0], 300).astype(np.float32)
    rows = Rows(np.arange(600), np.zeros(600, np.int64), np.zeros(600, np.int64))
    moments = Moments(rows, rows.cutoff_time, rows.cutoff_time + days(22))
    problem = Problem(
        outcome={"event": "x"}, horizon="22d", before={"property": "ends", "lead": ["7d", "21d"]}
    )
    label = (np.arange(600) % 3 == 0).astype(np.int8)
    part = Judged(label, np.linspace(0.1, 0.9, 600), {}, np.arange(600), Acting(), 1)
    found = by_gap(part, problem, moments, (Feature("days_until", of="ends"),), lead[:, None])
    assert [("21d", 300), ("7d", 300)] == [(group.level, group.n) for group in found]


def test_a_model_that_sees_nothing_of_later_periods_is_judged_on_each() -> None:
    """Four periods, oldest first, each fitted on more rows than the one before."""
    ready = prepared()
    chosen = parameters(len(ready.split.train), len(FEATURES), 7)
    found = backtest(ready, chosen, 20)
    assert 4 == len(found)
    assert sorted(p.first_cutoff for p in found) == [p.first_cutoff for p in found]
    assert sorted(p.n_train for p in found) == [p.n_train for p in found]
    for period in found:
        assert 0.6 < period.judgement.metrics.auroc < 0.9
        auroc = period.judgement.intervals["model"]["auroc"]
        assert auroc.low < auroc.value < auroc.high
        assert "best_rule" in period.judgement.differences
    again = backtest(ready, chosen, 20)
    assert found == again


def test_a_search_leaves_the_test_part_untouched() -> None:
    """Without the test part no row of it is fitted on or judged, and no interval is computed."""
    ready = prepared()
    among = pool(ready, test=False)
    assert not set(among.rows.tolist()) & set(ready.split.test.tolist())
    chosen = parameters(len(ready.split.train), len(FEATURES), 7)
    found = backtest(ready, chosen, 10, test=False, resamples=0, among=among)
    first = ready.labelled.moments.rows.cutoff_time[ready.split.test].min()
    assert found and all(p.last_cutoff < str(np.datetime64(int(first), "us"))[:10] for p in found)


def test_the_pool_of_a_thinned_part_points_at_the_right_rows() -> None:
    """A training part on disk is thinned; its labels still are those of its rows."""
    ready = prepared()
    matrix, label = ready.parts["train"]
    thin = replace(ready, parts={**ready.parts, "train": (matrix[::3], label[::3])})
    among = pool(thin)
    assert thin.labelled.label[among.rows].tolist() == among.label.tolist()


def test_a_random_split_claims_more_than_the_truth() -> None:
    """Where customers have habits that a column betrays, rows dealt by chance flatter the fit."""
    ready = prepared(replace_split())
    chosen = {
        "objective": "binary", "num_leaves": 63, "min_data_in_leaf": 3, "seed": 7,
        "num_threads": 1, "deterministic": True, "verbosity": -1,
    }  # fmt: skip
    claim = random_split_claims(ready, chosen, 150, len(ready.split.train))
    truth = backtest(ready, chosen, 150, periods=1)[0].judgement.metrics
    assert claim is not None
    assert len(ready.split.test) == claim.n_test
    assert claim.auroc > truth.auroc + 0.03


def replace_split() -> Problem:
    """The same problem with customers kept apart: nobody's habit is known beforehand."""
    return Problem.model_validate(
        {**PROBLEM.model_dump(by_alias=True), "split": {"customers": "apart"}}
    )


def test_the_logistic_regression_reads_recency_frequency_and_value() -> None:
    """It finds what the columns say, a missing recency included."""
    ready = prepared()
    fitted = fit_logistic(FEATURES, *ready.seen)
    assert fitted is not None
    assert {0, 1, 2} == set(fitted.columns)
    matrix, label = ready.parts["test"]
    probability = fitted.probability(matrix)
    assert label.mean() == pytest.approx(probability.mean(), abs=0.03)
    assert np.corrcoef(probability, matrix[:, 0])[0, 1] > 0.5
    assert np.isfinite(fitted.probability(np.full((2, 4), np.nan, np.float32))).all()
    assert fit_logistic(FEATURES[3:], matrix[:, 3:], label) is None


def test_the_expected_value_is_what_the_problem_declares() -> None:
    """Value × success − cost of the fifth with the most at stake; unknown values count 1."""
    ready = prepared()
    matrix, label = ready.parts["test"]
    score = sigmoid(matrix[:, 0].astype(np.float64) + np.arange(len(label)) * 1e-6 - 4)
    verdict = judge_test(ready, score)
    worth = score * matrix[:, 2].astype(np.float64)
    top = np.argsort(-worth, kind="stable")[: round(0.2 * len(label))]
    expected = (matrix[top, 2].astype(np.float64) * 0.5 * label[top] - 2.0).mean()
    assert expected == pytest.approx(verdict.metrics.expected_value)
    assert () == verdict.notes
    noted = judge_test(replace(ready, stake=None), score)
    assert "counts each customer as 1" in noted.notes[0]


def test_a_verdict_is_plain_data_and_a_few_lines() -> None:
    """The summary for programs is strict JSON; the one for people names the random split."""
    import json

    ready = prepared()
    matrix, _ = ready.parts["test"]
    verdict = judge_test(ready, sigmoid(np.log1p(matrix[:, 0].astype(np.float64)) - 2))
    chosen = parameters(len(ready.split.train), len(FEATURES), 7)
    looked = look_back(ready, chosen, 10, len(ready.split.train))
    told = json.loads(json.dumps(
        {**verdict_json(verdict), **look_back_json(looked)}, allow_nan=False
    ))  # fmt: skip
    assert {"base_rate", "best_rule", "logistic"} == set(told["differences"])
    assert 4 == len(told["backtest"])
    lines = summary_lines(verdict, looked)
    assert any("a random split would have claimed" in line for line in lines)
    assert all(len(line) < 300 for line in lines)


def test_nothing_is_learnt_of_customers_who_are_kept_apart() -> None:
    """What was purged before the test and may be learnt from is of no customer of the test."""
    ready = prepared(replace_split())
    customer = ready.labelled.moments.rows.customer
    judged = set(customer[ready.split.test].tolist())
    assert set(customer[ready.purged].tolist()) & judged
    assert ready.has_newer_rows
    assert not set(customer[ready.known_before_test].tolist()) & judged
    assert len(ready.known_before_test) == len(ready.before_test[1])


def test_the_newest_period_of_a_back_test_is_told_to_be_the_test() -> None:
    """It is no earlier period; those before it are."""
    ready = prepared()
    found = backtest(ready, parameters(len(ready.split.train), len(FEATURES), 7), 5, resamples=0)
    assert [False, False, False, True] == [period.is_test for period in found]


def test_personas_are_kinds_of_customer_too() -> None:
    """Each that somebody of the test part has is judged beside the best rule, like a category."""
    ready = prepared()
    matrix, label = ready.parts["test"]
    score = sigmoid(np.log1p(matrix[:, 0].astype(np.float64)) - 2)
    code = np.arange(len(label)) % 2
    found = judge_test(ready, score, personas=(("early", "late", "nobody"), code)).slices
    told = [group for group in found if group.by == "persona"]
    assert [("early", (code == 0).sum()), ("late", (code == 1).sum())] == [
        (group.level, group.n) for group in told
    ]
    for group in told:
        assert group.judgement is not None and "best_rule" in group.judgement.differences


def test_many_attributes_leave_room_for_the_channel() -> None:
    """With a dozen attributes the last event's categories are judged all the same."""
    plans = tuple(attribute_level(f"a{i}", ("x", "y")) for i in range(12))
    channel = events().last_level("channel", ("ads", "mail"))
    part = Judged(
        (np.arange(600) % 3 == 0).astype(np.int8), np.linspace(0.1, 0.9, 600), {},
        np.arange(600), Acting(), 1,
    )  # fmt: skip
    matrix = np.tile(np.arange(600)[:, None] % 2, (1, 13)).astype(np.float32)
    found = {group.by for group in by_category(part, (*plans, channel), matrix, None)}
    assert {name for name in found if "channel" in name}
    assert 8 == len(found)


@pytest.mark.parametrize(("level", "begin"), [("2024-11", "2024-11-01"), ("2024-Q3", "2024-07-01")])
def test_every_period_has_a_moment_at_which_it_begins(level: str, begin: str) -> None:
    """Months and quarters alike, so that a tracker can draw them in turn."""
    assert parse_moment(begin) == begin_of(level)
