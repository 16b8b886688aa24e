"""What meeting a touchpoint does, beside a table whose effect can be worked out."""

from dataclasses import replace

import numpy as np

from training.friction import Adjusted, Effect, Units, adjust, effect, surely

KIND = np.array([0.2, 0.5, 0.8])
"""Chance of the outcome without the touchpoint, of three kinds of customers."""
MEETS = np.array([0.6, 0.3, 0.1])
"""Chance of each kind to meet it: who would not have come anyway meets it most."""
DOES = np.array([-0.05, -0.10, -0.20])
"""What it does to each."""


def table(n: int, seed: int, does: np.ndarray) -> tuple[Units, float]:
    """Units of customers of three kinds, and the closed form of their effect: over the kinds of
    those who met it."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    met = rng.random(n) < MEETS[kind]
    outcome = rng.random(n) < KIND[kind] + does[kind] * met
    known = np.column_stack([kind == k for k in range(3)]).astype(np.float64)
    share = np.bincount(kind[met], minlength=3) / met.sum()
    return Units(known, met, outcome.astype(np.int8), np.arange(n)), float(share @ does)


def test_the_effect_is_that_of_the_closed_form() -> None:
    """Within three standard errors, where the plain difference is off by more than ten."""
    units, true = table(20_000, 5, DOES)
    found = effect(adjust(units, 7))
    assert found is not None
    assert abs(found.value - true) < 3 * found.error < 0.03
    plain = units.outcome[units.met].mean() - units.outcome[~units.met].mean()
    assert abs(plain - true) > 10 * found.error


def test_intervals_cover_as_often_as_they_say() -> None:
    """Of 30 tables at least 23 intervals hold the truth: 27 would, and fewer come once in 500."""
    covered = 0
    for seed in range(30):
        units, true = table(1_500, seed, DOES)
        found = effect(adjust(units, 7))
        assert found is not None
        covered += found.low <= true <= found.high
    assert covered >= 23


def test_moments_of_one_customer_count_as_one() -> None:
    """Every unit twice says no more than once: the same effect, and an error no smaller."""
    units, _ = table(3_000, 1, DOES)
    twice = Units(*(np.concatenate([column, column]) for column in vars(units).values()))
    once, again = effect(adjust(units, 7)), effect(adjust(twice, 7))
    assert once is not None and again is not None
    assert abs(again.value - once.value) < 0.01
    assert again.error > 0.9 * once.error


def test_the_same_units_give_the_same_bits() -> None:
    """What is stored with a model does not depend on the run."""
    units, _ = table(2_000, 2, DOES)
    assert adjust(units, 7).rest.tobytes() == adjust(units, 7).rest.tobytes()


def test_a_part_without_anybody_to_compare_has_no_effect() -> None:
    """Nobody who met it, or nobody who did not."""
    units, _ = table(2_000, 2, DOES)
    adjusted = adjust(units, 7)
    assert effect(adjusted, ~units.met) is None
    assert effect(adjusted, units.met) is None
    nothing = replace(adjusted, weight=np.where(units.met, 1.0, 0.0))
    assert isinstance(nothing, Adjusted) and effect(nothing) is None


def test_who_looks_at_many_asks_more_of_each() -> None:
    """An effect that is sure alone is not among twenty; a much surer one still is."""
    one = Effect(-0.1, 0.045)
    assert [True] == surely([one])
    none = [Effect(0.0, 0.05)] * 19
    assert not any(surely([one, *none]))
    assert [True, *[False] * 19] == surely([Effect(-0.1, 0.02), *none])
    assert [False, True] == surely([None, one])
