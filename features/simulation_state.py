"""What a cutoff knows of a simulated customer: the state of every driver.

Takes journeys and (customer, day) pairs; gives the state, read from the events before that
day and nothing after it. Knows nothing about outcomes or probabilities.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.simulation_journeys import BEGAN, NEVER, NOT_DUE, SIGNED, WENT_ON, Journeys
from features.simulation_model import LEVELS, MEMORIES, PAYING, PROSPECT, TRIAL

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class State:
    """What a cutoff knows of each row's drivers, shape `(n_rows,)` each."""

    status: Ints
    due: Ints
    """Day on which the trial or term ends; `NOT_DUE` if none runs."""
    renewals: Ints
    level: dict[str, Ints]
    reported: Ints
    """Day of the last usage report; `NEVER` before the first."""
    age: dict[str, Ints]
    """Days since the last event of each memory: 1 if it happened the day before the cutoff."""

    def take(self, rows: Ints) -> "State":
        return State(
            self.status[rows], self.due[rows], self.renewals[rows],
            {name: column[rows] for name, column in self.level.items()},
            self.reported[rows], {name: column[rows] for name, column in self.age.items()},
        )  # fmt: skip


def state_at(journeys: Journeys, customer: Ints, day: Ints) -> State:
    """The state at the midnight with which `day` begins.

    Parameters
    ----------
    customer, day
        Positions of customers and days since the start, shape `(n_rows,)`.
    """
    term = journeys.terms.last(customer, day)
    what = _at(journeys.terms.value, term, -1)
    status = np.full(len(customer), PROSPECT)
    status[what == BEGAN] = TRIAL
    status[(what == SIGNED) | (what == WENT_ON)] = PAYING
    level, reported = {}, np.full(len(customer), NEVER)
    for kind in LEVELS:
        history = journeys.levels[kind.name]
        row = history.last(customer, day)
        level[kind.name] = _at(history.value, row, 0)
        if kind.every:
            reported = _at(history.day, row, NEVER)
    age = {}
    for memory in MEMORIES:
        history = journeys.memories[memory.event]
        who = journeys.population.first_of_account[customer] if memory.of_account else customer
        age[memory.event] = day - _at(history.day, history.last(who, day), NEVER)
    due, renewals = _at(journeys.due, term, NOT_DUE), _at(journeys.renewals, term, 0)
    return State(status, due, renewals, level, reported, age)


def _at(column: Ints, row: Ints, absent: int) -> Ints:
    """Values at some positions; `absent` where the position is -1."""
    return np.append(column, absent)[row]
