"""The store of events and attributes: what is kept of a workspace, each fact once.

Takes facts that intake or an import has checked; keeps each once, by its id. Gives feeds and
the moment up to which a workspace's history reaches; journeys are read by
`serving.stored_journeys`. Knows nothing about HTTP, models or where facts come from.

An id belongs to its source. The same id with the same content is a duplicate; with another
customer, time or content it is a conflict: what was stored first stays, the newcomer goes to
the quarantine. A time that was corrected by a sender's clock may differ between two tries of
one message, so it decides nothing there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    case,
    delete,
    func,
    select,
    text,
    update,
)

from features.actions import is_action
from features.config import Business, slug
from features.cutoffs import AsOf
from features.durations import SECOND, this_moment
from features.event_log import CATEGORY
from serving.bounds import Bounds, Name, beyond
from serving.database import Database
from serving.inserting import insert, insert_new, insert_rows
from serving.reach import BrokenOff, Reach, broken_off, count_days, moved
from serving.stored_journeys import StoredJourneys
from serving.tables import (
    FEEDS,
    MEMBERS,
    NAMED,
    PROPERTIES,
    QUARANTINE,
    SIDES,
    TOUCHED,
    WORKSPACES,
)

EVENT, STATEMENT = 0, 1
"""The sides of a history: what happened, and what was said to hold."""

ACCEPTED, DUPLICATE, QUARANTINED, REFUSED = "accepted", "duplicate", "quarantined", "refused"
"""What can become of a row that was received."""

KEPT = frozenset((ACCEPTED, DUPLICATE))
"""Of facts: all else says why one is not."""

ID_CONFLICT = "id_conflict"

ACTIONS = "milepost actions"
"""The source of what people write down on pages or send to `/v1/actions`."""

IDS_AT_ONCE = 500
"""More parameters than this make a statement slow to prepare."""

LOCK = 72
"""Names, with the workspace, PostgreSQL's advisory lock of whoever appends."""

MOST_KNOWN = 500_000
"""Kinds and members of groups that a process remembers to be stored."""


class Fact(msgspec.Struct, gc=False):
    """An event, or a dated statement of attributes, checked and ready to be kept."""

    side: int
    source: str
    event_id: str
    """Begins with `NAMED` where it is a hash of the content."""
    customer: str
    event_time: int
    event: str
    properties: str
    """A JSON object with sorted keys."""
    kinds: tuple[tuple[str, str], ...] = ()
    """Name and kind of each property."""
    groups: tuple[tuple[str, str], ...] = ()
    """Property and value for each group that the event belongs to."""
    recorded_time: int | None = None
    """When the company could know of it; the arrival if None."""
    corrected: bool = False
    """Whether the time was corrected by the sender's clock."""


class SetAside(msgspec.Struct, gc=False):
    """A row that can't be kept as an event, and why."""

    row: str
    source: str
    form: str
    reason: str
    detail: str
    body: str


@dataclass(frozen=True)
class Appended:
    """What became of facts."""

    verdicts: list[str]
    """`ACCEPTED`, `DUPLICATE` or, for each fact that was not kept, why: `ID_CONFLICT` or one of
    `serving.bounds`."""
    broken: BrokenOff | None = None
    """Why the end of the histories moves no further, if events lie beyond it."""


@dataclass(frozen=True)
class Feed:
    """One source of a workspace, and how fresh it is."""

    name: str
    rows: int
    first_event: int | None
    last_event: int | None
    """Event times, microseconds UTC."""
    last_arrival: int | None


class EventStore:
    """All workspaces' histories in one database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def workspace(
        self, name: str, groups: Sequence[str] = (), actions: bool = False
    ) -> "TenantStore":
        """The store of one workspace, which is made if there is none of that name.

        Parameters
        ----------
        actions
            Whether actions are read like other events; see `features.actions`.
        """
        with self.database.writing() as connection:
            _one_by_one(self.database, connection, 0)
            found = connection.execute(
                select(WORKSPACES.c.workspace).where(WORKSPACES.c.name == name)
            ).scalar()
            if found is None:
                found = (
                    connection.execute(
                        select(func.coalesce(func.max(WORKSPACES.c.workspace), 0))
                    ).scalar()
                    or 0
                ) + 1
                insert(connection, WORKSPACES, [{"workspace": found, "name": name}])
        return TenantStore(self.database, name, int(found), tuple(groups), actions)


class TenantStore:
    """One workspace's histories."""

    def __init__(
        self, database: Database, name: str, workspace: int, groups: tuple[str, ...] = (),
        actions: bool = False,
    ) -> None:  # fmt: skip
        self.database, self.name, self.workspace, self.groups = database, name, workspace, groups
        self.actions = actions
        self._sources: dict[str, int] = {}
        self._names: set[Name] = set()
        """Properties that are stored already."""
        self._known: set[tuple[Any, ...]] = set()
        """Kinds and members that are stored already."""
        self.journeys = StoredJourneys(database, workspace, groups, actions)

    def end(self) -> int:
        """The moment up to which the history reaches, microseconds UTC; never beyond now."""
        return self.as_of().moment

    def as_of(self) -> AsOf:
        """What a score of now is as of: where the history ends, by all that is known by now."""
        return self.state()[1]

    def arrival(self) -> int:
        """The number of the last commit that changed the history."""
        return self.state()[0]

    def state(self) -> tuple[int, AsOf]:
        """The number of the last commit that changed the history, and what a score is as of."""
        arrival, reach = self.journeys.seen()
        return arrival, reach.as_of

    def broken_off(self) -> BrokenOff | None:
        """Why events that came move the end of the history no further; None while they do."""
        with self.database.reading() as connection:
            return broken_off(connection, self.workspace, self._state(connection)[1])

    def feeds(self, most: int | None = None) -> list[Feed]:
        """The sources, or those with the `most` rows, by name. What people write down is none: its
        silence means nothing."""
        columns = (FEEDS.c.name, FEEDS.c.rows, FEEDS.c.first_event, FEEDS.c.last_event)
        mine = (FEEDS.c.workspace == self.workspace, FEEDS.c.name != ACTIONS)
        asked = select(*columns, FEEDS.c.last_arrival).where(*mine)
        largest = asked.order_by(FEEDS.c.rows.desc(), FEEDS.c.name).limit(most)
        with self.database.reading() as connection:
            found = [Feed(*row) for row in connection.execute(largest)]
        return sorted(found, key=lambda feed: feed.name)

    def append(
        self,
        facts: Sequence[Fact],
        aside: Sequence[SetAside] = (),
        unkept: Callable[[int, str], SetAside] | None = None,
        until: int | None = None,
        bounds: Bounds | None = None,
    ) -> Appended:
        """Keep facts and rows that were set aside: all of them are on disk at the end, or none.

        Parameters
        ----------
        unkept
            Gives the row to set aside for the fact at a place that is not kept, by the reason.
        until
            The moment up to which the history then reaches; if None, the new events show it
            (`serving.reach`). An action does not move it, nor, where actions are not read, is it
            a commit that changes histories.
        bounds
            Of the workspace's sources and properties; none if None. Actions are never beyond.

        Raises
        ------
        StoreUnavailableError
            When nothing could be kept.
        """
        with self.database.writing() as connection:
            _one_by_one(self.database, connection, self.workspace)
            arrival, reach = self._state(connection)
            stamp = _stamp(reach.known)
            over = self._beyond(connection, facts, bounds)
            inside = [fact for place, fact in enumerate(facts) if place not in over]
            codes = self._codes(connection, sorted({f.source for f in inside}))
            found = iter(self._verdicts(connection, inside, codes, stamp))
            verdicts = [over.get(place) or next(found) for place in range(len(facts))]
            added = [f for f, v in zip(facts, verdicts, strict=True) if v == ACCEPTED]
            rows = [*aside]
            if unkept is not None:
                rows += [unkept(i, v) for i, v in enumerate(verdicts) if v not in KEPT]
            insert_new(connection, QUARANTINE, [self._aside(row, stamp) for row in rows])
            read = [fact for fact in added if self.actions or not is_action(fact.event)]
            known = self._note(connection, read, arrival + 1)
            self._feed(connection, added, codes, stamp)
            after = self._reached(connection, reach, added, stamp, until)
            if read and until is None:
                after = replace(after, known=max(stamp, after.known or stamp))
            if read or after != reach:
                self._advance(connection, arrival + 1, after)
            broken = broken_off(connection, self.workspace, after) if after.broken else None
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        self._known |= known  # only now is it on disk
        self._sources = codes
        return Appended(verdicts, broken)

    def declare(self, side: int, kinds: Mapping[str, str]) -> None:
        """Say of which kind properties of a side are, as an import's SQL types do."""
        rows = [
            {"workspace": self.workspace, "side": side, "name": name, "kind": kind,
             "declared": True}
            for name, kind in sorted(kinds.items())
        ]  # fmt: skip
        with self.database.writing() as connection:
            for row in rows:
                here = [PROPERTIES.c[name] == row[name] for name in ("workspace", "side", "name")]
                connection.execute(delete(PROPERTIES).where(*here, PROPERTIES.c.declared))
                connection.execute(
                    delete(PROPERTIES).where(*here, PROPERTIES.c.kind == row["kind"])
                )
            insert(connection, PROPERTIES, rows)

    def kinds(self, connection: Connection) -> tuple[dict[str, str], dict[str, str]]:
        """The kind of each property of events and of statements.

        What an import declared; else what all values were; text where they differ.
        """
        table = PROPERTIES.c
        asked = select(table.side, table.name, table.kind, table.declared)
        found: tuple[dict[str, str], dict[str, str]] = ({}, {})
        declared = set()
        mine = asked.where(table.workspace == self.workspace)
        for side, name, kind, said in connection.execute(mine.order_by(table.name, table.kind)):
            if said:
                found[side][name] = kind
                declared.add((side, name))
            elif (side, name) not in declared:
                found[side][name] = kind if found[side].get(name, kind) == kind else CATEGORY
        return found

    def _beyond(
        self, connection: Connection, facts: Sequence[Fact], bounds: Bounds | None
    ) -> dict[int, str]:
        """The facts that name more sources or properties than there may be, and why."""
        if bounds is None:
            return {}
        named = [
            (fact.source, () if fact.source == ACTIONS else [(fact.side, n) for n, _ in fact.kinds])
            for fact in facts
        ]
        names = {name for _, some in named for name in some}
        if names <= self._names and all(source in self._sources for source, _ in named):
            return {}
        table = PROPERTIES.c
        mine = select(table.side, table.name).where(table.workspace == self.workspace)
        self._names = {(int(side), str(name)) for side, name in connection.execute(mine)}
        sources = {*self._stored_sources(connection)} | {ACTIONS}
        room = replace(bounds, sources=bounds.sources + 1)  # that of actions takes none
        return beyond(named, sources, self._names, room)

    def _stored_sources(self, connection: Connection) -> dict[str, int]:
        """The number of each source that is stored."""
        mine = FEEDS.c.workspace == self.workspace
        found = connection.execute(select(FEEDS.c.name, FEEDS.c.source).where(mine))
        return {str(name): int(code) for name, code in found}

    def _verdicts(
        self, connection: Connection, facts: Sequence[Fact], codes: dict[str, int], stamp: int
    ) -> list[str]:
        verdicts = [""] * len(facts)
        for side, table in enumerate(SIDES):
            places = [i for i, fact in enumerate(facts) if fact.side == side]
            kept = self._keep(connection, table, [facts[i] for i in places], codes, stamp)
            for i, verdict in zip(places, kept, strict=True):
                verdicts[i] = verdict
        return verdicts

    def _reached(
        self, connection: Connection, reach: Reach, added: Sequence[Fact], stamp: int,
        until: int | None,
    ) -> Reach:  # fmt: skip
        """Count new events by their days; give how far the history reaches with them."""
        times = [f.event_time for f in added if f.side == EVENT and not is_action(f.event)]
        count_days(connection, self.workspace, times)
        if until is not None:
            return reach.said(until)
        return moved(connection, self.workspace, reach, max(times), stamp) if times else reach

    def _advance(self, connection: Connection, arrival: int, reach: Reach) -> None:
        mark = self.database.mark
        connection.exec_driver_sql(
            f"update workspaces set arrival = {mark}, until = {mark}, known = {mark}, "
            f"claimed = {mark} where workspace = {mark}",
            (arrival, reach.until, reach.known, reach.claimed, self.workspace),
        )

    def _state(self, connection: Connection) -> tuple[int, Reach]:
        """The last arrival's number, and how far the history reaches."""
        row = connection.exec_driver_sql(
            "select arrival, until, known, claimed from workspaces "
            f"where workspace = {self.database.mark}",
            (self.workspace,),
        ).one()
        return int(row[0]), Reach(*row[1:])

    def _codes(self, connection: Connection, names: Sequence[str]) -> dict[str, int]:
        """The number of each source; a new one gets the next."""
        if not all(name in self._sources for name in names):
            self._sources = self._stored_sources(connection)
        known = dict(self._sources)
        new = [name for name in names if name not in known]
        first = max(known.values(), default=0) + 1
        known |= {name: first + i for i, name in enumerate(new)}
        rows = [{"workspace": self.workspace, "source": known[n], "name": n} for n in new]
        insert(connection, FEEDS, rows)
        return known

    def _keep(
        self,
        connection: Connection,
        table: Table,
        facts: Sequence[Fact],
        codes: dict[str, int],
        stamp: int,
    ) -> list[str]:
        """Insert facts of one side; say of each what became of it."""
        if not facts:
            return []
        first: dict[tuple[int, str], Fact] = {}
        for fact in facts:
            first.setdefault((codes[fact.source], fact.event_id), fact)
        rows = [
            (
                self.workspace, fact.customer, fact.event_time, source, fact.event_id, fact.event,
                stamp if fact.recorded_time is None else fact.recorded_time, fact.properties,
            )
            for (source, _), fact in first.items()
        ]  # fmt: skip
        new = dict(zip(first, insert_rows(connection, table, rows), strict=True))
        old = [key for key, is_new in new.items() if not is_new and not key[1].startswith(NAMED)]
        stored = self._stored(connection, table, old)
        verdicts = []
        for fact in facts:
            key = (codes[fact.source], fact.event_id)
            if new[key] and first[key] is fact:
                verdicts.append(ACCEPTED)
            else:
                same = key[1].startswith(NAMED) or _same(fact, stored.get(key, first[key]))
                verdicts.append(DUPLICATE if same else ID_CONFLICT)
        return verdicts

    def _stored(
        self, connection: Connection, table: Table, keys: Sequence[tuple[int, str]]
    ) -> dict[tuple[int, str], Fact]:
        """What is stored under some given ids."""
        found = {}
        columns = (table.c.source, table.c.event_id, table.c.customer, table.c.event_time)
        given = text(f"substr(event_id, 1, 1) <> '{NAMED}'")
        for begin in range(0, len(keys), IDS_AT_ONCE):
            part = keys[begin : begin + IDS_AT_ONCE]
            for source in {source for source, _ in part}:
                ids = [event_id for code, event_id in part if code == source]
                asked = select(*columns, table.c.event, table.c.properties).where(
                    table.c.workspace == self.workspace,
                    table.c.source == source, table.c.event_id.in_(ids), given,
                )  # fmt: skip
                for code, event_id, customer, when, event, properties in connection.execute(asked):
                    found[int(code), str(event_id)] = Fact(
                        0, "", event_id, customer, int(when), event, properties
                    )
        return found

    def _note(
        self, connection: Connection, added: Sequence[Fact], arrival: int
    ) -> set[tuple[Any, ...]]:
        """Write down what the new rows change beside themselves; give what need not be again."""
        workspace = self.workspace
        insert(connection, TOUCHED, [
            {"workspace": workspace, "arrival": arrival, "customer": customer}
            for customer in sorted({fact.customer for fact in added})
        ])  # fmt: skip
        kinds = {(f.side, name, kind) for f in added for name, kind in f.kinds}
        insert_new(connection, PROPERTIES, [
            {"workspace": workspace, "side": side, "name": name, "kind": kind, "declared": False}
            for side, name, kind in sorted(kinds - self._known)
        ])  # fmt: skip
        members = {(*group, f.customer) for f in added for group in f.groups}
        insert_new(connection, MEMBERS, [
            {"workspace": workspace, "property": name, "member_of": group, "customer": customer}
            for name, group, customer in sorted(members - self._known)
        ])  # fmt: skip
        return kinds | members

    def _feed(
        self, connection: Connection, added: Sequence[Fact], codes: dict[str, int], stamp: int
    ) -> None:
        """Count new rows to their sources."""
        for source in sorted({fact.source for fact in added}):
            mine = [fact for fact in added if fact.source == source]
            times = [fact.event_time for fact in mine if fact.side == EVENT]
            arrived = max(stamp if f.recorded_time is None else f.recorded_time for f in mine)
            values: dict[str, Any] = {"rows": FEEDS.c.rows + len(mine)}
            values["last_arrival"] = _most(FEEDS.c.last_arrival, arrived)
            if times:
                values["first_event"] = -_most(-FEEDS.c.first_event, -min(times))
                values["last_event"] = _most(FEEDS.c.last_event, max(times))
            here = (FEEDS.c.workspace == self.workspace, FEEDS.c.source == codes[source])
            connection.execute(update(FEEDS).where(*here).values(values))

    def _aside(self, row: SetAside, stamp: int) -> dict[str, Any]:
        return {"workspace": self.workspace, "arrived": stamp, **msgspec.structs.asdict(row)}


def store_of(database: Database, business: Business) -> TenantStore:
    """The store of a business's workspace."""
    read = business.features
    return EventStore(database).workspace(slug(business.name), read.groups, read.actions)


def _one_by_one(database: Database, connection: Connection, workspace: int) -> None:
    """A workspace's commits come one after the other; SQLite has one writer anyway."""
    if not database.is_sqlite:
        lock = text("select pg_advisory_xact_lock(:one, :two)")
        connection.execute(lock, {"one": LOCK, "two": workspace})


def _same(fact: Fact, stored: Fact) -> bool:
    """Whether a fact says what is stored under its id."""
    return (
        fact.customer == stored.customer
        and fact.event == stored.event
        and fact.properties == stored.properties
        and (fact.corrected or fact.event_time == stored.event_time)
    )


def _stamp(known: int | None) -> int:
    """The arrival's time: now, and later than every arrival before it."""
    now = this_moment()
    stepped_back = known is not None and now <= known < now + SECOND
    return known + 1 if known is not None and stepped_back else now


def _most(column: ColumnElement[Any], value: int) -> ColumnElement[Any]:
    """The larger of a column and a value, the value where the column is null."""
    return case((column > value, column), else_=value)
