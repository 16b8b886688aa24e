"""What moves simulated customers: every driver, its rate and its effect, as named constants.

Takes nothing; gives the drivers, the hazards and the way from a hazard to a probability.
Knows nothing about days, customers' journeys, events or files.

A customer decides on known days only: on the last day of a trial whether to subscribe, on
`renews_at` whether to go on. The probability of the event (subscribing; leaving) is

    p = 1 - exp(-H),   log H = base + attributes + tenure + Σ levels + Σ memories × fading

so that `exp(effect)` is a ratio of hazards. Drivers move independently of each other:

- a `Level` is a Markov chain that moves only with its own event, which tells the new level;
- a `Memory` is the age of the last event of a kind: on the first day after it the log hazard
  moves by the whole effect, then by `effect × max(0, 1 - age / fades)`, age in days.

Everything in `log H` can thus be read from the history: what a perfect model could know at a
cutoff is the attributes, the levels and the ages, and the truth is conditional on just these.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ABSENT, PROSPECT, TRIAL, PAYING = range(4)
"""What a customer is: not yet there, without contract (before or after one), trying, paying."""

CHURN, CONVERSION = 0, 1
"""The two decisions; also the position of their effects in every driver."""

TRIAL_DAYS = 30
TERM_DAYS = {"yearly": 365, "monthly": 30}
"""Days from one `renews_at` to the next."""

MONTHLY_SHARE = 0.30
"""Share of customers who choose the monthly plan when they sign."""

BASE = {"yearly": -3.5, "monthly": -2.6, "trial": -4.2}
"""Log hazard of a decision before any effect, by what is decided about."""

TENURE = {"yearly": (-0.30, 3), "monthly": (-0.06, 12)}
"""Effect on leaving of each renewal so far, and how many of them count."""

TRIAL_PER_DAY, SIGNING_PER_DAY, RETURN_FACTOR = 0.012, 0.012, 0.12
"""A prospect's chance a day to begin a trial, and to sign at once (after a demo, without a
trial); former customers and expired trials come back at this fraction of both."""


@dataclass(frozen=True)
class Attribute:
    """What a customer is from the beginning: levels, shares and effects."""

    name: str
    levels: tuple[str, ...]
    shares: tuple[float, ...]
    churn: tuple[float, ...]
    """Effect on the log hazard of leaving, a level."""
    conversion: tuple[float, ...]
    """Effect on the log hazard of subscribing, a level."""
    shifted: tuple[float, ...]
    """Shares among those who arrive after a mix shift."""
    of_account: bool = False
    """Whether all customers of an account share it."""


ATTRIBUTES = (
    Attribute(
        "persona",
        ("operator", "evaluator", "executive", "developer"),
        (0.40, 0.25, 0.15, 0.20),
        (0.0, 0.80, -0.80, 0.0),
        (0.0, -0.80, 0.0, 0.80),
        (0.20, 0.60, 0.05, 0.15),
    ),
    Attribute(
        "industry",
        ("software", "retail", "manufacturing", "health", "agencies"),
        (0.30, 0.25, 0.20, 0.15, 0.10),
        (0.0, 0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0, 0.0, 0.0),
        (0.15, 0.45, 0.05, 0.05, 0.30),
        of_account=True,
    ),
    Attribute(
        "acquired",
        ("search", "partner", "advert", "referral"),
        (0.35, 0.20, 0.25, 0.20),
        (0.0, 0.0, 0.70, -0.70),
        (0.0, 0.0, -0.80, 0.80),
        (0.20, 0.10, 0.65, 0.05),
    ),
    Attribute(
        "region",
        ("north", "south", "east", "west"),
        (0.3, 0.3, 0.2, 0.2),
        (0.0,) * 4,
        (0.0,) * 4,
        (0.3, 0.3, 0.2, 0.2),
        of_account=True,
    ),
)

AREAS = ("report", "export", "automation", "api", "dashboard")
"""What can be used of the product."""

MANNERS = {
    "operator": ((0.15, 0.12, 0.55, 0.06, 0.12), (0.60, 0.25, 0.15)),
    "evaluator": ((0.15, 0.57, 0.10, 0.08, 0.10), (0.40, 0.40, 0.20)),
    "executive": ((0.22, 0.10, 0.05, 0.03, 0.60), (0.30, 0.10, 0.60)),
    "developer": ((0.05, 0.12, 0.20, 0.55, 0.08), (0.20, 0.70, 0.10)),
}
"""How a persona shows: the shares of the areas that it uses, and of the channels by which it
asks for help. Neither moves a hazard."""

EMPLOYEES = (-0.80, 0.0)
"""Effect on leaving and on subscribing of each tenfold of an account's `employees` above 50."""


@dataclass(frozen=True)
class Memory:
    """A kind of event whose last occurrence moves the hazards for a while."""

    event: str
    per_day: tuple[float, float, float]
    """Chance a day for a prospect, in a trial, for a paying customer."""
    effect: tuple[float, float]
    """On the log hazard of leaving and of subscribing, at age 0."""
    fades: int
    """Days after which nothing is left."""
    of_account: bool = False
    """Whether it happens to the account and moves all of its customers; the event then stands
    in the journey of the account's first customer."""
    treatment: bool = False
    """Whether a coin decides it: as many customers are assigned and left alone."""

    def fading(self, age: NDArray[np.generic]) -> Floats:
        """The share of the effect that is left; shape of `age`, days."""
        return np.maximum(0.0, 1.0 - np.asarray(age, np.float64) / self.fades)


MEMORIES = (
    Memory("slow_page", (0.010, 0.020, 0.004), (0.0, -1.00), 90),
    Memory("confusing_form", (0.006, 0.030, 0.004), (0.0, -1.00), 60),
    Memory("robotic_chatbot", (0.004, 0.020, 0.005), (1.30, 0.0), 180),
    Memory("success_call", (0.0, 0.040, 0.006), (-1.20, 1.00), 150, treatment=True),
    Memory("discount_offer", (0.0, 0.025, 0.004), (0.0, 1.00), 90, treatment=True),
    Memory("question_asked", (0.0, 0.012, 0.006), (0.0, 0.0), 60),
    Memory("complaint_made", (0.0, 0.010, 0.005), (0.0, -1.00), 90),
    Memory("notice_asked", (0.0, 0.006, 0.004), (1.80, 0.0), 180),
    Memory("review_written", (0.0, 0.0, 0.002), (0.0, 0.0), 180),
    Memory("champion_left", (0.0025, 0.0025, 0.0025), (1.50, 0.0), 240, of_account=True),
)

TICKETS = ("question_asked", "complaint_made", "notice_asked")
"""Memories that are all told by `ticket_opened`: the words of its text say which it is."""


@dataclass(frozen=True)
class Level:
    """A Markov chain that moves only with its event; the event tells the new level."""

    name: str
    event: str
    per_day: tuple[float, float, float]
    """Chance a day that the event happens, a status; unused where `every` is given."""
    start: tuple[float, ...]
    """Distribution of the first level."""
    move: tuple[tuple[float, ...], ...]
    """Chance of the next level (column), given the present one (row)."""
    effect: tuple[tuple[float, ...], tuple[float, ...]]
    """On the log hazard of leaving and of subscribing, a level."""
    every: int = 0
    """Days between events that come with the calendar rather than by chance."""


def _walk(n_levels: int, down: float, up: float, pull: float) -> tuple[tuple[float, ...], ...]:
    """A random walk on levels that is pulled towards its upper middle."""
    middle = 0.55 * (n_levels - 1)
    rows = []
    for level in range(n_levels):
        lean = pull * (level - middle) / n_levels
        fall = down + max(lean, 0.0) if level else 0.0
        rise = up + max(-lean, 0.0) if level < n_levels - 1 else 0.0
        row = [0.0] * n_levels
        row[level] = 1.0 - fall - rise
        if level:
            row[level - 1] = fall
        if level < n_levels - 1:
            row[level + 1] = rise
        rows.append(tuple(row))
    return tuple(rows)


ACTIVE_SHARE = (0.0, 0.08, 0.18, 0.30, 0.45, 0.60, 0.75, 0.92)
"""Share of a customer's seats that were used in the week, a level of `engagement`."""

PRICE_CHANGES = (0.0, 0.05, 0.12, 0.25, -0.10)
"""The last announced change of the price, as a share of it."""
_NOTICES = (0.0, 0.30, 0.35, 0.20, 0.15)

ONBOARDING_STEPS = 5

ENGAGEMENT = Level(
    "engagement",
    "usage_reported",
    (0.0, 0.0, 0.0),
    (0.04, 0.08, 0.14, 0.20, 0.22, 0.17, 0.10, 0.05),
    _walk(len(ACTIVE_SHARE), down=0.04, up=0.04, pull=0.06),
    (
        tuple(-0.65 * (level - 3.5) for level in range(len(ACTIVE_SHARE))),
        tuple(0.55 * (level - 3.5) for level in range(len(ACTIVE_SHARE))),
    ),
    every=7,
)
PRICE = Level(
    "price_change",
    "price_changed",
    (0.0, 0.0, 0.0025),
    (1.0, 0.0, 0.0, 0.0, 0.0),
    (_NOTICES,) * len(PRICE_CHANGES),
    (tuple(3.5 * change for change in PRICE_CHANGES), (0.0,) * len(PRICE_CHANGES)),
)
ONBOARDING = Level(
    "onboarding",
    "onboarding_step_done",
    (0.0, 0.100, 0.030),
    (1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    tuple(
        tuple(float(after == min(step + 1, ONBOARDING_STEPS)) for after in range(6))
        for step in range(6)
    ),
    (
        (0.0,) * (ONBOARDING_STEPS + 1),
        tuple(0.45 * step for step in range(ONBOARDING_STEPS + 1)),
    ),
)
LEVELS = (ENGAGEMENT, PRICE, ONBOARDING)


def probability(log_hazard: Floats) -> Floats:
    """`1 - exp(-H)` of `log H`; same shape."""
    return np.asarray(-np.expm1(-np.exp(log_hazard)))


def tenure_effect(monthly: NDArray[np.bool_], renewals: Ints) -> Floats:
    """Effect of the renewals so far on leaving, shape `(n_rows,)`."""
    a_year, most_years = TENURE["yearly"]
    a_month, most_months = TENURE["monthly"]
    months, years = np.minimum(renewals, most_months), np.minimum(renewals, most_years)
    return np.where(monthly, a_month * months, a_year * years)


def cumulative(level: Level) -> Floats:
    """Upper bounds of the next level for a number drawn from [0, 1), `(n_levels, n_levels)`."""
    bounds = np.cumsum(np.array(level.move), axis=1)
    bounds[:, -1] = 1.0
    return np.asarray(bounds)
