"""The keeper of the book: everybody's score, made anew when there is something new.

A child process (`python -m serving keep-book CONFIG …`). Looks at the store and the champions;
when events arrived, a version changed or the end of the histories moved, it scores the whole
book from a refreshed copy of the histories and puts it into the store as a new generation.

Always the whole book, because a score depends on the moment it is asked as of: one that was
made as of an earlier moment than its neighbour's can't be ranked beside it. It waits until
events have been quiet for `QUIET`, no longer than `PATIENCE`, and rests `REST` times as long as
it worked, so that a store that is always written to costs it a fifth of one core.
"""

import argparse
import logging
import os
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

import pyarrow as pa

from features.config import Business, read_config, slug
from features.cutoffs import AsOf
from features.durations import this_moment
from features.errors import MilepostError
from features.log_lines import log_in_lines
from models.registry import model_name
from models.shelf import Shelf
from serving.alike import Alikes, look_back
from serving.book import Wish
from serving.book_owners import changed, reassign, with_owners
from serving.book_parts import Task, parts, score_buckets, speaker_of, whole
from serving.book_rows import (
    MOST_TOLD,
    Place,
    band_changes,
    cells,
    moved,
    owned_cells,
    ranks,
    rows,
)
from serving.book_scores import record
from serving.book_store import MAKING, BookStore, Generation
from serving.children import declare_parent, orphaned
from serving.database import Database, StoreUnavailableError
from serving.event_store import TenantStore, store_of
from serving.hook_store import Hooks
from serving.migrations import upgrade
from serving.settings import declare_place, read_settings
from serving.snapshot import Copy, FromStore
from serving.webhooks import BAND_CHANGED, MODEL_CHANGED, HookEvent, hook_event
from serving.worklist import Worklist, take_turn

LOG = logging.getLogger("milepost.keeper")

QUIET, PATIENCE, REST = 2.0, 30.0, 4.0
LOOK_AGAIN = 1.0
"""Seconds between looks at the store."""
GENTLE = 10
"""How far requests go before the book, as the system's priorities have it."""


@dataclass(frozen=True)
class Version:
    """A model that answers a problem."""

    folder: Path
    """Where its files lie."""
    name: str
    version: str
    digest: str


@dataclass
class Keeper:
    """Keeps one business's book."""

    business: Business
    store: TenantStore
    scratch: Path
    """A folder where parts of a book may lie while it is made."""
    histories: FromStore
    champion: Callable[[str], Version | None]
    """The version that answers a problem, None where there is none."""

    def __post_init__(self) -> None:
        self.book = BookStore(self.store.database, self.store.workspace)
        self.hooks = Hooks(self.store.database, self.store.workspace)
        self.worklist = Worklist(self.store.database, self.store.workspace)

    def due(self) -> dict[str, Version]:
        """The problems whose book is of other events, of another end or of another model."""
        state = self.histories.state()
        if state is None:
            return {}
        found = {problem: self.champion(problem) for problem in self.business.problems}
        return {p: v for p, v in found.items() if v is not None and self.differs(p, v, state)}

    def differs(self, problem: str, version: Version, state: tuple[int, AsOf]) -> bool:
        """Whether the kept book is of another state or version."""
        kept = self.book.current(problem)
        wanted = (*state, version.digest, self.business.people.owner)
        if kept is None:
            return True
        as_of = AsOf(kept.as_of, kept.known_time)
        return (kept.arrival, as_of, kept.digest, kept.owned_by) != wanted

    def keep(self, problem: str, version: Version, copy: Copy) -> Generation:
        """Score a problem's book anew and keep it, and what became of customers like those."""
        table, unscored = self._score(version, copy)
        made = self.put(problem, version, (copy.arrival, copy.as_of), table, unscored)
        model = speaker_of(version.folder, version.digest).model
        stood = look_back(model, version.version, copy.buckets, copy.as_of.moment)
        Alikes(self.store.database, self.store.workspace).put(problem, stood)
        return made

    def put(
        self, problem: str, version: Version, state: tuple[int, AsOf], table: pa.Table,
        unscored: Counter[str],
    ) -> Generation:  # fmt: skip
        """Make a scored book the current one; readers see the old one until it is whole.

        Parameters
        ----------
        state
            The commit of the store, and what it was scored as of.
        """
        assigned = self.worklist.assigned()
        said, table = table, with_owners(table, assigned)
        wanted = Generation(
            problem, 0, MAKING, version.name, version.version, version.digest,
            state[1].moment, state[1].known_time, state[0], this_moment(), 0, {}, (),
            self.business.people.owner,
        )  # fmt: skip
        number = self.book.begin(wanted)
        # From here on another keeper's book would sweep this one: nobody moves meanwhile.
        before, stood = self.book.current(problem), self.book.stood(problem)
        bands = stood.bands
        place, worth = ranks(table)
        self.book.add(problem, number, rows(table, place, worth, bands))
        made = replace(wanted, number=number)
        told = moved(table, bands) if BAND_CHANGED in self.hooks.wanted() else table.slice(0, 0)
        events = self._events(told, bands, before, made)
        with self.store.database.writing() as connection:
            take_turn(self.store.database, connection, self.store.workspace)
            self.book.finish(
                connection, problem, number, table.num_rows, unscored, cells(table),
                owned_cells(table),
            )  # fmt: skip
            self.book.remember(connection, problem, stood, table["customer"].to_pylist())
            late = changed(said, assigned, self.worklist.assigned(connection))
            reassign(connection, self.store.workspace, late, problem)
            self.hooks.publish(connection, events)
            record(connection, self.book, made, told["customer"].to_pylist())
        self.book.sweep(problem)
        current = self.book.current(problem)
        assert current is not None
        return current

    def _score(self, version: Version, copy: Copy) -> tuple[pa.Table, Counter[str]]:
        """Everybody's score, in the order of their ids."""
        with tempfile.TemporaryDirectory(dir=self.scratch, prefix=".book-") as scratch:
            wish = Wish(reasons=MOST_TOLD, owner=self.business.people.owner)
            task = Task(
                copy.buckets, version.folder, version.digest, copy.as_of, wish, Path(scratch)
            )
            unscored = score_buckets(task, 1, _silent)
            return whole(parts(task)), unscored

    def _events(
        self, told: pa.Table, bands: dict[str, str], before: Generation | None, made: Generation
    ) -> Iterator[HookEvent]:
        """What there is to tell anybody who wants to be told; `told` are rows that moved."""
        place = Place(self.store.name, made.problem, made.number, made.version, made.made)
        wanted = self.hooks.wanted()
        if MODEL_CHANGED in wanted and before is not None and before.digest != made.digest:
            data = {
                "problem": made.problem, "model": made.model, "model_version": made.version,
                "model_version_before": before.version,
            }  # fmt: skip
            yield hook_event(
                MODEL_CHANGED,
                place.workspace,
                made.problem,
                made.model,
                this_moment(),
                str(made.number),
                data,
            )
        yield from band_changes(told, bands, place, this_moment())


class Watch:
    """Decides when to look closer, so that a busy store is not scored without a pause."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._seen: tuple[object, ...] | None = None
        self._moved = self._first = self._rested = -float("inf")

    def ready(self, state: tuple[object, ...]) -> bool:
        """Whether a state that differs from the kept book's has been quiet for long enough."""
        now = self._clock()
        if state != self._seen:
            self._first = now if self._seen is None or self._first < self._rested else self._first
            self._seen, self._moved = state, now
        if now < self._rested:
            return False
        return now - self._moved >= QUIET or now - self._first >= PATIENCE

    def worked(self, seconds: float) -> None:
        """Rest after work."""
        self._rested = self._clock() + REST * seconds
        self._first = self._rested


def declare(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    declare_place(parser)
    parser.add_argument("--once", action="store_true", help="make what is due, then end")
    declare_parent(parser)


def run(chosen: argparse.Namespace) -> int:
    """Keep the books of all businesses until SIGTERM."""
    settings = read_settings(os.environ, workspace=chosen.workspace, database=chosen.database)
    database = Database(settings.database_url)
    upgrade(database)
    log_in_lines(logging.INFO)
    os.nice(GENTLE)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    keepers = [keeper_of(read_config(path), settings.workspace, database) for path in chosen.config]
    serve(keepers, stopping, chosen.once, chosen.parent)
    return 0


def keeper_of(business: Business, workspace: Path, database: Database) -> Keeper:
    """The keeper of one business's book."""
    name = slug(business.name)
    store = store_of(database, business)
    scratch = workspace / name
    scratch.mkdir(parents=True, exist_ok=True)
    histories = FromStore(business, store, scratch / "book-histories")
    return Keeper(business, store, scratch, histories, partial(champion, business, workspace))


def champion(business: Business, workspace: Path, problem: str) -> Version | None:
    """The version on the shelf that answers a problem."""
    shelf = Shelf(workspace, model_name(business.name, problem))
    pointer = shelf.pointer()
    if pointer is None:
        return None
    standing = pointer.champion
    folder = shelf.folder / standing.folder
    return Version(folder, shelf.name, standing.version, standing.digest)


def serve(
    keepers: Sequence[Keeper], stopping: threading.Event, once: bool, parent: int | None = None
) -> None:
    """Look, and keep what is due, until stopped; a fault is told and tried again."""
    watches = {id(keeper): Watch() for keeper in keepers}
    while not stopping.is_set() and not orphaned(parent):
        for keeper in keepers:
            try:
                _look(keeper, watches[id(keeper)], stopping, once)
            except StoreUnavailableError as error:
                LOG.warning("the book waits: %s", error)
            except MilepostError as error:
                LOG.warning("no book of %s: %s", keeper.business.name, error)
        if once:
            return
        stopping.wait(LOOK_AGAIN)


def _look(keeper: Keeper, watch: Watch, stopping: threading.Event, once: bool) -> None:
    due = keeper.due()
    state = (keeper.histories.state(), *(version.digest for version in due.values()))
    if not due or not (once or watch.ready(state)):
        return
    begun = monotonic()
    with keeper.book.alone() as may:
        if may:
            _keep_all(keeper, keeper.due(), stopping)
    watch.worked(monotonic() - begun)


def _keep_all(keeper: Keeper, due: dict[str, Version], stopping: threading.Event) -> None:
    copy = keeper.histories.copy() if due else None
    for problem, version in due.items():
        if copy is None or stopping.is_set():
            return
        made = keeper.keep(problem, version, copy)
        LOG.info("%s: %s customers, generation %s", problem, f"{made.rows:,}", made.number)


def _silent(_: int) -> None:
    pass
