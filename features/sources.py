"""From a business's SQL to journeys.

Takes a `Business`; runs its queries in DuckDB; gives an event log, an attribute log and an
account of every row that was set aside and why. Knows nothing about problems or features.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.actions import without_actions
from features.config import Business, Customers, Source
from features.duck import (
    RAW,
    connection,
    identifier,
    materialise,
    moment,
    quote,
    quote_text,
    typed,
)
from features.durations import (
    BEGINNING,
    MISSING_TIME,
    days,
    format_day,
    format_moment,
    this_moment,
)
from features.errors import SourceError, nearest
from features.event_log import (
    CATEGORY,
    LARGEST,
    NUMBER,
    STATED,
    TIME,
    EventLog,
    build_log,
    come_once,
    union,
)
from features.groups import with_groups
from features.people import check_owner

NOT_A_PROPERTY = (
    "customer", "event_time", "recorded_time", "event", "event_id", "valid_from",
)  # fmt: skip
"""Columns with a meaning of their own."""

REJECTED = "rejected.parquet"
LONG_SILENCE = days(60)
"""A source that is silent for longer at the end of the history is worth a word."""

REASON, ROW = "_milepost_reason", "_milepost_row"
"""Columns of `judged` that no business's own column is called."""

UNREADABLE = ("null_event_time", "unreadable_event_time", "unreadable_recorded_time", "null_event")
"""Reasons that mean a broken feed; a source with many such rows stops the run."""

REASONS = {
    "null_customer": "no customer",
    "null_event_time": "no event_time",
    "unreadable_event_time": "an event_time that is not a time",
    "unreadable_recorded_time": "a recorded_time that is not a time",
    "null_event": "no event name",
    "future_time": "a time after the histories were extracted",
    "duplicate_event_id": "an event_id that the source has already used",
    "unreadable_valid_from": "a valid_from that is not a time",
}
"""Why a row is set aside, in words."""


@dataclass(frozen=True)
class SourceAccount:
    """What became of the rows of one source."""

    name: str
    read: int
    kept: int
    rejected: dict[str, int] = field(default_factory=dict)
    """Rows set aside, by reason."""
    first: int | None = None
    last: int | None = None
    """The first and last event time that was kept."""
    immense: dict[str, int] = field(default_factory=dict)
    """Values that are infinite or beyond `LARGEST` and so count as missing, by column."""
    customers: int | None = None
    """How many customers the kept events are of; None where nobody counted."""
    events: tuple[str, ...] = ()
    """The names of the kept events."""

    @property
    def comes_once(self) -> bool:
        """Whether its events come once a customer, as signing up does."""
        return come_once(self.kept, self.customers or 0)


@dataclass(frozen=True)
class Histories:
    """Every journey of a business, ready for the engine."""

    log: EventLog
    attributes: EventLog
    """Dated statements about customers, over the same list of customers as the log."""
    sources: tuple[SourceAccount, ...]
    end: int
    """The moment up to which the histories reach."""
    digest: str
    """SHA-256 of the content; the same rows in any order give the same digest."""


def read_histories(
    business: Business,
    rejected: Path | None = None,
    say: Callable[[str], None] | None = None,
) -> Histories:
    """Run a business's SQL and sort the result into journeys.

    Parameters
    ----------
    rejected
        Where to write the rows that were set aside, as Parquet with the columns `source`,
        `reason`, `row` (JSON); removed when there are none.
    say
        Called with a line after each source.

    Raises
    ------
    SourceError
        When a query fails, a canonical column is missing or of a wrong type, two sources
        disagree about a property, or more rows are unreadable than the source allows.
    """
    read = read_tables(business, rejected, say)
    return merged(business, read)


@dataclass(frozen=True)
class Tables:
    """What each source yields, typed, its good rows alone."""

    events: list[pa.Table]
    statements: list[pa.Table]
    sources: tuple[SourceAccount, ...]
    """Of the events and then of the statements, in the order of their tables."""
    rejected: list[tuple[str, str, str]]
    """Source, reason and row (JSON) of what was set aside, where it was asked for."""


def read_tables(
    business: Business,
    rejected: Path | None = None,
    say: Callable[[str], None] | None = None,
    keep_rejected: bool = False,
) -> Tables:
    """Run a business's SQL; parameters and errors as of `read_histories`."""
    set_aside: list[tuple[str, str, str]] = []
    with connection(business.folder, business.attach) as duck:
        now = this_moment() if business.extracted_at is None else business.extracted_at
        duck.execute("create temp table rejected (source varchar, reason varchar, row varchar)")
        tables, accounts = [], []
        try:
            for number, source in enumerate(business.events, start=1):
                name = source.name or f"events {number}"
                table, account = _read_events(duck, source, name, now)
                tables.append(table)
                accounts.append(account)
                if say is not None:
                    say(describe(account))
            statements = []
            for number, customers in enumerate(business.customers, start=1):
                name = customers.name or f"customers {number}"
                table, account = _read_customers(duck, customers, name, now)
                statements.append(table)
                accounts.append(account)
                if say is not None:
                    say(describe(account))
        finally:
            _write_rejected(duck, rejected)
        if keep_rejected:
            set_aside = duck.execute("select * from rejected").fetchall()
    return Tables(tables, statements, tuple(accounts), set_aside)


def describe(account: SourceAccount) -> str:
    """One line about a source: rows kept, rows set aside and why."""
    line = f"{account.name}: {account.kept:,} rows"
    if account.rejected:
        parts = [f"{count:,} with {REASONS[reason]}" for reason, count in account.rejected.items()]
        line += f", set aside {', '.join(parts)}"
    if account.immense:
        parts = [f"{count:,} of {column}" for column, count in account.immense.items()]
        line += f", too large for a measurement and taken as missing {', '.join(parts)}"
    return line


def _read_events(
    duck: duckdb.DuckDBPyConnection, source: Source, name: str, now: int
) -> tuple[pa.Table, SourceAccount]:
    """One source's good rows as a typed table, and an account of the others."""
    columns = materialise(duck, name, source.sql)
    for needed in ("customer", "event_time", "event"):
        if needed not in columns:
            raise SourceError(
                f"The source {name!r} yields no column {needed!r}. Its SQL must yield customer, "
                f'event_time and event; rename one with "as {needed}". '
                f"It yields {_listed(columns)}."
            )
    customer, event = identifier("customer", columns), identifier("event", columns)
    happened = recorded = moment(name, "event_time", columns)
    rules = [
        ("null_customer", f"{customer} is null"),
        ("null_event_time", "event_time is null"),
        ("unreadable_event_time", f"{happened} is null"),
        ("null_event", f"{event} is null"),
    ]
    if "recorded_time" in columns:
        given = moment(name, "recorded_time", columns)
        rules.append(("unreadable_recorded_time", f"recorded_time is not null and {given} is null"))
        recorded = f"coalesce({given}, {happened})"
    rules.append(("future_time", f"greatest({happened}, {recorded}) > {now}"))
    typed_columns = {
        "customer": customer,
        "event_time": happened,
        "recorded_time": recorded,
        "event": event,
        **_properties(name, columns),
    }
    if "event_id" in columns:
        typed_columns["event_id"] = identifier("event_id", columns)
    _judge_rows(duck, rules, typed_columns)
    first, last, customers, names = duck.execute(
        "select min(event_time), max(event_time), count(distinct customer), "
        f"list_sort(list(distinct event)) from judged where {REASON} is null"
    ).fetchall()[0]
    counts = _set_aside(duck, name)
    table = _good_rows(duck)
    account = SourceAccount(
        name, table.num_rows + sum(counts.values()), table.num_rows, counts, first, last,
        _immense(table), customers, tuple(names or ()),
    )  # fmt: skip
    _check_unreadable(duck, source, account)
    return table, account


def _listed(columns: dict[str, str]) -> str:
    return ", ".join(repr(column) for column in columns)


def _properties(name: str, columns: dict[str, str]) -> dict[str, str]:
    """SQL for each column that is not canonical, by name."""
    return {
        column: typed(name, column, columns) for column in columns if column not in NOT_A_PROPERTY
    }


def _judge_rows(
    duck: duckdb.DuckDBPyConnection, rules: list[tuple[str, str]], columns: dict[str, str]
) -> None:
    """Make the temp table `judged`: typed columns, why a row is set aside, and the row itself.

    Of the good rows with one `event_id`, the one that was recorded first is kept.
    """
    cases = " ".join(f"when {rule} then {quote_text(why)}" for why, rule in rules)
    select = ", ".join(f"{sql} as {quote(column)}" for column, sql in columns.items())
    reason = "_milepost_rule"
    if "event_id" in columns:
        reason = (
            "case when _milepost_rule is not null then _milepost_rule "
            "when event_id is not null and row_number() over (partition by event_id, "
            f"_milepost_rule is null order by recorded_time, {', '.join(map(quote, columns))}) > 1 "
            "then 'duplicate_event_id' end"
        )
    duck.execute(
        f"create or replace temp table judged as with ruled as (select case {cases} end as "
        f"_milepost_rule, {select}, {RAW} as _milepost_raw from {RAW}), "
        f"reasoned as (select *, {reason} as {REASON} from ruled) "
        "select * exclude (_milepost_rule, _milepost_raw), "
        f"case when {REASON} is not null then to_json(_milepost_raw)::varchar end as {ROW} "
        "from reasoned"
    )


def _good_rows(duck: duckdb.DuckDBPyConnection) -> pa.Table:
    return duck.sql(
        f"select * exclude ({REASON}, {ROW}) from judged where {REASON} is null"
    ).to_arrow_table()


def _immense(table: pa.Table) -> dict[str, int]:
    """How many values of each numeric column are beyond every measurement."""
    found = {}
    for column in table.schema:
        if pa.types.is_floating(column.type):
            beyond = pc.greater(pc.abs(table[column.name]), LARGEST)
            found[column.name] = int(pc.sum(beyond).as_py() or 0)
    return {name: count for name, count in found.items() if count}


def _set_aside(duck: duckdb.DuckDBPyConnection, name: str) -> dict[str, int]:
    """Move rejected rows to the table of rejects; count them by reason."""
    duck.execute(
        f"insert into rejected select {quote_text(name)}, {REASON}, {ROW} from judged "
        f"where {REASON} is not null"
    )
    found = duck.execute(
        f"select {REASON}, count(*) from judged where {REASON} is not null group by 1 order by 1"
    ).fetchall()
    return {str(reason): int(count) for reason, count in found}


def _check_unreadable(
    duck: duckdb.DuckDBPyConnection, source: Source, account: SourceAccount
) -> None:
    """Stop when too many rows of a source are unreadable, or none is left."""
    broken = {reason: n for reason, n in account.rejected.items() if reason in UNREADABLE}
    count = sum(broken.values())
    if count > source.max_unreadable * account.read:
        worst = max(broken, key=lambda reason: broken[reason])
        example = duck.execute(
            f"select {ROW} from judged where {REASON} = '{worst}' limit 1"
        ).fetchall()[0][0]
        mend = (
            "Mend them in the file or the SQL, or allow them with "
            f"max_unreadable = {min(1.0, 1.5 * count / account.read):.2g} beside that source's sql."
        )
        if count > account.read / 2:
            mend = (
                "Mend the SQL; a time in another notation than ISO 8601 becomes one with, for "
                "example, strptime(event_time, '%d/%m/%Y %H:%M')."
            )
        raise SourceError(
            f"The source {account.name!r} has {count:,} unreadable rows of {account.read:,} "
            f"({count / account.read:.1%}, allowed {source.max_unreadable:.1%}), most of them with "
            f"{REASONS[worst]}, such as {str(example)[:200]}. They are listed in {REJECTED}. "
            f"{mend}"
        )
    if account.rejected.get("duplicate_event_id", 0) > account.read / 2:
        raise SourceError(
            f"The event_id of the source {account.name!r} is no id: "
            f"{account.rejected['duplicate_event_id']:,} of {account.read:,} rows have one that "
            "was used before. Yield a column that differs from event to event, or leave it out."
        )
    _check_some_left(account)


def _check_some_left(account: SourceAccount) -> None:
    if account.read and not account.kept:
        raise SourceError(
            f"All {account.read:,} rows of the source {account.name!r} were set aside: "
            f"{describe(account).partition('set aside ')[2]}. They are listed in {REJECTED}."
        )


def _read_customers(
    duck: duckdb.DuckDBPyConnection, customers: Customers, name: str, now: int
) -> tuple[pa.Table, SourceAccount]:
    """One source of attributes; without `valid_from` they hold from the beginning."""
    columns = materialise(duck, name, customers.sql)
    if "customer" not in columns:
        raise SourceError(
            f"The source {name!r} yields no column 'customer'; rename one with "
            f'"as customer". It yields {_listed(columns)}.'
        )
    customer = identifier("customer", columns)
    rules = [("null_customer", f"{customer} is null")]
    valid_from = f"{BEGINNING}::bigint"
    if "valid_from" in columns:
        valid_from = moment(name, "valid_from", columns)
        rules.append(("unreadable_valid_from", f"{valid_from} is null"))
    recorded = valid_from
    if "recorded_time" in columns:
        given = moment(name, "recorded_time", columns)
        rules.append(("unreadable_recorded_time", f"recorded_time is not null and {given} is null"))
        recorded = f"coalesce({given}, {valid_from})"
    rules.append(("future_time", f"{recorded} > {now}"))
    typed_columns = {
        "customer": customer,
        "event_time": valid_from,
        "recorded_time": recorded,
        "event": quote_text(STATED),
        **_properties(name, columns),
    }
    _judge_rows(duck, rules, typed_columns)
    if "valid_from" not in columns:
        _refuse_ambiguous(duck, name)
    counts = _set_aside(duck, name)
    table = _good_rows(duck)
    read = table.num_rows + sum(counts.values())
    account = SourceAccount(name, read, table.num_rows, counts, immense=_immense(table))
    _check_some_left(account)
    return table, account


def _refuse_ambiguous(duck: duckdb.DuckDBPyConnection, name: str) -> None:
    """Two undated rows of one customer: nobody could say which one holds."""
    found = duck.execute(
        f"select customer, count(*) from judged where {REASON} is null group by 1 "
        "having count(*) > 1 order by 1 limit 1"
    ).fetchall()
    if found:
        raise SourceError(
            f"The source {name!r} has {found[0][1]} rows for the customer {found[0][0]!r}. Yield "
            "one row a customer, or add valid_from, the time from which each row holds."
        )


def _write_rejected(duck: duckdb.DuckDBPyConnection, path: Path | None) -> None:
    if path is None:
        return
    count = duck.execute("select count(*) from rejected").fetchall()[0][0]
    if not count:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    duck.execute(f"copy rejected to {quote_text(str(path))} (format parquet)")


def merged(business: Business, read: Tables) -> Histories:
    """One log of events and one of attributes of all sources' tables.

    Raises
    ------
    SourceError, ConfigError
        When there are no events, or the configuration names what no source yields.
    """
    log = _merge(read.events if business.features.actions else without_actions(read.events))
    if not log.n_events:
        raise SourceError(f"{business.name} has no events at all: every source came back empty.")
    attributes = _merge(read.statements)
    check_owner(business.people.owner, attributes.kinds, log.kinds)
    customers = union(log.customers, attributes.customers)
    log, attributes = log.aligned(customers), attributes.aligned(customers)
    for group in business.features.groups:
        if group not in log.categories:
            raise SourceError(
                f"[features] groups names {group!r}, but no source of events yields it as text."
                f"{nearest(group, log.categories)}"
            )
    log = with_groups(log, business.features.groups)
    end = int(log.recorded_time.max()) if business.extracted_at is None else business.extracted_at
    return Histories(log, attributes, read.sources, end, digest(log, attributes))


def _merge(tables: list[pa.Table]) -> EventLog:
    """One log of several tables; a property that a table lacks is missing there."""
    tables = [_without_empty_columns(table) for table in tables]
    kinds: dict[str, pa.DataType] = {}
    for table in tables:
        for column in table.schema:
            if kinds.setdefault(column.name, column.type) != column.type:
                raise SourceError(
                    f"The property {column.name!r} is a {_kind_of(column.type)} in one source "
                    f"and a {_kind_of(kinds[column.name])} in another. Cast it in the SQL, or name "
                    "one of them differently."
                )
    schema = pa.schema(list(kinds.items()))
    full = [table.select([n for n in schema.names if n in table.column_names]) for table in tables]
    merged = pa.concat_tables(full, promote_options="default") if full else _no_rows()
    properties = [name for name in merged.column_names if name not in NOT_A_PROPERTY]
    of_kind = {
        kind: [name for name in properties if _kind_of(merged.schema.field(name).type) == kind]
        for kind in (NUMBER, CATEGORY, TIME)
    }
    return build_log(
        merged["customer"],
        merged["event_time"].to_numpy(),
        merged["event"],
        merged["recorded_time"].to_numpy(),
        {name: merged[name].to_numpy() for name in of_kind[NUMBER]},
        {name: merged[name] for name in of_kind[CATEGORY]},
        {name: pc.fill_null(merged[name], MISSING_TIME).to_numpy() for name in of_kind[TIME]},
    )


def _without_empty_columns(table: pa.Table) -> pa.Table:
    """A table without the properties that no row has: their type says nothing."""
    empty = [
        name
        for name in table.column_names
        if name not in NOT_A_PROPERTY and table[name].null_count == table.num_rows
    ]
    return table.drop_columns(empty) if table.num_rows else table


def _no_rows() -> pa.Table:
    return pa.table(
        {
            "customer": pa.array([], pa.string()),
            "event_time": pa.array([], pa.int64()),
            "recorded_time": pa.array([], pa.int64()),
            "event": pa.array([], pa.string()),
        }
    )


def _kind_of(kind: pa.DataType) -> str:
    if pa.types.is_floating(kind):
        return NUMBER
    return TIME if pa.types.is_int64(kind) else CATEGORY


def digest(*logs: EventLog) -> str:
    """SHA-256 over the sorted content of logs."""
    sha = hashlib.sha256()
    for log in logs:
        sha.update(repr((log.customers, log.event.levels, sorted(log.kinds.items()))).encode())
        for column in (log.offsets, log.event_time, log.recorded_time, log.event.codes):
            sha.update(np.ascontiguousarray(column).tobytes())
        for name in sorted(log.numbers):
            sha.update(log.numbers[name].tobytes())
        for name in sorted(log.categories):
            sha.update(repr(log.categories[name].levels).encode())
            sha.update(log.categories[name].codes.tobytes())
        for name in sorted(log.times):
            sha.update(log.times[name].tobytes())
    return sha.hexdigest()


def doubts(business: Business, histories: Histories) -> Iterator[str]:
    """What a person should look at, though it stops nothing."""
    log = histories.log
    known = set(log.event.levels)
    for stage, names in business.stages.items():
        for name in names:
            if name not in known:
                yield f"stage {stage} names {name!r}, which never occurs.{nearest(name, known)}"
    stray = log.n_events // 1000
    nearly_last = int(np.partition(log.event_time, -1 - stray)[-1 - stray])
    last = int(log.event_time.max())
    if last - nearly_last > LONG_SILENCE:
        yield (
            f"the last {stray:,} events lie between {format_day(nearly_last)} and "
            f"{format_day(last)}; if those dates are wrong, say extracted_at = "
            f"{format_day(nearly_last)} or labels are read from a time without events"
        )
    for account in histories.sources:
        if account.last is not None and histories.end - account.last > LONG_SILENCE:
            may_be = "are there no newer customers, or has" if account.comes_once else "has"
            yield (
                f"the source {account.name!r} has no event after {format_day(account.last)}, the "
                f"history goes on to {format_day(histories.end)}: {may_be} the feed stopped?"
            )


def reach(histories: Histories) -> str:
    """What the histories hold, in one line."""
    log = histories.log
    first, last = format_moment(int(log.event_time.min())), format_moment(histories.end)
    return f"{log.n_events:,} events of {log.n_customers:,} customers, {first} to {last}"
