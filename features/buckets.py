"""Histories bucketed by customer: Parquet files of which each holds whole journeys.

Takes histories; writes a folder in which every customer's events and attributes lie in one
bucket, chosen by a hash of the id, each file sorted as an `EventLog` is. Customers who share a
group that features read lie together, by a hash of the first one's id. Gives them back a
bucket at a time, so that memory grows with a bucket and not with the log, and machines can
share the work without exchanging a row. Knows nothing about problems, features or clusters.

    BUCKETS/manifest.json                  what the buckets hold, and where it came from
    BUCKETS/events/bucket-00000.parquet    customer, event_time, recorded_time, event, properties
    BUCKETS/attributes/bucket-00000.parquet
    BUCKETS/leaders.parquet                whom a customer lies with, where groups lie together
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.categorical import ABSENT, Categorical
from features.config import Business
from features.durations import MISSING_TIME
from features.errors import BucketError
from features.event_log import CATEGORY, NUMBER, EventLog, Ints, build_log, union
from features.groups import leaders, with_groups
from features.overview import Overview, overview
from features.sources import Histories, SourceAccount

FORMAT = 1
MANIFEST = "manifest.json"
EVENTS, ATTRIBUTES = "events", "attributes"
LEADERS = "leaders.parquet"
DIGEST = b"milepost.digest"
"""Key of the histories' digest in each file's own metadata."""

BUCKET_EVENTS = 500_000
"""Events a bucket holds unless the number of buckets is given: about 50 MB in memory."""
LEAST_BUCKETS = 8
MOST_BUCKETS = 10_000

INSTANT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Buckets:
    """A folder of buckets and its manifest; opening it reads no event."""

    folder: Path
    digest: str
    """SHA-256 of the histories' content, as `Histories.digest`."""
    origin: str
    """SHA-256 of what the configuration says about the sources."""
    end: int
    """The moment up to which the histories reach, microseconds UTC."""
    whole: Overview
    sources: tuple[SourceAccount, ...]
    n_events: tuple[int, ...]
    """Events in each bucket."""
    together: tuple[str, ...] = ()
    """Properties whose groups of customers each lie whole in one bucket."""

    def __len__(self) -> int:
        return len(self.n_events)

    def read(self, bucket: int) -> tuple[EventLog, EventLog]:
        """The events and the attributes of one bucket, over the same sorted customers."""
        log = self._log(EVENTS, bucket, self.whole.event_kinds)
        attributes = self._log(ATTRIBUTES, bucket, self.whole.attribute_kinds)
        customers = union(log.customers, attributes.customers)
        return log.aligned(customers), attributes.aligned(customers)

    def sample(self, share: float) -> tuple[EventLog, EventLog]:
        """What `sample` gives of all histories; holds one bucket and the sample in memory."""
        parts = [sample(*self.read(bucket), share) for bucket in range(len(self))]
        log, attributes = (_joined([part[side] for part in parts]) for side in (0, 1))
        customers = union(log.customers, attributes.customers)
        return log.aligned(customers), attributes.aligned(customers)

    def n_recorded(self, until: int) -> int:
        """How many events were recorded by a moment, microseconds UTC; reads that column alone."""
        files = (self._path(EVENTS, bucket) for bucket in range(len(self)))
        columns = (pq.read_table(file, columns=["recorded_time"])[0] for file in files)
        return sum(int(np.count_nonzero(_moments(column) <= until)) for column in columns)

    def leaders(self) -> dict[str, str]:
        """The customer whose id chooses the bucket, of each whose own id does not."""
        if not self.together:
            return {}
        path = self.folder / LEADERS
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise BucketError(_unreadable(path, error)) from error
        _check_digest(path, table.schema, self.digest)
        return dict(zip(table["customer"].to_pylist(), table["leader"].to_pylist(), strict=True))

    def bucket_of(self, customers: Iterable[str]) -> Ints:
        """The bucket in which each customer lies, or would."""
        leaders = self.leaders()
        return bucket_of((leaders.get(who, who) for who in customers), len(self))

    def event_counts(self, customers: Sequence[str]) -> Ints:
        """How many events each of some customers has, shape `(n_customers,)`."""
        place = {customer: i for i, customer in enumerate(customers)}
        counts = np.zeros(len(customers), np.int64)
        for bucket in sorted(set(self.bucket_of(customers).tolist())):
            path = self._path(EVENTS, bucket)
            who = _categorical(
                pq.read_table(path, columns=["customer"], read_dictionary=["customer"])[0]
            )
            n_events = np.bincount(who.codes, minlength=len(who.levels))
            for customer, count in zip(who.levels, n_events.tolist(), strict=True):
                if customer in place:
                    counts[place[customer]] = count
        return counts

    def _path(self, side: str, bucket: int) -> Path:
        return self.folder / side / f"bucket-{bucket:05d}.parquet"

    def _log(self, side: str, bucket: int, kinds: Mapping[str, str]) -> EventLog:
        path = self._path(side, bucket)
        texts = ["customer", "event", *(n for n, kind in kinds.items() if kind == CATEGORY)]
        try:
            file = pq.ParquetFile(path, read_dictionary=texts, memory_map=True)
            table = file.read(use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise BucketError(_unreadable(path, error)) from error
        _check_digest(path, file.schema_arrow, self.digest)
        return _log_of(table, kinds)


def _unreadable(path: Path, error: Exception) -> str:
    return (
        f"The bucket {path} can't be read ({error}). Every machine of the cluster must see the "
        "folder of buckets under the same path; make them again with python -m features bucket if "
        "a file is damaged."
    )


def _check_digest(path: Path, schema: pa.Schema, digest: str) -> None:
    """Raise `BucketError` where a file was made of other histories than its folder says."""
    found = (schema.metadata or {}).get(DIGEST, b"").decode()
    if found != digest:
        raise BucketError(
            f"The bucket {path} belongs to histories of the digest {found[:12] or 'unknown'}, its "
            f"folder's manifest to {digest[:12]}. Make the buckets again with python -m features "
            "bucket."
        )


def write_buckets(
    business: Business,
    histories: Histories,
    folder: Path,
    n_buckets: int | None = None,
) -> Buckets:
    """Write histories as buckets; a folder of buckets that is there already is replaced.

    Everybody who shares a group lies in one bucket, however large it gets.

    Parameters
    ----------
    n_buckets
        One for every `BUCKET_EVENTS` events unless given.

    Raises
    ------
    BucketError
        When the folder holds something else, or can't be written.
    """
    together = tuple(business.features.groups)
    usual = max(LEAST_BUCKETS, -(-histories.log.n_events // BUCKET_EVENTS))
    n = usual if n_buckets is None else n_buckets
    if not 1 <= n <= MOST_BUCKETS:
        raise BucketError(f"{n:,} buckets are asked for; give 1 to {MOST_BUCKETS:,}.")
    check_folder(folder)
    try:
        for side in (EVENTS, ATTRIBUTES):
            if (folder / side).exists():
                rmtree(folder / side)
            (folder / side).mkdir(parents=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        (folder / LEADERS).unlink(missing_ok=True)
        bucket = bucket_of(_write_leaders(histories, together, folder), n)
        n_events = _write_side(histories.log, bucket, folder / EVENTS, n, histories.digest)
        _write_side(histories.attributes, bucket, folder / ATTRIBUTES, n, histories.digest)
        made = Buckets(
            folder, histories.digest, origin(business), histories.end,
            overview(histories.log, histories.attributes), histories.sources, n_events, together,
        )  # fmt: skip
        # Last of all: a folder without its manifest is no folder of buckets.
        (folder / MANIFEST).write_text(json.dumps(_manifest(business, made), indent=1) + "\n")
    except OSError as error:
        raise BucketError(
            f"The buckets can't be written to {folder} ({error.strerror}). Name a folder that you "
            "may write to."
        ) from error
    return made


def check_folder(folder: Path) -> None:
    """Raise `BucketError` when buckets written to a folder would stand beside other things."""
    try:
        found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise BucketError(
            f"The folder {folder} can't be used for buckets ({error.strerror}). Name a new or "
            "empty folder."
        ) from error
    if other := sorted(found - {EVENTS, ATTRIBUTES, MANIFEST, LEADERS}):
        raise BucketError(
            f"The folder {folder} holds {other[0]!r}, which is no part of a folder of buckets. "
            "Name a new or empty folder."
        )


def open_buckets(business: Business, folder: Path, grouped: bool = False) -> Buckets:
    """Open the buckets of a business.

    Parameters
    ----------
    grouped
        Whether groups of customers may lie apart, for whoever reads all of the buckets.

    Raises
    ------
    BucketError
        When there is no manifest, or it is of another format or of other sources.
    """
    again = f"Make the buckets with python -m features bucket CONFIG {folder}."
    try:
        data = json.loads((folder / MANIFEST).read_text())
        n_events = tuple(bucket["n_events"] for bucket in data["buckets"])
        accounts = tuple(
            SourceAccount(**{**account, "events": tuple(account.get("events", ()))})
            for account in data["sources"]
        )
        whole = Overview.from_json(data["overview"])
        if data["format"] != FORMAT:
            raise BucketError(
                f"The buckets in {folder} are of format {data['format']}, this version reads "
                f"{FORMAT}. {again}"
            )
        found = Buckets(
            folder.resolve(), data["digest"], data["origin"], data["end"], whole, accounts,
            n_events, tuple(data.get("together", ())),
        )  # fmt: skip
    except FileNotFoundError as error:
        raise BucketError(f"There are no buckets in {folder}. {again}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BucketError(
            f"{folder / MANIFEST} can't be read as a manifest of buckets ({error}). {again}"
        ) from error
    if found.origin != origin(business):
        raise BucketError(
            f"The buckets in {folder} were made from other sources (digest {found.origin[:12]}) "
            f"than {business.name} now names (digest {origin(business)[:12]}): its events, "
            f"customers, attach, data, extracted_at or features.actions have changed since. {again}"
        )
    if not grouped and (apart := sorted({*business.features.groups} - {*found.together})):
        raise BucketError(
            f"[features] groups = {business.features.groups} counts the events of a whole group, "
            f"but in the buckets in {folder} customers of one {apart[0]} lie in several. {again}"
        )
    return found


def read_buckets(business: Business, folder: Path) -> Histories:
    """All histories of a folder of buckets in memory, as if they came from the sources."""
    buckets = open_buckets(business, folder, grouped=True)
    log, attributes = buckets.sample(1)
    log = with_groups(log, [name for name in business.features.groups if name in log.categories])
    return Histories(log, attributes, buckets.sources, buckets.end, buckets.digest)


def origin(business: Business) -> str:
    """SHA-256 of what a configuration says about its sources, wherever its files lie."""
    said = business.model_dump(
        mode="json", include={"events", "customers", "attach", "data", "extracted_at"}
    )
    if business.features.actions:  # the buckets hold them
        said["actions"] = True
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def bucket_of(customers: Iterable[str], n_buckets: int) -> Ints:
    """The bucket of each customer; depends on the id and the number of buckets alone."""
    return np.array([crc32(who.encode()) % n_buckets for who in customers], dtype=np.int64)


def sample(log: EventLog, attributes: EventLog, share: float) -> tuple[EventLog, EventLog]:
    """The histories of about a share of the customers, chosen by a hash of their ids.

    Whether a customer is chosen depends on nobody else, so that a sample of the whole log
    is the sum of its buckets' samples.
    """
    if share >= 1:
        return log, attributes
    draw = np.array([crc32(who.encode()) / 2**32 for who in log.customers])
    chosen = np.flatnonzero(draw < share)
    return _of_customers(log, chosen), _of_customers(attributes, chosen)


def _of_customers(log: EventLog, chosen: Ints) -> EventLog:
    """The histories of some customers, given as ascending positions."""
    counts = np.diff(log.offsets)[chosen]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    starts = np.repeat(log.offsets[chosen] - offsets[:-1], counts)
    order = np.arange(len(starts)) + starts
    return log.rows(order, tuple(log.customers[i] for i in chosen.tolist()), offsets)


def _write_leaders(histories: Histories, together: Sequence[str], folder: Path) -> list[str]:
    """Write down who lies in another's bucket, and give the id that chooses each one's bucket."""
    customers = histories.log.customers
    lead = leaders(histories.log, together)
    chosen = [customers[place] for place in lead.tolist()]
    if together:
        led = np.flatnonzero(lead != np.arange(len(customers))).tolist()
        table = pa.table(
            {
                "customer": pa.array([customers[place] for place in led], pa.string()),
                "leader": pa.array([chosen[place] for place in led], pa.string()),
            }
        )
        digest = {DIGEST: histories.digest.encode()}
        pq.write_table(table.replace_schema_metadata(digest), folder / LEADERS)
    return chosen


def _write_side(
    log: EventLog, bucket: Ints, folder: Path, n_buckets: int, digest: str
) -> tuple[int, ...]:
    """Write the rows of each bucket to a file of its own; give their numbers."""
    n_rows = []
    order = np.argsort(bucket, kind="stable")
    edges = np.searchsorted(bucket[order], np.arange(n_buckets + 1))
    for number in range(n_buckets):
        part = _of_customers(log, order[edges[number] : edges[number + 1]])
        table = _table(part).replace_schema_metadata({DIGEST: digest.encode()})
        path = folder / f"bucket-{number:05d}.parquet"
        pq.write_table(table, path, compression="zstd", compression_level=1)
        n_rows.append(part.n_events)
    return tuple(n_rows)


def _table(log: EventLog) -> pa.Table:
    """A log's rows in order; a missing value is null."""
    who = np.repeat(np.arange(log.n_customers, dtype=np.int32), np.diff(log.offsets))
    columns = {
        "customer": pa.DictionaryArray.from_arrays(who, pa.array(log.customers, pa.string())),
        "event_time": pa.array(log.event_time, INSTANT),
        "recorded_time": pa.array(log.recorded_time, INSTANT),
        "event": _text(log.event),
    }
    for name in sorted(log.kinds):
        if name in log.numbers:
            columns[name] = pa.array(log.numbers[name], pa.float64(), from_pandas=True)
        elif name in log.categories:
            columns[name] = _text(log.categories[name])
        else:
            times = log.times[name]
            columns[name] = pa.array(times, INSTANT, mask=times == MISSING_TIME)
    return pa.table(columns)


def _text(column: Categorical) -> pa.DictionaryArray:
    codes = pa.array(column.codes, mask=column.codes == ABSENT)
    return pa.DictionaryArray.from_arrays(codes, pa.array(column.levels, pa.string()))


def _log_of(table: pa.Table, kinds: Mapping[str, str]) -> EventLog:
    """The log that a bucket's table was made of; its rows are in order already."""
    who = _categorical(table["customer"])
    counts = np.bincount(who.codes, minlength=len(who.levels))
    return EventLog(
        customers=who.levels,
        offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]),
        event_time=_moments(table["event_time"]),
        recorded_time=_moments(table["recorded_time"]),
        event=_categorical(table["event"]),
        numbers={n: _numbers(table[n]) for n, kind in kinds.items() if kind == NUMBER},
        categories={n: _categorical(table[n]) for n, kind in kinds.items() if kind == CATEGORY},
        times={
            n: _moments(table[n]) for n, kind in kinds.items() if kind not in (NUMBER, CATEGORY)
        },
    )


def _categorical(column: pa.ChunkedArray) -> Categorical:
    """A dictionary column as codes into sorted levels, without spelling out its rows."""
    array = column.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # a column without rows has no chunk to combine
        array = pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.array([], pa.string()))
    order = pc.sort_indices(array.dictionary).to_numpy()
    rank = np.empty(len(order) + 1, np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    rank[-1] = ABSENT
    codes = pc.fill_null(array.indices, len(order)).to_numpy(zero_copy_only=False)
    return Categorical(rank[codes], tuple(array.dictionary.take(pa.array(order)).to_pylist()))


def _moments(column: pa.ChunkedArray) -> Ints:
    return np.asarray(pc.fill_null(column.cast(pa.int64()), MISSING_TIME).to_numpy())


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(pc.fill_null(column, float("nan")).to_numpy())


def _joined(logs: Sequence[EventLog]) -> EventLog:
    """One log of several that share no customer."""
    tables = [_table(log) for log in logs]
    table = pa.concat_tables(tables).unify_dictionaries()
    kinds = logs[0].kinds
    numbers = [name for name, kind in kinds.items() if kind == NUMBER]
    texts = [name for name, kind in kinds.items() if kind == CATEGORY]
    times = [name for name in kinds if name not in {*numbers, *texts}]
    return build_log(
        table["customer"],
        _moments(table["event_time"]),
        table["event"],
        _moments(table["recorded_time"]),
        {name: _numbers(table[name]) for name in numbers},
        {name: table[name] for name in texts},
        {name: _moments(table[name]) for name in times},
    )


def _manifest(business: Business, made: Buckets) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "business": business.name,
        "digest": made.digest,
        "origin": made.origin,
        "end": made.end,
        "together": list(made.together),
        "sources": [asdict(account) for account in made.sources],
        "overview": made.whole.to_json(),
        "buckets": [
            {"file": f"bucket-{number:05d}.parquet", "n_events": count}
            for number, count in enumerate(made.n_events)
        ],
    }
