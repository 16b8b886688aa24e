"""Taking in events: every row that is received is accepted, known, set aside or refused.

Takes decoded rows; checks each alone; hands what can be kept to one writer thread, which
commits all requests that wait as one transaction and answers when it is on disk. Gives a result
for every row, so that accepted + duplicate + quarantined + refused = received. Knows nothing
about HTTP.
"""

import queue
import threading
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import msgspec

from features.durations import this_moment
from features.errors import nearest
from serving.bounds import WHY, Bounds
from serving.database import StoreUnavailableError
from serving.event_store import (
    ACCEPTED,
    ACTIONS,
    DUPLICATE,
    EVENT,
    ID_CONFLICT,
    KEPT,
    QUARANTINED,
    REFUSED,
    Fact,
    SetAside,
    TenantStore,
)
from serving.facts import API, FactError, fact_of
from serving.reach import BrokenOff
from serving.segment import SOURCE, facts_of

MOST_TOGETHER = 20_000
"""Rows of one transaction; a request with more has one of its own."""
MOST_WAITING = 200_000
"""Rows that may wait for the writer; beyond them a request is turned away at once."""

MOST_HINTS = 20
"""Kinds of event in one request for which the nearest known one is looked for: that takes time."""

CANONICAL, ACTION = "event", "action"
"""Forms of a row: as a sender says it, or as an action was written down; those of Segment's are
`segment:` and the kind of message."""

CUT = "cut"
"""The form of a row of which only the beginning was kept; it can't be tried again."""
MOST_KEPT = 131_072
"""Bytes that are kept of a row that is set aside: twice what the properties of a good one take."""

UNREADABLE = frozenset(("not_an_object", "unreadable"))
"""Faults of rows that are no row at all: they are refused and not kept."""

CONFLICT = "the same event_id came before with another customer, time or content"
UNKEPT = {ID_CONFLICT: CONFLICT, **WHY}
"""What each reason of the store says to a person."""


class Result(msgspec.Struct, omit_defaults=True):
    """What became of one row."""

    index: int
    status: str
    event_id: str | None = None
    reason: str | None = None
    detail: str | None = None
    hint: str | None = None
    """What is odd about a row that was kept."""


@dataclass(frozen=True)
class Taken:
    """What became of a request."""

    results: list[Result]
    """Of each row."""
    broken: BrokenOff | None = None
    """Why the histories reach no further, if one of the new events lies beyond them."""


@dataclass
class Received:
    """The rows of one request, checked."""

    store: TenantStore
    bodies: list[Any]
    forms: list[str]
    now: int
    known: frozenset[str] = frozenset()
    """Kinds of event that models read; of others a hint is given, where there are any models."""
    arrivals: Sequence[int] | None = None
    """When each row first came; now if None."""
    facts: list[Fact] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    """The row that each fact is of."""
    aside: list[SetAside] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def check(self) -> None:
        """Sort rows into facts, rows to set aside and refused ones."""
        hints: dict[str, str] = {}
        for index, (body, form) in enumerate(zip(self.bodies, self.forms, strict=True)):
            try:
                if isinstance(body, Unreadable):
                    raise FactError("unreadable", body.why)
                arrived = self.now if self.arrivals is None else self.arrivals[index]
                made = facts_from(body, form, self.now, self.store.groups, arrived)
            except FactError as error:
                refused = error.code in UNREADABLE
                status = REFUSED if refused else QUARANTINED
                self.results.append(Result(index, status, None, error.code, str(error)))
                if not refused:
                    self.aside.append(set_aside(body, form, error.code, str(error)))
                continue
            self.facts += made
            self.owners += [index] * len(made)
            result = Result(index, ACCEPTED, made[0].event_id)
            self.results.append(result)
            if self.known and made[0].event not in self.known and made[0].side == EVENT:
                result.hint = self._hint(made[0].event, hints)

    def _hint(self, name: str, hints: dict[str, str]) -> str:
        """What is odd about a kind of event that no model reads; `hints` are those given before."""
        if name not in hints:
            near = nearest(name, self.known) if len(hints) < MOST_HINTS else ""
            hints[name] = f"No model has learned from events of this kind.{near}"
        return hints[name]

    def unkept(self, place: int, reason: str) -> SetAside:
        """The row of a fact that the store did not keep."""
        owner = self.owners[place]
        return set_aside(self.bodies[owner], self.forms[owner], reason, UNKEPT[reason])

    def learn(self, verdicts: Sequence[str], broken: BrokenOff | None) -> Taken:
        """Put what became of the facts into the results of their rows."""
        found: dict[int, set[str]] = {}
        for owner, verdict in zip(self.owners, verdicts, strict=True):
            found.setdefault(owner, set()).add(verdict)
        for owner, kinds in found.items():
            result = self.results[owner]
            reason = next(iter(sorted(kinds - KEPT)), None)
            if reason is not None:
                result.status, result.reason, result.detail = QUARANTINED, reason, UNKEPT[reason]
                result.hint = None
            elif ACCEPTED not in kinds:
                result.status = DUPLICATE
        new = (f for f, v in zip(self.facts, verdicts, strict=True) if v == ACCEPTED)
        if broken is None or not any(f.side == EVENT and f.event_time > broken.until for f in new):
            return Taken(self.results)
        return Taken(self.results, broken)


@dataclass(frozen=True)
class Unreadable:
    """A row of a request that is no JSON."""

    why: str


def facts_from(
    body: Any, form: str, now: int, groups: tuple[str, ...], arrived: int
) -> tuple[Fact, ...]:
    """The facts of a row in one of the forms, which first came at `arrived`; raises FactError."""
    if form == CANONICAL:
        fact = fact_of(body, now, groups, API, arrived)
        if fact.source == ACTIONS:
            raise FactError("source_invalid", "source is that of actions; send them to /v1/actions")
        return (fact,)
    if form == ACTION:
        made = fact_of(body, now, (), ACTIONS)
        # The ledger looks at the time; what is sent again may have the clock's, a little later.
        return (msgspec.structs.replace(made, corrected=True),)
    kind = form.partition(":")[2]
    return facts_of(body, kind or None, now, groups, arrived)


def set_aside(body: Any, form: str, reason: str, detail: str) -> SetAside:
    """A row for the quarantine; the same row for the same reason is the same one.

    Of a row that is longer than any good one the beginning is kept, for whoever mends its sender.
    """
    raw = msgspec.json.encode(body)
    source = {CANONICAL: API, ACTION: ACTIONS}.get(form, SOURCE)
    named = blake2b(f"{form}\0{reason}\0".encode() + raw, digest_size=12).hexdigest()
    if len(raw) > MOST_KEPT:
        form, raw = CUT, raw[:MOST_KEPT]
    return SetAside(named, source, form, reason, detail, raw.decode(errors="ignore"))


class Intake:
    """One writer thread of this process, for all workspaces."""

    def __init__(self, bounds: Bounds = Bounds()) -> None:  # noqa: B008 - it is frozen
        self._bounds = bounds
        self._waiting: queue.SimpleQueue[tuple[Received, Future[Taken]] | None] = (
            queue.SimpleQueue()
        )
        self._rows = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._open = True

    def take(
        self, store: TenantStore, bodies: list[Any], forms: list[str], now: int | None = None,
        known: frozenset[str] = frozenset(), arrivals: Sequence[int] | None = None,
    ) -> "Future[Taken]":  # fmt: skip
        """Check rows and have them kept; the future is done when they are on disk.

        Of an event whose kind is not `known` to any model the result says so. `arrivals` is when
        each row first came, where that was before now.

        It fails with `StoreUnavailableError` when nothing of the request could be kept.
        """
        received = Received(
            store, bodies, forms, this_moment() if now is None else now, known, arrivals
        )
        received.check()
        future: Future[Taken] = Future()
        if not received.facts and not received.aside:
            future.set_result(Taken(received.results))
            return future
        with self._lock:
            if not self._open or (self._rows and self._rows + len(bodies) > MOST_WAITING):
                raise StoreUnavailableError(
                    "More events wait to be written than can be taken; nothing was kept of this "
                    "request, send it again."
                )
            self._rows += len(bodies)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="intake", daemon=True)
                self._thread.start()
            self._waiting.put((received, future))
        return future

    def close(self) -> None:
        """Write what waits, then end the thread."""
        with self._lock:
            self._open = False
            thread = self._thread
            self._waiting.put(None)
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch, last = self._gather(first)
            stores = {id(received.store): received.store for received, _ in batch}
            for key, store in stores.items():
                self._write(store, [each for each in batch if id(each[0].store) == key])
            with self._lock:
                self._rows -= sum(len(received.bodies) for received, _ in batch)
            if last:
                return

    def _gather(self, first: Any) -> tuple[list[Any], bool]:
        """All requests that wait by now, up to the size of a transaction."""
        batch, rows = [first], len(first[0].facts)
        while rows < MOST_TOGETHER:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                return batch, True
            batch.append(following)
            rows += len(following[0].facts)
        return batch, False

    def _write(self, store: TenantStore, batch: list[Any]) -> None:
        """One transaction for several requests; one that breaks it is tried alone."""
        try:
            parts, broken = _append(store, [received for received, _ in batch], self._bounds)
        except StoreUnavailableError as error:
            for _, future in batch:
                future.set_exception(error)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for each in batch:
                self._write(store, [each])
        else:
            for (received, future), verdicts in zip(batch, parts, strict=True):
                future.set_result(received.learn(verdicts, broken))


def _append(
    store: TenantStore, requests: Sequence[Received], bounds: Bounds
) -> tuple[list[list[str]], BrokenOff | None]:
    """Keep the facts of several requests together; give each request's verdicts, and whether the
    histories broke off."""
    edges = [0]
    for received in requests:
        edges.append(edges[-1] + len(received.facts))

    def unkept(place: int, reason: str) -> SetAside:
        at = bisect_right(edges, place) - 1
        return requests[at].unkept(place - edges[at], reason)

    facts = [fact for received in requests for fact in received.facts]
    aside = [row for received in requests for row in received.aside]
    done = store.append(facts, aside, unkept, bounds=bounds)
    return [done.verdicts[a:b] for a, b in pairwise(edges)], done.broken
