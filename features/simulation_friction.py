"""A simulated business whose touchpoints' effects are known: the test bed of the journey map.

Takes a number of customers and a seed; gives events and attributes as logs, the stage visits as
they were drawn, and the true effect of every kind of touchpoint. Knows nothing about estimates.

Customers begin a trial of 30 days, come back in sessions, go from stage to stage by the matrix
`MOVES` (with jumps and returns), and subscribe at its end or do not. How often they come,
their device and how they were acquired move the outcome *and* decide what they meet, so that a
difference between who met a touchpoint and who did not is no effect:

- `slow_page`, `confusing_form` and `robotic_chatbot` do harm: each time by the log-odds in
  `HARM`. Good customers meet them most, for they come most;
- `survey_shown` and `winback_mail` do nothing, but are met by those who would not have
  subscribed anyway: the survey by who came by an advert, the mail by who stays away;
- `tip_shown` does nothing and is met by chance.

The true effect of a touchpoint is the mean, over the times it was met, of the probability of
subscribing less what it would be without that one time.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.categorical import Categorical
from features.durations import DAY, MINUTE, MISSING_TIME, SECOND, parse_moment
from features.event_log import STATED, EventLog, build_log

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

START = parse_moment("2024-01-01")
N_DAYS, TRIAL_DAYS = 360, 30

STAGES = ("awareness", "consideration", "decision", "onboarding", "usage", "support")
PAGES = ("ad_clicked", "page_viewed", "form_opened", "step_done", "logged_in", "chat_opened")
"""What tells of each stage."""

BEGIN = (0.50, 0.35, 0.10, 0.0, 0.05, 0.0)
"""Where journeys begin."""
MOVES = (
    (0.10, 0.60, 0.10, 0.10, 0.05, 0.05),
    (0.08, 0.35, 0.30, 0.12, 0.08, 0.07),
    (0.04, 0.22, 0.30, 0.20, 0.14, 0.10),
    (0.03, 0.12, 0.10, 0.35, 0.30, 0.10),
    (0.03, 0.12, 0.12, 0.10, 0.48, 0.15),
    (0.05, 0.15, 0.15, 0.15, 0.25, 0.25),
)
"""Chance of the stage of the next page (column), given that of this one (row)."""

DEVICES, SOURCES = ("desktop", "phone"), ("search", "partner", "advert", "referral")
SHARES = (0.35, 0.20, 0.25, 0.20)

HARM = {"slow_page": -0.75, "confusing_form": -0.90, "robotic_chatbot": -1.05}
"""What each time adds to the log-odds of subscribing."""
HARMLESS = ("survey_shown", "winback_mail", "tip_shown")
MET_IN = {
    "slow_page": ("consideration", (0.035, 0.055)),
    "confusing_form": ("decision", (0.055, 0.035)),
    "robotic_chatbot": ("support", (0.080, 0.110)),
    "tip_shown": ("usage", (0.060, 0.060)),
}
"""The stage whose pages bring a touchpoint, and its chance a page on each device."""
SURVEY = (0.004, 0.004, 0.14, 0.004)
"""Chance of the survey at each page, a source."""
AWAY_DAYS, MAIL = 6, 0.20
"""Who stayed away for so many days gets the mail with this chance, each day of which he does."""

INTERCEPT, LOYALTY = -0.90, 1.60
"""Log-odds of subscribing, and what each e-fold of the usual number of sessions adds to it."""
OF_SOURCE, OF_DEVICE = (0.0, 0.2, -1.5, 0.8), (0.35, -0.35)
"""What each source and device adds."""
MOST_PAGES = 150


@dataclass(frozen=True)
class FrictionWorld:
    """What was simulated, and what is true of it."""

    log: EventLog
    attributes: EventLog
    end: int
    visits: list[tuple[int, ...]]
    """The stages of each customer's pages in order, as positions in `STAGES`."""
    true_effect: dict[str, float]
    """Of each touchpoint, as a difference of probabilities, over the times it was met."""


@dataclass(frozen=True)
class _Pages:
    """Pages in order of customer and time, shape `(n_pages,)`."""

    customer: Ints
    time: Ints
    stage: Ints


def simulate_friction(n_customers: int = 8_000, seed: int = 7) -> FrictionWorld:
    """Let customers try and decide; the same arguments give the same world."""
    rng = np.random.default_rng(seed)
    device = rng.integers(0, 2, n_customers)
    source = rng.choice(len(SOURCES), n_customers, p=SHARES)
    usual = np.exp(rng.normal(1.45 + 0.25 * np.take(OF_SOURCE, source), 0.55))
    begin = START + rng.integers(0, N_DAYS - TRIAL_DAYS - 2, n_customers) * DAY + 6 * 60 * MINUTE
    pages = _pages(usual, begin, rng)
    met = {name: _met(pages, name, device, rng) for name in MET_IN}
    met["survey_shown"] = _shown(pages, rng.random(len(pages.time)) < np.take(SURVEY, source)[
        pages.customer
    ], rng)  # fmt: skip
    met["winback_mail"] = _mailed(pages, begin, rng)
    eta = INTERCEPT + LOYALTY * (np.log(usual) - 1.45)
    eta += np.take(OF_SOURCE, source) + np.take(OF_DEVICE, device)
    for name, effect in HARM.items():
        eta += effect * np.bincount(met[name][0], minlength=n_customers)
    signs = rng.random(n_customers) < _chance(eta)
    return FrictionWorld(
        _log(pages, met, begin, signs), _attributes(device, source, begin),
        START + N_DAYS * DAY, _visits(pages, n_customers),
        {
            name: float((_chance(eta) - _chance(eta - HARM.get(name, 0.0)))[who].mean())
            for name, (who, _) in met.items()
        },
    )  # fmt: skip


def _chance(eta: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-eta)))


def _pages(usual: Floats, begin: Ints, rng: np.random.Generator) -> _Pages:
    """Sessions at any time of the trial, a few pages each, minutes apart, stage after stage."""
    n_sessions = 1 + rng.poisson(usual)
    session_of = np.repeat(np.arange(len(usual)), n_sessions)
    opened = begin[session_of] + (rng.random(len(session_of)) * (TRIAL_DAYS - 1.5) * DAY).astype(
        np.int64
    )
    n_pages = 2 + rng.poisson(2.5, len(opened))
    session = np.repeat(np.arange(len(opened)), n_pages)
    number = np.arange(len(session)) - np.repeat(np.cumsum(n_pages) - n_pages, n_pages)
    pause = rng.integers(60, 240, len(session)) * SECOND
    time = opened[session] + number * 4 * MINUTE + pause // 2
    who = session_of[session]
    order = np.lexsort((time, who))
    who, time = who[order], time[order]
    return _Pages(who, time, _walked(who, rng))


def _walked(who: Ints, rng: np.random.Generator) -> Ints:
    """The stage of every page: all customers walk together, a page at a time."""
    first = np.searchsorted(who, who)
    number = np.arange(len(who)) - first
    draw, stage = rng.random(len(who)), np.zeros(len(who), np.int64)
    bounds = np.cumsum(MOVES, axis=1)
    for step in range(int(number.max(initial=0)) + 1):
        at = np.flatnonzero(number == step)
        edges = np.cumsum(BEGIN) if step == 0 else bounds[stage[at - 1]]
        moved = (draw[at][:, None] >= edges).sum(axis=1)
        stage[at] = np.minimum(moved, len(STAGES) - 1)
    return stage


def _met(pages: _Pages, name: str, device: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Where a touchpoint came with a page of its stage."""
    stage, chance = MET_IN[name]
    here = pages.stage == STAGES.index(stage)
    rate = np.take(chance, device)[pages.customer]
    return _shown(pages, here & (rng.random(len(here)) < rate), rng)


def _shown(pages: _Pages, chosen: NDArray[np.bool_], rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Customers and moments, half a minute or so after the chosen pages."""
    at = np.flatnonzero(chosen)
    return pages.customer[at], pages.time[at] + rng.integers(20, 55, len(at)) * SECOND


def _mailed(pages: _Pages, begin: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Mails to those whose last page was days ago, at ten o'clock."""
    who, when = [], []
    for day in range(AWAY_DAYS + 1, TRIAL_DAYS - 1):
        now = begin + day * DAY + 4 * 60 * MINUTE
        key = pages.customer * (2 * N_DAYS * DAY) + (pages.time - START)
        last = np.searchsorted(key, np.arange(len(begin)) * (2 * N_DAYS * DAY) + now - START) - 1
        seen = (last >= 0) & (pages.customer[last] == np.arange(len(begin)))
        away = np.where(seen, now - pages.time[last], now - begin) >= AWAY_DAYS * DAY
        got = np.flatnonzero(away & (rng.random(len(begin)) < MAIL))
        who.append(got)
        when.append(now[got])
    return np.concatenate(who), np.concatenate(when)


def _visits(pages: _Pages, n_customers: int) -> list[tuple[int, ...]]:
    edges = np.searchsorted(pages.customer, np.arange(n_customers + 1)).tolist()
    stages = pages.stage.tolist()
    return [tuple(stages[low:high]) for low, high in pairwise(edges)]


def _log(
    pages: _Pages, met: dict[str, tuple[Ints, Ints]], begin: Ints, signs: NDArray[np.bool_]
) -> EventLog:
    everybody, signed = np.arange(len(begin)), np.flatnonzero(signs)
    due = begin + TRIAL_DAYS * DAY
    parts = [
        ("trial_started", everybody, begin),
        ("subscribed", signed, due[signed] - 30 * MINUTE),
        *((name, who, when) for name, (who, when) in met.items()),
        *(
            (PAGES[stage], pages.customer[pages.stage == stage], pages.time[pages.stage == stage])
            for stage in range(len(STAGES))
        ),
    ]
    who = np.concatenate([part[1] for part in parts])
    when = np.concatenate([part[2] for part in parts])
    names = [part[0] for part in parts]
    event = Categorical.of(names).codes[
        np.repeat(np.arange(len(parts)), [len(p[1]) for p in parts])
    ]
    ends = np.full(len(who), MISSING_TIME)
    ends[: len(begin)] = due
    return build_log(
        _named(who, len(begin)), when, pa.DictionaryArray.from_arrays(event, sorted(names)),
        times={"trial_ends_at": ends},
    )  # fmt: skip


def _attributes(device: Ints, source: Ints, begin: Ints) -> EventLog:
    n = len(begin)
    stated = pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), [STATED])
    return build_log(
        _named(np.arange(n), n), begin, stated,
        categories={
            "device": pa.DictionaryArray.from_arrays(device.astype(np.int32), list(DEVICES)),
            "acquired": pa.DictionaryArray.from_arrays(source.astype(np.int32), list(SOURCES)),
        },
    )  # fmt: skip


def _named(who: Ints, n_customers: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(
        who.astype(np.int32), [f"c{number:06d}" for number in range(n_customers)]
    )


def business_said() -> dict[str, object]:
    """What a `journey.toml` of this business would say, without its sources.

    Pages tell the stages; touchpoints belong to none, so that the flows are `MOVES`'s own.
    """
    return {
        "name": "trial",
        "stages": {stage: [page] for stage, page in zip(STAGES, PAGES, strict=True)},
        "problems": {
            "conversion": {
                "outcome": {"event": "subscribed", "repeats": False},
                "before": {"property": "trial_ends_at", "lead": ["21d", "14d", "7d"]},
                "horizon": "31d",
            }
        },
    }
