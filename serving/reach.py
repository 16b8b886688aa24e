"""How far a workspace's histories reach: the rule by which events that arrive move their end.

An import says itself up to when all is there. An event that arrives otherwise is news if it
happened today or yesterday: then it claims that the histories reach up to its arrival, and that is
believed if they reached up to today or yesterday before. An older one, as of a back-fill, claims no
more than its own time. Any other claim of a later day must be borne out, for a single event, sent
to try the API, must not make everybody look silent since: a tenth of what is usual for such a gap
has to have happened there, by the 90 days before the end. Of a longer gap its last 90 days are
looked at, so that what fills its beginning is no proof of its end. Until then the histories have
broken off. All of it in whole days, UTC.

Takes a connection inside the transaction of whoever appends; keeps counts of events a day, so that
no event is read. Knows nothing about what events say.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, func, select

from features.cutoffs import AsOf
from features.durations import DAY, this_moment
from serving.inserting import add_counts
from serving.tables import EVENT_DAYS

FREE = 1
"""Days by which news moves the end whatever came, and after which an event is no news."""
USUAL = 90
"""Days before the end that say what is usual, and the longest gap that is compared with them."""
SHARE = 10
"""One in so many of the usual events has to be there."""

D = EVENT_DAYS.c


@dataclass(frozen=True)
class Reach:
    """What is known of a workspace's histories; times are microseconds UTC, None before any."""

    until: int | None = None
    """The moment up to which they reach."""
    known: int | None = None
    """The newest arrival that changed them, never before `until`."""
    claimed: int | None = None
    """The moment up to which they would reach by an arrival that was not believed."""

    def said(self, until: int) -> "Reach":
        """After an import that said up to when all is there."""
        return replace(self, until=_later(self.until, until), known=_later(self.known, until))

    @property
    def as_of(self) -> AsOf:
        """What a score of now is as of, where the histories reach that far; never beyond now."""
        now = this_moment()
        end = now if self.until is None else min(self.until, now)
        return AsOf(end, end if self.known is None else max(self.known, end))

    @property
    def broken(self) -> bool:
        """Whether events came that are too far beyond the end, and too few."""
        if self.until is None or self.claimed is None:
            return False
        return _day(self.claimed) - _day(self.until) > FREE


@dataclass(frozen=True)
class BrokenOff:
    """Why events that came move the end no further."""

    until: int
    """Up to when the histories reach."""
    found: int
    """Events that happened since, of the last 90 days if it is longer."""
    needed: int
    """So many there have to be."""


def count_days(connection: Connection, workspace: int, times: Iterable[int]) -> None:
    """Count new events by the day on which they happened."""
    days = Counter(when // DAY for when in times)
    add_counts(connection, EVENT_DAYS, [(workspace, *each) for each in days.items()])


def moved(connection: Connection, workspace: int, reach: Reach, newest: int, stamp: int) -> Reach:
    """How far histories reach after an arrival.

    Parameters
    ----------
    newest
        The latest time of the new events, which are counted already.
    stamp
        The moment of their arrival.
    """
    claim = stamp if _day(stamp) - _day(newest) <= FREE else newest
    claims = {claim} if reach.claimed is None else {claim, reach.claimed}
    for each in sorted(claims):
        gap = 0 if reach.until is None else _day(each) - _day(reach.until)
        after = replace(reach, claimed=each)
        if gap > (FREE if each == stamp else 0) and not _borne_out(connection, workspace, after):
            reach = after
        elif reach.until is None or each > reach.until:
            reach = replace(reach, until=each)
    return reach if reach.broken else replace(reach, claimed=None)


def broken_off(connection: Connection, workspace: int, reach: Reach) -> BrokenOff | None:
    """Why events move the end of histories no further; None while they do."""
    return _compared(connection, workspace, reach) if reach.broken else None


def _borne_out(connection: Connection, workspace: int, reach: Reach) -> bool:
    """Whether enough happened up to a claim."""
    why = _compared(connection, workspace, reach)
    return why.found >= why.needed


def _compared(connection: Connection, workspace: int, reach: Reach) -> BrokenOff:
    """What happened between the end and a claim, beside what has to."""
    assert reach.until is not None and reach.claimed is not None
    end, goal = _day(reach.until), _day(reach.claimed)
    gap = min(goal - end, USUAL)
    usual = _counted(connection, workspace, end - USUAL, end)
    needed = -(-usual * gap // (USUAL * SHARE))
    found = _counted(connection, workspace, goal - gap, goal)
    return BrokenOff(reach.until, found, max(1, needed))


def _counted(connection: Connection, workspace: int, after: int, until: int) -> int:
    """Events of the days in `(after, until]`."""
    days = (D.workspace == workspace, D.day > after, D.day <= until)
    asked = select(func.coalesce(func.sum(D.events), 0)).where(*days)
    return int(connection.execute(asked).scalar_one())


def _day(moment: int) -> int:
    return moment // DAY


def _later(one: int | None, other: int) -> int:
    return other if one is None else max(one, other)
