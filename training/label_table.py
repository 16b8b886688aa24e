"""The label table that a business brings: its own rows, labels, known times and split.

Takes SQL; gives columns. Knows nothing about problems or journeys.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.categorical import Categorical
from features.config import Business
from features.duck import RAW, connection, identifier, materialise, moment
from features.errors import ProblemError, nearest
from features.event_log import Ints

SPLITS = ("train", "validation", "test")

UNKNOWN = -1
"""The label of a row whose outcome can't be known, and the split of a row that is not used."""


@dataclass(frozen=True)
class LabelTable:
    """Columns of shape `(n_rows,)`."""

    customer: pa.ChunkedArray
    cutoff_time: Ints
    """Microseconds UTC."""
    known_time: Ints
    """The cutoff where the table has none."""
    label: NDArray[np.int8]
    """0, 1 or `UNKNOWN`."""
    split: NDArray[np.int8] | None
    """Positions in `SPLITS` or `UNKNOWN`; None where the table has no such column."""

    @property
    def digest(self) -> str:
        """SHA-256 of the rows, in whatever order a query gave them."""
        who = Categorical.of(self.customer)
        columns: list[NDArray[Any]] = [who.codes, self.cutoff_time, self.known_time, self.label]
        columns += [] if self.split is None else [self.split]
        order = np.lexsort(columns[::-1])
        found = hashlib.sha256("\0".join(who.levels).encode())
        for column in columns:
            found.update(np.ascontiguousarray(column[order]).tobytes())
        return found.hexdigest()


def read_labels(business: Business, sql: str) -> LabelTable:
    """Run the SQL of a label table, with the files and databases of the business.

    Raises
    ------
    SourceError
        When the query fails or a time column is no time.
    ProblemError
        When a column is missing, or a row holds what can't be meant.
    """
    with connection(business.folder, business.attach) as duck:
        columns = materialise(duck, "labels", sql)
        for needed in ("customer", "cutoff_time", "label"):
            if needed not in columns:
                raise ProblemError(
                    f"The label table yields no column {needed!r}; it must yield customer, "
                    "cutoff_time and label, and may yield known_time and split."
                    f"{nearest(needed, columns)}"
                )
        cutoff = moment("labels", "cutoff_time", columns)
        known = cutoff
        if "known_time" in columns:
            known = f"coalesce({moment('labels', 'known_time', columns)}, {cutoff})"
        split = "split::varchar" if "split" in columns else "null::varchar"
        try:
            table = duck.sql(
                f"select {identifier('customer', columns)} as customer, {cutoff} as cutoff_time, "
                f"{known} as known_time, {_label(columns['label'])} as label, {split} as split, "
                # Queries give their rows in any order; the trees must not depend on it.
                f"label is null as unlabelled from {RAW} order by all"
            ).to_arrow_table()
        except duckdb.Error as error:
            raise ProblemError(
                f"The label column is {columns['label']}; it must be 0, 1 or null."
            ) from error
        _check(duck, table, columns)
    label = np.where(table["unlabelled"].to_numpy(), np.nan, table["label"].to_numpy())
    return LabelTable(
        table["customer"],
        table["cutoff_time"].to_numpy(),
        table["known_time"].to_numpy(),
        np.where(np.isnan(label), UNKNOWN, label).astype(np.int8),
        _splits(table) if "split" in columns else None,
    )


def _label(kind: str) -> str:
    """SQL that reads a label as a number: 0, 1, true, false, or such text."""
    if kind == "VARCHAR":
        return "coalesce(try_cast(label as double), try_cast(label as boolean)::double)"
    return "label::double"


def _check(duck: duckdb.DuckDBPyConnection, table: pa.Table, columns: dict[str, str]) -> None:
    """Refuse an empty table, rows without a customer or cutoff, and odd labels."""
    if not table.num_rows:
        raise ProblemError("The label table is empty: its SQL yields no rows.")
    faults = {"customer": f"{identifier('customer', columns)} is null"}
    faults["cutoff_time"] = f"{moment('labels', 'cutoff_time', columns)} is null"
    if "known_time" in columns:
        readable = moment("labels", "known_time", columns)
        faults["known_time"] = f"known_time is not null and {readable} is null"
    for name, fault in faults.items():
        found = duck.execute(f"select {name}::varchar from {RAW} where {fault}").fetchall()
        if found:
            raise ProblemError(
                f"{len(found):,} rows of the label table have no {name} that can be read, such as "
                f"{found[0][0]!r}."
            )
    odd = duck.execute(
        f"select distinct label::varchar from {RAW} where label is not null and not "
        f"coalesce({_label(columns['label'])} in (0, 1, 'nan'::double), false) limit 5"
    ).fetchall()
    if odd:
        raise ProblemError(
            "The label column must be 0, 1 or null, but it holds "
            f"{', '.join(repr(row[0]) for row in odd)}."
        )


def _splits(table: pa.Table) -> NDArray[np.int8]:
    names = table["split"].to_pylist()
    for name in set(names) - {None, *SPLITS}:
        raise ProblemError(
            f"The split column of the label table holds {name!r}; it must be train, validation or "
            f"test, or null for rows that are not used.{nearest(name, SPLITS)}"
        )
    return np.array([UNKNOWN if n is None else SPLITS.index(n) for n in names], dtype=np.int8)
