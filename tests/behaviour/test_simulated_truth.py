"""The truth that the simulator tells: what comes true, what was planted, what may be known."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest

from features.config import Problem
from features.simulation import PROBLEMS, simulate
from features.simulation_journeys import (
    BEGAN,
    EXPIRED,
    LEFT,
    SIGNED,
    WENT_ON,
    History,
    Journeys,
    live,
    populate,
)
from features.simulation_model import (
    ATTRIBUTES,
    BASE,
    CHURN,
    CONVERSION,
    EMPLOYEES,
    LEVELS,
    MEMORIES,
    PAYING,
    TENURE,
    Level,
    Memory,
    probability,
    tenure_effect,
)
from features.simulation_settings import Settings
from features.simulation_state import state_at
from features.simulation_truth import HIGHEST, LOWEST, N_FUTURES, true_probability

Array = np.ndarray
SETTINGS = Settings(n_customers=9_000, seed=21)

LEAVES = PROBLEMS["renewal"]
SUBSCRIBES = PROBLEMS["conversion"]


def cancels(horizon: str, gap: str = "0d") -> Problem:
    return Problem.model_validate(
        {"outcome": {"event": "cancelled", "repeats": True}, "horizon": horizon, "gap": gap}
    )


@cache
def lives() -> Journeys:
    population = populate(SETTINGS, np.random.default_rng(1))
    return live(SETTINGS, population, np.random.default_rng(2))


@cache
def decisions(plan: str) -> tuple[Array, Array, Array]:
    """Customer, day and what was decided: 1 for leaving, or for subscribing after a trial."""
    terms = lives().terms
    if plan == "trial":
        ends = np.flatnonzero(np.isin(terms.value, (EXPIRED, SIGNED)))
        began = (terms.customer[ends - 1] == terms.customer[ends]) & (ends > 0)
        rows = ends[began & (terms.value[ends - 1] == BEGAN)]
        return terms.customer[rows], terms.day[rows], (terms.value[rows] == SIGNED).astype(int)
    monthly = lives().population.monthly[terms.customer]
    rows = np.flatnonzero(np.isin(terms.value, (WENT_ON, LEFT)) & (monthly == (plan == "monthly")))
    return terms.customer[rows], terms.day[rows], (terms.value[rows] == LEFT).astype(int)


def assert_calibrated(expected: Array, happened: Array, n_bins: int = 10) -> None:
    """Over bins of the truth the outcomes are as many as it says, by a chi-square test.

    The bound is the 99.9th percentile with `n_bins` degrees of freedom (29.6 for 10).
    """
    order = np.argsort(expected, kind="stable")
    statistic = 0.0
    for rows in np.array_split(order, n_bins):
        p = expected[rows]
        statistic += (happened[rows].sum() - p.sum()) ** 2 / (p * (1 - p)).sum()
    assert statistic < 29.6


@pytest.mark.parametrize("lead", [0, 30, 60, 90, 120])
def test_renewals_come_true(lead: int) -> None:
    """Of contracts with a true probability p, a share p is not renewed, at every lead."""
    who, day, left = decisions("yearly")
    truth = true_probability(lives(), LEAVES, who, day - lead)
    assert not truth.standard_error.any()
    assert 0.08 < left.mean() < 0.20
    assert_calibrated(truth.probability, left)


@pytest.mark.parametrize("lead", [0, 7, 14, 21])
def test_conversions_come_true(lead: int) -> None:
    """Of trials with a true probability p, a share p becomes a contract, at every lead."""
    who, day, _ = decisions("trial")
    horizon = 22
    in_time = day - lead + horizon <= SETTINGS.n_days
    who, cutoff = who[in_time], (day - lead)[in_time]
    terms = lives().terms
    nth = np.searchsorted(
        terms.customer * 10_000 + terms.day, who * 10_000 + np.array([cutoff, cutoff + horizon])
    )
    signed = np.append(0, np.cumsum(terms.value == SIGNED))
    subscribed = (signed[nth[1]] > signed[nth[0]]).astype(int)
    assert 0.08 < subscribed.mean() < 0.20
    assert_calibrated(true_probability(lives(), SUBSCRIBES, who, cutoff).probability, subscribed)


def test_cancellations_come_true_within_a_month() -> None:
    """Any day in a monthly term, a share p of the customers leaves within 30 days."""
    who, day, left = decisions("monthly")
    cutoff = day - np.random.default_rng(5).integers(0, 30, len(day))
    truth = true_probability(lives(), cancels("30d"), who, cutoff)
    assert not truth.standard_error.any()
    assert 0.05 < left.mean() < 0.20
    assert_calibrated(truth.probability, left)


@pytest.mark.parametrize("gap", [0, 30])
def test_cancellations_come_true_over_several_months(gap: int) -> None:
    """Over windows with several decisions too, within what drawing futures allows."""
    day = np.full(len(lives().population), SETTINGS.n_days - 100)
    who = np.flatnonzero(lives().population.monthly)
    day = day[who]
    truth = true_probability(lives(), cancels("60d", f"{gap}d"), who, day)
    asked = ~np.isnan(truth.probability)
    terms = lives().terms
    left = terms.value == LEFT
    inside = left & (terms.day >= day[0] + gap) & (terms.day < day[0] + gap + 60)
    early = left & (terms.day >= day[0]) & (terms.day < day[0] + gap)
    happened = np.isin(who, terms.customer[inside]) & ~np.isin(who, terms.customer[early])
    assert_calibrated(truth.probability[asked], happened[asked].astype(int), n_bins=10)
    assert 0 < truth.standard_error[asked].max() < 0.5 / np.sqrt(N_FUTURES)


def test_an_earlier_truth_is_the_mean_of_later_ones() -> None:
    """What is known 120 days ahead is the mean of what will be known 30 days ahead."""
    who, day, _ = decisions("yearly")
    early, late = (true_probability(lives(), LEAVES, who, day - n).probability for n in (120, 30))
    for rows in np.array_split(np.argsort(early, kind="stable"), 5):
        apart = (late - early)[rows]
        assert abs(apart.mean()) < 4 * apart.std() / np.sqrt(len(rows))
    assert late.std() > 1.1 * early.std()


def test_the_truth_on_the_day_is_the_hazard() -> None:
    """With nothing left to happen, the expansion gives 1 - exp(-H) to 1e-6."""
    who, day, _ = decisions("yearly")
    exact = true_probability(lives(), LEAVES, who, day).probability
    np.testing.assert_allclose(
        exact, probability(_log_hazard("yearly", who, day)), rtol=0, atol=1e-6
    )


def _log_hazard(plan: str, who: Array, day: Array) -> Array:
    """`log H` of decisions on their day, summed term by term from the documented constants."""
    journeys, decision = lives(), CONVERSION if plan == "trial" else CHURN
    state = state_at(journeys, who, day)
    eta = BASE[plan] + journeys.population.fixed[decision, who]
    if plan != "trial":
        eta = eta + tenure_effect(np.full(len(who), plan == "monthly"), state.renewals)
    for level in LEVELS:
        eta = eta + np.array(level.effect[decision])[state.level[level.name]]
    for memory in MEMORIES:
        eta = eta + memory.effect[decision] * memory.fading(state.age[memory.event])
    return np.asarray(eta)


def test_one_day_ahead_is_the_sum_over_all_futures() -> None:
    """The truth a day before a decision is the mean over every combination of next states."""
    who, day, _ = decisions("yearly")
    who, before = who[:4], day[:4] - 1
    state = state_at(lives(), who, before)
    truth = true_probability(lives(), LEAVES, who, before).probability
    for row in range(len(who)):
        base = BASE["yearly"] + lives().population.fixed[CHURN, who[row]]
        base += tenure_effect(np.array([False]), state.renewals[row : row + 1])[0]
        effects, chances = np.array([base]), np.array([1.0])
        for level in LEVELS:
            rate = level.per_day[PAYING - 1]
            if level.every:
                rate = float((before[row] - state.reported[row]) % level.every == 0)
            now = state.level[level.name][row]
            chance = rate * np.array(level.move)[now]
            chance[now] += 1 - rate
            effects = np.add.outer(effects, np.array(level.effect[CHURN])).ravel()
            chances = np.outer(chances, chance).ravel()
        for memory in MEMORIES:
            rate = memory.per_day[PAYING - 1]
            ages = np.array([1, state.age[memory.event][row] + 1])
            effects = np.add.outer(effects, memory.effect[CHURN] * memory.fading(ages)).ravel()
            chances = np.outer(chances, [rate, 1 - rate]).ravel()
        assert truth[row] == pytest.approx(float(chances @ probability(effects)), abs=1e-6)


def test_the_truth_reads_nothing_after_the_cutoff() -> None:
    """Cutting the lives off at the cutoff changes no probability."""
    journeys = lives()
    cutoff = SETTINGS.n_days - 200

    def cut(history: History) -> History:
        kept = history.day < cutoff
        return History(
            history.customer[kept], history.day[kept], history.value[kept], history.n_days
        )

    past = journeys.terms.day < cutoff
    short = replace(
        journeys,
        terms=cut(journeys.terms),
        levels={name: cut(history) for name, history in journeys.levels.items()},
        memories={name: cut(history) for name, history in journeys.memories.items()},
        due=journeys.due[past],
        renewals=journeys.renewals[past],
    )
    who = np.arange(len(journeys.population))
    day = np.full(len(who), cutoff)
    for problem in (*PROBLEMS.values(), cancels("90d")):
        full, part = (true_probability(j, problem, who, day) for j in (journeys, short))
        np.testing.assert_array_equal(full.probability, part.probability)
        assert (~np.isnan(full.probability)).sum() > 100


def _estimate(offset: Array, x: Array, happened: Array) -> tuple[float, float]:
    """Maximum likelihood of b where `log H = offset + b x`, and its standard error (Newton)."""
    b, information = 0.0, 1.0
    for _ in range(30):
        hazard = np.exp(offset + b * x)
        weight = hazard / np.expm1(np.maximum(hazard, 1e-12))
        score = np.sum(x * np.where(happened == 1, weight, -hazard))
        information = float(np.sum(x**2 * hazard * weight))
        step = score / information
        b += float(np.clip(step, -1, 1))
        if abs(step) < 1e-8:
            break
    return b, 1 / np.sqrt(information)


@cache
def _known(plan: str) -> tuple[Array, dict[str, Array], Array]:
    """At the decisions: log H, what each effect is multiplied by, and what was decided."""
    who, day, happened = decisions(plan)
    state = state_at(lives(), who, day)
    x = {memory.event: memory.fading(state.age[memory.event]) for memory in MEMORIES}
    for level in LEVELS:
        decision = CONVERSION if plan == "trial" else CHURN
        x[level.name] = np.array(level.effect[decision])[state.level[level.name]]
    return _log_hazard(plan, who, day), x, happened


PLANTED = [
    (plan, decision, memory)
    for plan, decision in (("yearly", CHURN), ("monthly", CHURN), ("trial", CONVERSION))
    for memory in MEMORIES
    if memory.effect[decision]
]


@pytest.mark.parametrize(
    ("plan", "decision", "memory"), PLANTED, ids=lambda part: getattr(part, "event", None)
)
def test_the_ratio_of_hazards_is_the_planted_one(plan: str, decision: int, memory: Memory) -> None:
    """Frictions, calls and the rest multiply the hazard by the effect that is documented."""
    planted = memory.effect[decision]
    eta, x, happened = _known(plan)
    found, error = _estimate(eta - planted * x[memory.event], x[memory.event], happened)
    assert abs(found - planted) < 4 * error
    if error < abs(planted) / 5:
        assert found * planted > 0


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_levels_move_the_hazard_as_documented(level: Level) -> None:
    """Scaled by the documented effects, each level has a coefficient of one."""
    name = level.name
    plans = [plan for plan in ("monthly", "trial") if _known(plan)[1][name].std() > 0]
    for plan in plans:
        eta, x, happened = _known(plan)
        found, error = _estimate(eta - x[name], x[name], happened)
        assert abs(found - 1) < 4 * error


def test_attributes_move_the_hazard_as_documented() -> None:
    """Realised over expected leavers are one in every level of every attribute."""
    who, _, _ = decisions("monthly")
    eta, _, happened = _known("monthly")
    p = probability(eta)
    for attribute in ATTRIBUTES:
        chosen = lives().population.attributes[attribute.name][who]
        for level in range(len(attribute.levels)):
            rows = chosen == level
            spread = np.sqrt((p[rows] * (1 - p[rows])).sum())
            assert abs(happened[rows].sum() - p[rows].sum()) < 4 * spread


@pytest.mark.parametrize("treatment", ["success_call", "discount_offer"])
def test_a_coin_decides_treatments(treatment: str) -> None:
    """Treated and control are as many, and alike before: their truth has the same mean."""
    truth = []
    for table in (lives().memories[treatment], lives().controls[treatment]):
        rows = np.flatnonzero(~lives().population.monthly[table.customer])
        p = true_probability(lives(), LEAVES, table.customer[rows], table.day[rows]).probability
        truth.append(p[~np.isnan(p)])
    treated, control = truth
    n = len(treated) + len(control)
    assert abs(len(treated) - len(control)) < 4 * np.sqrt(n)
    error = np.sqrt(treated.var() / len(treated) + control.var() / len(control))
    assert abs(treated.mean() - control.mean()) < 4 * error


def test_a_treatment_helps_after_the_coin() -> None:
    """Treated contracts are renewed more often than the controls of the same coin."""
    rates = []
    who, day, left = decisions("yearly")
    for table in (lives().memories["success_call"], lives().controls["success_call"]):
        last = table.last(who, day)
        recent = (last >= 0) & (day - table.day[last] <= 45)
        rates.append((left[recent].mean(), recent.sum()))
    (treated, n), (control, m) = rates
    error = np.sqrt(treated * (1 - treated) / n + control * (1 - control) / m)
    assert control - treated > 2 * error


def test_the_best_possible_score_is_realistic() -> None:
    """The truth ranks leavers and subscribers about as well as good models do, not perfectly."""
    for plan, problem, leads in (
        ("yearly", LEAVES, (30, 60, 90, 120)),
        ("monthly", cancels("30d"), (15,)),
        ("trial", SUBSCRIBES, (7, 14, 21)),
    ):
        who, day, happened = decisions(plan)
        parts = [true_probability(lives(), problem, who, day - n).probability for n in leads]
        assert 0.74 < _auroc(np.concatenate(parts), np.tile(happened, len(leads))) < 0.86


def _auroc(score: Array, label: Array) -> float:
    rank = np.argsort(np.argsort(score)) + 1.0
    n = label.sum()
    return float((rank[label == 1].sum() - n * (n + 1) / 2) / (n * (len(label) - n)))


def test_every_combination_of_settings_lives() -> None:
    """Tiny worlds, without late or repeated events or with nothing but them, are simulated."""
    for late, again, activity in product((0.0, 1.0), (0.0, 1.0), (0.0, 2.0)):
        settings = Settings(
            n_customers=5,
            end=Settings().start + 200 * 86_400_000_000,
            late_share=late,
            duplicate_share=again,
            activity=activity,
        )
        assert simulate(settings).customers.num_rows >= 5


@pytest.mark.parametrize("decision", [CHURN, CONVERSION])
def test_no_hazard_lies_outside_the_expansion(decision: int) -> None:
    """The sum of the largest, and of the smallest, effects lies within its bounds."""
    plans = ("trial",) if decision == CONVERSION else ("yearly", "monthly")
    ends = np.array([min(BASE[plan] for plan in plans), max(BASE[plan] for plan in plans)])
    if decision == CHURN:
        ends[0] += min(each * most for each, most in TENURE.values())
    for attribute in ATTRIBUTES:
        effects = (attribute.churn, attribute.conversion)[decision]
        ends += min(effects), max(effects)
    tenfold = EMPLOYEES[decision] * (np.array([0.5, 4.0]) - np.log10(50))  # 3 to 10,000
    ends += tenfold.min(), tenfold.max()
    for level in LEVELS:
        ends += min(level.effect[decision]), max(level.effect[decision])
    for memory in MEMORIES:
        ends += min(memory.effect[decision], 0), max(memory.effect[decision], 0)
    assert LOWEST <= ends[0] < ends[1] <= HIGHEST
