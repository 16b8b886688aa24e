"""The champions that answer now, taken from the shelf and exchanged without a pause.

Takes a business and a workspace; gives one immutable `Loaded` a problem. A thread looks at each
pointer twice a second; a version that became champion is loaded and tried beside the one that
answers, and takes its place by one assignment. What can't be loaded is told, and the one before
goes on. Knows nothing about MLflow, which only the watcher (`models.watch`) talks to, or HTTP.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from features.config import Business
from features.durations import SECOND, format_moment
from features.errors import MilepostError, ModelFilesError
from models.registry import Registered, model_name
from models.shelf import Report, Shelf, Standing
from models.trial import try_model
from serving.refusals import ModelUnavailableError

LOG = logging.getLogger("milepost.serving")

LOOK = 0.5
"""Seconds between two looks at a pointer."""
AGAIN = 5.0
"""Seconds until a version that could not be loaded is tried again: the watcher mends files."""
SILENT = 60 * SECOND
"""A watcher that said nothing for so long counts as dead."""


@dataclass(frozen=True)
class Loaded(Registered):
    """One version of one problem's model: what a request takes once and answers from."""

    problem: str
    digest: str
    """SHA-256 that stands for all of its files."""
    since: int
    """When it became champion here, microseconds UTC."""


@dataclass(frozen=True)
class Condition:
    """How a business's models are."""

    models: Mapping[str, Loaded]
    """By problem."""
    missing: Mapping[str, str]
    """Why a problem has no model."""
    degraded: tuple[str, ...]
    """What is wrong while models answer all the same."""

    @property
    def ready(self) -> bool:
        """Whether every problem has its model."""
        return bool(self.models) and not self.missing


@dataclass
class _Seat:
    """One problem's place: what is loaded, and what was last seen of its pointer."""

    problem: str
    shelf: Shelf
    loaded: Loaded | None = None
    seen: tuple[int, int] | None = None
    failure: str = ""
    failed_at: float = 0.0


Prepare = Callable[[Loaded], None]


class Champions:
    """One business's models, each exchanged as its pointer moves."""

    def __init__(self, business: Business, workspace: Path, prepare: Prepare | None = None) -> None:
        """`prepare` is called with each new model before it takes over."""
        self._seats = {
            problem: _Seat(problem, Shelf(workspace, model_name(business.name, problem)))
            for problem in business.problems
        }
        self.event_names: frozenset[str] = frozenset()
        """The kinds of event that any of the models has learned from."""
        self._business, self._prepare = business.name, prepare
        self._began = int(time.time() * SECOND)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def of(self, problem: str) -> Loaded:
        """The model that answers for a problem now; take it once a request.

        Raises
        ------
        ModelUnavailableError
            When there is none, with why.
        """
        seat = self._seats[problem]
        loaded = seat.loaded
        if loaded is None:
            raise ModelUnavailableError(_why(seat, seat.shelf.report()))
        return loaded

    def shelf(self, problem: str) -> Shelf:
        """Where a problem's versions lie."""
        return self._seats[problem].shelf

    def state(self) -> Condition:
        """What `/readyz` tells."""
        seats = [(seat, seat.loaded, seat.shelf.report()) for seat in self._seats.values()]
        return Condition(
            {seat.problem: loaded for seat, loaded, _ in seats if loaded},
            {seat.problem: _why(seat, report) for seat, loaded, report in seats if not loaded},
            tuple(
                told for seat, loaded, report in seats if loaded for told in _faults(seat, report)
            ),
        )

    def look(self) -> None:
        """Exchange every model whose pointer moved; one that can't be loaded is told."""
        for seat in self._seats.values():
            state = seat.shelf.pointer_state()
            again = seat.failure and time.monotonic() - seat.failed_at > AGAIN
            if state is not None and (state != seat.seen or again):
                self._exchange(seat)
                seat.seen = state

    def wait(self, seconds: float) -> None:
        """Look until every problem has a model or the watcher has said why not; at most so long."""
        deadline = time.monotonic() + seconds
        while True:
            self.look()
            if all(self._is_settled(seat) for seat in self._seats.values()):
                return
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)

    def start(self) -> None:
        """Look from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="champions", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK):
            try:
                self.look()
            except Exception:  # a thread that ends would serve an old model for ever
                LOG.exception("the shelf of %s can't be looked at", self._business)

    def _is_settled(self, seat: _Seat) -> bool:
        if seat.loaded is not None:
            return True
        report = seat.shelf.report()
        return report is not None and report.at >= self._began

    def _exchange(self, seat: _Seat) -> None:
        try:
            pointer = seat.shelf.pointer()
            if pointer is None:
                return
            now = seat.loaded and Standing(seat.loaded.version, seat.loaded.digest)
            if pointer.champion != now:
                self._take(seat, pointer.champion, pointer.since)
            seat.failure = ""
        except MilepostError as error:
            seat.failure, seat.failed_at = str(error), time.monotonic()
            LOG.error("%s can't be loaded: %s", seat.shelf.name, error)
            if seat.loaded is None:
                self._fall_back(seat)

    def _fall_back(self, seat: _Seat) -> None:
        """With no model at all, the champion before is better than none."""
        try:
            pointer = seat.shelf.pointer()
            if pointer is not None and pointer.previous is not None:
                self._take(seat, pointer.previous, pointer.since)
        except MilepostError as error:
            LOG.error("%s: nor can the one before: %s", seat.shelf.name, error)

    def _take(self, seat: _Seat, standing: Standing, since: int) -> None:
        model = seat.shelf.load(standing)
        if model.contract.business != self._business or model.contract.problem_name != seat.problem:
            raise ModelFilesError(
                f"{seat.shelf.name} is a model of {model.contract.business!r}, not of "
                f"{self._business!r}. Train {self._business}'s own."
            )
        try_model(model)
        loaded = Loaded(
            model, seat.shelf.name, standing.version, seat.problem, standing.digest, since
        )
        if self._prepare is not None:
            self._prepare(loaded)
        seat.loaded = loaded
        answering = [each.loaded.model for each in self._seats.values() if each.loaded]
        self.event_names = frozenset().union(*(m.contract.event_names for m in answering))
        LOG.info("%s: version %s answers", seat.shelf.name, standing.version)


def _why(seat: _Seat, report: Report | None) -> str:
    """Why a problem has no model, in a sentence or two."""
    told = report and (report.refused or report.trouble)
    return (
        seat.failure
        or told
        or (f"{seat.shelf.name} is not on the shelf yet, and the registry has not been asked.")
    )


def _faults(seat: _Seat, report: Report | None) -> list[str]:
    """What is wrong with a model that answers."""
    faults = [seat.failure] if seat.failure else []
    if report is None or report.at < time.time() * SECOND - SILENT:
        when = f"since {format_moment(report.at // SECOND * SECOND)}" if report else "yet"
        return [*faults, f"The registry has not been asked {when}; {seat.shelf.name} stays."]
    return [*faults, *(told for told in (report.trouble, report.refused) if told)]
