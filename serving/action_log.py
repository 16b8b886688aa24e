"""Writing an action down: into the journey as an event, then into the ledger.

Takes what somebody says they did; checks whose customer it is, puts the event through intake and
keeps the action. Both are kept once by the action's id, so whoever is told that nothing was kept
sends the same again. Gives lists that hold nothing of customers whom the caller does not see.
Knows nothing about HTTP.
"""

import re
import secrets
from concurrent.futures import Future
from dataclasses import dataclass, replace

from features.actions import FOLLOW_UP, event_of
from features.durations import MINUTE, format_moment, parse_moment, this_moment
from features.errors import MilepostError
from serving.actions import Action, Actions, FollowUp, Wanted
from serving.bodies import InvalidRequestError
from serving.customer_events import rows_of
from serving.customer_rows import CursorError
from serving.event_store import ACCEPTED, DUPLICATE
from serving.intake import ACTION, Intake, Taken
from serving.refusals import NotFoundError
from serving.sight import Sight

EARLIEST = parse_moment("2000-01-01")
AHEAD = MINUTE
"""The clock of a browser's form shows minutes."""
WAIT = 30.0
"""Seconds after which the store is taken to be away."""
TOGETHER, MOST_LOOKED = 500, 20_000
"""Actions that are read in one query, and for one page: of more customers than these a person who
sees few of them is led on by `next`."""
CURSOR = re.compile(r"([0-9]{1,17})-([\w.-]{1,64})", re.ASCII)

NOT_THEIRS = "There is no action of that id."


class NotKeptError(MilepostError):
    """The journey could not take an action."""

    code = "request_invalid"


@dataclass(frozen=True)
class Done:
    """What somebody says they did."""

    customer: str
    kind: str
    outcome: str
    at: int | None = None
    """Now unless given."""
    cost: float | None = None
    note: str = ""
    id: str | None = None


@dataclass(frozen=True)
class Listed:
    """A part of the list."""

    actions: list[Action]
    next: str | None


def new_id() -> str:
    """An id that nobody uses twice."""
    return secrets.token_hex(12)


def known_customer(sight: Sight, customer: str) -> None:
    """Raise what is raised of a customer that there is not, or whom the caller does not see.

    Raises
    ------
    NotFoundError
    """
    rows_of(sight, customer)


def ledger(sight: Sight) -> Actions:
    """The actions of the caller's workspace."""
    kept = sight.tenant.kept
    return Actions(kept.database, kept.workspace)


def write_down(intake: Intake, sight: Sight, who: str, done: Done) -> tuple[Action, bool]:
    """Keep an action; say whether it is new.

    Raises
    ------
    NotFoundError
        Of a customer whom the caller does not see.
    InvalidRequestError
        When it lies in the future, or before the year 2000.
    UsedError
        When its id was used for another one.
    StoreUnavailableError, NotKeptError
    """
    known_customer(sight, done.customer)
    now, kept = this_moment(), ledger(sight)
    before = None if done.id is None else kept.find(done.id)
    at = done.at
    if at is None:
        at = now if before is None else before.at  # the same action, sent again
    if not EARLIEST <= at <= now + AHEAD:
        why = "must lie between the year 2000 and now"
        raise InvalidRequestError([{"place": "body.at", "reason": why}])
    action = Action(
        done.id or new_id(), done.customer, done.kind, at, now, who, done.cost,
        done.outcome, done.outcome, done.note,
    )  # fmt: skip
    if before is not None:
        return before, kept.add(action)
    body = {
        "customer": action.customer, "event": event_of(action.kind), "event_id": action.action,
        "event_time": format_moment(action.at), "kind": action.kind, "outcome": action.outcome,
        "cost": action.cost, "who": action.who,
    }  # fmt: skip
    _kept(intake.take(sight.tenant.kept, [body], [ACTION]))
    return action, kept.add(action)


def follow_up(intake: Intake, sight: Sight, action: str, said: FollowUp) -> Action:
    """Keep a later word on what came of an action; give the action as it then stands.

    Raises
    ------
    NotFoundError
        Of an action that there is not, or of a customer whom the caller does not see.
    StoreUnavailableError, NotKeptError
    """
    kept = ledger(sight)
    found = kept.find(action)
    if found is None or not sight.of(found.customer):
        raise NotFoundError("action_unknown", NOT_THEIRS)
    body = {
        "customer": found.customer, "event": FOLLOW_UP, "event_id": f"{action}/{said.entry}",
        "event_time": format_moment(said.at), "kind": found.kind, "outcome": said.outcome,
        "of": action, "who": said.who,
    }  # fmt: skip
    _kept(intake.take(sight.tenant.kept, [body], [ACTION]))
    kept.follow(action, said)
    return kept.find(action) or found


def listed(sight: Sight, wanted: Wanted, limit: int) -> Listed:
    """The newest actions about customers whom the caller sees.

    Raises
    ------
    NotFoundError
        When one customer is asked about whom the caller does not see.
    """
    if wanted.customer:
        known_customer(sight, wanted.customer)
    kept, found, looked = ledger(sight), list[Action](), 0
    while True:
        some = kept.page(wanted, TOGETHER)
        looked += len(some)
        seen = sight.among({each.customer for each in some})
        for each in some:
            if each.customer in seen:
                found.append(each)
            if len(found) > limit:
                return Listed(found[:limit], write_cursor(found[limit - 1]))
        if len(some) < TOGETHER:
            return Listed(found, None)
        if looked >= MOST_LOOKED:
            return Listed(found, write_cursor(some[-1]))
        wanted = replace(wanted, before=some[-1].place)


def write_cursor(action: Action) -> str:
    """Where a list goes on."""
    return f"{action.at}-{action.action}"


def read_cursor(cursor: str | None) -> tuple[int, str] | None:
    """The place that a cursor names.

    Raises
    ------
    CursorError
    """
    if not cursor:
        return None
    found = CURSOR.fullmatch(cursor)
    if found is None:
        raise CursorError("cursor: give what `next` of the page before said.")
    return int(found[1]), found[2]


def _kept(waiting: "Future[Taken]") -> None:
    """Wait until an event is on disk."""
    (result,) = waiting.result(WAIT).results
    if result.status not in (ACCEPTED, DUPLICATE):
        raise NotKeptError(f"The journey can't take this: {result.detail or result.reason}.")
