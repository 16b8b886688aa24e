"""From a scored book's columns to the rows of the store.

Takes the Arrow table of a book and where customers stood before; ranks it, counts it, and gives
rows in the table's order, with reasons as JSON. Knows nothing about how scores are made or
where rows go.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.durations import format_moment
from features.event_log import Ints
from serving.book_names import score_id
from serving.book_reasons import names
from serving.book_store import Cell
from serving.webhooks import BAND_CHANGED, HookEvent, hook_event

ROWS_AT_ONCE = 10_000
"""Rows that are spelled out in memory at a time."""

AFTER_RANKS = (
    "as_of", "valid_until", "probability", "interval_low", "interval_high", "percentile", "band",
)  # fmt: skip
AFTER_BANDS = (
    "week_ago", "value_at_stake", "expected_value", "stage", "persona", "owner", "last_event",
    "last_event_time", "date_due", "days_to_date", "base_points", "vector_hash",
)  # fmt: skip


TOLD = ("probability", "percentile", "week_ago", "value_at_stake", "stage", "persona")
"""What an event tells beside customer, band and reasons."""
MOST_TOLD = 3
"""Reasons that an event and a row of the list carry."""


@dataclass(frozen=True)
class Place:
    """Whose book it is, and which making of it."""

    workspace: str
    problem: str
    generation: int
    version: str
    """Of the model."""
    made: int
    """When, microseconds UTC."""


def ranks(table: pa.Table) -> tuple[Ints, Ints]:
    """Each row's place by probability and by expected value, 1 the first.

    Ties go by the customer's id; where nothing is at stake, by probability behind the others.
    """
    probability = table["probability"].to_numpy()
    worth = table["expected_value"].to_numpy()
    by_id = np.asarray(pc.sort_indices(table["customer"]).to_numpy(), np.int64)
    name = np.empty(len(by_id), np.int64)
    name[by_id] = np.arange(len(by_id))
    place = _places(np.lexsort((name, -probability)))
    return place, _places(np.lexsort((place, -np.nan_to_num(worth, nan=-np.inf))))


def _places(order: Ints) -> Ints:
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(1, len(order) + 1)
    return place


def cells(table: pa.Table) -> list[Cell]:
    """Rows and sums by band, stage and persona."""
    return [cell for _, cell in _cells(table, ["band", "stage", "persona"])]


def owned_cells(table: pa.Table) -> list[tuple[str, Cell]]:
    """The same of each owner; rows that nobody owns are left out."""
    owned = table.filter(pc.is_valid(table["owner"]))
    return _cells(owned, ["owner", "band", "stage", "persona"])


def _cells(table: pa.Table, keys: list[str]) -> list[tuple[str, Cell]]:
    money = ["value_at_stake", "expected_value"]
    plain = pa.table({k: table[k].cast(pa.string()) for k in keys} | {m: table[m] for m in money})
    sums = plain.group_by(keys).aggregate([([], "count_all"), *((m, "sum") for m in money)])
    return [
        (
            row.get("owner", ""),
            Cell(
                row["band"], row["stage"], row["persona"], row["count_all"],
                row["value_at_stake_sum"] or 0.0, row["expected_value_sum"] or 0.0,
            ),
        )
        for row in sums.sort_by([(k, "ascending") for k in keys]).to_pylist()
    ]  # fmt: skip


def rows(
    table: pa.Table, place: Ints, worth: Ints, before: Mapping[str, str]
) -> Iterator[tuple[Any, ...]]:
    """Rows of the table `book` after its workspace, problem and generation."""
    for begin in range(0, table.num_rows, ROWS_AT_ONCE):
        part = table.slice(begin, ROWS_AT_ONCE)
        end = begin + part.num_rows
        customers = part["customer"].to_pylist()
        columns = [_plain(part[name]) for name in (*AFTER_RANKS, *AFTER_BANDS)]
        split = len(AFTER_RANKS)
        yield from zip(
            customers,
            place[begin:end].tolist(),
            worth[begin:end].tolist(),
            *columns[:split],
            [before.get(customer) for customer in customers],
            *columns[split:],
            _reasons(part, MOST_TOLD),
            strict=True,
        )


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Python values; a moment as microseconds."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return list(column.to_pylist())


def _reasons(part: pa.Table, most: int) -> list[str]:
    """Each row's reasons as a JSON list, the strongest first."""
    found: list[list[str]] = [[] for _ in range(part.num_rows)]
    spelled: dict[str, str] = {}
    for rank in range(1, most + 1):
        text, points, feature, kind = (part[name].to_pylist() for name in names(rank))
        for here, says, moved, named, sort in zip(found, text, points, feature, kind, strict=True):
            if says is None:
                continue
            key = f"{named}\0{says}"
            head = spelled.get(key)
            if head is None:
                head = spelled[key] = json.dumps(
                    {"feature": named, "kind": sort, "statement": says}, ensure_ascii=False
                )[:-1]
            here.append(f'{head}, "points": {moved!r}}}')
    return [f"[{', '.join(reasons)}]" for reasons in found]


def moved(table: pa.Table, before: Mapping[str, str]) -> pa.Table:
    """The rows of customers who stand in another band than in the last book they were in."""
    customers, bands = table["customer"].to_pylist(), table["band"].to_pylist()
    these = [i for i, who in enumerate(customers) if before.get(who, bands[i]) != bands[i]]
    return table.take(pa.array(these, pa.int64()))


def band_changes(
    changed: pa.Table, before: Mapping[str, str], place: Place, now: int
) -> Iterator[HookEvent]:
    """An event for every row of those who `moved`."""
    for begin in range(0, changed.num_rows, ROWS_AT_ONCE):
        part = changed.slice(begin, ROWS_AT_ONCE)
        reasons = _reasons(part, MOST_TOLD)
        as_of = _plain(part["as_of"])
        told = part.select(["customer", "band", *TOLD]).to_pylist()
        for row, why, moment in zip(told, reasons, as_of, strict=True):
            data = {
                **row, "band_before": before[row["customer"]], "problem": place.problem,
                "model_version": place.version, "as_of": format_moment(moment),
                "reasons": json.loads(why),
                "score_id": score_id(
                    place.made, place.generation, place.problem, row["customer"]
                ),
            }  # fmt: skip
            yield hook_event(
                BAND_CHANGED, place.workspace, place.problem, row["customer"], now,
                str(place.generation), data,
            )  # fmt: skip
