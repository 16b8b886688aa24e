"""The journeys of the groups that a stored customer has been in.

Takes rows of a group's members; gives the log that `features.groups.group_of` makes of the same
events, with only the columns that a model's features of groups read. Where two events of a
group share their moment and name, other columns may decide their order: then all are decoded.
Knows nothing about where rows are kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from features.categorical import Categorical
from features.event_log import EventLog, Ints
from features.feature import Feature
from features.groups import MEMBER
from serving.journeys import Columns, categorical


def wanted_of_groups(features: Iterable[Feature]) -> dict[str, tuple[str, ...]]:
    """The properties that features of each group read, by the property that names the group."""
    found: dict[str, set[str]] = {}
    for feature in features:
        if feature.over is not None:
            read = found.setdefault(feature.over, {feature.over})
            read |= {condition.column for condition in feature.where.conditions}
            if feature.of is not None:
                read.add(feature.of)
    return {name: tuple(sorted(read)) for name, read in sorted(found.items())}


def group_log(
    column: str,
    found: Mapping[str, Sequence[Any]],
    kinds: Mapping[str, str],
    wanted: Sequence[str],
    columns_of: Any,
) -> EventLog:
    """The log of some groups.

    Parameters
    ----------
    column
        The property that names groups.
    found
        By group, the rows of all its members: customer, event_time, recorded_time, event,
        properties; events of other groups may be among them.
    wanted
        The properties that are read, `column` among them.
    columns_of
        Gives the decoder of some kinds.
    """
    groups = sorted(found)
    rows = [row for group in groups for row in found[group]]
    part = {name: kind for name, kind in kinds.items() if name in wanted}
    log, who = _unsorted(rows, columns_of(part))
    asked = np.repeat(np.arange(len(groups)), [len(found[group]) for group in groups])
    own = log.categories[column]
    code = np.array([own.code(group) for group in groups])
    mine = np.flatnonzero(own.codes == code[asked]) if len(rows) else np.empty(0, np.int64)
    order = mine[np.lexsort((log.event.codes[mine], log.event_time[mine], asked[mine]))]
    if len(part) < len(kinds) and _tied(log, asked, order):
        return group_log(column, found, kinds, tuple(kinds), columns_of)
    if len(part) == len(kinds):
        content = [key[mine] for key in reversed(log.content)]
        order = mine[np.lexsort((who.codes[mine], *content, asked[mine]))]
    sizes = np.bincount(asked[order], minlength=len(groups))
    present = np.flatnonzero(sizes)
    offsets = np.concatenate([[0], np.cumsum(sizes[present])]).astype(np.int64)
    sorted_log = log.rows(order, tuple(groups[i] for i in present.tolist()), offsets)
    sorted_log.categories[MEMBER] = who.take(order)  # type: ignore[index]
    return sorted_log


def _unsorted(rows: Sequence[Any], columns: Columns) -> tuple[EventLog, Categorical]:
    """All rows as a log of nobody in particular, and whose each is."""
    who, happened, recorded, event, properties = zip(*rows, strict=True) if rows else ((),) * 5
    read = columns.read(properties)
    return EventLog(
        (),
        np.zeros(1, np.int64),
        np.array(happened, np.int64),
        np.array(recorded, np.int64),
        categorical(event),
        read.numbers,
        read.categories,
        read.times,
    ), categorical(who)


def _tied(log: EventLog, asked: Ints, order: Ints) -> bool:
    """Whether two events of a group share moment and name."""
    keys = (asked[order], log.event_time[order], log.event.codes[order])
    if not len(order):
        return False
    same = np.ones(len(order) - 1, bool)
    for key in keys:
        same &= key[1:] == key[:-1]
    return bool(same.any())
