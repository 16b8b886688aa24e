"""The ledger of actions: what people did about customers, and what came of it.

Takes a database and a workspace; keeps actions, each once by its id, and later words on what came
of them. Gives one action, a customer's, the newest of many customers in one query, and pages of
all. Knows nothing about HTTP, rights or journeys: whoever asks has to leave out what their
caller may not see.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from features.errors import MilepostError
from serving.action_tables import ACTION_OUTCOMES, ACTIONS
from serving.database import Database
from serving.inserting import insert_new

OPEN, MISTAKE = "open", "logged by mistake"
OUTCOMES = (OPEN, "not reached", "reached", "accepted", "declined", "done", MISTAKE)
"""What may have come of an action. What was logged by mistake stays, and counts for nothing."""

AT_ONCE = 500
"""Customers of one query: more parameters make a statement slow to prepare."""

A, F = ACTIONS.c, ACTION_OUTCOMES.c


class UsedError(MilepostError):
    """The id of something written down, which something else has."""

    code = "id_used"

    def __init__(self) -> None:
        super().__init__("The id was used for something else. Open the page anew to write more.")


@dataclass(frozen=True)
class Action:
    """What was done; times are microseconds UTC."""

    action: str
    customer: str
    kind: str
    at: int
    """When it was done."""
    recorded: int
    """When it was written down."""
    who: str
    cost: float | None
    first_outcome: str
    """What was said to have come of it when it was written down."""
    outcome: str
    """The newest word on what came of it."""
    note: str

    @property
    def place(self) -> tuple[int, str]:
        """Where it stands in lists, the newest first."""
        return self.at, self.action


@dataclass(frozen=True)
class FollowUp:
    """A later word on what came of an action."""

    entry: str
    at: int
    who: str
    outcome: str
    note: str


@dataclass(frozen=True)
class Wanted:
    """Which actions; empty text lets all through."""

    customer: str = ""
    kind: str = ""
    who: str = ""
    outcome: str = ""
    before: tuple[int, str] | None = None
    """Those that stand after this place."""


class Actions:
    """One workspace's actions."""

    def __init__(self, database: Database, workspace: int) -> None:
        self.database, self.workspace = database, workspace

    def add(self, action: Action) -> bool:
        """Keep an action; False where it was kept before.

        Raises
        ------
        UsedError
            When its id belongs to another one.
        """
        with self.database.writing() as connection:
            kept = self._find(connection, action.action)
            if kept is None:
                insert_new(connection, ACTIONS, [{"workspace": self.workspace, **vars(action)}])
                return True
        if replace(kept, recorded=action.recorded, outcome=action.outcome) != action:
            raise UsedError
        return False

    def follow(self, action: str, said: FollowUp) -> bool:
        """Keep a later word on an action, which then stands; False where it was kept before.

        Raises
        ------
        UsedError
            When its id belongs to another word on the action.
        """
        here = {"workspace": self.workspace, "action": action}
        mine = (F.workspace == self.workspace, F.action == action, F.entry == said.entry)
        with self.database.writing() as connection:
            kept = connection.execute(select(F.who, F.outcome, F.note).where(*mine)).first()
            if kept is not None:
                if tuple(kept) != (said.who, said.outcome, said.note):
                    raise UsedError
                return False
            insert_new(connection, ACTION_OUTCOMES, [{**here, **vars(said)}])
            changed = update(ACTIONS).where(A.workspace == self.workspace, A.action == action)
            connection.execute(changed.values(outcome=said.outcome))
        return True

    def find(self, action: str) -> Action | None:
        """The action of an id."""
        with self.database.reading() as connection:
            return self._find(connection, action)

    def newest(self, customers: Iterable[str]) -> dict[str, Action]:
        """The newest action of each of some customers who have one, in one query for 500 each."""
        names, found = sorted(set(customers)), {}
        for begin in range(0, len(names), AT_ONCE):
            some = names[begin : begin + AT_ONCE]
            turn = func.row_number().over(
                partition_by=A.customer, order_by=(A.at.desc(), A.action.desc())
            )
            mine = (A.workspace == self.workspace, A.customer.in_(some), A.outcome != MISTAKE)
            ranked = select(*_COLUMNS, turn.label("turn")).where(*mine).subquery()
            asked = select(*(ranked.c[column.name] for column in _COLUMNS))
            with self.database.reading() as connection:
                for row in connection.execute(asked.where(ranked.c.turn == 1)):
                    found[str(row.customer)] = _action(row)
        return found

    def page(self, wanted: Wanted, limit: int) -> list[Action]:
        """So many actions, the newest first."""
        mine: list[ColumnElement[bool]] = [A.workspace == self.workspace]
        filters = (A.customer, A.kind, A.who, A.outcome)
        mine += [c == getattr(wanted, c.name) for c in filters if getattr(wanted, c.name)]
        if wanted.before is not None:
            at, action = wanted.before
            mine.append(or_(A.at < at, and_(A.at == at, A.action < action)))
        order = (A.at.desc(), A.action.desc())
        asked = select(*_COLUMNS).where(*mine).order_by(*order).limit(limit)
        with self.database.reading() as connection:
            return [_action(row) for row in connection.execute(asked)]

    def follow_ups(self, actions: Sequence[str]) -> dict[str, list[FollowUp]]:
        """What was said later of some actions, the newest first."""
        found: dict[str, list[FollowUp]] = {}
        columns = (F.action, F.entry, F.at, F.who, F.outcome, F.note)
        for begin in range(0, len(actions), AT_ONCE):
            mine = (F.workspace == self.workspace, F.action.in_(actions[begin : begin + AT_ONCE]))
            asked = select(*columns).where(*mine).order_by(F.at.desc(), F.entry.desc())
            with self.database.reading() as connection:
                for action, *said in connection.execute(asked):
                    found.setdefault(str(action), []).append(FollowUp(*said))
        return found

    def _find(self, connection: Connection, action: str) -> Action | None:
        mine = (A.workspace == self.workspace, A.action == action)
        row = connection.execute(select(*_COLUMNS).where(*mine)).first()
        return None if row is None else _action(row)


_COLUMNS: Sequence[Any] = [A[name] for name in Action.__dataclass_fields__]


def _action(row: Any) -> Action:
    return Action(*row)
