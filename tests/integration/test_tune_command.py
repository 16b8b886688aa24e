"""`python -m training tune` as a data scientist runs it, and what `train` makes of it."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from conftest import ROOT, free_port, run
from journeys import make_shop
from mlflow import MlflowClient

from models.files import load
from models.registry import connect
from training.__main__ import main
from training.search_log import SEARCH_TAG
from training.tuned import TUNED, read_tuned, write_tuned


@pytest.fixture(scope="module")
def small_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop so small that a trial takes a second."""
    return make_shop(tmp_path_factory.mktemp("small"), 80)


@pytest.fixture(scope="module")
def tuned(
    small_shop: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, CompletedProcess[str]]:
    """A workspace in which a search was made in two calls, and what the second one printed."""
    workspace = tmp_path_factory.mktemp("tuned")
    tune(small_shop, workspace, 2)
    return workspace, tune(small_shop, workspace, 4)


def tune(shop: Path, workspace: Path, n_trials: int, *more: str) -> CompletedProcess[str]:
    done = run(
        "training", "tune", str(shop), "--workspace", str(workspace), "--trials", str(n_trials),
        "--json", *more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def searches(client: MlflowClient) -> list[tuple[str, list[str]]]:
    """The status of each logged search, and its trials' names in order."""
    (experiment,) = (e.experiment_id for e in client.search_experiments() if "shop" in e.name)
    found = client.search_runs([experiment], f"tags.`{SEARCH_TAG}` LIKE '%'")
    told = []
    for parent in found:
        inside = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        children = client.search_runs([experiment], inside)
        told.append((parent.info.status, sorted(str(c.info.run_name) for c in children)))
    return told


def test_a_second_call_goes_on(tuned: tuple[Path, CompletedProcess[str]]) -> None:
    """The summary counts the trials of both calls, and the lines tell of the new ones alone."""
    summary = json.loads(tuned[1].stdout.splitlines()[-1])
    assert ("churn", 4) == (summary["problem"], summary["n_trials"])
    assert summary["objective"] <= summary["default_objective"]
    assert "going on after 2 trials" in tuned[1].stderr
    assert ["2", "3"] == re.findall(r"^  trial (\d+): ", tuned[1].stderr, re.MULTILINE)


def test_every_trial_is_in_mlflow(tuned: tuple[Path, CompletedProcess[str]]) -> None:
    """One run a search, finished, with a run inside it for each trial of both calls."""
    ((status, names),) = searches(connect(tuned[0]))
    assert "FINISHED" == status
    assert ["trial 0", "trial 1", "trial 2", "trial 3"] == names


def test_a_dead_tracker_costs_a_search_nothing(small_shop: Path, tmp_path: Path) -> None:
    """The search ends well, and the next call logs the trials that MLflow missed."""
    done = tune(small_shop, tmp_path, 2, "--tracking", f"http://127.0.0.1:{free_port()}")
    assert 1 == done.stderr.count("The trials are kept; the next tune logs them.")
    assert (tmp_path / "shop" / "churn" / TUNED).exists()
    tune(small_shop, tmp_path, 2)
    assert [("FINISHED", ["trial 0", "trial 1"])] == searches(connect(tmp_path))


def test_a_killed_search_goes_on(small_shop: Path, tmp_path: Path) -> None:
    """SIGKILL while it searches; the next call counts what was finished and completes it."""
    command = ["training", "tune", str(small_shop), "--workspace", str(tmp_path), "--minutes", "9"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", *command], cwd=ROOT, stderr=subprocess.PIPE, text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("MLFLOW")},
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith("  trial 2"):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    done = tune(small_shop, tmp_path, 9)
    going_on = re.search(r"going on after (\d) trials", done.stderr)
    assert going_on is not None
    assert 3 <= int(going_on[1]) < 9
    assert 9 == json.loads(done.stdout.splitlines()[-1])["n_trials"]
    ((status, names),) = searches(connect(tmp_path))
    assert ("FINISHED", 9) == (status, len(names))


def heed_interrupts() -> None:
    """A shell starts what runs in its background deaf to Ctrl-C, and so its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_search_tells_what_it_found(small_shop: Path, tmp_path: Path) -> None:
    """Ctrl-C ends the search and not the command: the file is written and the run finished."""
    command = ["training", "tune", str(small_shop), "--workspace", str(tmp_path), "--minutes", "9"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", *command], cwd=ROOT, stderr=subprocess.PIPE, text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("MLFLOW")},
        preexec_fn=heed_interrupts,
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith("  trial 1"):
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert 0 == process.returncode, rest
    assert "stopped; what was found until now counts" in rest
    assert (tmp_path / "shop" / "churn" / TUNED).exists()
    assert "FINISHED" == searches(connect(tmp_path))[0][0]


def test_training_uses_what_was_found_and_says_so(
    shop: Path, tuned: tuple[Path, CompletedProcess[str]], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The summary, MLflow and the contract name the parameters; `--untuned` leaves them aside."""
    workspace, folder = tmp_path, tmp_path / "shop" / "churn"
    found = read_tuned(tuned[0] / "shop" / "churn")
    assert found is not None
    folder.mkdir(parents=True)
    found = replace(found, parameters={**found.parameters, "num_leaves": 3}, beats_noise=True)
    write_tuned(folder, found)
    told = {}
    for option in ("--json", "--untuned"):
        arguments = ["train", str(shop), "--workspace", str(workspace), "--json"]
        assert 0 == main([*dict.fromkeys((*arguments, option))])
        out, err = capsys.readouterr()
        assert (option == "--json") == ("tuned parameters: " in err)
        told[option] = json.loads(out.splitlines()[-1])
        params = connect(workspace).get_run(told[option]["run_id"]).data.params
        assert str(option == "--json") == params["tuned"]
        assert (option == "--json") == (params["num_leaves"] == "3")
        trained = load(folder / "model").contract.trained
        assert told[option]["tuned"] == trained["tuned"]
        assert (3 if option == "--json" else 4) == load(folder / "model").trees.leaves.max()
    assert found.parameters == told["--json"]["tuned"]["parameters"]
    assert told["--untuned"]["tuned"] is None


@pytest.mark.parametrize("option", [("--trials", "0"), ("--minutes", "-1"), ("--minutes", "nan")])
def test_a_budget_is_above_zero(
    option: tuple[str, str], small_shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No time or no trials is a mistake that is named."""
    with pytest.raises(SystemExit) as ended:
        main(["tune", str(small_shop), "--workspace", str(tmp_path), *option])
    assert 2 == ended.value.code
    assert "above zero" in capsys.readouterr().err


def test_few_positives_are_not_tuned(
    small_shop: Path,
    tuned: tuple[Path, CompletedProcess[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where positives are few the fit has no parameters to tune, and training says so."""
    folder = tuned[0] / "shop" / "churn"
    found = read_tuned(folder)
    assert found is not None
    write_tuned(folder, replace(found, beats_noise=True))
    assert 0 == main(["train", str(small_shop), "--workspace", str(tuned[0]), "--json"])
    out, err = capsys.readouterr()
    assert "default parameters: positives are too few" in err
    assert json.loads(out.splitlines()[-1])["tuned"] is None
