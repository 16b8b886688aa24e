"""A real tracking server: PostgreSQL behind `mlflow server`, artefacts through the server."""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import free_port, run
from tracking_server import TrackingServer, postgres, postgres_programs

from features.config import read_config
from models.files import load
from models.registry import (
    CHALLENGER,
    CHAMPION,
    GATE_TAG,
    RegistryError,
    connect,
    load_alias,
    load_version,
    shown_uri,
    version_at,
)
from models.watch import SHORT, Watcher
from serving.champions import Champions
from training.outbox import Entry, keep, waiting
from training.record import Record, tags_of
from training.tracking import log_entry
from training.versions import PASSED, champions

NO_POSTGRES = "PostgreSQL is not installed: apt-get install -y postgresql"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """A running tracking server over a new PostgreSQL."""
    if postgres_programs() is None:
        pytest.skip(NO_POSTGRES)
    with postgres() as uri:
        server = TrackingServer(uri, tmp_path_factory.mktemp("tracking"))
        try:
            server.start()
            yield server
        finally:
            server.kill()


@pytest.fixture
def tracked(server: TrackingServer, monkeypatch: pytest.MonkeyPatch) -> TrackingServer:
    """The server, named by the environment as MLflow's users name it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    return server


def finished(shop_run: tuple[Path, object], folder: Path, problem: str) -> Entry:
    """The shop's model as the finished run of another problem, with periods, gaps and trials."""
    (folder / "shop" / problem).mkdir(parents=True, exist_ok=True)
    target = folder / "shop" / problem / "model"
    if not target.exists():
        target.symlink_to(shop_run[0] / "shop" / "churn" / "model")
    model = load(target)
    record = Record(business="shop", problem=problem, requirements=["numpy==2.4.6"])
    record.tags = tags_of(model.contract)
    record.digest = hashlib.sha256((target / "checksums.json").read_bytes()).hexdigest()
    record.manifest = {
        "digest": model.contract.trained["data_digest"], "history_end": "2024-02-04T00:00:00Z",
        "n_events": 6, "n_customers": 2,
    }  # fmt: skip
    record.metrics = {"test_auroc": 0.9}
    record.tags[GATE_TAG] = PASSED
    record.log_by_gap([(30, {"auroc": 0.9}), (120, {"auroc": 0.7}), (60, {"auroc": float("nan")})])
    record.log_by_period(
        [(1_700_000_000_000_000, {"auroc": 0.8}), (1_600_000_000_000_000, {"auroc": 0.6})]
    )
    record.log_period(1_600_000_000_000_000, {"auroc": 0.6})
    record.log_trial(0, {"num_leaves": 7}, {"loss": 0.5})
    record.log_trial(1, {"num_leaves": 9}, {}, failed=True)
    record.finished = int(time.time() * 1000)
    return keep(folder / "shop" / problem, record)


def files_of(folder: Path) -> dict[str, bytes]:
    """Contents by path, without compiled code."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_training_goes_to_the_server_that_is_named(
    server: TrackingServer, smaller_shop: Path, tmp_path: Path
) -> None:
    """`--tracking` names the server; run and model arrive there and nowhere else."""
    done = run(
        "training", "train", str(smaller_shop), "--workspace", str(tmp_path),
        "--tracking", server.address, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.strip().splitlines()[-1])
    assert ("1", ["challenger", "champion"]) == (summary["model_version"], summary["aliases"])
    assert not (tmp_path / "mlflow.db").exists() and not (tmp_path / "artifacts").exists()
    assert list((server.folder / "artefacts").rglob("model.lgb"))
    assert [] == waiting(tmp_path, "shop", "churn")


def test_a_run_has_children_steps_and_data_sets(
    tracked: TrackingServer, shop_run: tuple[Path, object], tmp_path: Path
) -> None:
    """Periods and trials are nested runs; gaps and periods are steps of a metric."""
    logged = log_entry(tmp_path, finished(shop_run, tmp_path, "nested"))
    client = connect(tmp_path)
    assert logged.run_id is not None
    kept = client.get_run(logged.run_id)
    assert ("FINISHED", 0.9) == (kept.info.status, kept.data.metrics["test_auroc"])
    children = client.search_runs(
        [kept.info.experiment_id], f"tags.`mlflow.parentRunId` = '{logged.run_id}'"
    )
    named = {c.info.run_name: (c.info.status, c.data.params, c.data.metrics) for c in children}
    assert {
        "period from 2020-09-13": ("FINISHED", {}, {"auroc": 0.6}),
        "trial 0": ("FINISHED", {"num_leaves": "7"}, {"loss": 0.5}),
        "trial 1": ("FAILED", {"num_leaves": "9"}, {}),
    } == named
    gaps = client.get_metric_history(logged.run_id, "gap_auroc")
    assert [(30, 0.9), (120, 0.7)] == sorted((m.step, m.value) for m in gaps)
    periods = client.get_metric_history(logged.run_id, "period_auroc")
    assert [(1, 0.6, 1_600_000_000_000), (2, 0.8, 1_700_000_000_000)] == sorted(
        (m.step, m.value, m.timestamp) for m in periods
    )
    assert {"split", "base_rate", "judged_model", "registered_model"} <= set(kept.data.tags)
    assert kept.data.tags["mlflow.note.content"].startswith("**nested** of **shop**")


def test_the_model_of_the_server_is_served_bit_for_bit(
    tracked: TrackingServer, shop_run: tuple[Path, object], tmp_path: Path
) -> None:
    """What comes back through the server's artefacts is what was saved."""
    log_entry(tmp_path, finished(shop_run, tmp_path, "again"))
    found = load_alias(connect(tmp_path), "shop-again")
    expected = files_of(shop_run[0] / "shop" / "churn" / "model")
    stored = logged_files(tracked, tmp_path, "shop-again", "1")
    assert expected == {
        name.removeprefix("data/model/"): content
        for name, content in stored.items()
        if name.startswith("data/model/")
    }
    assert load(shop_run[0] / "shop" / "churn" / "model").contract == found.model.contract


def test_a_server_that_died_costs_no_model(
    server: TrackingServer, smaller_shop: Path, tmp_path: Path
) -> None:
    """Killed before a run ends: exit code 3 in seconds, and `register` uploads the same bytes."""
    common = ["--workspace", str(tmp_path), "--tracking", server.address]
    before = version_at_server(server, tmp_path)
    server.kill()
    try:
        done = run("training", "train", str(smaller_shop), *common, "--json")
        assert 3 == done.returncode, done.stderr
        assert "Traceback" not in done.stderr
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("error: ") and "python -m training register" in last
        summary = json.loads(done.stdout.strip().splitlines()[-1])
        assert (None, []) == (summary["model_version"], summary["aliases"])
        assert summary["seconds"]["register"] < 60
        (entry,) = waiting(tmp_path, "shop", "churn")
        assert str(entry.folder) == summary["kept"]
        again = run("training", "register", str(smaller_shop), *common)
        assert 2 == again.returncode and "can't be opened" in again.stderr
        assert [entry] == waiting(tmp_path, "shop", "churn")
        expected = files_of(entry.folder)
    finally:
        server.start()
    done = run("training", "register", str(smaller_shop), *common)
    assert done.returncode == 0, done.stderr
    found = re.search(r"registered as version (\d+)", done.stdout)
    assert found is not None and found.group(1) != before
    assert [] == waiting(tmp_path, "shop", "churn")
    logged = logged_files(server, tmp_path, "shop-churn", found.group(1))
    for name in ("model.lgb", "contract.json", "calibration.json", "checksums.json"):
        assert expected[f"model/{name}"] == logged[f"data/model/{name}"]
    code = {name for name in expected if name.startswith("code/")}
    assert all(expected[name] == logged[name] for name in code) and code
    assert (
        "no finished model waits" in run("training", "register", str(smaller_shop), *common).stdout
    )


def version_at_server(server: TrackingServer, workspace: Path) -> str | None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server.address)
        return version_at(connect(workspace), "shop-churn", CHALLENGER)


def logged_files(
    server: TrackingServer, workspace: Path, name: str, version: str
) -> dict[str, bytes]:
    """The files of a version as they lie behind the server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server.address)
        source = connect(workspace).get_model_version(name, version).source
    return files_of(server.folder / "artefacts" / source.removeprefix("mlflow-artifacts:/"))


def test_a_server_that_stops_leaves_the_last_good_model(
    tracked: TrackingServer, shop: Path, shop_run: tuple[Path, object], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Models come through the server's artefacts; without it the last one serves, degraded."""
    for key, value in SHORT.items():
        monkeypatch.setenv(key, value)
    log_entry(tmp_path, finished(shop_run, tmp_path, "churn"))
    watcher, champions = Watcher(tmp_path, ["shop-churn"]), Champions(read_config(shop), tmp_path)
    watcher.round()
    champions.look()
    version = champions.of("churn").version
    assert () == champions.state().degraded
    tracked.kill()
    try:
        start = time.monotonic()
        watcher.round()
        assert time.monotonic() - start < 60
        assert version == champions.of("churn").version
        assert any("no answer" in told for told in champions.state().degraded)
        again = Champions(read_config(shop), tmp_path)
        again.wait(0)
        assert version == again.of("churn").version
    finally:
        tracked.start()
    watcher.round()
    assert () == champions.state().degraded


def test_an_entry_is_registered_once(
    tracked: TrackingServer, shop_run: tuple[Path, object], tmp_path: Path
) -> None:
    """An entry that was registered before a crash only gets its aliases, and then goes."""
    entry = finished(shop_run, tmp_path, "once")
    copy = tmp_path / "copy"
    shutil.copytree(entry.folder, copy)
    first = log_entry(tmp_path, entry)
    copy.rename(entry.folder)
    second = log_entry(tmp_path, entry)
    assert (first.run_id, "1") == (second.run_id, second.version)
    assert 1 == len(connect(tmp_path).search_model_versions("name = 'shop-once'"))


def test_a_late_model_does_not_displace_a_newer_challenger(
    tracked: TrackingServer, shop_run: tuple[Path, object], tmp_path: Path
) -> None:
    """A run that ended first and is registered last gets no alias."""
    older, newer = (finished(shop_run, tmp_path, "late") for _ in range(2))
    older.record.finished -= 5_000
    log_entry(tmp_path, newer)
    assert [] == log_entry(tmp_path, older).aliases
    client = connect(tmp_path)
    assert "1" == version_at(client, "shop-late", CHAMPION)
    assert ["1"] == [reign.version for reign in champions(client, "shop-late")]


def test_a_password_is_not_printed() -> None:
    """A tracking URI is shown without its password."""
    assert "postgresql://me:***@db/x" == shown_uri("postgresql://me:secret@db/x")
    assert "http://127.0.0.1:5000" == shown_uri("http://127.0.0.1:5000")


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:{}", "postgresql+psycopg://me:secret@127.0.0.1:{}/x"]
)
def test_a_dead_tracker_is_an_error_in_seconds(uri: str, shop: Path, tmp_path: Path) -> None:
    """Nobody listens: exit code 2, one paragraph, no password, and not minutes."""
    start = time.monotonic()
    done = run(
        "training", "promote", str(shop), "--workspace", str(tmp_path), "--tracking",
        uri.format(free_port()),
    )  # fmt: skip
    assert 2 == done.returncode
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "can't be opened" in line and "secret" not in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - start < 60


def test_a_version_whose_files_can_not_be_checked_is_refused(tmp_path: Path) -> None:
    """Without the digest that was registered with it, no version is loaded."""
    client = connect(tmp_path)
    client.create_registered_model("shop-churn")
    made = client.create_model_version("shop-churn", (tmp_path / "model").as_uri())
    with pytest.raises(RegistryError, match="has no tag"):
        load_version(client, "shop-churn", made.version)
