"""A search in MLflow: one run, and a run inside it for each trial.

Takes finished trials; logs those that MLflow does not have yet. Knows nothing about how they
came about. The trials themselves are kept in the workspace, so a tracker that is down costs a
search nothing but a line: the next call logs what is missing.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

from features.errors import RegistryError
from models.registry import connect
from training.record import Record, this_process
from training.tracking import PROCESS_TAG, experiment_of, log_child, told_refusals
from training.trials import LOSSES, ROUNDS, Trials
from training.tuned import Tuned

if TYPE_CHECKING:
    from mlflow import MlflowClient

SEARCH_TAG = "milepost.search"
MOST_CHILDREN = 10_000


class SearchLog:
    """Where the trials of one search go."""

    def __init__(
        self,
        workspace: Path,
        business: str,
        problem: str,
        trials: Trials,
        say: Callable[[str], None],
    ) -> None:
        self._workspace, self._trials, self._say = workspace, trials, say
        self._business, self._problem = business, problem
        self._client: MlflowClient | None = None
        self._run = self._experiment = ""
        self._known: set[str] = set()
        self._down = False

    def catch_up(self) -> None:
        """Log every finished trial that is not there yet."""
        self._try(self._log_missing)

    def end(self, tuned: Tuned | None) -> None:
        """Log what is missing, and the verdict."""
        self.catch_up()
        self._try(lambda client: self._close(client, tuned))

    def _log_missing(self, client: "MlflowClient") -> None:
        for trial in self._trials.finished:
            if _title(trial) in self._known:
                continue
            record = Record()
            rounds = trial.user_attrs[ROUNDS]
            record.log_trial(trial.number, {**trial.params, "rounds": rounds}, _told(trial))
            child = record.children[0]
            child.title = _title(trial)
            child.started, child.finished = _milliseconds(trial)
            log_child(client, self._experiment, self._run, child, this_process())
            self._known.add(child.title)

    def _close(self, client: "MlflowClient", tuned: Tuned | None) -> None:
        if tuned is not None:
            for key, value in tuned.parameters.items():
                client.set_tag(self._run, f"milepost.best.{key}", str(value))
            client.set_tag(self._run, "mlflow.note.content", tuned.says())
            client.log_metric(self._run, "best_log_loss", tuned.objective)
            client.log_metric(self._run, "default_log_loss", tuned.default_objective)
        client.set_terminated(self._run)

    def _try(self, work: Callable[["MlflowClient"], None]) -> None:
        """Do something with MLflow; a tracker that failed once is left alone, with a line."""
        if self._down:
            return
        try:
            with told_refusals(self._workspace):
                work(self._open())
        except RegistryError as error:
            self._down = True
            self._say(f"  note: {error} The trials are kept; the next tune logs them.")

    def _open(self) -> "MlflowClient":
        """Find the search's run, or make it."""
        if self._client is not None:
            return self._client
        client = connect(self._workspace)
        self._experiment = experiment_of(client, self._workspace, self._business, self._problem)
        mine = f"tags.`{SEARCH_TAG}` = '{self._trials.name}'"
        found = client.search_runs([self._experiment], mine, max_results=1)
        tags = {
            SEARCH_TAG: self._trials.name,
            PROCESS_TAG: this_process(),
            "milepost.kind": "search",
            "mlflow.source.name": "python -m training",
            "mlflow.source.type": "LOCAL",
        }
        if found:
            self._run = str(found[0].info.run_id)
            client.update_run(self._run, "RUNNING")
            client.set_tag(self._run, PROCESS_TAG, this_process())
            inside = f"tags.`mlflow.parentRunId` = '{self._run}'"
            children = client.search_runs([self._experiment], inside, max_results=MOST_CHILDREN)
            self._known = {str(child.info.run_name) for child in children}
        else:
            title = f"{self._problem}, search"
            run = client.create_run(self._experiment, tags=tags, run_name=title)
            self._run = str(run.info.run_id)
        self._client = client
        return client


def _title(trial: FrozenTrial) -> str:
    given_up = ", given up early" if trial.state == TrialState.PRUNED else ""
    return f"trial {trial.number}{given_up}"


def _told(trial: FrozenTrial) -> dict[str, float]:
    losses = trial.user_attrs[LOSSES]
    by_period = {f"period_{number}_log_loss": loss for number, loss in enumerate(losses, 1)}
    return by_period if trial.value is None else {"log_loss": trial.value, **by_period}


def _milliseconds(trial: FrozenTrial) -> tuple[int, int]:
    begun, ended = trial.datetime_start, trial.datetime_complete
    assert begun is not None and ended is not None
    return int(begun.timestamp() * 1_000), int(ended.timestamp() * 1_000)
