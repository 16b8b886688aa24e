"""What became of customers about whom a person gave an opinion.

Takes a tenant and a problem; looks at stored journeys with the arithmetic that makes training's
labels (`features.outcomes.became`), once the outcome window is over. Knows nothing about HTTP or
rights.
"""

from dataclasses import replace

import numpy as np

from features.config import Problem
from features.cutoffs import AsOf, Moments, as_of_rows, with_windows
from features.event_log import CATEGORY
from features.outcomes import Became, became
from models.contract import Contract
from serving.event_store import TenantStore
from serving.opinions import Opinion, Opinions
from serving.refusals import ModelUnavailableError
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
    opinions.settle([_settled(tenant, problem, each, arrival) for each in due])


def window(
    store: TenantStore, contract: Contract, customer: str, as_of: AsOf
) -> tuple[int, int] | None:
    """The outcome window of a score; None where the business brings labels of its own."""
    journey = store.journeys.of(customer, contract)
    if contract.problem.outcome is None or journey is None:
        return None
    made = with_windows(contract.problem, as_of_rows(1, as_of), journey.log, journey.attributes)
    return int(made.opens[0]), int(made.closes[0])


def what_became(
    store: TenantStore, problem: Problem, customer: str, cutoff: int, opens: int, closes: int
) -> Became:
    """What became of a customer in a window, as training's labels have it; of one row."""
    assert problem.outcome is not None
    same = problem.outcome.same
    log = store.journeys.log(customer, {same: CATEGORY} if same else {})
    edges = (np.array([each], np.int64) for each in (opens, closes))
    # Whether all histories are dated by the day is not known here; if so, it is told a day later.
    return became(
        problem, log, Moments(as_of_rows(1, AsOf.then(cutoff)), *edges), store.end(), False
    )


def asked_problem(tenant: Tenant, name: str) -> Problem:
    """A problem as the model that answers it was trained for, which knows what training found."""
    try:
        return tenant.scorer(name)[1].model.contract.problem
    except ModelUnavailableError:
        return tenant.business.problems[name]


def _settled(tenant: Tenant, problem: Problem, opinion: Opinion, arrival: int) -> Opinion:
    assert opinion.opens is not None and opinion.closes is not None
    found = what_became(
        tenant.kept, problem, opinion.customer, opinion.cutoff, opinion.opens, opinion.closes
    )
    if found.open[0]:
        return replace(opinion, settled=arrival)
    why = IN_GAP if found.gone[0] else NO_ANCHOR if found.silent[0] else None
    truth = None if why else int(found.label[0])
    return replace(opinion, truth=truth, why_unknown=why, settled=arrival)
