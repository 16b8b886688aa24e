"""A search: what it tries, how it is kept, when it is believed. No test here needs a business."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_rows import planted

from features.config import read_config
from features.errors import ConfigError
from training.fitting import FEW_ROWS, MANY_ROWS, PATIENCE, PATIENCE_OF_FEW, parameters, patience_of
from training.record import this_process
from training.search import Found, Gain, Range, Space, _together, ground, space
from training.trials import PROCESS, open_trials, others
from training.tuned import TUNED, Tuned, definition_of, read_tuned, usable, write_tuned

SPACE: Space = {"size": Range(1, 100, whole=True), "step": Range(0.1, 10), "odd": (False, True)}
STARTS = [{"size": 50, "step": 1.0, "odd": False}]
FOUND = Tuned("d", {"num_leaves": 5}, 30, 0.4, 0.5, 0.1, 0.01, [0.1, 0.1], True, 9, "x")


def bowl(chosen: dict[str, Any]) -> Iterator[Found]:
    """Two periods whose losses are lowest at size 10 and step 2."""
    away = np.log(chosen["size"] / 10) ** 2 + np.log(chosen["step"] / 2) ** 2 + chosen["odd"]
    for period in range(2):
        yield Found(float(away), (float(away),) * (period + 1), 7)


def searched(folder: Path, until: int) -> list[dict[str, Any]]:
    """The parameters of a search's finished trials."""
    with open_trials(folder, "search", 3, SPACE) as trials:
        while len(trials.finished) < until:
            trials.run(STARTS, bowl)
        return [trial.params for trial in trials.finished]


def killed(folder: Path) -> None:
    """Three trials, and SIGKILL in the middle of the fourth."""

    def die(chosen: dict[str, Any]) -> Iterator[Found]:
        yield next(bowl(chosen))
        os.kill(os.getpid(), signal.SIGKILL)

    searched(folder, 3)
    with open_trials(folder, "search", 3, SPACE) as trials:
        trials.run(STARTS, die)


@pytest.mark.parametrize("n_rows", [40, 1_100, FEW_ROWS, MANY_ROWS, 2_000_000])
@pytest.mark.parametrize("n_features", [4, 60, 400])
def test_the_default_parameters_can_be_proposed(n_rows: int, n_features: int) -> None:
    """What a fit does without a search lies within what is searched, whatever the size."""
    default = parameters(n_rows, n_features, 1)
    for name, among in space(n_rows).items():
        if isinstance(among, Range):
            assert among.low <= default[name] <= among.high, name
        else:
            assert default[name] in among, name


def test_small_steps_are_given_more_patience() -> None:
    """A fit waits longer where a round changes little; the default sizes wait as they did."""
    assert PATIENCE_OF_FEW == patience_of(parameters(FEW_ROWS - 1, 60, 1))
    assert PATIENCE == patience_of(parameters(FEW_ROWS, 60, 1))
    assert PATIENCE_OF_FEW == patience_of({"learning_rate": 0.02})


def test_a_curve_that_stopped_keeps_its_last_value() -> None:
    """Periods that stopped early count on with the loss at which they stopped."""
    curves = [np.array([3.0, 2.0]), np.array([4.0, 3.0, 2.0])]
    assert [[3.0, 2.0, 2.0], [4.0, 3.0, 2.0]] == _together(curves).tolist()


@pytest.mark.parametrize(
    ("gain", "believed"),
    [
        (Gain(0.002, 0.001, (0.002, 0.002, 0.002)), True),
        (Gain(0.002, 0.002, (0.002, 0.002, 0.002)), False),  # not surely above zero
        (Gain(0.002, 0.001, (0.008, -0.001, -0.001)), False),  # one period alone
        (Gain(0.002, 0.001, (0.005, -0.001)), False),  # half is not most
        (Gain(0.002, 0.0001, (0.002,)), False),  # one period can't tell
        (Gain(0.0, 0.0, (0.0, 0.0)), False),
        (Gain(-0.002, 0.0001, (-0.002, -0.002)), False),
    ],
)
def test_a_gain_counts_when_it_is_sure_and_common(gain: Gain, believed: bool) -> None:
    """Above zero by 1.645 standard errors, and in more than half of the periods."""
    assert believed == gain.beats_noise


def test_the_periods_of_a_search_lie_before_the_test_part() -> None:
    """No row that a trial is fitted or judged on is of the test part, nor newer than it."""
    ready = planted()
    where = ground(ready)
    cutoff = ready.labelled.moments.rows.cutoff_time
    used = where.among.rows[np.concatenate([rows for fold in where.folds for rows in fold])]
    assert 1 < len(where.folds)
    assert not set(used.tolist()) & set(ready.split.test.tolist())
    assert cutoff[used].max() < cutoff[ready.split.test].min()


def test_a_history_too_short_for_periods_is_searched_on_its_validation_part() -> None:
    """Where no period lies before the test, train is fitted on and validation judged on."""
    ready = planted()
    ((train, here),) = ground(ready, periods=0).folds
    rows = ground(ready).among.rows
    assert ready.split.train.tolist() == rows[train].tolist()
    assert ready.split.validation.tolist() == rows[here].tolist()


def test_declared_directions_hold_in_every_trial() -> None:
    """Monotone constraints are part of what no trial changes."""
    ready = planted()
    up = ready.problem.model_copy(update={"monotone": {ready.features[0].name: "up"}})
    default = ground(replace(ready, problem=up)).default
    assert [1, 0, 0, 0] == default["monotone_constraints"]
    assert "monotone_constraints" not in space(1_000)


def test_a_search_begins_with_the_default_and_ends_no_worse(tmp_path: Path) -> None:
    """The first trial is what was given; the best is as good or better."""
    with open_trials(tmp_path, "search", 3, SPACE) as trials:
        first = trials.run(STARTS, bowl)
        assert STARTS[0] == first.params
        for _ in range(14):
            trials.run(STARTS, bowl)
        assert trials.best.value < first.value


def test_two_searches_from_nothing_try_the_same(tmp_path: Path) -> None:
    """The same seed and number of trials give the same proposals in the same order."""
    assert searched(tmp_path / "a", 14) == searched(tmp_path / "b", 14)


def test_a_search_goes_on_as_if_it_had_not_been_stopped(tmp_path: Path) -> None:
    """Stopped after five trials and gone on with, it tries what one in a single go tries."""
    searched(tmp_path / "a", 5)
    assert searched(tmp_path / "b", 14) == searched(tmp_path / "a", 14)


def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    """SIGKILL in the middle of a trial voids that trial, which is proposed again."""
    process = multiprocessing.get_context("spawn").Process(target=killed, args=(tmp_path / "a",))
    process.start()
    process.join()
    assert -signal.SIGKILL == process.exitcode
    assert searched(tmp_path / "b", 8) == searched(tmp_path / "a", 8)


def test_a_trial_that_is_interrupted_is_void(tmp_path: Path) -> None:
    """Ctrl-C in a trial ends it; the next call proposes the same again."""

    def interrupted(chosen: dict[str, Any]) -> Iterator[Found]:
        raise KeyboardInterrupt
        yield

    with open_trials(tmp_path, "search", 3, SPACE) as trials:
        with pytest.raises(KeyboardInterrupt):
            trials.run(STARTS, interrupted)
        assert [] == trials.finished
    assert STARTS == searched(tmp_path, 1)


def test_searches_of_other_data_do_not_mix(tmp_path: Path) -> None:
    """Another name is another search, and one is told of the others."""
    searched(tmp_path, 2)
    with open_trials(tmp_path, "other data", 3, SPACE) as trials:
        assert [] == trials.finished
        assert 1 == others(tmp_path, trials.name)
    assert 0 == others(tmp_path / "nowhere", "search")


def test_two_processes_may_not_search_the_same(tmp_path: Path) -> None:
    """While one searches, another one is refused and told why."""
    host = this_process().rpartition(":")[0]
    with open_trials(tmp_path, "search", 3, SPACE) as trials:
        trials._study.set_user_attr(PROCESS, f"{host}:{os.getppid()}")
        with (
            pytest.raises(ConfigError, match="is searching these trials already"),
            open_trials(tmp_path, "search", 3, SPACE),
        ):
            pass


def test_a_hopeless_trial_is_given_up_early(tmp_path: Path) -> None:
    """After some trials, one that is far behind in the first period is not judged on the rest."""
    asked: list[int] = []

    def slow(chosen: dict[str, Any]) -> Iterator[Found]:
        asked.append(0)
        for found in bowl(chosen):
            asked[-1] += 1
            yield found

    with open_trials(tmp_path, "search", 3, SPACE) as trials:
        for _ in range(20):
            trials.run(STARTS, slow)
    assert {1, 2} == set(asked)
    assert 2 == asked[0]


def test_found_parameters_survive_the_disk(tmp_path: Path) -> None:
    """What is written is read again; where nothing was searched there is nothing."""
    assert read_tuned(tmp_path) is None
    write_tuned(tmp_path, FOUND)
    assert FOUND == read_tuned(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"definition": "x"}', "3"])
def test_a_broken_file_is_named(text: str, tmp_path: Path) -> None:
    """What can't be read is an error that says what to do, not a silent default."""
    (tmp_path / TUNED).write_text(text)
    with pytest.raises(ConfigError, match=r"tuned\.json can't be read.*--untuned"):
        read_tuned(tmp_path)


def test_parameters_are_used_when_they_fit_and_are_better(shop: Path, tmp_path: Path) -> None:
    """Another definition or a gain within noise leaves the default, and one is told."""
    business = read_config(shop)
    assert (None, "") == usable(tmp_path, business, "churn")
    mine = replace(FOUND, definition=definition_of(business, "churn"))
    write_tuned(tmp_path, mine)
    assert mine == usable(tmp_path, business, "churn")[0]
    write_tuned(tmp_path, replace(mine, beats_noise=False))
    tuned, why = usable(tmp_path, business, "churn")
    assert tuned is None and "no more than noise" in why
    write_tuned(tmp_path, replace(mine, definition="another"))
    tuned, why = usable(tmp_path, business, "churn")
    assert tuned is None and "another definition" in why


def test_a_definition_is_what_decides_labels_and_columns(shop: Path) -> None:
    """A new horizon or window is another definition; a seed or the value at stake is not."""
    business = read_config(shop)
    problem = business.problem("churn")

    def digest(**changed: Any) -> str:
        other = problem.model_copy(update=changed)
        return definition_of(business.model_copy(update={"problems": {"churn": other}}), "churn")

    assert digest() == digest(seed=8) == digest(value=None)
    assert digest() != digest(horizon=problem.horizon * 2)
    fewer = business.features.model_copy(update={"windows": business.features.windows[:2]})
    other = business.model_copy(update={"features": fewer})
    assert digest() != definition_of(other, "churn")
