"""What the routes answer from: settings, and each workspace with its store and models.

Takes businesses and settings; loads them once, before the service listens. Knows nothing
about HTTP.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from features.config import Business, slug
from features.engine import warm_up
from features.errors import MilepostError, nearest
from models.registry import connect, load_alias, model_name
from serving.audit import Log
from serving.database import Database
from serving.errors import ModelUnavailableError, NotFoundError
from serving.event_store import EventStore, TenantStore
from serving.first_book import make_book
from serving.guard import Budget
from serving.intake import Intake
from serving.keys import Keys, Ring
from serving.metrics import Metrics
from serving.migrations import upgrade
from serving.rates import Rates
from serving.scoring import Scorer
from serving.sessions import Links, Sessions
from serving.settings import Settings
from serving.store import Store, open_store
from serving.tokens import Tokens

LOG = logging.getLogger("milepost.serving")


@dataclass
class Tenant:
    """One workspace: a business, its store and its models."""

    name: str
    """The business's slug; every row of the store carries it."""
    business: Business
    folder: Path
    """Where training kept this business's models."""
    store: Store
    kept: TenantStore
    """What the database keeps of this workspace."""
    scorers: dict[str, Scorer] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Why a problem has no model."""

    def scorer(self, problem: str | None) -> Scorer:
        """The scorer of a problem, the first problem's if none is named."""
        name = problem if problem is not None else next(iter(self.business.problems), "")
        if name not in self.business.problems:
            raise NotFoundError(
                "problem_unknown",
                f"There is no problem of that name.{nearest(name, self.business.problems)}",
            )
        if name not in self.scorers:
            raise ModelUnavailableError(self.missing[name])
        return self.scorers[name]


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
    sessions: Sessions = field(init=False)
    links: Links = field(init=False)
    rates: Rates = field(init=False)
    budget: Budget = field(init=False)
    log: Log = field(init=False)
    metrics: Metrics = field(init=False)
    intake: Intake = field(default_factory=Intake)
    """Writes the events that arrive."""

    def __post_init__(self) -> None:
        self.keys = Keys(self.database)
        self.ring = Ring(self.keys)
        self.tokens = Tokens(self.settings)
        self.sessions = Sessions(self.settings.secret, self.ring)
        self.links = Links(self.database)
        self.rates = Rates(self.settings.rate, self.settings.burst)
        self.budget = Budget(self.settings.concurrency)
        self.log = Log(self.database, self.settings.log_requests)
        self.metrics = Metrics()


def load_state(businesses: Sequence[Business], settings: Settings) -> State:
    """Open the store and load every business's champions.

    Raises
    ------
    MilepostError
        When a source can't be read or the registry can't be opened.
    """
    warm_up()
    database = Database(settings.database_url)
    upgrade(database)
    tenants = [load_tenant(business, settings.workspace, database) for business in businesses]
    return State(settings, database, {tenant.name: tenant for tenant in tenants})


def load_tenant(business: Business, workspace: Path, database: Database) -> Tenant:
    """Read the histories and load each problem's champion; a missing one is kept as a reason."""
    name = slug(business.name)
    kept = EventStore(database).workspace(name, business.features.groups)
    tenant = Tenant(name, business, workspace / name, open_store(business), kept)
    client = connect(workspace)
    for problem in business.problems:
        try:
            registered = load_alias(client, model_name(business.name, problem))
            scorer = Scorer(registered, tenant.store)
            tenant.scorers[problem] = scorer
            make_book(business, tenant.folder, kept, registered, tenant.store.histories)
        except MilepostError as error:
            LOG.warning("no model for %s: %s", problem, error)
            tenant.missing[problem] = str(error)
    return tenant
