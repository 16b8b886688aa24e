"""How fresh a workspace's sources are, whether one has gone silent, and whether all broke off.

Takes what the store knows of each source; compares its silence with its usual rhythm. Knows
nothing about how rows come in.
"""

from dataclasses import dataclass
from time import monotonic

import msgspec

from features.durations import BEGINNING, DAY, format_day, format_moment
from serving.event_store import Feed, TenantStore
from serving.reach import BrokenOff

LATE, DEAD = 4, 14
"""So many usual pauses without an event make a source late, and dead. Of events that come by
chance a pause longer than 4 means happens once in 55 times, one longer than 14 never."""

LEAST_PAUSE = DAY
"""Many sources come once a day, whatever the times of their events."""


@dataclass(frozen=True)
class Freshness:
    """A source beside its own rhythm; lengths are microseconds."""

    feed: Feed
    usual_pause: int | None
    silence: int | None
    """From the last event to the moment that is asked about; 0 where it lies later."""
    status: str


def freshness(feed: Feed, as_of: int) -> Freshness:
    """Whether a source is fresh, late, dead or empty at a moment."""
    if feed.last_event is None or feed.first_event is None:
        # Statements that hold from the beginning have no rhythm.
        return Freshness(feed, None, None, "fresh" if feed.rows else "empty")
    silence = max(as_of - feed.last_event, 0)
    if feed.rows < 2:
        return Freshness(feed, None, silence, "fresh")
    pause = max((feed.last_event - feed.first_event) // (feed.rows - 1), LEAST_PAUSE)
    status = "dead" if silence > DEAD * pause else "late" if silence > LATE * pause else "fresh"
    return Freshness(feed, pause, silence, status)


MOST_TOLD = 100
"""Sources that a score tells of, those with the most rows: anybody who may send can name more."""

READ_AGAIN = 1.0
"""Seconds for which what the store says of its sources is good enough."""


class Sources:
    """A workspace's sources as documents, read at most once a second."""

    def __init__(self, store: TenantStore) -> None:
        self._store = store
        self._feeds: list[Feed] = []
        self._broken: BrokenOff | None = None
        self._read = -READ_AGAIN
        self._written: dict[int, msgspec.Raw] = {}

    def at(self, as_of: int) -> msgspec.Raw:
        """How fresh each source is at a moment, as JSON; see `schemas_scores.SourceOut`."""
        self._look()
        found = self._written.get(as_of)
        if found is None:
            documents = [source_document(freshness(feed, as_of)) for feed in self._feeds]
            found = self._written[as_of] = msgspec.Raw(msgspec.json.encode(documents))
        return found

    def broken(self) -> str:
        """What there is to say where events lie beyond the end of the histories; "" of nothing."""
        self._look()
        return "" if self._broken is None else broken_sentence(self._broken)

    def _look(self) -> None:
        now = monotonic()
        if now - self._read >= READ_AGAIN:
            self._feeds, self._broken = self._store.feeds(MOST_TOLD), self._store.broken_off()
            self._read, self._written = now, {}


def broken_sentence(broken: BrokenOff) -> str:
    """What it means that events lie beyond the end of the histories, and what to do."""
    came = "1 later event has" if broken.found == 1 else f"{broken.found:,} later events have"
    return (
        f"The histories end on {format_day(broken.until)}. Only {came} arrived; once "
        f"{broken.needed:,} have, scores move on. Until then they are as of that day: import "
        "what is missing, or go on sending."
    )


def source_document(fresh: Freshness) -> dict[str, object]:
    """How fresh a source is."""
    feed = fresh.feed
    return {
        "name": feed.name,
        "rows": feed.rows,
        "first_event": _moment(feed.first_event),
        "last_event": _moment(feed.last_event),
        "last_arrival": _moment(feed.last_arrival),
        "usual_pause_days": fresh.usual_pause and fresh.usual_pause / DAY,
        "silent_days": None if fresh.silence is None else fresh.silence / DAY,
        "status": fresh.status,
    }


def _moment(moment: int | None) -> str | None:
    return None if moment is None or moment <= BEGINNING else format_moment(moment)
