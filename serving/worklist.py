"""People's work with the list: assigning, leaving out for a while, planning, taking a week's share.

Takes a database and a workspace; keeps what people decided about customers, and tells it again.
A customer who is assigned here is of that owner whatever the histories say. Knows nothing about
scores or HTTP.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, func, select, text

from features.actions import KINDS
from features.durations import DAY, SECOND, this_moment
from features.errors import MilepostError
from serving.book_owners import parts, reassign
from serving.database import Database
from serving.inserting import insert
from serving.worklist_tables import ASSIGNED, PICKED, PLANNED, VIEWS

A, P, K, V = ASSIGNED.c, PLANNED.c, PICKED.c, VIEWS.c

MOST = 5_000
"""Customers that one decision may be about."""
MOST_SNOOZED = 366 * DAY
MOST_VIEWS, LONGEST_VIEW, LONGEST_QUERY = 50, 60, 2_000
LOCK = 74
"""Names, with the workspace, PostgreSQL's lock of who changes owners."""


class WorklistError(MilepostError):
    """A decision that can't be kept."""

    code = "worklist_invalid"


@dataclass(frozen=True)
class Standing:
    """What was decided about a customer; moments are microseconds UTC."""

    snoozed_until: int | None = None
    next_kind: str | None = None
    next_due: int | None = None
    done_by: str = ""


@dataclass(frozen=True)
class View:
    """Filters under a name."""

    name: str
    query: str


class Worklist:
    """One workspace's work with the list."""

    def __init__(self, database: Database, workspace: int) -> None:
        self.database, self.workspace = database, workspace

    def owners_of(self, customers: Iterable[str]) -> dict[str, str]:
        """Who was assigned here to some customers; who isn't in it was not."""
        query = select(A.customer, A.owner).where(A.workspace == self.workspace)
        found: dict[str, str] = {}
        with self.database.reading() as connection:
            for some in parts(customers):
                rows = connection.execute(query.where(A.customer.in_(some)))
                found |= {str(who): str(owner) for who, owner in rows}
        return found

    def assigned(self, connection: Connection | None = None) -> dict[str, str]:
        """Every customer who was assigned here, and to whom."""
        query = select(A.customer, A.owner).where(A.workspace == self.workspace)
        if connection is not None:
            return {str(who): str(owner) for who, owner in connection.execute(query)}
        with self.database.reading() as reader:
            return self.assigned(reader)

    def assign(self, owners: Mapping[str, str | None], by: str) -> None:
        """Say who looks after customers; lists show it at once.

        Parameters
        ----------
        owners
            The owner by customer. None takes back what was assigned here: give what the histories
            say in `take_back`.
        """
        self._keep_owners(owners, owners, by)

    def take_back(self, said: Mapping[str, str | None], by: str) -> None:
        """Let customers be whose the histories say they are.

        Parameters
        ----------
        said
            Who that is, None where the histories name nobody.
        """
        self._keep_owners(dict.fromkeys(said), said, by)

    def _keep_owners(
        self, kept: Mapping[str, str | None], shown: Mapping[str, str | None], by: str
    ) -> None:
        _bounded(kept)
        moment = this_moment()
        rows = [
            {"workspace": self.workspace, "customer": customer, "owner": owner, "done_by": by,
             "done_at": moment}
            for customer, owner in kept.items() if owner is not None
        ]  # fmt: skip
        with self.database.writing() as connection:
            take_turn(self.database, connection, self.workspace)
            for some in parts(kept):
                where = (A.workspace == self.workspace, A.customer.in_(some))
                connection.execute(delete(ASSIGNED).where(*where))
            insert(connection, ASSIGNED, rows)
            reassign(connection, self.workspace, shown)

    def snooze(self, problem: str, customers: Sequence[str], until: int | None, by: str) -> None:
        """Leave customers out of the list until a moment; None shows them again.

        Raises
        ------
        WorklistError
            When the moment is past, or more than a year away.
        """
        if until is not None and not this_moment() < until <= this_moment() + MOST_SNOOZED:
            raise WorklistError("A customer is left out until a day after today, within a year.")
        self._plan(problem, customers, by, {"snoozed_until": until})

    def plan(
        self, problem: str, customers: Sequence[str], kind: str | None, due: int | None, by: str
    ) -> None:
        """Say what is to be done next, and by when; None forgets it.

        Raises
        ------
        WorklistError
            When it is nothing that can be planned.
        """
        if kind is not None and kind not in KINDS:
            raise WorklistError(f"{kind!r} can't be planned; there are {', '.join(KINDS)}.")
        if due is not None and not this_moment() - DAY < due <= this_moment() + MOST_SNOOZED:
            raise WorklistError("What is next is due from today on, within a year.")
        due = due if kind is not None else None
        self._plan(problem, customers, by, {"next_kind": kind, "next_due": due})

    def _plan(
        self, problem: str, customers: Sequence[str], by: str, values: dict[str, Any]
    ) -> None:
        _bounded(customers)
        values |= {"done_by": by, "done_at": this_moment()}
        with self.database.writing() as connection:
            for some in parts(customers):
                there = (*self._of(P, problem), P.customer.in_(some))
                known = set(connection.execute(select(P.customer).where(*there)).scalars())
                connection.execute(PLANNED.update().where(*there).values(**values))
                head = {"workspace": self.workspace, "problem": problem, **values}
                new = [{"snoozed_until": None, "next_kind": None, "next_due": None, **head,
                        "customer": c} for c in dict.fromkeys(some) if c not in known]  # fmt: skip
                insert(connection, PLANNED, new)

    def standing(self, problem: str, customers: Iterable[str]) -> dict[str, Standing]:
        """What was decided about some customers; who isn't in it has nothing decided."""
        query = select(P.customer, P.snoozed_until, P.next_kind, P.next_due, P.done_by)
        found = {}
        with self.database.reading() as connection:
            for some in parts(customers):
                mine = (*self._of(P, problem), P.customer.in_(some))
                for row in connection.execute(query.where(*mine)):
                    found[str(row[0])] = Standing(*row[1:])
        return found

    def pick(self, problem: str, person: str, week: int, customers: Sequence[str]) -> None:
        """Add customers to whom a person has taken for a week, behind those."""
        mine = (*self._of(K, problem), K.person == person, K.week == week)
        with self.database.writing() as connection:
            last = select(func.coalesce(func.max(K.place), 0)).where(*mine)
            place = int(connection.execute(last).scalar_one())
            there = set(connection.execute(select(K.customer).where(*mine)).scalars())
            new = [c for c in dict.fromkeys(customers) if c not in there]
            head = {"workspace": self.workspace, "problem": problem, "person": person, "week": week}
            rows = [{**head, "customer": c, "place": place + n} for n, c in enumerate(new, 1)]
            insert(connection, PICKED, rows)

    def picked(self, problem: str, person: str, week: int) -> list[str]:
        """Whom a person has taken for a week, in their order."""
        mine = (*self._of(K, problem), K.person == person, K.week == week)
        query = select(K.customer).where(*mine).order_by(K.place)
        with self.database.reading() as connection:
            return [str(customer) for customer in connection.execute(query).scalars()]

    def views(self, person: str) -> list[View]:
        """The filters that a person keeps, in the order of their names."""
        query = select(V.name, V.query).where(*self._mine(person)).order_by(V.name)
        with self.database.reading() as connection:
            return [View(str(name), str(asked)) for name, asked in connection.execute(query)]

    def keep_view(self, person: str, view: View) -> None:
        """Keep filters under a name, in the place of what was kept under it before.

        Raises
        ------
        WorklistError
            When the name or the filters are too long, or there are too many.
        """
        name = view.name.strip()
        if not (0 < len(name) <= LONGEST_VIEW and name.isprintable()):
            raise WorklistError(f"A view's name is up to {LONGEST_VIEW} printable characters.")
        if len(view.query) > LONGEST_QUERY:
            raise WorklistError("These filters are too long to be kept.")
        row = {"workspace": self.workspace, "person": person, "name": name, "query": view.query}
        with self.database.writing() as connection:
            connection.execute(delete(VIEWS).where(*self._mine(person), V.name == name))
            count = select(func.count()).select_from(VIEWS).where(*self._mine(person))
            if int(connection.execute(count).scalar_one()) >= MOST_VIEWS:
                raise WorklistError(f"There are {MOST_VIEWS} views already; remove one first.")
            insert(connection, VIEWS, [row])

    def drop_view(self, person: str, name: str) -> None:
        """Forget filters; a name that is not kept changes nothing."""
        with self.database.writing() as connection:
            connection.execute(delete(VIEWS).where(*self._mine(person), V.name == name))

    def _of(self, columns: Any, problem: str) -> tuple[Any, ...]:
        return columns.workspace == self.workspace, columns.problem == problem

    def _mine(self, person: str) -> tuple[Any, ...]:
        return V.workspace == self.workspace, V.person == person


def asleep(workspace: int, problem: str, moment: int) -> Select[tuple[str]]:
    """The customers of a problem who are left out at a moment, as part of a query."""
    return select(P.customer).where(
        P.workspace == workspace, P.problem == problem, P.snoozed_until > moment
    )


def take_turn(database: Database, connection: Connection, workspace: int) -> None:
    """Changes of owners and of the book that lists read come one after the other.

    SQLite has one writer anyway.
    """
    if not database.is_sqlite:
        lock = text("select pg_advisory_xact_lock(:one, :two)")
        connection.execute(lock, {"one": LOCK, "two": workspace})


def monday(moment: int) -> int:
    """The beginning of a moment's week, in UTC; both microseconds."""
    days = moment // DAY
    weekday = datetime.fromtimestamp(moment // SECOND, UTC).weekday()
    return (days - weekday) * DAY


def _bounded(customers: Mapping[str, Any] | Sequence[str]) -> None:
    if not 0 < len(customers) <= MOST:
        raise WorklistError(f"Choose 1 to {MOST:,} customers; {len(customers):,} were.")
