"""Simulated customers as a table of dated attributes.

Takes a population and its journeys; gives one Arrow table with a row whenever something about
a customer changes. Knows nothing about events, files or probabilities.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.durations import DAY, HOUR
from features.simulation_journeys import SIGNED, Journeys
from features.simulation_model import ATTRIBUTES, PRICE, PRICE_CHANGES
from features.simulation_settings import Settings

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SEAT_PRICE = 240.0
"""Yearly price of a seat; a month costs a tenth of a year."""


OWNERS = (
    "A. Novak", "B. Okoye", "C. Duarte", "D. Lindqvist", "E. Tanaka", "F. Moreau",
    "G. Haddad", "H. Kowalska", "I. Mendes", "J. Olsen", "K. Rao", "L. Fischer",
)  # fmt: skip
"""Account managers; whose a customer is moves nothing."""
QUARTER, OWNER_CHANGES = 90, 0.13
"""Days of a quarter, and the chance in each that a customer gets another owner."""


def customer_table(
    journeys: Journeys, names: pa.Array, accounts: pa.Array, settings: Settings,
    rng: np.random.Generator,
) -> pa.Table:  # fmt: skip
    """Dated attributes: a row when a customer arrives, signs, is told a price or gets a new
    owner; each holds from `valid_from` on."""
    population, terms, notices = journeys.population, journeys.terms, journeys.levels[PRICE.name]
    n = len(population)
    signed = np.flatnonzero(terms.value == SIGNED)
    moved, handed = _new_owners(journeys, rng)
    who = np.concatenate([np.arange(n), moved, terms.customer[signed], notices.customer])
    day = np.concatenate([population.arrival, handed, terms.day[signed], notices.day])
    new_owner = np.arange(len(who)) < n + len(moved)
    order = np.lexsort((day, who))
    who, day, changes = who[order], day[order], np.cumsum(new_owner[order])
    return pa.table(
        {
            "customer": names.take(pa.array(who)),
            "valid_from": pa.array(
                settings.start + day * DAY + 7 * HOUR, pa.timestamp("us", "UTC")
            ),
            "account": accounts.take(pa.array(who)),
            **_described(journeys, who, day),
            "owner": pa.array(OWNERS).take(pa.array(changes * 5 % len(OWNERS))),
        }
    )


def _described(journeys: Journeys, who: Ints, day: Ints) -> dict[str, pa.Array]:
    """What holds of some customers at the end of some days."""
    population, terms, notices = journeys.population, journeys.terms, journeys.levels[PRICE.name]
    columns = {
        a.name: pa.array(a.levels).take(pa.array(population.attributes[a.name][who]))
        for a in ATTRIBUTES
    }
    ever = np.zeros(len(population), np.int64) + journeys.n_days
    signed = np.flatnonzero(terms.value == SIGNED)
    np.minimum.at(ever, terms.customer[signed], terms.day[signed])
    unsigned = day < ever[who]
    plans = np.where(population.monthly[who], "monthly", "yearly")
    last = notices.last(who, day + 1)
    change = np.append(np.array(PRICE_CHANGES)[notices.value], 0.0)[last]
    return {
        **columns,
        "employees": pa.array(population.employees[who].astype(np.float64)),
        "seats": pa.array(population.seats[who].astype(np.float64)),
        "plan": pa.array(plans.tolist(), pa.string(), mask=unsigned),
        "price": pa.array(prices(journeys, who, day + 1), mask=unsigned),
        "price_change": pa.array(change, mask=unsigned),
    }


def _new_owners(journeys: Journeys, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Customers and days on which they get another owner: at most once a quarter."""
    arrival = journeys.population.arrival
    moves = rng.random((len(arrival), 1 + journeys.n_days // QUARTER)) < OWNER_CHANGES
    who, quarter = np.nonzero(moves)
    day = arrival[who] + QUARTER * (quarter + 1)
    return who[day < journeys.n_days], day[day < journeys.n_days]


def prices(journeys: Journeys, customer: Ints, day: Ints) -> Floats:
    """The yearly price that holds for each customer at the beginning of a day."""
    notices = journeys.levels[PRICE.name]
    factor = np.log1p(np.array(PRICE_CHANGES)[notices.value])
    total = np.concatenate([[0.0], np.cumsum(factor)])
    last = notices.last(customer, day) + 1
    keys = notices.customer
    first = np.searchsorted(keys, customer)
    since = np.where(last > 0, total[last] - total[np.minimum(first, last)], 0.0)
    return np.round(SEAT_PRICE * journeys.population.seats[customer] * np.exp(since), 2)
