"""The trials of a search, kept in a database of the workspace, so that it can be gone on with.

Takes what is searched and what came of each trial; gives the next trial. Optuna proposes them.
Knows nothing about what a trial does.

Each trial's proposal has a seed of its own, from the number of trials that are finished. So a
search that was stopped, by a person or by SIGKILL, goes on as if it had not been.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from features.errors import ConfigError
from training.record import is_alive, this_process
from training.search import Found, Range, Space

DATABASE = "optuna.db"
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
FREE_TRIALS = 6
"""Trials that are judged on all periods before later ones may be given up early."""
PROCESS, ROUNDS, LOSSES = "process", "rounds", "losses"


class Trials:
    """One search's trials; see `open_trials`."""

    def __init__(self, study: optuna.Study, seed: int, space: Space) -> None:
        self.name = study.study_name
        self._study, self._seed, self._space = study, seed, space

    @property
    def finished(self) -> list[FrozenTrial]:
        """Trials that were judged on all periods, or given up as hopeless; oldest first."""
        return self._study.get_trials(deepcopy=False, states=FINISHED)

    @property
    def best(self) -> FrozenTrial:
        """The trial of the lowest log loss; `ValueError` when none is complete."""
        return self._study.best_trial

    def run(
        self,
        starts: Sequence[Mapping[str, Any]],
        judge: Callable[[dict[str, Any]], Iterator[Found]],
    ) -> FrozenTrial:
        """The next trial; the first ones are `starts`. One that `judge` ends by raising is void."""
        number = len(self.finished)
        self._study.sampler = optuna.samplers.TPESampler(seed=(self._seed + 1_013 * number) % 2**31)
        if number < len(starts):
            self._study.enqueue_trial(dict(starts[number]))
        trial = self._study.ask()
        try:
            state, value = self._judged(trial, judge, free=number < len(starts))
        except BaseException:
            self._study.tell(trial, state=TrialState.FAIL)
            raise
        return self._study.tell(trial, value, state=state)

    def _judged(
        self, trial: Trial, judge: Callable[[dict[str, Any]], Iterator[Found]], free: bool
    ) -> tuple[TrialState, float | None]:
        found = None
        for period, found in enumerate(judge(self._proposed(trial))):
            trial.report(found.objective, period)
            trial.set_user_attr(ROUNDS, found.rounds)
            trial.set_user_attr(LOSSES, list(found.losses))
            if not free and trial.should_prune():
                return TrialState.PRUNED, None
        assert found is not None
        return TrialState.COMPLETE, found.objective

    def _proposed(self, trial: Trial) -> dict[str, Any]:
        proposed: dict[str, Any] = {}
        for name, among in self._space.items():
            if not isinstance(among, Range):
                proposed[name] = trial.suggest_categorical(name, among)
            elif among.whole:
                low, high = int(among.low), int(among.high)
                proposed[name] = trial.suggest_int(name, low, high, log=True)
            else:
                proposed[name] = trial.suggest_float(name, among.low, among.high, log=True)
        return proposed


@contextmanager
def open_trials(folder: Path, name: str, seed: int, space: Space) -> Iterator[Trials]:
    """Open a search, or begin it; what an ended process left unfinished is void.

    Parameters
    ----------
    name
        Says what is searched on, the data and the columns, so that no two searches mix.

    Raises
    ------
    ConfigError
        When another process is searching the same.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / DATABASE}")
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=FREE_TRIALS),
    )
    process = str(study.user_attrs.get(PROCESS, ""))
    if process and is_alive(process):
        raise ConfigError(
            f"The process {process} is searching these trials already. Wait for it or end it; or "
            "name another workspace with --workspace."
        )
    study.set_user_attr(PROCESS, this_process())
    while study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.tell(study.ask(), state=TrialState.FAIL)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    try:
        yield Trials(study, seed, space)
    finally:
        study.set_user_attr(PROCESS, "")
        storage.engine.dispose()


def others(folder: Path, name: str) -> int:
    """How many searches of other data or other columns lie beside this one."""
    if not (folder / DATABASE).exists():
        return 0
    names = optuna.get_all_study_names(f"sqlite:///{folder / DATABASE}")
    return sum(one != name for one in names)
