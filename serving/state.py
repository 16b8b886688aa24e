"""What the routes answer from: settings, and each workspace with its store and models.

Takes businesses and settings; loads them once, before the service listens. Knows nothing
about HTTP.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from features.config import Business, slug
from features.engine import warm_up
from features.errors import MilepostError, nearest
from features.people import check_owner
from models.fitted import FittedModel
from models.registry import models_of
from models.shelf import Shelf, Standing
from serving.audit import Log
from serving.bounds import Bounds
from serving.champions import Champions, Loaded
from serving.database import Database
from serving.duties import Duties, Duty
from serving.entrance import Entrance
from serving.event_store import TenantStore, store_of
from serving.freshness import Sources
from serving.guard import Budget
from serving.intake import Intake
from serving.keys import Keys, Ring
from serving.ledger import Ledger
from serving.looks import Looks
from serving.metrics import Metrics
from serving.migrations import upgrade
from serving.people import Roster, Users
from serving.provider import Provider
from serving.rates import Rates
from serving.refusals import NotFoundError
from serving.scoring import Scorer
from serving.sessions import Links, Sessions
from serving.settings import Settings
from serving.tokens import Tokens
from serving.tries import Tries
from serving.worklist import Worklist

LOG = logging.getLogger("milepost.serving")

FIRST_ANSWER = 60.0
"""Seconds that a first start, with nothing on the shelf, waits for the watcher's answer."""


@dataclass
class Tenant:
    """One workspace: a business, its store and its models."""

    name: str
    """The business's slug; every row of the store carries it."""
    business: Business
    folder: Path
    """Where training kept this business's models."""
    kept: TenantStore
    """What the database keeps of this workspace."""
    champions: Champions = field(init=False)
    sources: Sources = field(init=False)
    """How fresh what is kept is."""
    worklist: Worklist = field(init=False)
    """What people decided about customers."""
    _scorers: dict[str, tuple[tuple[Loaded, Scorer], ...]] = field(default_factory=dict)
    """Of the version that answers and of the one before, which requests under way may need."""

    def __post_init__(self) -> None:
        self.champions = Champions(self.business, self.folder.parent, self._prepare)
        self.sources = Sources(self.kept)
        self.worklist = Worklist(self.kept.database, self.kept.workspace)

    def scorer(self, problem: str | None) -> tuple[Loaded, Scorer]:
        """The version that answers a problem, the first one if none is named, and its scorer.

        Raises
        ------
        NotFoundError, ModelUnavailableError
        """
        name = problem if problem is not None else next(iter(self.business.problems), "")
        if name not in self.business.problems:
            raise NotFoundError(
                "problem_unknown",
                f"There is no problem of that name.{nearest(name, self.business.problems)}",
            )
        loaded = self.champions.of(name)
        for ready, scorer in self._scorers.get(name, ()):
            if ready is loaded:
                return loaded, scorer
        return loaded, self._scorer_of(loaded)

    def version(self, loaded: Loaded, version: str, digest: str) -> FittedModel | None:
        """A version of a problem's model, None where the shelf does not have it any more."""
        if digest == loaded.digest:
            return loaded.model
        try:
            return Shelf(self.folder.parent, loaded.name).load(Standing(version, digest))
        except MilepostError:
            return None

    def _scorer_of(self, loaded: Loaded) -> Scorer:
        stages = tuple((name, tuple(some)) for name, some in self.business.stages.items())
        return Scorer(loaded.model, stages)

    def _prepare(self, loaded: Loaded) -> None:
        """Make a model that is about to answer ready to be asked."""
        before = self._scorers.get(loaded.problem, ())[:1]
        self._scorers[loaded.problem] = ((loaded, self._scorer_of(loaded)), *before)


@dataclass
class State:
    """Everything that answers come from."""

    settings: Settings
    database: Database
    tenants: dict[str, Tenant]
    keys: Keys = field(init=False)
    ring: Ring = field(init=False)
    """The keys as requests are checked against them."""
    tokens: Tokens = field(init=False)
    provider: Provider = field(init=False)
    roster: Roster = field(init=False)
    """The people as sessions are checked against them."""
    entrance: Entrance = field(init=False)
    sessions: Sessions = field(init=False)
    looks: Looks = field(init=False)
    """Into the store, for keys and sessions that memory does not know."""
    links: Links = field(init=False)
    rates: Rates = field(init=False)
    budget: Budget = field(init=False)
    log: Log = field(init=False)
    metrics: Metrics = field(init=False)
    intake: Intake = field(init=False)
    """Writes the events that arrive."""
    ledger: Ledger = field(init=False)
    ends: list[Callable[[], None]] = field(default_factory=list)
    """What is called, in this order, when the last request has been answered."""

    def __post_init__(self) -> None:
        self.keys = Keys(self.database)
        self.ring = Ring(self.keys)
        self.tokens = Tokens(self.settings)
        self.provider = Provider(self.settings)
        users = Users(self.database)
        self.roster = Roster(users)
        tries = Tries(self.database, self.settings.secret)
        self.entrance = Entrance(users, tries, self.tenants)
        self.sessions = Sessions(self.settings.secret, self.ring, self.roster)
        places = self.settings.concurrency
        self.looks = Looks(self.ring, self.roster, self.sessions, places)
        self.links = Links(self.database)
        self.rates = Rates(self.settings.rate, self.settings.burst)
        self.budget = Budget(self.settings.concurrency)
        self.log = Log(self.database, self.settings.log_requests)
        self.metrics = Metrics()
        bounds = Bounds(self.settings.max_sources, self.settings.max_properties)
        self.intake = Intake(bounds)
        self.ledger = Ledger(self.database)

    def duties(self) -> tuple[tuple[Duty, ...], ...]:
        """What is done all the time, in groups that don't wait for each other.

        Who may ask comes first. A provider may answer slowly, and so may whoever reads the log.
        """
        return (
            (self.ring.refresh, self.roster.refresh, self.sessions.refresh),
            (self.log.keep,), (self.log.show,), (self.tokens.refresh,),
        )  # fmt: skip

    def refresh(self) -> None:
        """Learn who may ask by now: keys, people, sessions that have ended, a provider's keys."""
        Duties(
            (self.ring.refresh, self.roster.refresh, self.sessions.refresh, self.tokens.refresh)
        ).do()

    def end(self) -> None:
        """Finish what was taken on: nothing is asked any more."""
        for end in (*self.ends, self.ledger.stop):
            end()


def load_state(businesses: Sequence[Business], settings: Settings) -> State:
    """Open the store and take every business's champions from the shelf, where there are any.

    Raises
    ------
    MilepostError
        When the store can't be opened, or two businesses would share a workspace or models.
    """
    models_of(businesses)
    warm_up()
    database = Database(settings.database_url)
    upgrade(database)
    tenants = [load_tenant(business, settings.workspace, database) for business in businesses]
    deadline = time.monotonic() + FIRST_ANSWER
    for tenant in tenants:
        tenant.champions.wait(deadline - time.monotonic())
        for why in tenant.champions.state().missing.values():
            LOG.warning("no model: %s", why)
        _look_at_owners(tenant)
        tenant.champions.start()
    return State(settings, database, {tenant.name: tenant for tenant in tenants})


def load_tenant(business: Business, workspace: Path, database: Database) -> Tenant:
    """What is kept of a business."""
    name = slug(business.name)
    kept = store_of(database, business)
    return Tenant(name, business, workspace / name, kept)


def _look_at_owners(tenant: Tenant) -> None:
    """Tell whoever starts the service if nobody's customers could be found."""
    try:
        with tenant.kept.database.reading() as connection:
            happened, stated = tenant.kept.kinds(connection)
        check_owner(tenant.business.people.owner, stated, happened)
    except MilepostError as error:
        LOG.warning("no owners: %s", error)
