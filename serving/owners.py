"""Whose a customer is: what the histories say of it.

Takes statements about customers and the attribute that names owners (`[people] owner`); gives the
owner as of a moment: what was said last, held and was known by then. Knows nothing about people
or HTTP.
"""

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from features.event_log import EventLog, Ints

WORDS = pa.dictionary(pa.int32(), pa.string())


def owner_column(attributes: EventLog, name: str, customers: Ints, as_of: int) -> pa.Array:
    """The owner of each of some customers, null where nobody was named.

    Parameters
    ----------
    customers
        Positions in the log, shape `(n,)`.
    """
    column = attributes.categories.get(name)
    if column is None:
        return pa.nulls(len(customers), WORDS)
    known = (attributes.event_time <= as_of) & (attributes.recorded_time <= as_of)
    rows = np.flatnonzero(known & (column.codes >= 0))
    whose = np.repeat(np.arange(attributes.n_customers), np.diff(attributes.offsets))[rows]
    last = np.full(attributes.n_customers, -1, np.int32)
    last[whose] = column.codes[rows]  # rows ascend, so the last one of a customer stays
    codes = last[customers]
    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(column.levels, pa.string()))


def owner_said(statements: list[Any], name: str, as_of: int) -> str | None:
    """The owner that one customer's rows of the store name.

    Parameters
    ----------
    statements
        Event time, recorded time, event, id and properties as JSON of each.
    """
    said = []
    for when, recorded, _, _, properties in statements:
        owner = msgspec.json.decode(properties).get(name)
        if when <= as_of and recorded <= as_of and isinstance(owner, str):
            said.append((when, recorded, owner))
    return max(said)[2] if said else None
