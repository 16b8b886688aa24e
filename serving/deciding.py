"""What a person decides about customers of the list: leave out, plan, assign, take for a week.

Takes who decides, what and about whom; keeps it if they may, all of it or nothing. The same for the
pages and the API. Knows nothing about HTTP.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select

from features.durations import this_moment
from serving.access import ACTING, ForbiddenError
from serving.at_risk import BookMissingError, Question, page
from serving.at_risk_routes import book_of
from serving.book_owners import parts
from serving.book_store import B
from serving.keys import Caller
from serving.ownership import said_owners
from serving.people import ADMIN, LEAD, LONGEST
from serving.refusals import NotFoundError
from serving.sight import UNKNOWN, Sight
from serving.worklist import MOST, WorklistError, monday

SNOOZE, WAKE, PLAN, UNPLAN = "snooze", "wake", "plan", "unplan"
ASSIGN, TAKE_BACK, PICK = "assign", "take_back", "pick"
ASSIGNERS = (LEAD, ADMIN)
MOST_PICKED = 200


@dataclass(frozen=True)
class Decision:
    """One decision about some customers; moments are microseconds UTC."""

    problem: str
    customers: Sequence[str]
    do: str
    until: int | None = None
    kind: str | None = None
    due: int | None = None
    owner: str | None = None


def may_decide(caller: Caller) -> bool:
    """Whether who asks may decide anything."""
    return caller.role in ACTING if caller.role else "ingest" in caller.scopes


def may_assign(caller: Caller) -> bool:
    """Whether who asks may say who looks after a customer."""
    return caller.role in ASSIGNERS if caller.role else "ingest" in caller.scopes


def decide(sight: Sight, caller: Caller, decision: Decision) -> int:
    """Keep a decision; gives how many customers it is about.

    Raises
    ------
    ForbiddenError
        When who asks may not decide this.
    NotFoundError
        When one of the customers is not in the caller's list; then nothing is kept.
    WorklistError
        When it can't be meant.
    """
    if not may_decide(caller):
        raise ForbiddenError("Account managers, leads and admins decide about customers.")
    customers = list(dict.fromkeys(decision.customers))
    if not 0 < len(customers) <= MOST:
        raise WorklistError(f"Choose 1 to {MOST:,} customers; {len(customers):,} were.")
    _check_seen(sight, decision.problem, customers)
    DO[decision.do](sight, caller, replace(decision, customers=customers))
    return len(customers)


def everybody(sight: Sight, question: Question) -> list[str]:
    """All customers that a list's filters let through.

    Raises
    ------
    WorklistError
        When they are too many to decide about at once.
    """
    found = page(book_of(sight.tenant), replace(question, limit=MOST, cursor=None))
    if found.next is not None:
        raise WorklistError(
            f"{found.totals.customers:,} customers are too many to decide about at once: filter "
            f"the list to {MOST:,} or fewer."
        )
    return [str(row.customer) for row in found.rows]


def best(sight: Sight, question: Question, many: int, without: frozenset[str]) -> list[str]:
    """The first customers of a list who are not among some."""
    wanted = replace(question, limit=min(MOST, many + len(without)), cursor=None)
    rows = page(book_of(sight.tenant), wanted).rows
    return [str(row.customer) for row in rows if row.customer not in without][:many]


def _check_seen(sight: Sight, problem: str, customers: Sequence[str]) -> None:
    """Refuse a customer whom the list of who asks does not hold, whether there is one or not."""
    book = book_of(sight.tenant)
    made = book.current(problem)
    if made is None:
        raise BookMissingError(f"The book of {problem} was not made yet. Try again in a minute.")
    mine = [B.workspace == book.workspace, B.problem == problem, B.generation == made.number]
    if sight.owners is not None:
        mine.append(B.owner.in_(sorted(sight.owners)))
    there: set[str] = set()
    with book.database.reading() as connection:
        for some in parts(customers):
            query = select(B.customer).where(*mine, B.customer.in_(some))
            there |= set(connection.execute(query).scalars())
    if there != set(customers):
        raise NotFoundError("customer_unknown", UNKNOWN)


def _snooze(sight: Sight, caller: Caller, asked: Decision) -> None:
    if asked.until is None:
        raise WorklistError("Say until when the customers are to be left out.")
    sight.tenant.worklist.snooze(asked.problem, asked.customers, asked.until, _named(caller))


def _wake(sight: Sight, caller: Caller, asked: Decision) -> None:
    sight.tenant.worklist.snooze(asked.problem, asked.customers, None, _named(caller))


def _plan(sight: Sight, caller: Caller, asked: Decision) -> None:
    if asked.kind is None:
        raise WorklistError("Say what is to be done next.")
    kept = sight.tenant.worklist
    kept.plan(asked.problem, asked.customers, asked.kind, asked.due, _named(caller))


def _unplan(sight: Sight, caller: Caller, asked: Decision) -> None:
    sight.tenant.worklist.plan(asked.problem, asked.customers, None, None, _named(caller))


def _assign(sight: Sight, caller: Caller, asked: Decision) -> None:
    _check_assigns(caller)
    owner = (asked.owner or "").strip()
    if not (0 < len(owner) <= LONGEST and owner.isprintable()):
        raise WorklistError(f"An owner is named by up to {LONGEST} printable characters.")
    if sight.owners is not None and owner not in sight.owners:
        raise WorklistError(f"Nobody of your team is called {owner!r} by the histories.")
    sight.tenant.worklist.assign(dict.fromkeys(asked.customers, owner), _named(caller))


def _take_back(sight: Sight, caller: Caller, asked: Decision) -> None:
    _check_assigns(caller)
    tenant = sight.tenant
    said = said_owners(tenant.kept, tenant.business.people.owner, asked.customers)
    sight.tenant.worklist.take_back(said, _named(caller))


def _pick(sight: Sight, caller: Caller, asked: Decision) -> None:
    if len(asked.customers) > MOST_PICKED:
        raise WorklistError(f"A week holds {MOST_PICKED} customers; {len(asked.customers):,} were.")
    kept = sight.tenant.worklist
    kept.pick(asked.problem, caller.id, monday(this_moment()), asked.customers)


def _check_assigns(caller: Caller) -> None:
    if not may_assign(caller):
        raise ForbiddenError("A lead or an admin says who looks after a customer.")


def _named(caller: Caller) -> str:
    return caller.name or caller.id


DO: dict[str, Callable[[Sight, Caller, Decision], None]] = {
    SNOOZE: _snooze, WAKE: _wake, PLAN: _plan, UNPLAN: _unplan, ASSIGN: _assign,
    TAKE_BACK: _take_back, PICK: _pick,
}  # fmt: skip
"""What can be decided."""
