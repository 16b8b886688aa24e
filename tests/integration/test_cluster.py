"""Training sets and models from a real Spark master with two workers on loopback."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import free_port, run
from journeys import make_grouped_shop, make_shop

from features.buckets import open_buckets, write_buckets
from features.cluster import OneProcess, Runner, spark
from features.config import Business, read_config
from features.sources import read_histories
from training.__main__ import main
from training.clock import Clock
from training.engines import InProcess, OnBuckets
from training.evaluation import evaluate
from training.fitting import fit
from training.label_table import SPLITS
from training.partitions import PURGED_BEFORE, WRITTEN_SPLITS
from training.prepare import PURGED, Prepared
from training.training_set import rows_of

JAVA = shutil.which("java") or os.environ.get("JAVA_HOME")
needs_spark = pytest.mark.skipif(
    JAVA is None or find_spec("pyspark") is None,
    reason="no Java or no pyspark here: make system (as root) and make spark bring them",
)
LOOPBACK = "127.0.0.1"
FLAGS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"

PROBLEMS = """
[problems.order]
outcome = { event = "order" }
horizon = "20d"
at = { event = "ticket" }

[problems.renewal]
outcome = { not = "order", by = "due" }
before = { property = "due", lead = ["20d", "5d"] }

[problems.brought]
labels = \"\"\"
select customer, cutoff::date as cutoff_time, hash(customer, cutoff) % 3 = 0 as label
from (select distinct customer from 'customers.csv' where customer < 'c120'
      union all select unnest(['nobody-1', 'nobody-2'])),
     (select unnest(generate_series(date '2023-03-01', date '2023-12-01', interval 1 month))
      as cutoff)
\"\"\"
horizon = "30d"
"""


@contextmanager
def daemon(log: Path, name: str, *arguments: str) -> Iterator[None]:
    """One of Spark's own processes, gone with all its children at the end."""
    import pyspark

    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-class")]
    settings = {
        "SPARK_LOCAL_IP": LOOPBACK,
        "SPARK_DAEMON_JAVA_OPTS": FLAGS,
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_LOCAL_DIRS": str(log.parent),
    }
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, f"org.apache.spark.deploy.{name}", "--host", LOOPBACK, *arguments],
            env={**os.environ, **settings},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def wait_for(log: Path, says: str, times: int = 1, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while log.read_text().count(says) < times:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{log.name} never said {says!r}:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a standalone master that has two workers of one core each."""
    folder = tmp_path_factory.mktemp("spark")
    port = str(free_port())
    address = f"spark://{LOOPBACK}:{port}"
    head = folder / "master.log"
    worker = ("worker.Worker", "--port", "0", "--webui-port", "0", "--cores", "1", "-m", "1g")
    with daemon(head, "master.Master", "--port", port, "--webui-port", "0"):
        one, two = folder / "one", folder / "two"
        with (
            daemon(folder / "one.log", *worker, "--work-dir", str(one), address),
            daemon(folder / "two.log", *worker, "--work-dir", str(two), address),
        ):
            wait_for(head, "Registering worker", 2)
            yield address


@pytest.fixture(scope="module")
def cluster(master: str) -> Iterator[Runner]:
    """This process, connected to the master."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", LOOPBACK)
        with spark(master) as runner:
            yield runner


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> Business:
    """A shop that asks at regular cutoffs, at events, before dates and in a label table."""
    config = make_shop(tmp_path_factory.mktemp("shop"), 150)
    due = "day as event_time, 'order' as event, day + interval 40 days as due,"
    text = config.read_text().replace("day as event_time, 'order' as event,", due)
    assert due in text
    config.write_text(text + PROBLEMS)
    return read_config(config)


@pytest.fixture(scope="module")
def here(business: Business) -> InProcess:
    """One process that holds the whole history."""
    return InProcess(read_histories(business), lambda _: None)


@pytest.fixture(scope="module")
def folder(business: Business, here: InProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same history in buckets."""
    folder = tmp_path_factory.mktemp("bucketed")
    write_buckets(business, here.histories, folder, 5)
    return folder


def built(
    engine: InProcess | OnBuckets, business: Business, name: str, out: Path
) -> tuple[list[tuple[object, ...]], bytes, list[str]]:
    """A training set's keys, its matrix as bytes, and its columns, by customer and cutoff."""
    engine.build(business, engine.resolve(business.problem(name)), out, Clock(lambda _: None))
    table = pq.read_table(out)
    table = table.sort_by([(key, "ascending") for key in ("customer", "cutoff_time", "label")])
    keys = table.select(["customer", "cutoff_time", "known_time", "label", "split"])
    features = table.select(table.column_names[5:])
    matrix = np.stack([column.to_numpy() for column in features.columns], axis=1)
    rows = [tuple(row.values()) for row in keys.to_pylist()]
    return rows, np.ascontiguousarray(matrix).tobytes(), features.column_names


@pytest.mark.parametrize("name", ["churn", "order", "renewal", "brought"])
def test_buckets_give_the_training_set_of_the_whole_log(
    name: str, business: Business, here: InProcess, folder: Path, tmp_path: Path
) -> None:
    """A bucket at a time, rows, labels, split, columns and every bit are those of one process."""
    parts = OnBuckets(open_buckets(business, folder), OneProcess())
    expected = built(here, business, name, tmp_path / "whole")
    assert expected == built(parts, business, name, tmp_path / "parts")
    assert ["_training_set.json"] == [
        path.name for path in (tmp_path / "parts").iterdir() if path.suffix != ".parquet"
    ]


def test_a_training_set_is_what_training_fits_on(
    business: Business, here: InProcess, folder: Path, tmp_path: Path
) -> None:
    """What is judged after a build on buckets equals, in order too, what one process judges."""
    problem = here.resolve(business.problem("churn"))
    parts = OnBuckets(open_buckets(business, folder), OneProcess())
    expected = here.prepare(business, problem, tmp_path, Clock(lambda _: None))
    actual = parts.prepare(business, problem, tmp_path, Clock(lambda _: None))
    assert expected.features == actual.features
    assert expected.base_rate == actual.base_rate
    assert len(expected.purged) > 100
    assert expected.purged.tolist() == actual.purged.tolist()
    for name in (*SPLITS, PURGED):
        matrix, label = expected.parts[name]
        assert matrix.tobytes() == actual.parts[name][0].tobytes()
        assert label.tolist() == actual.parts[name][1].tolist()


def learned(ready: Prepared, splits: Sequence[str]) -> list[bytes]:
    """The rows of some splits as they lie on disk, in no order."""
    assert ready.folder is not None
    found = [
        np.append(row, label).tobytes()
        for path in ready.folder.glob("part-*.parquet")
        for row, label in zip(*rows_of(path, ready.features, splits), strict=True)
    ]
    return sorted(found)


@pytest.fixture(scope="module")
def grouped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Business, InProcess, Path]:
    """A shop that counts the events of households and of teams, in one process and in buckets."""
    business = read_config(make_grouped_shop(tmp_path_factory.mktemp("grouped")))
    here = InProcess(read_histories(business), lambda _: None)
    folder = tmp_path_factory.mktemp("together")
    write_buckets(business, here.histories, folder, 5)
    return business, here, folder


def test_groups_that_lie_together_give_the_training_set_of_the_whole_log(
    grouped: tuple[Business, InProcess, Path], tmp_path: Path
) -> None:
    """A bucket at a time, columns of households and teams are those of one process, bit for bit."""
    business, here, folder = grouped
    parts = OnBuckets(open_buckets(business, folder), OneProcess())
    assert sum(count > 0 for count in parts.buckets.n_events) > 2
    expected = built(here, business, "churn", tmp_path / "whole")
    for group in ("household", "team"):
        assert any(name.startswith(f"{group}_order_count") for name in expected[2])
    assert expected == built(parts, business, "churn", tmp_path / "parts")


@needs_spark
def test_a_cluster_counts_the_events_of_whole_groups(
    grouped: tuple[Business, InProcess, Path], cluster: Runner, tmp_path: Path
) -> None:
    """Two workers give the columns of households and teams that one process gives."""
    business, here, folder = grouped
    parts = OnBuckets(open_buckets(business, folder), cluster)
    expected = built(here, business, "churn", tmp_path / "whole")
    assert expected == built(parts, business, "churn", tmp_path / "parts")


def test_what_is_refitted_on_buckets_learns_the_rows_of_one_process(
    business: Business, here: InProcess, folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Before the test and for the registered model, rows that the purge left out are learned too,
    and of the former only those whose outcome was known."""
    monkeypatch.setattr("training.few_positives.FEW", 0)
    problem = here.resolve(business.problem("churn"))
    parts = OnBuckets(open_buckets(business, folder), OneProcess())
    expected = here.prepare(business, problem, tmp_path, Clock(lambda _: None))
    actual = parts.prepare(business, problem, tmp_path, Clock(lambda _: None))
    assert expected.has_newer_rows and actual.has_newer_rows
    for (matrix, label), splits in (
        (expected.before_test, (*SPLITS[:2], PURGED_BEFORE)),
        (expected.all_matured, WRITTEN_SPLITS),
    ):
        rows = zip(matrix, label, strict=True)
        assert sorted(np.append(*row).tobytes() for row in rows) == learned(actual, splits)
    assert len(expected.before_test[1]) < len(expected.all_matured[1])
    first = here.fit(expected)
    for before_test in (True, False):
        one = here.refit(expected, first, before_test)
        assert n_learned(one) == n_learned(parts.refit(actual, first, before_test))


def n_learned(booster: lgb.Booster) -> set[int]:
    """How many rows each tree was grown from."""
    trees = booster.dump_model()["tree_info"]
    return {tree["tree_structure"]["internal_count"] for tree in trees}


@needs_spark
@pytest.mark.parametrize("name", ["churn", "brought"])
def test_a_cluster_gives_the_training_set_of_one_process(
    name: str, business: Business, here: InProcess, folder: Path, cluster: Runner, tmp_path: Path
) -> None:
    """Two workers of a standalone master write the same rows, bit for bit."""
    parts = OnBuckets(open_buckets(business, folder), cluster)
    expected = built(here, business, name, tmp_path / "whole")
    assert expected == built(parts, business, name, tmp_path / "parts")


@needs_spark
def test_a_fault_on_a_worker_comes_back_in_a_sentence(
    business: Business, folder: Path, cluster: Runner, tmp_path: Path
) -> None:
    """A damaged bucket is named by the worker that met it; nothing hangs."""
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "events" / "bucket-00003.parquet").write_bytes(b"no parquet")
    parts = OnBuckets(open_buckets(business, tmp_path / "copy"), cluster)
    problem = parts.resolve(business.problem("churn"))
    with pytest.raises(Exception, match=r"worker.*bucket-00003\.parquet can't be read"):
        parts.build(business, problem, tmp_path / "out", Clock(lambda _: None))


@needs_spark
def test_trees_of_two_machines_tell_apart_as_well_as_those_of_one(
    business: Business, folder: Path, cluster: Runner, tmp_path: Path
) -> None:
    """Trees fitted by two workers over sockets rank untouched rows as a local fit does."""
    parts = OnBuckets(open_buckets(business, folder), cluster)
    problem = parts.resolve(business.problem("churn"))
    ready = parts.prepare(business, problem, tmp_path, Clock(lambda _: None))
    alone = fit(ready.features, ready.parts["train"], ready.parts["validation"], problem.seed)
    matrix, label = ready.parts["test"]
    together = parts.fit(ready)
    assert alone.feature_name() == together.feature_name()
    expected = evaluate(label, np.asarray(alone.predict(matrix)))
    actual = evaluate(label, np.asarray(together.predict(matrix)))
    assert expected.auroc == pytest.approx(actual.auroc, abs=0.03)
    assert expected.log_loss == pytest.approx(actual.log_loss, abs=0.03)
    assert together.model_to_string() == parts.fit(ready).model_to_string()


@needs_spark
def test_a_run_on_spark_is_judged_and_registered_as_a_local_one(
    shop: Path, shop_run: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """`train --engine spark` ends with a model whose metrics are nearly those of a local fit."""
    done = run(
        "training", "train", str(shop), "--engine", "spark", "--workspace", str(tmp_path), "--json"
    )
    assert done.returncode == 0, done.stderr
    actual, expected = (json.loads(d.stdout.strip().splitlines()[-1]) for d in (done, shop_run[1]))
    same = ("n_train", "n_validation", "n_test", "n_unknown", "n_features", "split", "base_rate")
    assert {key: expected[key] for key in same} == {key: actual[key] for key in same}
    assert expected["baselines"] == actual["baselines"]
    for metric in ("auroc", "average_precision", "brier"):
        assert expected[metric] == pytest.approx(actual[metric], abs=0.03)
    assert "challenger" in actual["aliases"]
    assert {"G07"}.isdisjoint(reason["code"] for reason in actual["gate"]["reasons"])


@pytest.mark.skipif(find_spec("pyspark") is None, reason="no pyspark here: make spark brings it")
@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["--master", "spark://127.0.0.1:1"], {}, "No Spark master answers at spark://127.0.0.1:1"),
        (["--master", "mesos"], {}, "'mesos' is no address of a Spark master"),
        ([], {"PATH": "/nowhere"}, "No java is found"),
        ([], {"JAVA_HOME": "/nowhere"}, "/nowhere/bin/java can't be run"),
    ],
)
def test_a_cluster_out_of_reach_is_one_paragraph_and_exit_code_2(
    arguments: list[str],
    environment: dict[str, str],
    says: str,
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A missing Java, a wrong address or a silent master is named before anything is read."""
    if JAVA is None and "--master" in arguments:
        pytest.skip("no Java here: make system (as root) brings it")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "out"
    command = ["build", str(shop), "--out", str(out), "--engine", "spark", *arguments]
    assert 2 == main(command)
    told = capsys.readouterr().err
    assert told.startswith("error: ") and 1 == len(told.strip().splitlines())
    assert says in told
    assert not out.exists()


def test_a_missing_pyspark_is_named(
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Without the extra, the engine spark says how to get it."""
    monkeypatch.setitem(sys.modules, "pyspark", None)
    assert 2 == main(["build", str(shop), "--out", str(tmp_path / "o"), "--engine", "spark"])
    told = capsys.readouterr().err
    assert "pyspark, which is not installed" in told and "make spark" in told
