"""What is done to one bucket: its rows and labels, and its part of the training set.

Takes a bucket; writes a file and gives a short account. Each function runs on any machine
that sees the folders, holds one bucket in memory, and does what the same call does in one
process. Knows nothing about Spark, splits or other buckets.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.buckets import INSTANT, Buckets
from features.categorical import Categorical
from features.config import Problem
from features.cutoffs import Moments
from features.engine import Rows, compute
from features.event_log import EventLog, Ints, union
from features.feature import Feature, feature_names
from features.groups import with_groups
from features.program import prepare
from training.label_table import SPLITS
from training.labels import declared
from training.peers import changes

Matrix = NDArray[Any]
"""Floats of shape `(n_rows, n_features)`, NaN where missing; the type is the engine's."""

BLOCK_ROWS = 50_000
"""Rows whose features are held at once, and the size of a row group."""

KEYS = ("customer", "cutoff_time", "known_time", "label", "split")
"""Columns of a training set that are no features."""

PURGED_BEFORE, PURGED_LATER = "purged_before_test", "purged"
"""The splits of rows that no part holds: those known before the test's first cutoff, and the
others."""

WRITTEN_SPLITS = (*SPLITS, PURGED_BEFORE, PURGED_LATER)

LABEL_COLUMNS = ("cutoff_time", "known_time", "opens", "closes", "label")
"""What is found out about a row of a customer, before the split."""


def label_bucket(buckets: Buckets, problem: Problem, folder: Path, bucket: int) -> dict[str, Any]:
    """Find and label the rows of a bucket's customers, in the order of the whole log's.

    Writes `customer`, `LABEL_COLUMNS` and `when` to `folder`; gives the counts of what is unknown
    and of the cohort's verdicts.
    """
    log, attributes = buckets.read(bucket)
    labelled, verdicts = declared(problem, log, attributes, buckets.end, buckets.whole)
    table = _moments_table(labelled.moments, log.customers)
    table = table.append_column("label", pa.array(labelled.label))
    _replace(table.append_column("when", pa.array(labelled.when)), bucket_file(folder, bucket))
    _replace(_moments_table(labelled.peers, log.customers), peer_rows_file(folder, bucket))
    return {"unknown": labelled.unknown, "verdicts": {str(k): n for k, n in verdicts.items()}}


def _moments_table(moments: Moments, customers: Sequence[str]) -> pa.Table:
    rows, names = moments.rows, pa.array(customers, pa.string())
    who = pa.DictionaryArray.from_arrays(rows.customer.astype(np.int32), names)
    found = (rows.cutoff_time, rows.known_time, moments.opens, moments.closes)
    return pa.table({"customer": who, **dict(zip(LABEL_COLUMNS[:-1], found, strict=True))})


def count_bucket(
    buckets: Buckets,
    problem: Problem,
    categories: Sequence[Feature],
    folder: Path,
    bucket: int,
) -> int:
    """Count the outcomes of a bucket's labelled rows by categories, for peer rates.

    Reads the rows that `label_bucket` wrote for it; writes the fields of
    `training.peers.Changes` beside them, and gives their number.
    """
    table = pq.read_table(peer_rows_file(folder, bucket), read_dictionary=["customer"])
    log, attributes = buckets.read(bucket)
    who = Categorical.of(table["customer"])
    position = np.array([log.index(customer) for customer in who.levels], dtype=np.int64)
    cutoff, known, opens, closes = (_ints(table[name]) for name in LABEL_COLUMNS[:-1])
    moments = Moments(Rows(position[who.codes], cutoff, known), opens, closes)
    found = changes(categories, problem, log, attributes, moments)
    _replace(pa.table(vars(found)), peers_file(folder, bucket))
    return len(found.n)


def fill_bucket(
    buckets: Buckets, features: Sequence[Feature], asked: Path, folder: Path, bucket: int
) -> int:
    """Write a bucket's part of the training set; give its number of rows.

    Parameters
    ----------
    asked
        Folder with the rows asked of each bucket: `customer, cutoff_time, known_time, label`
        and `split`, the position in `WRITTEN_SPLITS`.
    """
    keys = pq.read_table(bucket_file(asked, bucket), read_dictionary=["customer"])
    log, attributes = buckets.read(bucket)
    log = with_groups(log, sorted({feature.over for feature in features if feature.over}))
    write_part(part_file(folder, bucket), keys, features, vectors(log, attributes, keys, features))
    return int(keys.num_rows)


def vectors(
    log: EventLog, attributes: EventLog, keys: pa.Table, features: Sequence[Feature]
) -> Iterator[Matrix]:
    """The feature vectors of rows in blocks, in the order of the rows.

    Parameters
    ----------
    keys
        `customer` as text, `cutoff_time` and `known_time` in microseconds UTC. A customer
        whom the logs don't know has no history.
    """
    who = Categorical.of(keys["customer"])
    customers = union(log.customers, who.levels)
    log, attributes = log.aligned(customers), attributes.aligned(customers)
    place = {customer: i for i, customer in enumerate(customers)}
    position = np.array([place[customer] for customer in who.levels], dtype=np.int64)
    rows = Rows(position[who.codes], _ints(keys["cutoff_time"]), _ints(keys["known_time"]))
    plan = prepare(features)
    for begin in range(0, len(rows), BLOCK_ROWS):
        block = np.arange(begin, min(begin + BLOCK_ROWS, len(rows)))
        yield compute(plan, log, attributes, rows.take(block))


def write_part(
    path: Path, keys: pa.Table, features: Sequence[Feature], blocks: Iterator[Matrix]
) -> None:
    """Write rows and their vectors as one Parquet file, a block of rows at a time.

    A missing feature is null. The file appears when it is whole, so that a task that is
    started twice does no harm.
    """
    names = feature_names(features)
    writer, begin = None, 0
    hidden = path.with_name(f".{path.name}-{uuid4().hex}")
    try:
        for block in blocks:
            some = keys.slice(begin, len(block))
            columns = [some["customer"].cast(pa.string()), *_instants(some), some["label"]]
            splits = pa.array(WRITTEN_SPLITS, pa.string())
            columns.append(splits.take(some["split"].combine_chunks()))
            columns += [pa.array(block[:, j], from_pandas=True) for j in range(len(names))]
            table = pa.table(dict(zip((*KEYS, *names), columns, strict=True)))
            writer = writer or pq.ParquetWriter(hidden, table.schema)
            writer.write_table(table)
            begin += len(block)
    finally:
        if writer is not None:
            writer.close()
    if writer is not None:
        hidden.replace(path)


def bucket_file(folder: Path, bucket: int) -> Path:
    return folder / f"bucket-{bucket:05d}.parquet"


def peer_rows_file(folder: Path, bucket: int) -> Path:
    return folder / f"peer-rows-{bucket:05d}.parquet"


def peers_file(folder: Path, bucket: int) -> Path:
    return folder / f"peers-{bucket:05d}.parquet"


def part_file(folder: Path, bucket: int) -> Path:
    return folder / f"part-{bucket:05d}.parquet"


def _instants(table: pa.Table) -> list[pa.ChunkedArray]:
    return [table[name].cast(INSTANT) for name in ("cutoff_time", "known_time")]


def _ints(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _replace(table: pa.Table, path: Path) -> None:
    """Write a file that appears when it is whole."""
    hidden = path.with_name(f".{path.name}-{uuid4().hex}")
    pq.write_table(table, hidden)
    hidden.replace(path)
