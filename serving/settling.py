"""What became of customers about whom a person gave an opinion.

Takes a tenant and a problem; looks at stored journeys with the arithmetic that makes training's
labels (`features.outcomes.became`), once the outcome window is over. Knows nothing about HTTP or
rights.
"""

from dataclasses import replace

import numpy as np

from features.config import Problem
from features.cutoffs import Moments, with_windows
from features.engine import Rows
from features.event_log import CATEGORY
from features.outcomes import became
from serving.errors import ModelUnavailableError
from serving.opinions import Opinion, Opinions
from serving.state import Tenant

AT_ONCE = 200
"""Opinions that are looked at when a page is opened: a tenth of a second."""

IN_GAP, NO_ANCHOR = "happened_in_gap", "anchor_without_same"
"""Why nobody can know what became of a customer; training calls such labels the same."""


def opinions_of(tenant: Tenant) -> Opinions:
    """The opinions of a workspace."""
    return Opinions(tenant.kept.database, tenant.kept.workspace)


def settle(tenant: Tenant, name: str) -> None:
    """Look what became of customers, where a window is over and something arrived since."""
    problem, kept = asked_problem(tenant, name), tenant.kept
    if problem.outcome is None:
        return
    opinions, end, arrival = opinions_of(tenant), kept.end(), kept.arrival()
    due = opinions.due(name, end, arrival, AT_ONCE)
    opinions.settle([_settled(tenant, problem, each, end, arrival) for each in due])


def window(tenant: Tenant, name: str, customer: str, cutoff: int) -> tuple[int, int] | None:
    """The outcome window of a score; None where the business brings labels of its own.

    Raises
    ------
    ModelUnavailableError
    """
    contract = tenant.scorer(name)[1].model.contract
    journey = tenant.kept.journeys.of(customer, contract)
    if contract.problem.outcome is None or journey is None:
        return None
    made = with_windows(contract.problem, _row(cutoff), journey.log, journey.attributes)
    return int(made.opens[0]), int(made.closes[0])


def asked_problem(tenant: Tenant, name: str) -> Problem:
    """A problem as the model that answers it was trained for, which knows what training found."""
    try:
        return tenant.scorer(name)[1].model.contract.problem
    except ModelUnavailableError:
        return tenant.business.problems[name]


def _settled(tenant: Tenant, problem: Problem, opinion: Opinion, end: int, arrival: int) -> Opinion:
    assert problem.outcome is not None and opinion.opens is not None and opinion.closes is not None
    same = problem.outcome.same
    log = tenant.kept.journeys.log(opinion.customer, {same: CATEGORY} if same else {})
    opens, closes = (np.array([each], np.int64) for each in (opinion.opens, opinion.closes))
    # Whether all histories are dated by the day is not known here; if so, it is told a day later.
    found = became(problem, log, Moments(_row(opinion.cutoff), opens, closes), end, False)
    if found.open[0]:
        return replace(opinion, settled=arrival)
    why = IN_GAP if found.gone[0] else NO_ANCHOR if found.silent[0] else None
    truth = None if why else int(found.label[0])
    return replace(opinion, truth=truth, why_unknown=why, settled=arrival)


def _row(cutoff: int) -> Rows:
    """The only customer of a log at a moment."""
    moment = np.array([cutoff], np.int64)
    return Rows(np.zeros(1, np.int64), moment, moment)
