"""The true probability of an outcome, given what a cutoff could know.

Takes journeys, a problem and (customer, cutoff) pairs; gives probabilities. Reads the state of
the drivers at the cutoff and nothing after it. Knows nothing about event tables, files or what
came of it.

**One decision in the outcome window: exact.** With `p = 1 - exp(-H)` and `log H` a sum of
independent drivers, `1 - p` is expanded into cosines (the COS method of Fang and Oosterlee,
2008), and the mean of each cosine over all futures is a product of one factor a driver, the
driver's characteristic function at the decision, given its state at the cutoff:

- a level moves by the power of its matrix, as often as its event can happen until then;
- a memory's last event lies `j` days before the decision with chance `r (1 - r)^(j - 1)`;
  with `(1 - r)^days` none happens, and the age known at the cutoff has grown.

`N_TERMS` terms over `[LOWEST, HIGHEST]` leave an error below 1e-6.

**Several decisions** (monthly plans over more than one month): a Monte Carlo mean over
`N_FUTURES` futures of the drivers, drawn at the decisions from the same chances. The decisions
themselves are not drawn but averaged; the standard error stands beside the probability.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.config import Problem
from features.durations import DAY
from features.errors import SimulationError
from features.simulation_journeys import Journeys
from features.simulation_model import (
    BASE,
    CHURN,
    CONVERSION,
    LEVELS,
    MEMORIES,
    PAYING,
    RETURN_FACTOR,
    SIGNING_PER_DAY,
    TERM_DAYS,
    TRIAL,
    TRIAL_DAYS,
    TRIAL_PER_DAY,
    Level,
    Memory,
    probability,
    tenure_effect,
)
from features.simulation_state import State, state_at

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Complex = NDArray[np.complex128]

LOWEST, HIGHEST = -14.0, 8.0
"""No log hazard lies outside; at both ends `exp(-H)` is flat."""
N_TERMS = 128
N_FUTURES = 400
BLOCK, FUTURES_BLOCK = 8_192, 512
"""Rows that are held in memory at once: exact ones, and those whose futures are drawn."""

FREQUENCIES = np.arange(N_TERMS) * np.pi / (HIGHEST - LOWEST)
"""Of the cosines, per unit of log hazard."""

STATUS = {CHURN: PAYING, CONVERSION: TRIAL}
"""Who takes which decision."""


@dataclass(frozen=True)
class Truth:
    """What nobody can do better than, shape `(n_rows,)` each."""

    probability: Floats
    """NaN where the question does not arise: no trial or contract runs at the cutoff, or it
    ends within the gap and nothing is awaited after it."""
    standard_error: Floats
    """0 where the probability is exact, NaN where there is none."""


@dataclass(frozen=True)
class _Asked:
    """Rows whose question arises, shape `(n_rows,)` each."""

    row: Ints
    """Position in what the caller gave."""
    customer: Ints
    day: Ints
    state: State
    first: Ints
    """Days from the cutoff to the next decision."""
    apart: Ints
    """Days from one decision to the next."""
    before: Ints
    """Decisions that fall into the gap."""
    until: Ints
    """Decisions that fall into the gap or the window."""

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: Ints) -> "_Asked":
        return _Asked(
            self.row[rows], self.customer[rows], self.day[rows], self.state.take(rows),
            self.first[rows], self.apart[rows], self.before[rows], self.until[rows],
        )  # fmt: skip


def true_probability(
    journeys: Journeys, problem: Problem, customer: Ints, day: Ints, seed: int = 0
) -> Truth:
    """The chance that a label is 1, for each (customer, cutoff).

    Parameters
    ----------
    problem
        With the outcome `{ event = "subscribed" }`, `{ event = "cancelled" }` or
        `{ not = "renewed", by = "renews_at" }`, and a gap and horizon of whole days.
    customer, day
        Positions of customers and days since the start, shape `(n_rows,)`; the cutoff is the
        midnight with which the day begins.
    seed
        Of the futures that are drawn where several decisions fall into a window.

    Raises
    ------
    SimulationError
        When the outcome is another, or a horizon of conversion outlasts a second trial.
    """
    decision = _decision(problem)
    asked = _asked(journeys, problem, decision, customer, day)
    chance, error = np.full(len(customer), np.nan), np.full(len(customer), np.nan)
    chance[asked.row], error[asked.row] = 0.0, 0.0
    single = (asked.before == 0) & (asked.until == 1)
    for some in _blocks(asked.take(np.flatnonzero(single)), BLOCK):
        chance[some.row] = 1.0 - _stays(journeys, some, decision)
    rng = np.random.default_rng(seed)
    spared = problem.outcome is not None and problem.outcome.repeats is False
    for some in _blocks(asked.take(np.flatnonzero(asked.until > 1)), FUTURES_BLOCK):
        chance[some.row], error[some.row] = _futures(journeys, some, decision, spared, rng)
    if decision == CONVERSION:
        length = _whole_days(problem.gap + (problem.horizon or 0))
        chance[asked.row] += (1 - chance[asked.row]) * _signs_later(length - asked.first)
    return Truth(chance, error)


def _blocks(asked: _Asked, size: int) -> Iterator[_Asked]:
    for low in range(0, len(asked), size):
        yield asked.take(np.arange(low, min(low + size, len(asked))))


def _whole_days(length: int) -> int:
    if length % DAY:
        raise SimulationError("The truth is known by whole days; give gap and horizon in days.")
    return length // DAY


def _decision(problem: Problem) -> int:
    """Which decision a problem asks about."""
    outcome = problem.outcome
    if outcome is not None:
        if outcome.event == "subscribed" and problem.gap + (problem.horizon or 0) <= (
            TRIAL_DAYS * DAY
        ):
            return CONVERSION
        if outcome.event == "cancelled" or (outcome.not_, outcome.by) == ("renewed", "renews_at"):
            return CHURN
    raise SimulationError(
        'The truth is known of { event = "subscribed" } within gap and horizon of at most '
        f'{TRIAL_DAYS} days, of {{ event = "cancelled" }}, and of {{ not = "renewed", by = '
        '"renews_at" }; this problem asks something else.'
    )


def _asked(
    journeys: Journeys, problem: Problem, decision: int, customer: Ints, day: Ints
) -> _Asked:
    """The rows whose question arises, with the decisions that answer it.

    A decision on the day that begins `f` days after the cutoff shows before that day ends,
    so it lies in the window where `gap <= f < gap + horizon`.
    """
    state = state_at(journeys, customer, day)
    first = state.due - day
    apart = np.full(len(customer), TERM_DAYS["yearly"])
    apart[journeys.population.monthly[customer]] = TERM_DAYS["monthly"]
    gap = _whole_days(problem.gap)
    end = gap + _whole_days(problem.horizon or 0)
    running = state.status == STATUS[decision]
    by_date = problem.outcome is not None and problem.outcome.by is not None
    if by_date or decision == CONVERSION:
        running &= first >= gap
        before = np.zeros(len(customer), np.int64)
        until = np.where(by_date | (first < end), 1, 0)
    else:
        before = np.maximum(0, -((first - gap) // apart))
        until = np.maximum(0, -((first - end) // apart))
    everything = _Asked(np.arange(len(customer)), customer, day, state, first, apart, before, until)
    return everything.take(np.flatnonzero(running))


def _base(journeys: Journeys, asked: _Asked, decision: int, nth: int) -> Floats:
    """The part of `log H` at the nth decision from now (0 the next) that is known already."""
    fixed = journeys.population.fixed[decision, asked.customer]
    if decision == CONVERSION:
        return np.asarray(fixed + BASE["trial"])
    monthly = journeys.population.monthly[asked.customer]
    base = np.where(monthly, BASE["monthly"], BASE["yearly"])
    return np.asarray(fixed + base + tenure_effect(monthly, asked.state.renewals + nth))


def _moves(level: Level, asked: _Asked, begin: Ints, end: Ints) -> Ints:
    """How often a level can move between two days, counted from the cutoff."""
    if not level.every:
        return end - begin
    since = asked.day - asked.state.reported

    def reports(until: Ints) -> Ints:
        return (since + until - 1) // level.every

    return np.asarray(reports(end) - reports(begin))


def _matrix(level: Level, decision: int, n_moves: int) -> Floats:
    """Chance of each level (column) after some moves, given the present one (row)."""
    move = np.array(level.move)
    if not level.every:
        rate = level.per_day[STATUS[decision] - 1]
        move = (1 - rate) * np.eye(len(move)) + rate * move
    return np.linalg.matrix_power(move, n_moves)


def _stays(journeys: Journeys, asked: _Asked, decision: int) -> Floats:
    """The chance that nothing happens at the next decision, `(n_rows,)`, exact."""
    factor = _wave(_base(journeys, asked, decision, 0))
    now = np.zeros(len(asked), np.int64)
    for level in LEVELS:
        moves = _moves(level, asked, now, asked.first)
        factor *= _moved_wave(level, decision, moves, asked.state.level[level.name])
    for memory in MEMORIES:
        factor *= _aged_wave(memory, decision, asked.first, asked.state.age[memory.event])
    shift = np.exp(-1j * FREQUENCIES * LOWEST)
    return np.asarray(np.clip((factor @ (_cosines() * shift)).real, 0.0, 1.0))


def _wave(effect: Floats) -> Complex:
    """`exp(i × frequency × effect)`, shape `(n_effects, N_TERMS)`."""
    return np.asarray(np.exp(1j * FREQUENCIES * effect[:, None]))


def _moved_wave(level: Level, decision: int, moves: Ints, present: Ints) -> Complex:
    """A level's characteristic function after some moves a row, `(n_rows, N_TERMS)`."""
    move = _matrix(level, decision, 1)
    waves = [_wave(np.array(level.effect[decision]))]
    for _ in range(int(moves.max(initial=0))):
        waves.append(move @ waves[-1])
    return np.asarray(np.array(waves)[moves, present])


def _aged_wave(memory: Memory, decision: int, days: Ints, age: Ints) -> Complex:
    """A memory's characteristic function after some days a row, `(n_rows, N_TERMS)`."""
    rate, effect = memory.per_day[STATUS[decision] - 1], memory.effect[decision]
    ages = np.arange(int(days.max(initial=0)) + memory.fades + 1)
    waves = _wave(effect * memory.fading(ages))
    chance = rate * (1 - rate) ** (ages - 1.0)
    chance[0] = 0.0  # what happens on the day of the decision comes after it
    fresh = np.cumsum(chance[:, None] * waves, axis=0)
    older = waves[np.minimum(age + days, memory.fades)]
    return np.asarray(fresh[days] + ((1 - rate) ** days)[:, None] * older)


def _cosines() -> Floats:
    """Coefficients of `exp(-exp(x))` over the cosines of `(x - LOWEST)`, shape `(N_TERMS,)`."""
    n = 4096
    middle = (np.arange(n) + 0.5) / n * (HIGHEST - LOWEST)
    values = np.exp(-np.exp(middle + LOWEST))
    out = 2 / n * (values @ np.cos(middle[:, None] * FREQUENCIES))
    out[0] /= 2
    return np.asarray(out)


def _futures(
    journeys: Journeys, asked: _Asked, decision: int, spared: bool, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Mean and standard error over drawn futures of the chance of an event in the window.

    With `spared`, rows on which the event happens in the gap are left out of the mean.
    """
    shape = (len(asked), N_FUTURES)
    level = {k: np.broadcast_to(v[:, None], shape) for k, v in asked.state.level.items()}
    age = {k: np.broadcast_to(v[:, None], shape) for k, v in asked.state.age.items()}
    through_gap, stays = np.ones(shape), np.ones(shape)
    day = np.zeros(len(asked), np.int64)
    for nth in range(int(asked.until.max())):
        then = asked.first if nth == 0 else day + asked.apart
        eta = np.broadcast_to(_base(journeys, asked, decision, nth)[:, None], shape).copy()
        for kind in LEVELS:
            moves = _moves(kind, asked, day, then)
            level[kind.name] = _moved(kind, decision, moves, level[kind.name], rng)
            eta += np.array(kind.effect[decision])[level[kind.name]]
        for memory in MEMORIES:
            age[memory.event] = _aged(memory, decision, then - day, age[memory.event], rng)
            eta += memory.effect[decision] * memory.fading(age[memory.event])
        here = 1 - probability(eta)
        stays *= np.where((nth < asked.until)[:, None], here, 1.0)
        through_gap *= np.where((nth < asked.before)[:, None], here, 1.0)
        day = then
    event = through_gap - stays
    weight = through_gap.mean(axis=1) if spared else np.ones(len(asked))
    chance = event.mean(axis=1) / weight
    apart = event - chance[:, None] * (through_gap if spared else 1.0)
    return chance, np.sqrt((apart**2).mean(axis=1) / N_FUTURES) / weight


def _moved(
    level: Level, decision: int, moves: Ints, present: Ints, rng: np.random.Generator
) -> Ints:
    """Draw levels after some moves a row, `(n_rows, N_FUTURES)`."""
    uniform = rng.random(present.shape)
    after = np.empty(present.shape, np.int64)
    for n in np.unique(moves).tolist():
        rows = np.flatnonzero(moves == n)
        bounds = np.cumsum(_matrix(level, decision, n), axis=1)[:, :-1]
        after[rows] = (uniform[rows, :, None] >= bounds[present[rows]]).sum(axis=2)
    return after


def _aged(memory: Memory, decision: int, days: Ints, age: Ints, rng: np.random.Generator) -> Ints:
    """Draw ages after some days a row, `(n_rows, N_FUTURES)`."""
    rate = memory.per_day[STATUS[decision] - 1]
    older = age + days[:, None]
    if not rate:
        return older
    since = rng.geometric(rate, age.shape)
    return np.where(since <= days[:, None], since, older)


def _signs_later(days: Ints) -> Floats:
    """The chance that a customer whose trial expired signs after all within some days."""
    signing, trying = SIGNING_PER_DAY * RETURN_FACTOR, TRIAL_PER_DAY * RETURN_FACTOR
    leaves = signing + trying
    return np.asarray(signing / leaves * (1 - (1 - leaves) ** np.maximum(days, 0)))
