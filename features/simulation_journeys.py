"""The simulated lives: who the customers are, what happens to them day by day.

Takes settings; gives a population and its journeys as compact tables of whole days: terms,
levels and memories, from which the state at any cutoff can be read back. Knows nothing about
event tables, files or probabilities beyond the decisions that it draws.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from features.durations import DAY
from features.simulation_model import (
    ATTRIBUTES,
    BASE,
    CHURN,
    CONVERSION,
    EMPLOYEES,
    LEVELS,
    MEMORIES,
    MONTHLY_SHARE,
    ONBOARDING,
    ONBOARDING_STEPS,
    PAYING,
    PROSPECT,
    RETURN_FACTOR,
    SIGNING_PER_DAY,
    TERM_DAYS,
    TRIAL,
    TRIAL_DAYS,
    TRIAL_PER_DAY,
    Level,
    Memory,
    cumulative,
    probability,
    tenure_effect,
)
from features.simulation_settings import Settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

NEVER = -1_000_000
"""The day of an event that has not happened."""

NOT_DUE = 10**9
"""The due day of a customer who has nothing to decide."""

LAST_ARRIVAL, RUSH = 0.95, 1.6
"""Customers arrive in this first share of the simulated time, at `share × u ** RUSH` of it with
u uniform: more at first, so that there are renewals, but some nearly to the end."""

LARGEST_ACCOUNT = 4
"""Customers of an account: one to four, equally often."""

BEGAN, EXPIRED, SIGNED, WENT_ON, LEFT = range(5)
"""What a term begins or ends with: a trial, its end, a contract, its renewal, its end."""

DRAWS = ("move", "decide", *(level.name for level in LEVELS), *(m.event for m in MEMORIES))
"""Each has a number of its own from [0, 1) for every customer and day, used or not, so that
what one customer does changes nothing for another."""


@dataclass(frozen=True)
class Population:
    """Who the customers are, shape `(n_customers,)` each."""

    account: Ints
    """The account's number."""
    first_of_account: Ints
    """The account's first customer, who arrives before the others."""
    arrival: Ints
    """Day since the start."""
    attributes: dict[str, NDArray[np.int8]]
    """Positions in the levels of `ATTRIBUTES`, by name."""
    employees: Ints
    seats: Ints
    monthly: Mask
    """Whether the customer chooses the monthly plan."""
    fixed: Floats
    """Effects of all that never changes, shape `(2, n_customers)`: on leaving, on subscribing."""

    def __len__(self) -> int:
        return len(self.account)


@dataclass
class Table:
    """Rows that grow a day at a time: customer, day and one value, all int64."""

    customer: list[Ints] = field(default_factory=list)
    day: list[Ints] = field(default_factory=list)
    value: list[Ints] = field(default_factory=list)

    def add(self, who: Ints, day: int, value: Ints | int) -> None:
        if len(who):
            self.customer.append(who)
            self.day.append(np.full(len(who), day))
            self.value.append(np.broadcast_to(np.asarray(value, np.int64), who.shape))

    def history(self, n_days: int) -> "History":
        """The rows sorted by customer and day; rows of one day keep their order."""
        nothing = [np.zeros(0, np.int64)]
        who, day, value = (
            np.concatenate(column or nothing) for column in (self.customer, self.day, self.value)
        )
        order = np.argsort(who * (n_days + 1) + day, kind="stable")
        return History(who[order], day[order], value[order], n_days)


@dataclass(frozen=True)
class History:
    """One kind of event of every customer, sorted by customer and day."""

    customer: Ints
    day: Ints
    value: Ints
    n_days: int

    def __len__(self) -> int:
        return len(self.customer)

    def last(self, customer: Ints, before: Ints) -> Ints:
        """Position of each customer's last row before a day, -1 without one."""
        keys = self.customer * (self.n_days + 1) + self.day
        at = np.searchsorted(keys, customer * (self.n_days + 1) + before) - 1
        found = at >= 0
        found[found] = self.customer[at[found]] == customer[found]
        return np.where(found, at, -1)


@dataclass(frozen=True)
class Journeys:
    """Everything that moves a hazard, as it happened; each table by the name of its event."""

    population: Population
    n_days: int
    terms: History
    """Value: one of `BEGAN`, `EXPIRED`, `SIGNED`, `WENT_ON`, `LEFT`."""
    levels: dict[str, History]
    """By the level's name; the value is the new level."""
    memories: dict[str, History]
    """By event; of an account's event the customer is the account's first."""
    controls: dict[str, History]
    """By treatment: who was assigned to it and left alone."""
    due: Ints
    """The day on which the term that begins in each row of `terms` ends; `NOT_DUE` if none."""
    renewals: Ints
    """How often the customer had renewed after each row of `terms`."""


def populate(settings: Settings, rng: np.random.Generator) -> Population:
    """Draw who the customers are; a mix shift changes only who arrives after it."""
    n = settings.n_customers
    first, account = _accounts(n, rng)
    arrival = _arrivals(settings, first, rng)
    shifted = np.zeros(n, dtype=bool)
    for fault in settings.faults:
        if fault.kind == "mix_shift":
            begins, ends = ((day - settings.start) / DAY for day in (fault.begins, fault.ends))
            shifted |= (arrival >= begins) & (arrival < ends)
    levels, fixed = {}, np.zeros((2, n))
    for attribute in ATTRIBUTES:
        draw = rng.random(n)
        if attribute.of_account:
            draw = draw[first]
        usual, other = (np.cumsum(s)[:-1] for s in (attribute.shares, attribute.shifted))
        changed = shifted[first] if attribute.of_account else shifted
        chosen = np.where(changed, np.searchsorted(other, draw), np.searchsorted(usual, draw))
        levels[attribute.name] = chosen.astype(np.int8)
        fixed[CHURN] += np.array(attribute.churn)[chosen]
        fixed[CONVERSION] += np.array(attribute.conversion)[chosen]
    employees = np.rint(10 ** np.clip(rng.normal(1.7, 0.6, n), 0.5, 4))[first].astype(np.int64)
    for decision, effect in enumerate(EMPLOYEES):
        fixed[decision] += effect * (np.log10(employees) - np.log10(50))
    seats = np.maximum(2, np.rint(employees * rng.uniform(0.05, 0.4, n))).astype(np.int64)
    return Population(
        account, first, arrival, levels, employees, seats,
        rng.random(n) < MONTHLY_SHARE, fixed,
    )  # fmt: skip


def _accounts(n: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Each customer's account, and that account's first customer."""
    sizes = rng.integers(1, LARGEST_ACCOUNT + 1, n)
    account = np.repeat(np.arange(n), sizes)[:n]
    return np.searchsorted(account, account), account


def _arrivals(settings: Settings, first: Ints, rng: np.random.Generator) -> Ints:
    """Days of arrival; an account's other customers come within a year of its first."""
    n, last = settings.n_customers, int(LAST_ARRIVAL * settings.n_days)
    day = (last * rng.random(n) ** RUSH).astype(np.int64)[first]
    later = rng.integers(1, 366, n)
    later[first == np.arange(n)] = 0
    return np.asarray(np.minimum(day + later, last))


class _Life:
    """The state of every customer on one day, and the tables that grow as it changes."""

    def __init__(self, settings: Settings, population: Population) -> None:
        n = len(population)
        self.population = population
        self.n_days = settings.n_days
        self.status = np.zeros(n, np.int8)
        self.due = np.full(n, NOT_DUE)
        self.renewals = np.zeros(n, np.int64)
        self.returning = np.zeros(n, dtype=bool)
        self.report = np.zeros(n, np.int64)
        self.level = {level.name: np.zeros(n, np.int64) for level in LEVELS}
        self.happened = {memory.event: np.full(n, NEVER) for memory in MEMORIES}
        self.terms, self.dues, self.renewed = Table(), Table(), Table()
        self.levels = {level.name: Table() for level in LEVELS}
        self.memories = {memory.event: Table() for memory in MEMORIES}
        self.controls = {memory.event: Table() for memory in MEMORIES if memory.treatment}
        self.bounds = {level.name: cumulative(level) for level in LEVELS}

    def journeys(self) -> Journeys:
        """The finished tables."""

        def all_of(tables: dict[str, Table]) -> dict[str, History]:
            return {name: table.history(self.n_days) for name, table in tables.items()}

        return Journeys(
            self.population, self.n_days, self.terms.history(self.n_days), all_of(self.levels),
            all_of(self.memories), all_of(self.controls),
            self.dues.history(self.n_days).value, self.renewed.history(self.n_days).value,
        )  # fmt: skip

    def term(self, who: Ints, day: int, what: int, status: int, due: Ints | int) -> None:
        """Begin or end a term."""
        self.status[who] = status
        self.due[who] = due
        self.terms.add(who, day, what)
        self.dues.add(who, day, self.due[who])
        self.renewed.add(who, day, self.renewals[who])

    def log_hazard(self, who: Ints, day: int, decision: int, base: Floats) -> Floats:
        """`log H` of a decision that these customers take at the beginning of a day."""
        eta = base + self.population.fixed[decision, who]
        for level in LEVELS:
            eta += np.array(level.effect[decision])[self.level[level.name][who]]
        for memory in MEMORIES:
            place = self.population.first_of_account[who] if memory.of_account else who
            eta += memory.effect[decision] * memory.fading(day - self.happened[memory.event][place])
        return np.asarray(eta)


def live(settings: Settings, population: Population, rng: np.random.Generator) -> Journeys:
    """Let every customer live from the first to the last day.

    Each day, in this order: decisions that are due, with what is known at its beginning; new
    trials and contracts; then everything that moves a level or a memory.
    """
    life = _Life(settings, population)
    place = {name: row for row, name in enumerate(DRAWS)}
    arrive_first = np.argsort(population.arrival, kind="stable")
    arrivals = population.arrival[arrive_first]
    for day in range(settings.n_days):
        draws = rng.random((len(DRAWS), len(population)), dtype=np.float32)
        _decide(life, day, draws[place["decide"]])
        _begin(life, day, draws[place["move"]], draws[place["engagement"]])
        low, high = np.searchsorted(arrivals, [day, day + 1])
        life.status[arrive_first[low:high]] = PROSPECT
        for level in LEVELS:
            _move_level(life, level, day, draws[place[level.name]])
        for memory in MEMORIES:
            _remember(life, memory, day, draws[place[memory.event]])
    return life.journeys()


def _decide(life: _Life, day: int, draw: NDArray[np.float32]) -> None:
    """Trials and terms that end today."""
    due = np.flatnonzero(life.due == day)
    trying = due[life.status[due] == TRIAL]
    base = np.full(len(trying), BASE["trial"])
    subscribes = draw[trying] < probability(life.log_hazard(trying, day, CONVERSION, base))
    _sign(life, trying[subscribes], day)
    life.term(trying[~subscribes], day, EXPIRED, PROSPECT, NOT_DUE)
    life.returning[trying[~subscribes]] = True
    paying = np.setdiff1d(due, trying, assume_unique=True)
    monthly = life.population.monthly[paying]
    base = np.where(monthly, BASE["monthly"], BASE["yearly"])
    base += tenure_effect(monthly, life.renewals[paying])
    leaves = draw[paying] < probability(life.log_hazard(paying, day, CHURN, base))
    stays = paying[~leaves]
    life.renewals[stays] += 1
    life.term(stays, day, WENT_ON, PAYING, day + _term_days(life, stays))
    life.term(paying[leaves], day, LEFT, PROSPECT, NOT_DUE)
    life.returning[paying[leaves]] = True


def _term_days(life: _Life, who: Ints) -> Ints:
    return np.where(life.population.monthly[who], TERM_DAYS["monthly"], TERM_DAYS["yearly"])


def _sign(life: _Life, who: Ints, day: int) -> None:
    life.term(who, day, SIGNED, PAYING, day + _term_days(life, who))


def _begin(life: _Life, day: int, move: NDArray[np.float32], engage: NDArray[np.float32]) -> None:
    """Prospects who begin a trial or sign at once; their usage is reported from today on."""
    factor = np.where(life.returning, RETURN_FACTOR, 1.0)
    free = life.status == PROSPECT
    tries = free & (move < TRIAL_PER_DAY * factor)
    signs = free & ~tries & (move < (TRIAL_PER_DAY + SIGNING_PER_DAY) * factor)
    trying, signing = np.flatnonzero(tries), np.flatnonzero(signs)
    life.term(trying, day, BEGAN, TRIAL, day + TRIAL_DAYS)
    _sign(life, signing, day)
    for level in LEVELS:
        if level.every:
            new = np.flatnonzero(tries | signs)
            first = np.searchsorted(np.cumsum(level.start)[:-1], engage[new])
            life.level[level.name][new] = first
            life.levels[level.name].add(new, day, first)
            life.report[new] = day


def _move_level(life: _Life, level: Level, day: int, draw: NDArray[np.float32]) -> None:
    """Move a level where its event happens today, and write down where to."""
    present = life.level[level.name]
    if level.every:
        using = (life.status >= TRIAL) & (life.report < day)
        who = np.flatnonzero(using & ((day - life.report) % level.every == 0))
        uniform = draw[who]
    else:
        rate = np.array([0.0, *level.per_day], np.float32)[life.status]
        happens = draw < rate
        if level is ONBOARDING:
            happens &= present < ONBOARDING_STEPS
        who = np.flatnonzero(happens)
        uniform = draw[who] / rate[who]
    after = (uniform[:, None] >= life.bounds[level.name][present[who]]).sum(axis=1)
    present[who] = after
    life.levels[level.name].add(who, day, after)


def _remember(life: _Life, memory: Memory, day: int, draw: NDArray[np.float32]) -> None:
    """Where the event of a memory happens today; of a treatment, who is left alone instead."""
    rate = np.array([0.0, *memory.per_day], np.float32)[life.status]
    if memory.of_account:
        rate[life.population.first_of_account != np.arange(len(rate))] = 0.0
    who = np.flatnonzero(draw < rate)
    life.happened[memory.event][who] = day
    life.memories[memory.event].add(who, day, 0)
    if memory.treatment:
        alone = np.flatnonzero((draw >= rate) & (draw < 2 * rate))
        life.controls[memory.event].add(alone, day, 0)
