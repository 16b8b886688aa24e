"""Work on buckets, in this process or on a Spark cluster.

Takes a function of a bucket's number and the numbers; gives its answers in that order. Spark
is the scheduler and nothing more: it is handed numbers, each task reads its bucket and
writes its files itself, and no row is shuffled or crosses into the JVM. Knows nothing about
what the function does. Spark is imported when it is asked for; it is an extra.

Every machine of a cluster must see the folders that are named under the same path. Workers
on this machine import this project from where this process does; others are sent its
packages, and need Python with the packages of `requirements.lock` (set `PYSPARK_PYTHON` to
it). More settings, such as the executors' memory, come from `spark-defaults.conf` in
`SPARK_CONF_DIR`.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pyarrow as pa
from tqdm import tqdm

from features.errors import ClusterError, MilepostError

Answer = Any
"""What JSON can hold."""
Work = Callable[[int], Answer]

PACKAGES = ("features", "models", "training", "serving")
"""What workers import; the other packages have no part in their work."""

DEFAULT_MASTER = "local[2]"
OLDEST_JAVA = 17
CONNECT_SECONDS = 5.0

ONE_THREAD = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS")
"""A task is one thread: the cluster shares out cores by tasks."""

LOGGING = """
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = spark: %p %c{1}: %m%n
logger.stages.name = org.apache.spark.scheduler.DAGScheduler
logger.stages.level = off
logger.tasks.name = org.apache.spark.scheduler.TaskSetManager
logger.tasks.level = off
logger.offers.name = org.apache.spark.scheduler.TaskSchedulerImpl
logger.offers.level = warn
logger.executor.name = org.apache.spark.executor
logger.executor.level = off
logger.shell.name = org.apache.spark.api.python.PythonGatewayServer
logger.shell.level = error
"""
"""What Spark may say: that it waits for workers. A failed task comes back as an error of ours."""


class Runner(Protocol):
    """Where work on buckets is done."""

    def each(self, work: Work, buckets: Sequence[int]) -> list[Answer]:
        """The answer of `work` for every bucket, in their order."""

    def together(self, work: Callable[[int, list[str]], Answer], n_tasks: int) -> list[Answer]:
        """Run tasks that talk to each other, all at the same time.

        Each is called with its number and the addresses, `host:port`, at which tasks 0, 1, …
        may listen; the port is free and its own.
        """

    @property
    def n_slots(self) -> int:
        """How many tasks can run at the same time."""


class OneProcess:
    """Bucket after bucket in this process; memory grows with a bucket."""

    n_slots = 1

    def each(self, work: Work, buckets: Sequence[int]) -> list[Answer]:
        # Drawn on a terminal alone.
        bar = tqdm(buckets, desc="  buckets", unit=" buckets", leave=False, disable=None)
        return [work(bucket) for bucket in bar]

    def together(self, work: Callable[[int, list[str]], Answer], n_tasks: int) -> list[Answer]:
        if n_tasks != 1:
            raise ValueError("one process runs one task at a time")
        return [work(0, [f"127.0.0.1:{_free_port()}"])]


class Spark:
    """Buckets shared out to a Spark cluster's workers; made by `spark`."""

    def __init__(self, session: Any) -> None:
        self._session = session

    @property
    def n_slots(self) -> int:
        return int(self._session.sparkContext.defaultParallelism)

    def each(self, work: Work, buckets: Sequence[int]) -> list[Answer]:
        """One task a bucket. `work` must be importable or picklable."""
        if not len(buckets):
            return []
        numbers = list(buckets)

        def run(places: Iterable[int]) -> Iterator[tuple[int, Answer]]:
            for place in places:
                yield place, work(numbers[place])

        answers = self._collect(run, len(numbers), barrier=False)
        return [answers[place] for place in range(len(numbers))]

    def together(self, work: Callable[[int, list[str]], Answer], n_tasks: int) -> list[Answer]:
        """Spark's barrier mode: all tasks start at once, and fail at once."""

        def run(places: Iterable[int]) -> Iterator[tuple[int, Answer]]:
            from pyspark import BarrierTaskContext

            context = BarrierTaskContext.get()
            own = context.partitionId()
            host = socket.gethostbyname(context.getTaskInfos()[own].address.rsplit(":", 1)[0])
            addresses = context.allGather(f"{host}:{_free_port(host)}")
            for place in places:
                yield place, work(own, list(addresses))

        answers = self._collect(run, n_tasks, barrier=True)
        return [answers[place] for place in range(n_tasks)]

    def _collect(
        self,
        run: Callable[[Iterable[int]], Iterator[tuple[int, Answer]]],
        n_tasks: int,
        barrier: bool,
    ) -> dict[int, Answer]:
        """Run one task a number on the cluster; a fault of ours comes back as itself."""

        def batches(given: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            pa.set_cpu_count(1)
            places = [int(place) for batch in given for place in batch.column(0).to_pylist()]
            try:
                found = [{"place": p, "answer": json.dumps(answer)} for p, answer in run(places)]
            except MilepostError as error:
                found = [{"place": place, "fault": str(error)} for place in places]
            yield pa.RecordBatch.from_pylist(
                found,
                pa.schema({"place": pa.int64(), "answer": pa.string(), "fault": pa.string()}),
            )

        numbers = self._session.range(0, n_tasks, 1, n_tasks)
        schema = "place long, answer string, fault string"
        try:
            with _quiet():
                rows = numbers.mapInArrow(batches, schema, barrier=barrier).toArrow().to_pylist()
        except Exception as error:
            raise ClusterError(_reason(error)) from error
        for row in rows:
            if row["fault"] is not None:
                raise ClusterError(f"On a worker of the cluster: {row['fault']}")
        return {row["place"]: json.loads(row["answer"]) for row in rows}


@contextmanager
def spark(master: str) -> Iterator[Spark]:
    """Connect to a cluster, and leave it when done.

    Parameters
    ----------
    master
        As Spark writes it: `local[2]`, `spark://host:7077`, `yarn`, `k8s://…`.

    Raises
    ------
    ClusterError
        When pyspark or Java is missing, or nobody listens at the master's address.
    """
    try:
        import pyspark  # noqa: F401 - only to see whether it is there
    except ImportError as error:
        raise ClusterError(
            "The engine spark needs the package pyspark, which is not installed. Install it with "
            "make spark, or with pip install 'milepost[spark]'."
        ) from error
    _check_java()
    _check_master(master)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with tempfile.TemporaryDirectory(prefix="milepost-") as scratch:
        with _quiet():
            session = _session(master, Path(scratch))
        try:
            if not master.startswith("local"):
                _ship(session, Path(scratch))
            yield Spark(session)
        finally:
            session.stop()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Spark's warning about its own use of pandas; only Arrow passes here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        yield


def _session(master: str, scratch: Path) -> Any:
    """A session whose workers import what this process does."""
    from pyspark.sql import SparkSession

    logging = scratch / "log4j2.properties"
    logging.write_text(LOGGING)
    flags = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # they halve the time to start
    root = str(Path(__file__).resolve().parent.parent)
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": f"{flags} -Dlog4j2.configurationFile={logging}",
        "spark.executor.extraJavaOptions": flags,
        "spark.python.worker.reuse": "true",  # compiled code stays loaded from task to task
        "spark.task.maxFailures": "2",
        "spark.executorEnv.PYTHONPATH": root,
        "spark.executorEnv.OMP_WAIT_POLICY": "passive",
        **{f"spark.executorEnv.{name}": "1" for name in ONE_THREAD},
    }
    builder = SparkSession.builder.master(master).appName("milepost")
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise ClusterError(f"Spark can't be started at {master}: {_reason(error)}") from error
    return session


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    get = (
        f"Spark needs Java {OLDEST_JAVA} or newer: install it, on Debian with apt-get install "
        "openjdk-17-jre-headless, or set JAVA_HOME."
    )
    if java is None:
        raise ClusterError(f"No java is found on the PATH, and JAVA_HOME is not set. {get}")
    try:
        said = subprocess.run(  # noqa: S603 - the Java that Spark itself would start
            [java, "-version"], capture_output=True, text=True, timeout=60, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise ClusterError(f"{java} can't be run ({error}). {get}") from error
    found = re.search(r'version "(\d+)', said)
    if found is not None and int(found[1]) < OLDEST_JAVA:
        raise ClusterError(f"{java} is Java {found[1]}. {get}")


def _check_master(master: str) -> None:
    """Knock at a standalone master: Spark itself would try for a minute, and then hang."""
    if not re.match(r"(local(\[.+\])?$|spark://.+|yarn$|k8s://.+)", master):
        raise ClusterError(
            f"{master!r} is no address of a Spark master. Write local[2], spark://HOST:7077, yarn "
            "or k8s://HOST:PORT."
        )
    if not master.startswith("spark://"):
        return
    faults = []
    for address in master.removeprefix("spark://").split(","):
        try:
            place = urlsplit(f"//{address}")
            socket.create_connection(
                (place.hostname or "", place.port or 7077), CONNECT_SECONDS
            ).close()
        except (OSError, ValueError) as error:
            faults.append(f"{address}: {error}")
        else:
            return
    raise ClusterError(
        f"No Spark master answers at {master} ({'; '.join(faults)}). Start it, or give its address "
        f"with --master; {DEFAULT_MASTER} needs none."
    )


def _ship(session: Any, scratch: Path) -> None:
    """Send these packages to workers that would import none, or others."""
    own = _fingerprint()
    n_tasks = max(2, session.sparkContext.defaultParallelism)
    probe = session.sparkContext.parallelize(range(n_tasks), n_tasks)
    try:
        found = set(probe.map(_probe_of(PACKAGES)).collect())
    except Exception as error:
        raise ClusterError(_reason(error)) from error
    if found == {own}:
        return
    session.sparkContext.addPyFile(str(pack(scratch / "milepost.zip")))


def pack(path: Path) -> Path:
    """Write what workers import as a zip file that Python can import from."""
    home = Path(__file__).resolve().parent.parent
    with zipfile.ZipFile(path, "w") as archive:
        for package in PACKAGES:
            for source in sorted((home / package).glob("*.py")):
                archive.write(source, f"{package}/{source.name}")
    return path


def _fingerprint() -> str:
    return str(_probe_of(PACKAGES)(0))


def _probe_of(packages: Sequence[str]) -> Callable[[int], str]:
    """A function that travels whole, and tells which sources a machine would import."""

    def probe(_: int) -> str:
        import hashlib
        from importlib.util import find_spec
        from pathlib import Path

        sha = hashlib.sha256()
        for package in packages:
            spec = find_spec(package)
            for folder in spec.submodule_search_locations or () if spec else ():
                for source in sorted(Path(folder).glob("*.py")):
                    sha.update(source.name.encode() + source.read_bytes())
        return sha.hexdigest()

    return probe


def _free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])


def _reason(error: Exception) -> str:
    """The line of a Spark error that says what went wrong, without its traces."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Killed)\b.*:", line)]
    said = told[-1] if told else (lines[0] if lines else type(error).__name__)
    return f"The cluster could not do the work: {said[:600]}"
