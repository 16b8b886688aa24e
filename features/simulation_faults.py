"""How events are delivered: late, twice, and through feeds that fail.

Takes the complete table of events and settings; gives the table that the company's systems
hold at the end. Draws for every event whether or not a fault hits it, so that switching one
fault on changes nothing else. Knows nothing about customers or why anything happened.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.durations import DAY, HOUR, MINUTE
from features.simulation_settings import Fault, Settings

Ints = NDArray[np.int64]

LATE_SOURCES = ("web", "marketing")
"""Feeds that deliver late; no driver comes from them."""
DELAY_MEDIAN, DELAY_SPREAD, LONGEST_DELAY = 12 * HOUR, 1.2, 14 * DAY
"""Delays of late events: log-normal, cut off."""

SKEW = 5 * HOUR
CENTS = 100.0
MONEY = ("value", "price")
"""Properties that a unit change multiplies."""


def deliver(events: pa.Table, settings: Settings, rng: np.random.Generator) -> pa.Table:
    """The events as recorded by the end, with `recorded_time`, duplicates and faults.

    A fault of a feed holds for `begins <= event_time < ends` of the true event time.
    """
    happened = _micros(events, "event_time")
    recorded = happened + _delays(events, settings, rng)
    again = rng.random(len(happened)) < settings.duplicate_share
    later = recorded + rng.integers(MINUTE, 30 * MINUTE, len(happened))
    shuffle = rng.random(len(happened))
    table = events.add_column(4, "recorded_time", _moments(recorded))
    table = table.append_column("_again", pa.array(again))
    table = table.append_column("_later", _moments(later))
    table = table.append_column("_shuffle", pa.array(shuffle))
    for fault in settings.faults:
        if fault.kind in BREAK:
            table = BREAK[fault.kind](table, _hit(table, fault))
    copies = table.filter(table["_again"])
    copies = _set(copies, "recorded_time", copies["_later"])
    table = pa.concat_tables([table, copies])
    table = table.filter(pa.array(_micros(table, "recorded_time") < settings.end))
    order = _order(table, settings.shuffled)
    return table.drop_columns(["_again", "_later", "_shuffle"]).take(order).combine_chunks()


def _micros(table: pa.Table, column: str) -> Ints:
    return np.asarray(table[column].cast(pa.int64()).to_numpy())


def _moments(micros: Ints) -> pa.Array:
    return pa.array(micros, pa.timestamp("us", "UTC"))


def _set(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def _delays(events: pa.Table, settings: Settings, rng: np.random.Generator) -> Ints:
    """Microseconds between happening and being recorded, shape `(n_events,)`."""
    n = events.num_rows
    late = rng.random(n) < settings.late_share
    late &= pc.is_in(events["source"], pa.array(LATE_SOURCES)).to_numpy()
    delay = DELAY_MEDIAN * np.exp(DELAY_SPREAD * rng.standard_normal(n))
    return np.where(late, np.clip(delay, MINUTE, LONGEST_DELAY), 0).astype(np.int64)


def _hit(table: pa.Table, fault: Fault) -> NDArray[np.bool_]:
    """Rows of a fault's source in its time."""
    happened = _micros(table, "event_time")
    of_source = pc.equal(table["source"], fault.source).to_numpy()
    return np.asarray(of_source & (happened >= fault.begins) & (happened < fault.ends))


def _outage(table: pa.Table, hit: NDArray[np.bool_]) -> pa.Table:
    return table.filter(pa.array(~hit))


def _unit_change(table: pa.Table, hit: NDArray[np.bool_]) -> pa.Table:
    factor = pa.array(np.where(hit, CENTS, 1.0))
    for name in MONEY:
        table = _set(table, name, pc.multiply(table[name], factor))
    return table


def _duplicate_feed(table: pa.Table, hit: NDArray[np.bool_]) -> pa.Table:
    copies = table.filter(pa.array(hit))
    ids = pc.binary_join_element_wise("d", copies["event_id"], "")
    return pa.concat_tables([table, _set(copies, "event_id", ids)])


def _clock_skew(table: pa.Table, hit: NDArray[np.bool_]) -> pa.Table:
    happened = _micros(table, "event_time")
    return _set(table, "event_time", _moments(np.where(hit, happened + SKEW, happened)))


BREAK: dict[str, Callable[[pa.Table, NDArray[np.bool_]], pa.Table]] = {
    "outage": _outage,
    "unit_change": _unit_change,
    "duplicate_feed": _duplicate_feed,
    "clock_skew": _clock_skew,
}
"""What each fault of a feed does to the rows that it hits."""


def _order(table: pa.Table, shuffled: bool) -> pa.Array:
    """By event time, or at random; what is equal keeps its order, copies after originals."""
    key = table["_shuffle"].to_numpy() if shuffled else _micros(table, "event_time")
    return pa.array(np.argsort(key, kind="stable"))
