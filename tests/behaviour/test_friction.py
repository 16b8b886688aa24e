"""Planted friction is found and told by how much; a touchpoint without effect is not blamed.

`make bench-friction` runs the same on 100 businesses and counts.
"""

from typing import Any

import pytest
from conftest import ROOT

from features.simulation_friction import HARM, HARMLESS, simulate_friction


@pytest.fixture(scope="module")
def runs() -> list[dict[str, Any]]:
    """Two businesses of 8,000 customers each; the second is another draw of the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        import friction

        return [friction.one_run(8_000, seed) for seed in (1, 2)]


def test_planted_touchpoints_rank_first_and_harmless_ones_are_not_flagged(
    runs: list[dict[str, Any]],
) -> None:
    """Though two harmless ones are met by customers who would not have subscribed anyway."""
    for run in runs:
        assert set(HARM) == set(run["ranked"])
        assert [] == run["flagged"]


def test_the_unadjusted_ranking_is_fooled(runs: list[dict[str, Any]]) -> None:
    """It blames a harmless survey first."""
    for run in runs:
        assert "survey_shown" == run["unadjusted"][0]


def test_effects_are_near_the_truth(runs: list[dict[str, Any]]) -> None:
    """Within 4 points, where intervals reach 2 to either side."""
    for run in runs:
        for name in (*HARM, *HARMLESS):
            one = run["effects"][name]
            assert abs(one["effect"] - one["true"]) < 0.04, name


def test_flows_equal_those_that_were_drawn(runs: list[dict[str, Any]]) -> None:
    """Every transition of every customer."""
    assert all(run["flows_equal"] for run in runs)


def test_a_touchpoint_without_effect_has_none() -> None:
    """The simulator's truth: exactly 0 for the harmless ones, clear harm for the planted."""
    true = simulate_friction(2_000, 3).true_effect
    assert all(true[name] == 0 for name in HARMLESS)
    assert all(-0.2 < true[name] < -0.04 for name in HARM)
