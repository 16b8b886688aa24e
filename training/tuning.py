"""A search for better parameters, from a business's file to a file that training reads.

Takes a `journey.toml` and a workspace; gives the best parameters and whether they are better than
the default by more than noise. Every step lives in the module that its name says.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from features.config import Business, slug
from features.errors import ProblemError
from features.feature import feature_names
from features.own import own_features
from training.clock import Clock
from training.engines import Engine
from training.findings import tell
from training.personas import personas_of
from training.preflight import preflight, refuse
from training.prepare import Prepared
from training.screening import screened
from training.search import LEAST_PERIODS, Found, Gain, Ground, compare, ground, judged, space
from training.search_log import SearchLog
from training.trials import ROUNDS, Trials, open_trials, others
from training.tuned import Tuned, definition_of, write_tuned

MINUTES = 10.0
"""How long a search looks, unless told."""
SECONDS = 60

Say = Callable[[str], None]


class _OutOfTimeError(Exception):
    """The time is over in the middle of a trial."""


def tune(
    business: Business,
    name: str,
    engine: Engine,
    workspace: Path,
    say: Say,
    minutes: float | None = None,
    n_trials: int | None = None,
) -> Tuned:
    """Search for better parameters of one problem, and write down what was found.

    A search of the same rows and columns goes on where an earlier one stopped.

    Parameters
    ----------
    minutes
        How long; `MINUTES` unless it or `n_trials` is given. What is read and computed before
        the first trial, and the comparison after the last one, come on top.
    n_trials
        How many trials in all, earlier calls' among them.

    Raises
    ------
    MilepostError
        When the problem can't be answered from these histories, or no trial was finished.
    """
    say(f"{business.name}: {name}")
    folder = (workspace / slug(business.name) / slug(name)).resolve()
    ready = _ready(business, name, engine, folder, Clock(say), say)
    where = ground(ready)
    study = f"{name} {engine.digest[:12]} {_ground_digest(where)}"
    among = space(where.n_train)
    with open_trials(folder, study, ready.problem.seed, among) as trials:
        log = SearchLog(workspace, business.name, name, trials, say)
        _tell_before(trials, others(folder, study), len(where.folds), say)
        if minutes is None and n_trials is None:
            minutes = MINUTES
        _search(where, trials, minutes, n_trials, log, say)
        tuned = None
        try:
            if len(trials.finished) >= len(where.starts):
                say("  comparing the best trial with the default, each fitted again")
                tuned = _verdict(where, trials, definition_of(business, name), engine.digest)
        finally:
            log.end(tuned)
    if tuned is None:
        raise ProblemError(
            "The search was stopped before the default parameters were judged, so there is "
            "nothing to compare with. Call tune again; it goes on where it stopped."
        )
    say(f"  {write_tuned(folder, tuned)}: {tuned.says()}")
    return tuned


def _ready(
    business: Business, name: str, engine: Engine, folder: Path, clock: Clock, say: Say
) -> Prepared:
    """The rows and the columns that a training run would fit on."""
    problem = engine.resolve(business.problem(name))
    whole = engine.prepare(business, problem, folder / "search_set", clock)
    checks = preflight(problem, whole.labelled, whole.split, engine.sources, engine.end)
    for check in checks:
        for line in tell(check):
            say(line)
    refuse(checks)
    with clock.stage("screen") as told:
        ready, _ = screened(whole, own_features(business.features.own), personas_of(whole))
        told.append(f"{len(ready.features)} columns")
    return ready


def _ground_digest(where: Ground) -> str:
    """What makes two trials comparable beside the data: columns, default, space and periods."""
    whole: list[Any] = [
        feature_names(where.among.ready.features),
        {name: str(among) for name, among in space(where.n_train).items()},
        where.default,
        [[len(part) for part in fold] for fold in where.folds],
    ]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]


def _tell_before(trials: Trials, n_others: int, n_periods: int, say: Say) -> None:
    done = len(trials.finished)
    again = f"going on after {done} trials" if done else "a new search"
    say(f"  {again}, each judged on {n_periods} periods before the test part")
    if n_periods < LEAST_PERIODS:
        say(
            "  note: one period can't tell chance from gain; train will keep the default parameters"
        )
    if n_others:
        say(
            f"  {n_others} earlier searches of other data, columns or settings are left aside: "
            "their trials can't be compared with these"
        )


def _search(
    where: Ground,
    trials: Trials,
    minutes: float | None,
    n_trials: int | None,
    log: SearchLog,
    say: Say,
) -> None:
    """Try until the time or the number is reached, or a person has seen enough (Ctrl-C)."""
    begun = monotonic()

    def watch() -> None:
        over = minutes is not None and monotonic() - begun > minutes * SECONDS
        if over and len(trials.finished) >= n_starts:
            raise _OutOfTimeError

    def judge(chosen: dict[str, Any]) -> Iterator[Found]:
        return judged(where, chosen, guard)

    # The default is judged whatever it takes: without it there is nothing to compare with.
    n_starts = len(where.starts)
    try:
        with _progress(minutes, n_trials, len(trials.finished), say) as show:
            while n_trials is None or len(trials.finished) < n_trials:
                guard = watch if len(trials.finished) >= n_starts else _nothing
                guard()
                show(trials.run(where.starts, judge), trials, monotonic() - begun)
                log.catch_up()
    except _OutOfTimeError:
        say("  time is over")
    except KeyboardInterrupt:
        say("  stopped; what was found until now counts, and a later call goes on from here")


def _nothing() -> None:
    """Watches nothing."""


@contextmanager
def _progress(
    minutes: float | None, n_trials: int | None, done: int, say: Say
) -> Iterator[Callable[[FrozenTrial, Trials, float], None]]:
    """A bar on a terminal, a line a trial elsewhere."""
    by_count = n_trials is not None
    total = n_trials or round((minutes or 0) * SECONDS)
    unit, start = (" trials", done) if by_count else (" s", 0)
    with tqdm(
        total=total, initial=start, desc="  search", unit=unit, leave=False, disable=None
    ) as bar:

        def show(trial: FrozenTrial, trials: Trials, seconds: float) -> None:
            best = trials.best.value
            if sys.stderr.isatty():
                bar.set_postfix_str(f"{len(trials.finished)} tried, best log loss {best:.5f}")
                bar.update(1 if by_count else min(round(seconds), total) - bar.n)
            else:
                say(f"  trial {trial.number}: {_result(trial)}, best {best:.5f}, {seconds:.0f} s")

        yield show


def _result(trial: FrozenTrial) -> str:
    if trial.state == TrialState.PRUNED or trial.value is None:
        return "given up early"
    return f"log loss {trial.value:.5f} after {trial.user_attrs[ROUNDS]} rounds"


def _verdict(where: Ground, trials: Trials, definition: str, data_digest: str) -> Tuned:
    """The best trial beside the better of the default ones."""
    finished, best = trials.finished, trials.best
    default = min(finished[: len(where.starts)], key=lambda trial: trial.value or 0.0)
    same = best.params == default.params
    gain = (
        Gain(0.0, 0.0, (0.0,) * len(where.folds))
        if same
        else compare(
            where,
            (default.params, default.user_attrs[ROUNDS]),
            (best.params, best.user_attrs[ROUNDS]),
        )
    )
    assert best.value is not None and default.value is not None
    return Tuned(
        definition, dict(best.params), best.user_attrs[ROUNDS], best.value, default.value,
        gain.value, gain.error, list(gain.by_period), gain.beats_noise, len(finished), data_digest,
    )  # fmt: skip


def tuned_json(problem: str, tuned: Tuned) -> dict[str, Any]:
    """The summary that `--json` prints."""
    return {"problem": problem, **asdict(tuned)}
