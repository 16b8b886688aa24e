"""What a search does on rows with a planted effect: it never ends worse, and never peeks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_rows import planted

from features.engine import Rows
from training.prepare import Prepared
from training.search import Ground, compare, ground, judged, space
from training.trials import ROUNDS, open_trials
from training.tuning import _verdict

N_TRIALS = 5


def search(ready: Prepared, folder: Path, n_trials: int = N_TRIALS) -> tuple[Ground, list[object]]:
    """A search of so many trials, and what it came to."""
    where = ground(ready, periods=2)
    with open_trials(folder, "search", ready.problem.seed, space(where.n_train)) as trials:
        while len(trials.finished) < n_trials:
            trials.run(where.starts, lambda chosen: judged(where, chosen))
        tuned = _verdict(where, trials, "d", "x")
        return where, [[t.params for t in trials.finished], trials.best.user_attrs[ROUNDS], tuned]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ground, list[object]]:
    return search(planted(), tmp_path_factory.mktemp("search"))


def test_a_search_never_ends_worse_than_the_default(once: tuple[Ground, list[object]]) -> None:
    """On its own objective the best trial is at least as good as today's parameters."""
    tuned = once[1][2]
    assert tuned.objective <= tuned.default_objective
    assert N_TRIALS == tuned.n_trials
    assert 2 == len(tuned.gain_by_period)


def test_the_same_search_twice_finds_the_same(
    once: tuple[Ground, list[object]], tmp_path: Path
) -> None:
    """From nothing, so many trials give the same parameters, losses and verdict."""
    assert once[1] == search(planted(), tmp_path)[1]


def changed_test(ready: Prepared, seed: int) -> Prepared:
    """The same rows with other vectors, labels and customers in the test part."""
    rng, test = np.random.default_rng(seed), ready.split.test
    label, rows = ready.labelled.label.copy(), ready.labelled.moments.rows
    label[test] = rng.random(len(test)) < 0.5
    customer = rows.customer.copy()
    customer[test] = rng.permutation(customer[test])
    moments = replace(
        ready.labelled.moments, rows=Rows(customer, rows.cutoff_time, rows.known_time)
    )
    matrix = rng.normal(size=ready.parts["test"][0].shape).astype(np.float32)
    return replace(
        ready,
        labelled=replace(ready.labelled, label=label, moments=moments),
        parts={**ready.parts, "test": (matrix, label[test])},
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_the_test_part_decides_nothing(
    seed: int, once: tuple[Ground, list[object]], tmp_path: Path
) -> None:
    """Other vectors, labels and customers in the test part: the same search to the last bit."""
    assert once[1] == search(changed_test(planted(), seed), tmp_path)[1]


def test_a_gain_is_zero_against_oneself_and_large_against_nothing(
    once: tuple[Ground, list[object]],
) -> None:
    """The same fit gains nothing; a fit of one round is surely beaten, in every period."""
    where = once[0]
    same = compare(where, ({}, 50), ({}, 50))
    assert (0.0, 0.0, False) == (same.value, same.error, same.beats_noise)
    better = compare(where, ({}, 1), ({"learning_rate": 0.1}, 100))
    assert min(better.by_period) > 0.05
    assert better.beats_noise
