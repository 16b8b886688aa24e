"""Webhooks in the store: subscriptions, what happened, and what became of each delivery.

Takes a database and a workspace's number; keeps what is told until it is delivered or given up.
Events of one subject go to one subscription in their order: the next one is not taken while an
earlier one waits. Knows nothing about networks or HTTP.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from serving.database import Database
from serving.hook_tables import DELIVERIES, HOOK_EVENTS, SUBSCRIPTIONS
from serving.inserting import insert_new
from serving.refusals import NotFoundError
from serving.webhooks import HookEvent, new_secret

WAITING, DELIVERED, DEAD = "waiting", "delivered", "dead"
STATES = (WAITING, DELIVERED, DEAD)
CHUNK = 2_000
"""Rows of one statement."""

Conditions: TypeAlias = tuple[ColumnElement[bool], ...]

S, E, D = SUBSCRIPTIONS.c, HOOK_EVENTS.c, DELIVERIES.c


@dataclass(frozen=True)
class Subscription:
    """Who is told what."""

    id: str
    url: str
    types: tuple[str, ...]
    active: bool
    created: int
    """Microseconds UTC."""


@dataclass(frozen=True)
class Delivery:
    """One event for one subscription, and what became of it."""

    sequence: int
    event: str
    type: str
    subject: str
    state: str
    tries: int
    due: int
    changed: int
    status: int | None
    """The last HTTP status, if there was an answer."""
    error: str | None


@dataclass(frozen=True)
class Due:
    """A delivery that a courier has taken: what to send where."""

    workspace: int
    subscription: str
    sequence: int
    url: str
    secret: str
    event: str
    body: str
    tries: int
    """How often it was tried before."""


@dataclass(frozen=True)
class Outcome:
    """What became of one try; times are microseconds UTC."""

    due: Due
    state: str
    at: int
    again: int
    """When to try next, if it still waits."""
    status: int | None
    error: str | None


class Hooks:
    """One workspace's webhooks."""

    def __init__(self, database: Database, workspace: int) -> None:
        self._database, self._workspace = database, workspace

    def subscribe(self, url: str, types: Sequence[str], now: int) -> tuple[Subscription, str]:
        """A new subscription and its secret, which is shown this once."""
        made = Subscription(uuid.uuid4().hex, url, tuple(types), True, now)
        secret = new_secret()
        with self._database.writing() as connection:
            connection.execute(
                insert(SUBSCRIPTIONS).values(
                    workspace=self._workspace, subscription=made.id, url=url,
                    types=json.dumps(made.types), secret=secret, active=True, created=now,
                )
            )  # fmt: skip
        return made, secret

    def subscriptions(self) -> list[Subscription]:
        """All of them, the oldest first."""
        query = select(SUBSCRIPTIONS).where(S.workspace == self._workspace)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(S.created, S.subscription)).all()
        return [
            Subscription(r.subscription, r.url, tuple(json.loads(r.types)), r.active, r.created)
            for r in rows
        ]

    def subscription(self, subscription: str) -> Subscription:
        """One of them; `NotFoundError` when this workspace has none of that id."""
        for found in self.subscriptions():
            if found.id == subscription:
                return found
        raise NotFoundError("webhook_unknown", "There is no webhook of that id.")

    def remove(self, subscription: str) -> None:
        """Forget a subscription and all its deliveries."""
        self.subscription(subscription)
        with self._database.writing() as connection:
            for table in (SUBSCRIPTIONS, DELIVERIES):
                connection.execute(delete(table).where(*self._of(table, subscription)))

    def wanted(self) -> set[str]:
        """The types of events that anybody is told of."""
        return {type_ for s in self.subscriptions() if s.active for type_ in s.types}

    def publish(self, connection: Connection, events: Iterable[HookEvent]) -> int:
        """Keep events and what is to be delivered of them, inside a transaction of the caller's.

        An event whose id is there already is left as it is. Gives how many are new.
        """
        before = connection.execute(select(func.coalesce(func.max(E.sequence), 0))).scalar_one()
        for chunk in _chunks(events, CHUNK):
            rows = [
                {"workspace": self._workspace, "event": e.id, "type": e.type,
                 "subject": e.subject, "created": e.created, "body": e.body}
                for e in chunk
            ]  # fmt: skip
            insert_new(connection, HOOK_EVENTS, rows)
        new = and_(E.workspace == self._workspace, E.sequence > before)
        for subscription in self.subscriptions():
            if subscription.active:
                self._deliver(
                    connection, subscription.id, and_(new, E.type.in_(subscription.types))
                )
        return int(connection.execute(select(func.count()).where(new)).scalar_one())

    def tell(self, subscription: str, event: HookEvent) -> None:
        """Keep one event for one subscription, whatever it wants."""
        self.subscription(subscription)
        with self._database.writing() as connection:
            row = {
                "workspace": self._workspace, "event": event.id, "type": event.type,
                "subject": event.subject, "created": event.created, "body": event.body,
            }  # fmt: skip
            insert_new(connection, HOOK_EVENTS, [row])
            self._deliver(connection, subscription, E.event == event.id)

    def deliveries(
        self, subscription: str, state: str | None, after: int, limit: int
    ) -> list[Delivery]:
        """Deliveries of a subscription in their order, after a sequence number."""
        self.subscription(subscription)
        query = (
            select(D.sequence, E.event, E.type, D.subject, D.state, D.tries, D.due, D.changed,
                   D.status, D.error)
            .join(HOOK_EVENTS, E.sequence == D.sequence)
            .where(*self._of(DELIVERIES, subscription), D.sequence > after)
            .order_by(D.sequence).limit(limit)
        )  # fmt: skip
        if state is not None:
            query = query.where(D.state == state)
        with self._database.reading() as connection:
            return [Delivery(**row._mapping) for row in connection.execute(query)]

    def replay(self, subscription: str, events: Sequence[str] | None, now: int) -> int:
        """Let dead deliveries wait again, all or those of some events; gives how many."""
        self.subscription(subscription)
        again = (
            update(DELIVERIES)
            .where(*self._of(DELIVERIES, subscription), D.state == DEAD)
            .values(state=WAITING, tries=0, due=now, changed=now)
        )
        if events is not None:
            chosen = select(E.sequence).where(
                E.workspace == self._workspace, E.event.in_(list(events))
            )
            again = again.where(D.sequence.in_(chosen))
        with self._database.writing() as connection:
            return int(connection.execute(again).rowcount)

    def _of(self, table: Table, subscription: str) -> Conditions:
        columns = table.c
        return columns.workspace == self._workspace, columns.subscription == subscription

    def _deliver(
        self, connection: Connection, subscription: str, which: ColumnElement[bool]
    ) -> None:
        columns = ("workspace", "subscription", "sequence", "subject", "state", "tries", "due",
                   "changed")  # fmt: skip
        rows = select(
            E.workspace, literal(subscription), E.sequence, E.subject, literal(WAITING),
            literal(0), E.created, E.created,
        ).where(which)  # fmt: skip
        # On PostgreSQL another's event may have become visible since, with its delivery: see
        # `publish`. It is theirs.
        made = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        new = made(DELIVERIES).from_select(columns, rows).on_conflict_do_nothing()
        connection.execute(new)


def take(
    database: Database, now: int, until: int, most: int, busy: Sequence[str] = ()
) -> list[Due]:
    """Take deliveries that are due, of all workspaces, so that no other courier tries them.

    A courier that dies leaves them to be taken again at `until`.

    Parameters
    ----------
    busy
        Subscriptions of which nothing more is to be taken now.
    """
    earlier = DELIVERIES.alias()
    first = ~exists().where(
        earlier.c.workspace == D.workspace,
        earlier.c.subscription == D.subscription,
        earlier.c.state == WAITING,
        earlier.c.subject == D.subject,
        earlier.c.sequence < D.sequence,
    )
    chosen = (
        select(D.workspace, D.subscription, D.sequence, S.url, S.secret, E.event, E.body, D.tries)
        .join(HOOK_EVENTS, E.sequence == D.sequence)
        .join(SUBSCRIPTIONS, and_(S.workspace == D.workspace, S.subscription == D.subscription))
        .where(D.state == WAITING, D.due <= now, D.subscription.not_in(list(busy)), first)
        .order_by(D.due, D.sequence)
        .limit(most)
    )
    with database.reading() as connection:
        if connection.execute(chosen.limit(1)).first() is None:
            return []
    with database.writing() as connection:
        locked = chosen.with_for_update(of=DELIVERIES, skip_locked=True)
        taken = [Due(*row) for row in connection.execute(locked)]
        if taken:
            values = [{**_place(due), "to": until, "tried": due.tries + 1} for due in taken]
            change = update(DELIVERIES).where(*_AT)
            connection.execute(change.values(due=bindparam("to"), tries=bindparam("tried")), values)
    return taken


def settle(database: Database, outcomes: Sequence[Outcome]) -> None:
    """Write down what became of some tries, all at once."""
    change = (
        update(DELIVERIES)
        .where(*_AT, D.state == WAITING)
        .values(
            state=bindparam("became"), due=bindparam("again"), changed=bindparam("at"),
            status=bindparam("answered"), error=bindparam("said"),
        )
    )  # fmt: skip
    values = [
        {**_place(o.due), "became": o.state, "again": o.again, "at": o.at,
         "answered": o.status, "said": o.error}
        for o in outcomes
    ]  # fmt: skip
    with database.writing() as connection:
        connection.execute(change, values)


def forget(database: Database, before: int) -> None:
    """Forget what was delivered before a moment; dead letters stay until they are replayed."""
    with database.writing() as connection:
        connection.execute(delete(DELIVERIES).where(D.state == DELIVERED, D.changed < before))
        told = exists().where(D.sequence == E.sequence)
        connection.execute(delete(HOOK_EVENTS).where(E.created < before, ~told))


_AT = (
    D.workspace == bindparam("of_workspace"),
    D.subscription == bindparam("of_subscription"),
    D.sequence == bindparam("of_sequence"),
)


def _place(due: Due) -> dict[str, Any]:
    return {
        "of_workspace": due.workspace,
        "of_subscription": due.subscription,
        "of_sequence": due.sequence,
    }


def _chunks(items: Iterable[HookEvent], size: int) -> Iterator[list[HookEvent]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
