"""A training set as a folder of Parquet files.

Takes labelled rows and their split; gives them as a table in the order of the files, keeps
the folder's account, and reads the files back into matrices. Knows nothing about how the
vectors were computed.

    OUT/part-00000.parquet   customer, cutoff_time, known_time, label, split, a column a feature
                             (a training in buckets writes rows that a purge left out too)
    OUT/_training_set.json   what the rows and columns are, and where they came from
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.durations import format_moment
from features.engine import Matrix
from features.errors import ConfigError
from features.event_log import Ints
from features.feature import Feature, feature_names
from training.label_table import SPLITS
from training.labels import Labelled
from training.partitions import (
    KEYS,
    PURGED_BEFORE,
    PURGED_LATER,
    WRITTEN_SPLITS,
    part_file,
)
from training.prepare import ENOUGH_ROWS, PURGED, Part
from training.splits import Split

ACCOUNT = "_training_set.json"
SCRATCH = "_scratch"
"""Files that tasks hand to each other while a training set is built."""


@dataclass(frozen=True)
class Wanted:
    """The rows of a training set, in the order of its files."""

    rows: pa.Table
    """`customer`, `cutoff_time`, `known_time` (microseconds UTC), `label`, `split` (a position
    in `WRITTEN_SPLITS`), sorted by `bucket` and then by the first three."""
    place: Ints
    """Where each row stands in `split.all_rows` and then the purged rows, shape `(n_rows,)`."""
    edges: Ints
    """Rows of bucket `b` are `edges[b]:edges[b + 1]`."""

    def bucket(self, bucket: int) -> slice:
        return slice(int(self.edges[bucket]), int(self.edges[bucket + 1]))

    @property
    def filled(self) -> list[int]:
        """Buckets that hold any row."""
        return np.flatnonzero(np.diff(self.edges)).tolist()


def wanted(
    labelled: Labelled,
    split: Split,
    customers: Sequence[str],
    bucket: Ints,
    purged: tuple[Ints, NDArray[np.bool_]] | None = None,
) -> Wanted:
    """The rows that a split uses.

    Parameters
    ----------
    customers
        Sorted ids that the rows point into.
    bucket
        Of each of them, shape `(n_customers,)`.
    purged
        Rows that no part holds and yet are wanted, and which of them were known before the test.
    """
    used = split.all_rows
    part = np.repeat(np.arange(3), [len(split.train), len(split.validation), len(split.test)])
    if purged is not None:
        used = np.concatenate([used, purged[0]])
        places = [WRITTEN_SPLITS.index(name) for name in (PURGED_LATER, PURGED_BEFORE)]
        part = np.concatenate([part, np.array(places)[purged[1].astype(np.int64)]])
    rows = labelled.moments.rows.take(used)
    order = np.lexsort((rows.known_time, rows.cutoff_time, rows.customer, bucket[rows.customer]))
    customer = pa.DictionaryArray.from_arrays(
        rows.customer[order].astype(np.int32), pa.array(customers, pa.string())
    )
    table = pa.table(
        {
            "customer": customer,
            "cutoff_time": rows.cutoff_time[order],
            "known_time": rows.known_time[order],
            "label": labelled.label[used][order],
            "split": part[order].astype(np.int8),
        }
    )
    n_buckets = int(bucket.max(initial=0)) + 1
    edges = np.searchsorted(bucket[rows.customer[order]], np.arange(n_buckets + 1))
    return Wanted(table, order, edges)


def claim(folder: Path) -> None:
    """Make a folder ready for a training set; an older one in it goes.

    Raises
    ------
    ConfigError
        When the folder holds something else, or can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = list(folder.iterdir())
        other = [path for path in found if not _is_ours(path)]
        if other:
            raise ConfigError(
                f"The folder {folder} holds {other[0].name!r}, which is no part of a training set. "
                "Name a new or empty folder with --out."
            )
        for path in sorted(found, key=lambda path: path.name != ACCOUNT):
            if path.is_file():
                path.unlink()
    except OSError as error:
        raise ConfigError(
            f"The training set can't be written to {folder} ({error.strerror}). Name a folder that "
            "you may write to with --out."
        ) from error


def write_account(folder: Path, account: Mapping[str, Any]) -> None:
    """Say what a training set is; a folder without it is not complete."""
    (folder / ACCOUNT).write_text(json.dumps(account, indent=1) + "\n")


def account_of(
    business: str,
    features: Sequence[Feature],
    labelled: Labelled,
    split: Split,
    digest: str,
    end: int,
) -> dict[str, Any]:
    """What a reader of the files has to know."""
    return {
        "business": business,
        "data_digest": digest,
        "history_end": format_moment(end),
        "rows": {
            "train": len(split.train),
            "validation": len(split.validation),
            "test": len(split.test),
        },
        "unknown": labelled.unknown,
        "split": split.how,
        "notes": [*labelled.notes, *split.notes],
        "keys": list(KEYS),
        "features": [
            {"name": column, "unit": feature.unit, "description": feature.description}
            for column, feature in zip(feature_names(features), features, strict=True)
        ],
    }


def load(
    folder: Path,
    wanted_rows: Wanted,
    features: Sequence[Feature],
    labelled: Labelled,
    split: Split,
    purged: Ints,
) -> dict[str, Part]:
    """Matrices and labels to judge a model on, a file at a time.

    Validation, test and purged rows whole, train thinned to `ENOUGH_ROWS`, each in the order of
    `split` and of `purged`.
    """
    n_train = len(split.train)
    step = max(1, -(-n_train // ENOUGH_ROWS))
    rows = (split.train[::step], split.validation, split.test, purged)
    sizes = [len(part) for part in rows]
    edges = np.cumsum([0, n_train, *sizes[1:]]).tolist()
    matrices: list[Matrix] = []
    for bucket in wanted_rows.filled:
        place = wanted_rows.place[wanted_rows.bucket(bucket)]
        found = rows_of(part_file(folder, bucket), features)[0]
        matrices = matrices or [np.empty((size, len(features)), np.float32) for size in sizes]
        for part in range(len(rows)):
            mine = (place >= edges[part]) & (place < edges[part + 1])
            row = place - edges[part]
            if part == 0:
                mine &= row % step == 0
                row = row // step
            matrices[part][row[mine]] = found[mine]
    names = (*SPLITS, PURGED)
    return {
        name: (matrix, labelled.label[chosen])
        for name, matrix, chosen in zip(names, matrices, rows, strict=True)
    }


def rows_of(path: Path, features: Sequence[Feature], splits: Sequence[str] | None = None) -> Part:
    """The vectors and labels in one file, of all rows or of some splits; NaN where missing."""
    try:
        table = pq.read_table(
            path, columns=["label", "split", *feature_names(features)], use_threads=False
        )
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no file {path}, though a task wrote it. Every machine of the cluster must "
            "see the folder of the training set under the same path."
        ) from error
    if splits is not None:
        table = table.filter(pc.is_in(table["split"], pa.array(splits, pa.string())))
    label = table["label"].to_numpy()
    table = table.drop_columns(["label", "split"])
    out = np.empty((table.num_rows, len(features)), table.schema.field(0).type.to_pandas_dtype())
    for column in range(len(features)):
        out[:, column] = table.column(column).to_numpy()
    return out, label


def _is_ours(path: Path) -> bool:
    name = path.name.removeprefix(".")
    return path.name in (ACCOUNT, SCRATCH) or (name.startswith("part-") and ".parquet" in name)
