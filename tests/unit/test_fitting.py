"""Fitting: averages, declared directions, and which columns are fitted on."""

import lightgbm as lgb
import numpy as np
import pytest

from features.errors import ProblemError
from features.feature import Feature
from features.language import attribute_level, events
from training.fitting import average, check_directions, constraints, fit, refit, side_by_side

FEATURES = tuple(events(name).count() for name in ("call", "login", "visit"))


def rows(seed: int, n: int = 1_500) -> tuple[np.ndarray, np.ndarray]:
    """Three columns, of which the first two matter; the first one not in one direction."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(n, 3))
    margin = np.sin(3 * matrix[:, 0]) - matrix[:, 1]
    return matrix, (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(np.int8)


def boosters(count: int) -> list[lgb.Booster]:
    """Small fits of different seeds."""
    matrix, label = rows(1)
    matrix[::7, 2] = np.nan
    return [
        lgb.train(
            {"objective": "binary", "num_leaves": 5, "verbosity": -1, "num_threads": 1,
             "seed": seed, "bagging_fraction": 0.5, "bagging_freq": 1},
            lgb.Dataset(matrix, label), 5 + seed,
        )
        for seed in range(count)
    ]  # fmt: skip


def test_an_average_has_the_mean_margin_and_contributions_that_add_up() -> None:
    """Averaged boosters predict the mean of their margins, and TreeSHAP still adds up."""
    found = boosters(3)
    matrix = rows(2)[0]
    together = average([booster.model_to_string() for booster in found])
    expected = np.mean([booster.predict(matrix, raw_score=True) for booster in found], axis=0)
    margin = together.predict(matrix, raw_score=True)
    np.testing.assert_allclose(expected, margin, rtol=0, atol=1e-12)
    parts = together.predict(matrix, pred_contrib=True)
    np.testing.assert_allclose(margin, parts.sum(axis=1), rtol=0, atol=1e-9)
    assert sum(booster.num_trees() for booster in found) == together.num_trees()


def test_an_average_survives_its_text() -> None:
    """Stored and read again, an averaged booster gives the same bits."""
    together = average([booster.model_to_string() for booster in boosters(2)])
    again = lgb.Booster(model_str=together.model_to_string())
    matrix = rows(2)[0]
    assert together.predict(matrix).tobytes() == again.predict(matrix).tobytes()


def test_fits_side_by_side_have_the_bits_that_they_have_alone() -> None:
    """Eight fits of one data set with validation, in their order, whatever runs beside them."""
    matrix, label = rows(1)
    data = lgb.Dataset(matrix, label).construct()
    held_back = rows(2)

    def fitted(seed: int) -> str:
        stop = lgb.early_stopping(20, verbose=False)
        chosen = {"objective": "binary", "num_leaves": 5, "verbosity": -1, "num_threads": 1,
                  "seed": seed, "bagging_fraction": 0.5, "bagging_freq": 1}  # fmt: skip
        valid = data.create_valid(*held_back, params={**chosen})
        booster = lgb.train(chosen, data, 200, valid_sets=[valid], callbacks=[stop])
        return str(booster.model_to_string())

    alone = [fitted(seed) for seed in range(8)]
    assert 8 == len(set(alone))
    assert alone == side_by_side(fitted, range(8), {"num_threads": 1})


def test_what_goes_wrong_beside_others_is_raised() -> None:
    """An error of one piece of work is the caller's, and order is kept without one."""

    def work(number: int) -> float:
        return 1 / number

    with pytest.raises(ZeroDivisionError):
        side_by_side(work, (1, 0, 2), {})
    assert [1.0, 0.5, 0.25] == side_by_side(work, (1, 2, 4), {"num_threads": 64})


@pytest.mark.parametrize(("way", "sign"), [("up", 1), ("down", -1)])
@pytest.mark.parametrize("again", [False, True])
def test_a_declared_direction_is_kept(way: str, sign: int, again: bool) -> None:
    """However the rows lie, the score moves one way with a feature that was declared so."""
    train, monotone = rows(1), {"call_*": way}
    booster = fit(FEATURES, train, rows(2), seed=3, monotone=monotone)
    if again:
        booster = refit(FEATURES, train, len(train[1]), 3, booster, monotone)
    grid = np.linspace(-3, 3, 200)
    for base in rows(4, n=20)[0]:
        moved = np.repeat(base[None, :], len(grid), axis=0)
        moved[:, 0] = grid
        assert (sign * np.diff(booster.predict(moved, raw_score=True)) >= -1e-12).all()


def test_without_a_declared_direction_the_score_moves_both_ways() -> None:
    """The rows of the test above do tempt the trees to go up and down."""
    booster = fit(FEATURES, rows(1), rows(2), seed=3)
    moved = np.zeros((200, 3))
    moved[:, 0] = np.linspace(-3, 3, 200)
    steps = np.diff(booster.predict(moved, raw_score=True))
    assert steps.min() < -1e-3
    assert steps.max() > 1e-3


def test_a_category_gets_no_direction() -> None:
    """A pattern that fits numbers and a category constrains the numbers alone."""
    features: tuple[Feature, ...] = (*FEATURES, attribute_level("call_plan", ("a", "b")))
    expected = {"monotone_constraints": [-1, 0, 0, 0]}
    assert expected == constraints(features, {"*call_*": "down"})
    assert {} == constraints(features, {})


@pytest.mark.parametrize(
    ("monotone", "said"),
    [
        ({"cal_count": "up"}, "Did you mean 'call_count'"),
        ({"customer_plan": "up"}, "has an order"),
        ({"call_*": "up", "*_count": "down"}, "says both up and down of the feature 'call_count'"),
    ],
)
def test_directions_that_mean_nothing_are_refused(monotone: dict[str, str], said: str) -> None:
    """A pattern that fits no numeric feature, or contradicts another, is an error that helps."""
    features = (*FEATURES, attribute_level("plan", ("a", "b")))
    with pytest.raises(ProblemError, match="monotone") as refused:
        check_directions(features, monotone)
    assert said in str(refused.value)
