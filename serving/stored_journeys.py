"""Journeys out of the store, one customer at a time, and kept for the next score.

Takes a workspace of the store and a model's contract; reads one range of the key for a customer,
and one for each group that the customer has been in. What was read lately is held until a
commit changes it. Knows nothing about what writes to the store.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from typing import Any

import msgspec
from sqlalchemy import Table

from features.actions import ACTION_EVENTS, is_action
from features.cutoffs import AsOf
from features.event_log import EventLog
from models.contract import Contract
from serving.database import Database
from serving.group_journeys import group_log, wanted_of_groups
from serving.journeys import Columns, Journey, log_of
from serving.reach import Reach
from serving.recent import Held, Recent
from serving.tables import SIDES

AT_ONCE = 500
"""Customers of one query: more parameters make a statement slow to prepare."""

MOST_TOUCHED = 500
"""Customers touched since the last look beyond which everything held is forgotten."""


class StoredJourneys:
    """The journeys of one workspace."""

    def __init__(
        self, database: Database, workspace: int, groups: tuple[str, ...], actions: bool = False
    ) -> None:
        self.database, self.workspace, self.groups = database, workspace, groups
        self.actions = actions
        """Whether journeys hold the actions that people wrote down."""
        self._recent = Recent()
        self._range = tuple(self._statement(table) for table in SIDES)
        mark = database.mark
        self._seen = f"select arrival, until, known from workspaces where workspace = {mark}"
        # "cross join" keeps SQLite from beginning with the events.
        self._of_group = (
            "select e.customer, e.event_time, e.recorded_time, e.event, e.properties "
            f"from members m cross join events e where m.workspace = {mark} "
            f"and m.property = {mark} and m.member_of = {mark} "
            "and e.workspace = m.workspace and e.customer = m.customer"
        )

    def _statement(self, table: Table) -> str:
        mark = self.database.mark
        return (
            f"select event_time, recorded_time, event, event_id, properties from {table.name} "
            f"where workspace = {mark} and customer = {mark} "
            "order by event_time, source, event_id"
        )

    def rows(self, customer: str) -> tuple[list[Any], list[Any]]:
        """A customer's events and statements, each in the order of the key."""
        with self.database.cursor() as cursor:
            asked = (self.workspace, customer)
            events, statements = (cursor.execute(q, asked).fetchall() for q in self._range)
        return events, statements

    def statements(self, customer: str) -> list[Any]:
        """What was said of a customer, in the order of the key."""
        with self.database.cursor() as cursor:
            return list(cursor.execute(self._range[1], (self.workspace, customer)).fetchall())

    def statements_of(self, customers: Iterable[str]) -> dict[str, list[Any]]:
        """The same of each of many customers of whom anything was said."""
        names, found = sorted(customers), dict[str, list[Any]]()
        mark = self.database.mark
        for begin in range(0, len(names), AT_ONCE):
            some = names[begin : begin + AT_ONCE]
            asked = (
                "select customer, event_time, recorded_time, event, event_id, properties "
                f"from statements where workspace = {mark} "
                f"and customer in ({', '.join([mark] * len(some))}) "
                "order by customer, event_time, source, event_id"
            )
            with self.database.cursor() as cursor:
                for customer, *row in cursor.execute(asked, (self.workspace, *some)).fetchall():
                    found.setdefault(str(customer), []).append(row)
        return found

    def ever_said(self, name: str) -> set[str]:
        """All texts that an attribute ever had, of whatever customer; reads all statements."""
        asked = f"select properties from statements where workspace = {self.database.mark}"
        with self.database.cursor() as cursor:
            found = {
                msgspec.json.decode(properties).get(name)
                for (properties,) in cursor.execute(asked, (self.workspace,))
            }
        return {text for text in found if isinstance(text, str)}

    def of(self, customer: str, contract: Contract) -> Journey | None:
        """One customer's history with the columns of a contract; None of nobody.

        A stored value of another kind than in training counts as missing and is named in
        `Journey.unread`. What was read lately and has not changed since is not read again.
        """
        return self.of_now(customer, contract)[0]

    def of_now(self, customer: str, contract: Contract) -> tuple[Journey | None, AsOf]:
        """The same, and what a score of now is as of, from one look at the store.

        What arrives between that look and the reading of the rows is known too late for it.
        """
        seen, reach = self._refresh()
        return self._of(customer, _plan(contract), seen), reach.as_of

    def _of(self, customer: str, plan: "Plan", seen: int) -> Journey | None:
        found: Journey | None = self._recent.get((plan.number, customer))
        if found is None:
            found = self._own(customer, plan)
            if found is None:
                return None
            held = Held(found, found.n_events + 1, (customer,))
            self._recent.put((plan.number, customer), held, seen)
        if not plan.groups:
            return found
        groups = {name: self._group(found.log, name, plan, seen) for name in plan.groups}
        return replace(found, log=replace(found.log, groups=groups))

    def log(self, customer: str, kinds: Mapping[str, str]) -> EventLog:
        """The events of a customer that a model may read, with some of their properties."""
        return log_of(customer, self._read(self.rows(customer)[0], 2), _columns(kinds))[0]

    def _own(self, customer: str, plan: "Plan") -> Journey | None:
        """A customer's own rows as a journey."""
        events, statements = self.rows(customer)
        if not events and not statements:
            return None
        log, ids, unread = log_of(customer, self._read(events, 2), plan.events)
        about, _, unsaid = log_of(customer, statements, plan.attributes)
        named = [f"property {name}" for name in unread] + [f"attribute {name}" for name in unsaid]
        return Journey(log, about, ids, tuple(sorted(named)))

    def _read(self, rows: Iterable[Any], event: int) -> list[Any]:
        """The rows that a model reads; `event` is the place of an event's name in them."""
        every = list(rows)
        if self.actions or ACTION_EVENTS.isdisjoint({row[event] for row in every}):
            return every
        return [row for row in every if not is_action(row[event])]

    def _group(self, log: EventLog, name: str, plan: "Plan", seen: int) -> EventLog:
        """The journeys of the groups of one property that a customer has been in."""
        named = log.categories[name].levels if name in log.categories else ()
        key = (plan.number, name, named)
        kept: EventLog | None = self._recent.get(key)
        if kept is not None:
            return kept
        with self.database.cursor() as cursor:
            found = {
                group: self._read(cursor.execute(self._of_group, (self.workspace, name, group)), 3)
                for group in named
            }
        made = group_log(name, found, plan.contract.event_kinds, plan.groups[name], _columns)
        tags = tuple((name, group) for group in named)
        self._recent.put(key, Held(made, made.n_events + 1, tags), seen)
        return made

    def seen(self) -> tuple[int, Reach]:
        """The number of the last commit, and how far the histories reach by it."""
        with self.database.cursor() as cursor:
            return self._look(cursor)

    def _look(self, cursor: Any) -> tuple[int, Reach]:
        cursor.execute(self._seen, (self.workspace,))
        arrival, until, known = cursor.fetchone() or (0, None, None)
        return arrival, Reach(until, known)

    def _refresh(self) -> tuple[int, Reach]:
        """Forget what has changed since the last look; give what is seen now."""
        recent, mark = self._recent, self.database.mark
        with self.database.cursor() as cursor:
            arrival, reach = self._look(cursor)
            before = recent.arrival
            if before == arrival:
                return arrival, reach
            if before is None:
                recent.forget(None, arrival)
                return arrival, reach
            changed = (
                f"select distinct customer from touched where workspace = {mark} "
                f"and arrival > {mark} and arrival <= {mark} limit {MOST_TOUCHED}"
            )
            cursor.execute(changed, (self.workspace, before, arrival))
            touched = [row[0] for row in cursor.fetchall()]
            tags: list[Hashable] | None = [*touched]
            if len(touched) == MOST_TOUCHED:
                tags = None
            elif touched and self.groups:
                marks = ", ".join([mark] * len(touched))
                cursor.execute(
                    f"select property, member_of from members where workspace = {mark} "
                    f"and customer in ({marks})",
                    (self.workspace, *touched),
                )
                tags = [*touched, *cursor.fetchall()]
        recent.forget(tags, arrival)
        return arrival, reach


@dataclass(frozen=True)
class Plan:
    """How the journeys of a contract are read."""

    number: int
    contract: Contract
    events: Columns
    attributes: Columns
    groups: Mapping[str, tuple[str, ...]]
    """What the features of each group read."""


def _plan(contract: Contract) -> Plan:
    """A contract's plan, made once."""
    kept = _PLANS.get(id(contract))
    if kept is None or kept.contract is not contract:
        kept = Plan(
            next(_NUMBERS), contract, _columns(contract.event_kinds),
            _columns(contract.attribute_kinds), wanted_of_groups(contract.features),
        )  # fmt: skip
        if len(_PLANS) >= MOST_PLANS:
            _PLANS.clear()
        _PLANS[id(contract)] = kept
    return kept


_PLANS: dict[int, Plan] = {}
_NUMBERS = count()
MOST_PLANS = 64


def _columns(kinds: Mapping[str, str]) -> Columns:
    """The decoder of a contract's columns, made once."""
    return _made(tuple(sorted(kinds.items())))


@lru_cache(maxsize=256)
def _made(kinds: tuple[tuple[str, str], ...]) -> Columns:
    return Columns(dict(kinds))
