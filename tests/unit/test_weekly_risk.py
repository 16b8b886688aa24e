"""When: weekly curves by hand, their promises, and what is known of the time of an outcome."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journeys import read_table

from features.config import Problem, read_config
from features.cutoffs import AsOf, Moments, current
from features.durations import DAY, days, parse_moment
from features.engine import Rows
from features.operations import NEVER
from features.outcomes import first_happened, first_known
from features.sources import read_histories
from models.files import load
from models.weekly_risk import WEEK, WeeklyRisk, n_weeks, weekly_risk_from_json
from training.__main__ import main

Array = np.ndarray
NOTHING = np.empty((1, 0))


def _curve(waits: bool, score: float, length: float) -> list[float]:
    risk = WeeklyRisk(waits, (), None)
    opens, closes = np.zeros(1, np.int64), np.array([int(length * DAY)])
    return risk.curves(np.array([score]), np.zeros(1), NOTHING, opens, closes)[0].tolist()


def test_an_event_becomes_more_likely_week_by_week() -> None:
    """Spread evenly over 28 days, a chance of .4 is .1, .2, .3 and .4 by the weeks' ends."""
    assert [0.1, 0.2, 0.3, 0.4] == pytest.approx(_curve(False, 0.4, 28))


def test_a_silence_becomes_less_likely_week_by_week() -> None:
    """A chance of .4 that nothing happens in 28 days: .85, .7, .55 and .4 of nothing so far."""
    assert [0.85, 0.7, 0.55, 0.4] == pytest.approx(_curve(True, 0.4, 28))


def test_a_week_that_is_cut_short_ends_with_the_window() -> None:
    """Ten days are two weeks, the first with seven tenths of the chance; a day is one week."""
    assert [0.35, 0.5] == pytest.approx(_curve(False, 0.5, 10))
    assert [0.5] == _curve(True, 0.5, 1)


@given(
    st.lists(st.tuples(st.floats(1e-9, 1 - 1e-9), st.integers(1, 60 * DAY)), min_size=1),
    st.booleans(),
)
def test_curves_end_at_the_score_to_the_bit(rows: list[tuple[float, int]], waits: bool) -> None:
    """Every curve is monotone, within 0 and 1, and its last value is the score itself."""
    score = np.array([p for p, _ in rows])
    closes = np.array([length for _, length in rows])
    opens, nothing = np.zeros(len(rows), np.int64), np.empty((len(rows), 0))
    risk = WeeklyRisk(waits, (), None)
    curves = risk.curves(score, np.zeros(len(rows)), nothing, opens, closes)
    for curve, p, weeks in zip(curves, score, n_weeks(opens, closes), strict=True):
        known = curve[~np.isnan(curve)]
        assert weeks == len(known)
        assert p == known[-1]
        assert (np.diff(known) * (-1 if waits else 1) >= 0).all()
        assert 0 <= known.min() and known.max() <= 1


def test_the_time_of_an_outcome_is_when_it_happened() -> None:
    """The first event of the window counts, by event time; one recorded late is not later."""
    log = read_table("""
        event    | event_time | recorded_time
        purchase | 2024-01-01 | 2024-01-01
        purchase | 2024-01-09 | 2024-02-20
        purchase | 2024-01-12 | 2024-01-12
        visit    | 2024-01-03 | 2024-01-03
    """)
    problem = Problem.model_validate({"outcome": {"silence_of": "purchase"}, "horizon": "28d"})
    cutoff = np.array([parse_moment("2024-01-01"), parse_moment("2024-02-01")])
    moments = Moments(Rows(np.zeros(2, np.int64), cutoff, cutoff), cutoff, cutoff + days(28))
    assert [parse_moment("2024-01-09"), NEVER] == first_happened(problem, log, moments).tolist()
    assert [parse_moment("2024-01-12"), NEVER] == first_known(problem, log, moments).tolist()


def test_a_trained_model_knows_when(shop: Path, shop_run: tuple[Path, object]) -> None:
    """The shop's curves fall to the score, a row is the same alone, and files keep all of it."""
    model = load(shop_run[0] / "shop" / "churn" / "model")
    histories = read_histories(read_config(shop))
    as_of = AsOf.then(histories.end)
    asked = current(model.contract.problem, histories.log, histories.attributes, as_of)
    asked = asked.take(np.arange(min(60, len(asked))))
    vectors = model.vectors(histories.log, histories.attributes, asked.rows)
    together = model.weekly(vectors, asked)
    assert together is not None and model.weekly_risk is not None
    assert together[:, -1].tobytes() == model.probabilities(vectors).tobytes()
    assert (np.diff(together, axis=1) <= 0).all()
    for row in range(len(vectors)):
        one = asked.take(np.array([row]))
        alone = model.weekly(vectors[row : row + 1], one)
        assert alone is not None
        assert together[row].tobytes() == alone[0].tobytes()
    assert model.weekly_risk == weekly_risk_from_json(model.weekly_risk.to_json())
    unknown = replace(model, weekly_risk=None)
    assert unknown.weekly(vectors, asked) is None


def test_trees_find_the_day_of_the_month(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bills that are paid every 30 days are foreseen to the week, far better than evenly."""
    rng = np.random.default_rng(5)
    lines = ["customer,event_time,event"]
    for customer in range(300):
        first = int(rng.integers(0, 30))
        for month in range(14):
            if rng.random() < 0.7:
                day = np.datetime64("2023-01-01") + first + 30 * month
                lines.append(f"c{customer:04d},{day},paid")
            lines.append(f"c{customer:04d},{np.datetime64('2023-01-01') + first + 30 * month},bill")
    (tmp_path / "bills.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "journey.toml").write_text(
        'name = "bills"\n[[events]]\nsql = "select * from \'bills.csv\'"\n'
        '[problems.pays]\noutcome = { event = "paid", repeats = true }\nhorizon = "28d"\n'
        'every = "28d"\n'
    )
    place = (str(tmp_path / "journey.toml"), "--workspace", str(tmp_path / "workspace"))
    assert 0 == main(["train", *place, "--json"])

    found = json.loads(capsys.readouterr().out)["weekly_risk"]
    assert found["integrated_brier"] < 0.8 * found["integrated_brier_even"]


def test_trees_of_other_columns_are_refused(shop_run: tuple[Path, object]) -> None:
    """Trees that read more or fewer columns than are named do not load."""
    risk = load(shop_run[0] / "shop" / "churn" / "model").weekly_risk
    assert risk is not None and risk.trees is not None
    with pytest.raises(ValueError, match="columns"):
        replace(risk, columns=risk.columns[:-1])
    assert 7 * DAY == WEEK
