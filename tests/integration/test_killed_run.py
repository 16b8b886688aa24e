"""SIGKILL at any moment of a run: no half-registered version, and the next run succeeds."""

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest
from journeys import make_shop
from mlflow import MlflowClient

from models.registry import DIGEST_TAG, connect, load_alias, load_version
from training.__main__ import main
from training.outbox import UNFINISHED, waiting
from training.tracking import PROCESS_TAG, SHARED_TAGS
from training.versions import ENTRY_TAG, FINISHED_TAG, champions, promote

NAME, SEED = "shop-churn", 20
EARLY = (0.02, 0.15, 0.4, 0.6, 0.8)
"""Moments on an empty workspace, as shares of a run; each is moved by chance."""


@pytest.fixture(scope="module")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop so small that a run takes a few seconds."""
    return make_shop(tmp_path_factory.mktemp("small"), 60)


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    """Processes that have imported everything already: a run begins at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.__main__", "mlflow", "mlflow.pyfunc", "shap"])
    return context


def train(forks: ForkServerContext, shop: Path, workspace: Path, seconds: float | None) -> float:
    """A run that is killed after some seconds, unless None; gives the seconds that it took."""
    arguments = ["train", str(shop), "--workspace", str(workspace)]
    begun = time.monotonic()
    process = forks.Process(target=main, args=(arguments,))
    process.start()
    process.join(seconds)
    if seconds is not None and process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return time.monotonic() - begun


def check_versions(client: MlflowClient, workspace: Path) -> list[str]:
    """Every version is whole: its files, its tags, its finished run, its ready model."""
    found = client.search_model_versions(f"name = '{NAME}'")
    for version in found:
        model = load_version(client, NAME, version.version).model
        assert model.contract.problem_name == "churn"
        assert {DIGEST_TAG, ENTRY_TAG, FINISHED_TAG, *SHARED_TAGS} <= set(version.tags)
        run = client.get_run(version.run_id)
        assert "FINISHED" == run.info.status
        assert run.data.metrics["test_auroc"] > 0.5
        assert {"train", "validation", "test"} == {
            tag.value for item in run.inputs.dataset_inputs for tag in item.tags
        }
        models = client.search_logged_models(
            [run.info.experiment_id], f"source_run_id = '{version.run_id}'"
        )
        assert ["READY"] == [str(model.status) for model in models]
    assert len({v.tags[ENTRY_TAG] for v in found}) == len(found)
    return [str(v.version) for v in found]


def kill_at(
    forks: ForkServerContext, shop: Path, workspace: Path, moments: Sequence[float]
) -> None:
    for moment in moments:
        train(forks, shop, workspace, float(moment))
        if (workspace / "mlflow.db").exists():
            check_versions(connect(workspace), workspace)


def test_a_killed_run_leaves_no_half_registered_version(
    small_shop: Path, forks: ForkServerContext, tmp_path: Path
) -> None:
    """Ten seeded moments: five on an empty workspace, five while a champion stands."""
    train(forks, small_shop, tmp_path / "warm", None)  # compiled code, fonts, a first database
    length = train(forks, small_shop, tmp_path / "warm", None)
    assert ["2", "1"] == check_versions(connect(tmp_path / "warm"), tmp_path / "warm")

    workspace, rng = tmp_path / "ws", np.random.default_rng(SEED)
    kill_at(forks, small_shop, workspace, (np.array(EARLY) + rng.uniform(0, 0.2, 5)) * length)
    train(forks, small_shop, workspace, None)
    client = connect(workspace)
    first = check_versions(client, workspace)
    champion = promote(client, NAME, because="so that a champion stands")
    assert first and champion in first

    # The last half of a run is where it registers.
    kill_at(forks, small_shop, workspace, rng.uniform(0.5, 1.0, 5) * length)
    train(forks, small_shop, workspace, None)
    then = check_versions(client, workspace)
    assert len(then) > len(first)
    assert champion == load_alias(client, NAME).version
    assert champion == champions(client, NAME)[-1].version

    experiment = client.get_experiment_by_name(NAME)
    runs = client.search_runs([experiment.experiment_id])
    assert {"FINISHED", "KILLED"} >= {run.info.status for run in runs}
    ready = {m.source_run_id for m in client.search_logged_models([experiment.experiment_id])}
    assert not ready & {run.info.run_id for run in runs if "KILLED" == run.info.status}
    assert all(PROCESS_TAG in run.data.tags for run in runs)

    # What was finished when its run was killed can still be registered, once.
    left = waiting(workspace, "shop", "churn")
    assert 0 == main(["register", str(small_shop), "--workspace", str(workspace)])
    assert [] == waiting(workspace, "shop", "churn")
    whole = check_versions(client, workspace)
    assert len(then) <= len(whole) <= len(then) + len(left)
    assert all(p.suffix != UNFINISHED or p.is_dir() for p in workspace.rglob("*"))
