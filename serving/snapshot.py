"""Whole histories out of the store, as a folder of buckets that training and the book read.

Takes a business and a database's address; reads every row as Arrow, outside the process that
writes (a second SQLite library in the writer's process would drop its locks); gives the same
histories as the sources do where an import brought them. Knows nothing about models.
"""

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from features.actions import ACTION_EVENTS
from features.buckets import Buckets, open_buckets, write_buckets
from features.config import Business
from features.cutoffs import AsOf
from features.durations import MISSING_TIME
from features.errors import MilepostError, SourceError
from features.event_log import CATEGORY, NUMBER, TIME, EventLog, build_log, union
from features.groups import with_groups
from features.sources import Histories, SourceAccount, digest
from serving.database import Database, lively
from serving.event_store import TenantStore, store_of
from serving.journeys import Columns
from serving.tables import SIDES

ROWS = 500_000
"""Rows that are decoded together."""


@dataclass(frozen=True)
class Copy:
    """The histories as they were at a commit of the store."""

    buckets: Buckets
    arrival: int
    as_of: AsOf
    """The moment up to which they reach, and what was known by then."""


class FromStore:
    """Histories of a store for the book: copied by a child process when something arrived."""

    def __init__(self, business: Business, store: TenantStore, folder: Path) -> None:
        self._business, self._store, self._folder = business, store, folder
        self._copy: Copy | None = None

    def state(self) -> tuple[int, AsOf] | None:
        """The last commit, and what a score is as of by then; None before there is any."""
        arrival, as_of = self._store.state()
        return (arrival, as_of) if arrival else None

    def copy(self) -> Copy:
        """The histories of now; the copy before is removed once there is a newer one."""
        # Read before the rows: what arrives meanwhile is recorded later than all that is known now.
        arrival, as_of = self._store.state()
        if self._copy is not None and self._copy.arrival >= arrival:
            return self._copy
        folder = self._folder / f"copy-{arrival}"
        made = refreshed(self._business, self._store.database.url, folder)
        for other in self._folder.glob("copy-*"):
            if other != folder:
                rmtree(other, ignore_errors=True)
        self._copy = Copy(made, arrival, as_of)
        return self._copy


def refreshed(business: Business, url: str, folder: Path) -> Buckets:
    """Copy the store's histories to a folder, in a process of its own.

    What lies in the folder is removed before: the remains of a try that failed would spoil each
    later one.
    """
    _cleared(folder)
    child = multiprocessing.get_context("spawn").Process(
        target=_child, args=(business, url, folder), daemon=True
    )
    child.start()
    child.join()
    fault = folder / "fault.txt"
    if child.exitcode:
        why = fault.read_text() if fault.exists() else f"its copier ended with {child.exitcode}"
        raise SourceError(f"The store can't be copied: {why}")
    return open_buckets(business, folder)


def _cleared(folder: Path) -> None:
    try:
        if folder.exists():
            rmtree(folder)
    except OSError as error:
        raise SourceError(
            f"The folder {folder} can't be cleared for a copy of the store ({error.strerror})."
        ) from error


def _child(business: Business, url: str, folder: Path) -> None:
    try:
        export(business, url, folder)
    except MilepostError as error:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "fault.txt").write_text(str(error))
        raise SystemExit(2) from error


def export(business: Business, url: str, folder: Path, n_buckets: int | None = None) -> Buckets:
    """Write a store's histories as buckets. Not for the process that writes to the store.

    Raises
    ------
    SourceError
        When the workspace has no events.
    StoreUnavailableError, BucketError
    """
    histories = histories_of(business, url)
    return write_buckets(business, histories, folder, n_buckets)


def histories_of(business: Business, url: str) -> Histories:
    """A store's histories in memory."""
    database = Database(url)
    store = store_of(database, business)
    with database.reading() as connection:
        kinds = store.kinds(connection)
    accounts = tuple(
        SourceAccount(feed.name, feed.rows, feed.rows, {}, feed.first_event, feed.last_event)
        for feed in store.feeds()
    )
    end = store.end()
    database.close()
    unread = () if business.features.actions else sorted(ACTION_EVENTS)
    log, attributes = (
        _read(url, store.workspace, table.name, kinds[side], unread)
        for side, table in enumerate(SIDES)
    )
    if not log.n_events:
        raise SourceError(
            f"The store has no events of {business.name}. Import its sources with python -m "
            "serving import CONFIG, or send events."
        )
    customers = union(log.customers, attributes.customers)
    log, attributes = log.aligned(customers), attributes.aligned(customers)
    told = digest(log, attributes)
    log = with_groups(log, [name for name in business.features.groups if name in log.categories])
    return Histories(log, attributes, accounts, end, told)


def _read(
    url: str, workspace: int, table: str, kinds: Mapping[str, str], unread: Sequence[str]
) -> EventLog:
    """One side of a workspace's histories, with the properties that any row has.

    Parameters
    ----------
    unread
        Events that are left out.
    """
    pieces: list[pa.Table] = []
    without = ", ".join(f"'{name}'" for name in ("", *unread))
    with _arrow(url) as cursor:
        cursor.execute(
            "select customer, event_time, recorded_time, event, properties "
            f"from {table} where workspace = {int(workspace)} and event not in ({without}) "
            "order by customer, event_time, source, event_id"
        )
        pieces += [_decoded(rows, kinds) for rows in _together(cursor.fetch_record_batch())]
    if not pieces:
        return build_log([], np.zeros(0, np.int64), [])
    whole = pa.concat_tables(pieces).unify_dictionaries()
    told = {name for name in kinds if whole[name].null_count < whole.num_rows}
    of_kind = {
        kind: [name for name in sorted(told) if kinds[name] == kind]
        for kind in (NUMBER, CATEGORY, TIME)
    }
    return build_log(
        whole["customer"],
        whole["event_time"].to_numpy(),
        whole["event"],
        whole["recorded_time"].to_numpy(),
        {name: pc.fill_null(whole[name], np.nan).to_numpy() for name in of_kind[NUMBER]},
        {name: whole[name] for name in of_kind[CATEGORY]},
        {name: pc.fill_null(whole[name], MISSING_TIME).to_numpy() for name in of_kind[TIME]},
    )


@contextmanager
def _arrow(url: str) -> Iterator[Any]:
    """A cursor that gives Arrow."""
    database = Database(url)
    if database.is_sqlite:
        from adbc_driver_sqlite import dbapi

        connection = dbapi.connect(f"file:{database.file}?mode=ro")
    else:
        from adbc_driver_postgresql import dbapi as postgresql

        plain = lively(url).set(drivername="postgresql")
        connection = postgresql.connect(plain.render_as_string(hide_password=False))
    with connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(
            **(
                {"adbc.sqlite.query.batch_rows": "65536"}
                if database.is_sqlite
                else {"adbc.postgresql.batch_size_hint_bytes": str(16 << 20)}
            )
        )
        yield cursor


def _together(batches: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Batches in pieces of about `ROWS` rows."""
    waiting, n = [], 0
    for batch in batches:
        waiting.append(batch)
        n += batch.num_rows
        if n >= ROWS:
            yield pa.Table.from_batches(waiting)
            waiting, n = [], 0
    if n:
        yield pa.Table.from_batches(waiting)


def _decoded(rows: pa.Table, kinds: Mapping[str, str]) -> pa.Table:
    """Rows with their properties as columns of the declared kinds."""
    columns = {
        "customer": rows["customer"].dictionary_encode(),
        "event_time": rows["event_time"].cast(pa.int64()),
        "recorded_time": rows["recorded_time"].cast(pa.int64()),
        "event": rows["event"].dictionary_encode(),
    }
    if kinds:
        try:
            columns |= _vectorised(rows["properties"], kinds)
        except pa.ArrowInvalid:  # a value of another kind: it is missing, the others are not
            columns |= _one_by_one(rows["properties"], kinds)
    return pa.table(columns)


def _vectorised(properties: pa.ChunkedArray, kinds: Mapping[str, str]) -> dict[str, Any]:
    column = properties.combine_chunks()
    wide = pa.large_string()
    nothing, newline = pa.scalar("", wide), pa.scalar("\n", wide)
    text = pc.binary_join_element_wise(column.cast(wide), nothing, newline).buffers()[2]
    schema = pa.schema(
        [(name, pa.float64() if kind == NUMBER else pa.string()) for name, kind in kinds.items()]
    )
    table = pj.read_json(
        pa.BufferReader(text),
        pj.ReadOptions(block_size=max(len(text) + 1, 1 << 20), use_threads=False),
        pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )
    if table.num_rows != len(column):
        raise pa.ArrowInvalid("rows were read as another number of rows")
    out = {}
    for name, kind in kinds.items():
        found = table[name]
        if kind == CATEGORY:
            found = found.dictionary_encode()
        elif kind == TIME:
            found = found.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
        out[name] = found
    return out


def _one_by_one(properties: pa.ChunkedArray, kinds: Mapping[str, str]) -> dict[str, Any]:
    read = Columns(kinds).read(properties.to_pylist())
    out: dict[str, Any] = {}
    for name, numbers in read.numbers.items():
        out[name] = pa.chunked_array([pa.array(numbers, from_pandas=True)])
    for name, column in read.categories.items():
        codes = pa.array(column.codes, mask=column.codes < 0)
        levels = pa.array(column.levels, pa.string())
        out[name] = pa.chunked_array([pa.DictionaryArray.from_arrays(codes, levels)])
    for name, times in read.times.items():
        out[name] = pa.chunked_array([pa.array(times, mask=times == MISSING_TIME)])
    return {name: out[name] for name in kinds}
