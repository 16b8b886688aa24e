"""`python -m serving import CONFIG`: a business's sources into the store.

Takes a journey.toml and a database; reads the sources as training does and keeps every row
under the name of its source. A row without an id is named by its content and by how many equal
ones came before it, so that a second import adds nothing. Rows that can't be used go to the
quarantine.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from tqdm import tqdm

from features.config import Business, read_config
from features.durations import MISSING_TIME, format_moment
from features.event_log import CATEGORY, LARGEST, NUMBER, TIME
from features.sources import NOT_A_PROPERTY, REASONS, Tables, merged, read_tables
from serving.database import Database
from serving.event_store import (
    EVENT,
    ID_CONFLICT,
    STATEMENT,
    Fact,
    SetAside,
    TenantStore,
    store_of,
)
from serving.facts import content_id
from serving.intake import CONFLICT
from serving.migrations import upgrade
from serving.quarantine import IMPORTED
from serving.settings import declare_place, read_settings

AT_ONCE = 20_000
"""Rows of one transaction."""


def declare(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    declare_place(parser)


def run(chosen: argparse.Namespace) -> int:
    """Import every business that is named."""
    settings = read_settings(os.environ, workspace=chosen.workspace, database=chosen.database)
    settings.workspace.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url)
    upgrade(database)
    try:
        for path in chosen.config:
            business = read_config(Path(path))
            store = store_of(database, business)
            done = import_sources(business, store)
            parts = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(done.items()))
            print(f"{business.name}: {parts}", file=sys.stderr, flush=True)
    finally:
        database.close()
    return 0


def import_sources(business: Business, store: TenantStore, progress: bool = True) -> Counter[str]:
    """Read a business's sources into its store; count what became of the rows.

    Raises
    ------
    SourceError, ConfigError
        When a source can't be read, as in training, or no attribute names owners as declared.
    StoreUnavailableError
        When the store can't be written; what was written before stays, and a second import
        adds the rest.
    """
    read = read_tables(business, keep_rejected=True)
    end = merged(business, read).end  # refuses what training would refuse
    happened, stated = (
        {name: kind for table in tables for name, kind in _kinds(table).items()}
        for tables in (read.events, read.statements)
    )
    store.declare(EVENT, happened)
    store.declare(STATEMENT, stated)
    done: Counter[str] = Counter()
    total = sum(account.kept for account in read.sources)
    with tqdm(total=total, unit=" rows", disable=not progress, file=sys.stderr) as bar:
        for side, source, table in _sides(read):
            for facts in _facts(table, side, source, business.features.groups):
                verdicts = _append(store, facts, end)
                done.update(verdicts)
                bar.update(len(facts))
    aside = [_rejected(*row) for row in read.rejected]
    for begin in range(0, len(aside), AT_ONCE):
        store.append((), aside[begin : begin + AT_ONCE], until=end)
    done["set aside"] += len(aside)
    return +done


def _sides(read: Tables) -> Iterator[tuple[int, str, pa.Table]]:
    names = [account.name for account in read.sources]
    sides = [EVENT] * len(read.events) + [STATEMENT] * len(read.statements)
    yield from zip(sides, names, [*read.events, *read.statements], strict=True)


def _append(store: TenantStore, facts: Sequence[Fact], end: int) -> list[str]:
    def unkept(place: int, reason: str) -> SetAside:
        fact = facts[place]
        body = msgspec.json.encode({**msgspec.structs.asdict(fact), "kinds": []}).decode()
        return _rejected(fact.source, reason, body)

    return store.append(facts, (), unkept, until=end).verdicts


def _rejected(source: str, reason: str, body: str) -> SetAside:
    named = blake2b(f"{source}\0{reason}\0{body}".encode(), digest_size=12).hexdigest()
    return SetAside(
        named, source, IMPORTED, reason, {**REASONS, ID_CONFLICT: CONFLICT}[reason], body
    )


def _kinds(table: pa.Table) -> dict[str, str]:
    """The kinds of a table's properties, without those that no row has."""
    kinds = {}
    for column in table.schema:
        if column.name not in NOT_A_PROPERTY and table[column.name].null_count < table.num_rows:
            number, moment = pa.types.is_floating(column.type), pa.types.is_int64(column.type)
            kinds[column.name] = NUMBER if number else TIME if moment else CATEGORY
    return kinds


def _facts(table: pa.Table, side: int, source: str, groups: Sequence[str]) -> Iterator[list[Fact]]:
    """A table's rows as facts, in the order of the store's key, a transaction at a time."""
    kinds = sorted(_kinds(table).items())
    table = table.sort_by([("customer", "ascending"), ("event_time", "ascending")])
    mine = [name for name, kind in kinds if name in groups and kind == CATEGORY and side == EVENT]
    seen: Counter[str] = Counter()
    last = None
    for batch in table.to_batches(AT_ONCE):
        columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
        written = [_written(kinds, row) for row in _rows(columns, kinds)]
        ids = columns.get("event_id", [None] * batch.num_rows)
        facts = []
        for i, customer in enumerate(columns["customer"]):
            if customer != last:
                last, seen = customer, Counter()
            when, recorded = columns["event_time"][i], columns["recorded_time"][i]
            event, given = columns["event"][i], ids[i]
            if given is None:
                said = event if recorded == when else f"{event}\0{recorded}"
                given = content_id(side, customer, when, said, written[i])
                seen[given] += 1
                if seen[given] > 1:
                    given = f"{given}.{seen[given]}"
            member = tuple((n, columns[n][i]) for n in mine if columns[n][i] is not None)
            facts.append(
                Fact(side, source, given, customer, when, event, written[i], (), member, recorded)
            )
        yield facts


def _rows(columns: dict[str, list[Any]], kinds: Sequence[tuple[str, str]]) -> Iterator[Any]:
    if kinds:
        return zip(*(columns[name] for name, _ in kinds), strict=True)
    return iter([()] * len(columns["customer"]))


_encode = msgspec.json.Encoder().encode


def _written(kinds: Sequence[tuple[str, str]], row: Sequence[Any]) -> str:
    """A row's properties as the JSON that the store keeps; a missing one is left out."""
    kept: dict[str, Any] = {}
    for (name, kind), value in zip(kinds, row, strict=True):
        if value is None:
            continue
        if kind == NUMBER:
            if not isfinite(value) or abs(value) > LARGEST:
                continue
        elif kind == TIME:
            if value == MISSING_TIME:
                continue
            value = _moment(value)
        kept[name] = value
    return _encode(kept).decode()


@lru_cache(maxsize=65_536)
def _moment(value: int) -> str:
    return format_moment(value)
