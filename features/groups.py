"""Groups of customers: the journey of an account, a household or a team.

Takes an event log with a text property that says whose account an event belongs to; gives
the same events as journeys of accounts, and the account of each row. A row belongs to the
account of the last event that it sees. Knows nothing about features.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from features.categorical import ABSENT, Categorical
from features.event_log import EventLog, Ints, empty_log

MEMBER = "customer"
"""In a group's journey: the property that says which customer an event is of."""


def with_groups(log: EventLog, columns: Sequence[str]) -> EventLog:
    """The same log with the journeys of its groups, one for each of these properties."""
    groups = {name: group_of(log, name) for name in columns}
    return replace(log, groups=groups) if groups else log


def group_of(log: EventLog, column: str) -> EventLog:
    """The journeys of the groups that a property names; made anew if the log has none."""
    if column in log.groups:
        return log.groups[column]
    accounts = log.categories.get(column)
    if accounts is None:
        return empty_log()
    some = np.flatnonzero(accounts.codes != ABSENT)
    who = np.repeat(np.arange(log.n_customers, dtype=np.int32), np.diff(log.offsets))
    # Events of one account at one moment stay in the order of their content, which does not
    # depend on the other accounts; customers come last, so that ids decide between equals.
    content = [key[some] for key in reversed(log.content)]
    order = some[np.lexsort((who[some], *content, accounts.codes[some]))]
    sizes = np.bincount(accounts.codes[some], minlength=len(accounts.levels))
    present = np.flatnonzero(sizes)
    offsets = np.concatenate([[0], np.cumsum(sizes[present])]).astype(np.int64)
    names = tuple(accounts.levels[i] for i in present.tolist())
    journey = log.rows(order, names, offsets)
    categories = {**journey.categories, MEMBER: Categorical(who[order], log.customers)}
    return replace(journey, categories=categories)


def leaders(log: EventLog, columns: Sequence[str]) -> Ints:
    """The first of all customers with whom each shares a group, directly or through others.

    Shape `(n_customers,)`; a customer who shares none leads alone. Customers of one leader hold
    every group of theirs whole, of each of the properties.
    """
    lead = np.arange(log.n_customers)
    who = np.repeat(lead, np.diff(log.offsets))
    edges = []
    for codes in (log.categories[name].codes for name in columns if name in log.categories):
        some = codes != ABSENT
        # Both numbers as one: a pair is slow to sort.
        edges.append(np.divmod(np.unique(who[some] << 32 | codes[some]), 1 << 32))
    while True:
        before = lead.copy()
        for member, group in edges:
            least = np.full(int(group.max(initial=0)) + 1, log.n_customers)
            np.minimum.at(least, group, lead[member])
            np.minimum.at(lead, member, least[group])
        lead = lead[lead]
        if np.array_equal(lead, before):
            return lead


def places(group: EventLog, accounts: Categorical, codes: Ints) -> Ints:
    """The position in a group's journeys of each code of the property, `ABSENT` without one."""
    out = np.full(len(codes), ABSENT, np.int64)
    known = np.unique(codes[codes >= 0])
    found = [group.index(accounts.levels[code]) for code in known.tolist()]
    table = np.array([ABSENT if at is None else at for at in found], np.int64)
    some = codes >= 0
    out[some] = table[np.searchsorted(known, codes[some])]
    return out
