"""Explanations of a trained model: exact, whole, and refused where nothing is behind them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.config import Actionable, read_config
from features.cutoffs import IN_COHORT, AsOf, current, judge
from features.durations import DAY, days
from features.engine import Matrix, Rows
from features.event_log import EventLog
from features.groups import with_groups
from features.language import events
from features.sources import Histories, read_histories
from models import removals as removals_module
from models.changes import Asked, what_changed
from models.contract import contract_from_json
from models.files import load
from models.fitted import FittedModel
from models.removals import removals
from models.what_if import Supposed, WhatIfError, what_if


@pytest.fixture(scope="module")
def model(shop_run: tuple[Path, object]) -> FittedModel:
    return load(shop_run[0] / "shop" / "churn" / "model")


@pytest.fixture(scope="module")
def histories(shop: Path) -> Histories:
    return read_histories(read_config(shop))


@pytest.fixture(scope="module")
def vectors(model: FittedModel, histories: Histories) -> Matrix:
    problem, log, about = model.contract.problem, histories.log, histories.attributes
    asked = current(problem, log, about, AsOf.then(histories.end))
    asked = asked.take(judge(problem, log, about, asked) == IN_COHORT)
    return model.vectors(log, about, asked.rows)


def regular(histories: Histories) -> tuple[EventLog, EventLog, int]:
    """The customer with the most events, and the time of its last one."""
    place = int(np.argmax(np.diff(histories.log.offsets)))
    name = histories.log.customers[place]
    log = histories.log.history(name)
    return log, histories.attributes.history(name), int(log.event_time[-1])


def test_base_reasons_and_rest_add_up_to_the_score(model: FittedModel, vectors: Matrix) -> None:
    """For every customer and number of reasons, to 1e-9 percentage points."""
    contributions, base = model.contributions(vectors)
    scores = 100 * model.probabilities(vectors)
    for most in (0, 1, 5, 100):
        for row in range(0, len(vectors), 7):
            why = model.explainer.explain(
                vectors[row], contributions[row], float(base[row]), most
            )  # fmt: skip
            told = why.base + sum(reason.points for reason in why.reasons) + why.rest
            assert scores[row] == pytest.approx(told, abs=1e-9)
            if most == 100:
                assert abs(why.rest) < 1e-9


def test_a_row_is_explained_alone_as_in_a_batch(model: FittedModel, vectors: Matrix) -> None:
    """Points, order and sentences have the same bits, whoever else is explained."""
    contributions, base = model.contributions(vectors)
    moved = model.explainer.moved(contributions, base)
    strongest = model.explainer.strongest(moved, 5)
    for row in range(0, len(vectors), 5):
        together = model.explainer.in_words(moved, row, vectors[row], contributions[row], 5)
        alone = model.explainer.explain(vectors[row], contributions[row], float(base[row]), 5)
        assert alone == together
        names = [model.contract.groups[group].name for group in strongest[row] if group >= 0]
        assert names == [reason.group for reason in alone.reasons]


def test_each_feature_speaks_in_one_group(model: FittedModel) -> None:
    """Groups share no feature and no name; windows and kinds of one topic speak together."""
    groups = model.contract.groups
    columns = [column for group in groups for column in group.columns]
    assert sorted(columns) == list(range(len(model.contract.features)))
    assert len(groups) == len({group.name for group in groups}) < len(columns) / 4
    group_of = {c: group.name for group in groups for c in group.columns}
    about = [model.contract.names.index(name) for name in ("order_count_7d", "order_recency")]
    assert 1 == len({group_of[column] for column in about})


def test_context_is_what_nobody_can_change(model: FittedModel, vectors: Matrix) -> None:
    """Attributes and tenure are context unless declared; events are actionable, or as declared."""
    contributions, base = model.contributions(vectors)

    def kinds(declared: Actionable) -> dict[str, str]:
        told = replace(model, contract=replace(model.contract, actionable=declared))
        found = {}
        for row in range(len(vectors)):
            why = told.explainer.explain(vectors[row], contributions[row], float(base[row]), 99)
            found |= {reason.feature: reason.kind for reason in why.reasons}
        return found

    usual = kinds(Actionable())
    assert {"context"} == {k for name, k in usual.items() if name.startswith("customer_")}
    assert "actionable" in usual.values()
    declared = kinds(Actionable(events=["ticket"]))
    assert {"context"} == {k for name, k in declared.items() if name.startswith("order_")}


def test_the_contract_keeps_all_that_explains(model: FittedModel) -> None:
    """Groups, peers, words, what was seen and who is unfamiliar survive as plain JSON."""
    again = contract_from_json(model.contract.to_json())
    assert model.contract == again
    assert {"order", "ticket"} == set(again.seen.events)
    low, high = again.seen.events["order"].values.numbers["value"]
    assert 0 < low < high
    assert again.familiarity.columns


def test_a_removal_is_the_exact_change(model: FittedModel, histories: Histories) -> None:
    """Taking an event out of the journey and scoring anew gives the points that were told."""
    log, about, last = regular(histories)
    at = Rows(np.zeros(1, np.int64), np.array([last + DAY]), np.array([last + DAY]))
    whole = float(model.probabilities(model.vectors(log, about, at))[0])
    found = removals(model, log, about, last + DAY, last + DAY)
    assert sorted(r.position for r in found) == list(range(log.n_events))
    sizes = [abs(r.points or 0.0) for r in found if r.points is not None]
    assert sizes == sorted(sizes, reverse=True)
    for each in found[::9]:
        kept = np.delete(np.arange(log.n_events), each.position)
        less = log.rows(kept, log.customers, np.array([0, len(kept)], np.int64))
        without = float(model.probabilities(model.vectors(less, about, at))[0])
        assert each.points == pytest.approx(100 * (whole - without), abs=1e-9)


def test_removals_in_parts_are_those_of_one_call(
    model: FittedModel, histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few events may be in memory at once, the bits are the same; of a long journey the
    newest events are tried."""
    log, about, last = regular(histories)
    whole = removals(model, log, about, last, last)
    monkeypatch.setattr(removals_module, "AT_ONCE", 3 * log.n_events)
    assert whole == removals(model, log, about, last, last)
    monkeypatch.setattr(removals_module, "MOST_TRIED", 7)
    newest = removals(model, log, about, last, last)
    assert sorted(each.position for each in newest) == list(range(log.n_events - 7, log.n_events))
    assert set(newest) < set(whole)


def test_removals_see_no_later_than_the_score(model: FittedModel, histories: Histories) -> None:
    """Events after the cutoff are not taken out, for they were never in."""
    log, about, _ = regular(histories)
    middle = int(log.event_time[log.n_events // 2])
    found = removals(model, log, about, middle, middle)
    assert all(log.event_time[r.position] <= middle for r in found)
    assert removals(model, log, about, int(log.event_time[0]) - 1, middle) == []


def test_the_only_order_keeps_a_customer_in_the_cohort(
    model: FittedModel, histories: Histories
) -> None:
    """Without its one recent order a customer would not be asked about, and that is said."""
    log, about, last = regular(histories)
    orders = np.flatnonzero(log.event.codes == log.event.code("order"))
    one = log.rows(orders[-1:], log.customers, np.array([0, 1], np.int64))
    found = removals(model, one, about, last + DAY, last + DAY)
    assert [(None, "no_history")] == [(r.points, r.outside) for r in found]


def test_a_removal_leaves_the_groups_too(model: FittedModel, histories: Histories) -> None:
    """An event that is taken out is taken out of the account's journey as well."""
    log, about, last = regular(histories)
    grouped = with_groups(log, ["channel"])
    features = tuple(
        events("order").over("channel").count() if feature.name == "order_count" else feature
        for feature in model.contract.features
    )
    contract = replace(model.contract, features=features, personas=None)
    object.__setattr__(contract, "names", model.contract.names)
    told = replace(model, contract=contract)
    found = {r.position: r.points for r in removals(told, grouped, about, last, last)}
    at = Rows(np.zeros(1, np.int64), np.array([last]), np.array([last]))
    whole = float(told.probabilities(told.vectors(grouped, about, at))[0])
    for position in list(found)[::11]:
        kept = np.delete(np.arange(log.n_events), position)
        less = with_groups(
            log.rows(kept, log.customers, np.array([0, len(kept)], np.int64)), ["channel"]
        )
        without = float(told.probabilities(told.vectors(less, about, at))[0])
        assert found[position] == pytest.approx(100 * (whole - without), abs=1e-9)


def test_a_change_is_split_without_remainder(
    model: FittedModel, shop_run: tuple[Path, object], histories: Histories
) -> None:
    """Time, events and model version add up to the difference, to 1e-12."""
    judged = load(shop_run[0] / "shop" / "churn" / "judged")
    log, about, last = regular(histories)
    for back in (5, 20, 40):
        then = last - days(back)
        found = what_changed(Asked(judged, then, then), Asked(model, last, last), log, about)
        parts = found.time + found.events + found.model
        assert found.now - found.before == pytest.approx(parts, abs=1e-12)
        assert found.n_arrived == int((log.event_time > then).sum())
        assert all(log.event_time[a.position] > then for a in found.arrived)
        assert found.model != 0
    same = what_changed(Asked(model, last, last), Asked(model, last, last), log, about)
    assert (0.0, 0.0, 0.0, 0) == (same.time, same.events, same.model, same.n_arrived)


def test_an_event_recorded_late_is_new(model: FittedModel, histories: Histories) -> None:
    """It happened before the earlier score, was not known then, and is told as late."""
    log, about, last = regular(histories)
    recorded = log.recorded_time.copy()
    recorded[-3] = last + DAY
    late = replace(log, recorded_time=recorded)
    then, now = Asked(model, last, last), Asked(model, last, last + DAY)
    found = what_changed(then, now, late, about)
    assert [(log.n_events - 3, True)] == [(a.position, a.late) for a in found.arrived]
    assert 0 == found.time
    assert found.now - found.before == pytest.approx(found.events, abs=1e-12)


def test_hardly_any_row_is_unfamiliar(model: FittedModel, vectors: Matrix) -> None:
    """Customers like the training rows get a score; a history out of all bounds gets none."""
    known = model.contract.familiarity
    enough = np.full(len(vectors), 50)
    assert sum(found is not None for found in known.refused(vectors, enough)) <= 1
    strange = vectors[:1].copy()
    strange[0, list(known.columns)] = 1e6
    assert "unfamiliar" == (known.refused(strange, enough[:1])[0] or ("",))[0]
    assert "beyond nearly all customers" in model.explainer.unfamiliar(strange[0])[0]
    thin = replace(known, fewest_events=3).refused(vectors[:1], np.array([2]))
    assert "history_too_thin" == (thin[0] or ("",))[0]


def test_what_if_tells_an_association(model: FittedModel, histories: Histories) -> None:
    """An order that has not come lowers the score of a customer who went silent."""
    log, about, last = regular(histories)
    moment = last + days(40)
    found = what_if(model, log, about, moment, moment, [Supposed("order", {"value": 40.0})])
    assert found.points < 0
    assert found.points == pytest.approx(100 * (found.supposing - found.without))
    assert "not what doing it would change" in found.label


@pytest.mark.parametrize(
    ("supposed", "about", "code"),
    [
        ([], {}, "nothing_supposed"),
        ([Supposed("ordr")], {}, "unknown_event"),
        ([Supposed("order", {"valu": 1.0})], {}, "unknown_property"),
        ([Supposed("order", {"value": 1e9})], {}, "value_never_seen"),
        ([Supposed("order", {"value": "much"})], {}, "wrong_kind"),
        ([Supposed("order", {"channel": "fax"})], {}, "value_never_seen"),
        ([Supposed("order", {"channel": 3})], {}, "wrong_kind"),
        ([Supposed("order")] * 9, {}, "more_than_seen"),
        ([Supposed("order")] * 99, {}, "too_many_supposed"),
        ([Supposed("order", {}, 0)], {}, "in_the_past"),
        ([Supposed("order", {}, 2**60)], {}, "after_the_score"),
        ([], {"city": "Ulm"}, "not_actionable"),
        ([], {"town": "Ulm"}, "unknown_attribute"),
    ],
)
def test_what_if_refuses_what_has_nothing_behind_it(
    model: FittedModel,
    histories: Histories,
    supposed: list[Supposed],
    about: dict[str, str],
    code: str,
) -> None:
    """What can't be influenced, was never seen or can't come any more is refused by its code."""
    log, attributes, last = regular(histories)
    with pytest.raises(WhatIfError) as refused:
        what_if(model, log, attributes, last + DAY, last + DAY, supposed, about)
    assert code == refused.value.code


def test_a_declared_attribute_may_be_supposed(model: FittedModel, histories: Histories) -> None:
    """What the business says it can change is answered, and undeclared events are refused."""
    log, about, last = regular(histories)
    declared = Actionable(events=["ticket"], attributes=["city"])
    told = replace(model, contract=replace(model.contract, actionable=declared))
    assert 0 <= what_if(told, log, about, last, last, (), {"city": "Ulm"}).supposing <= 1
    with pytest.raises(WhatIfError, match="actionable"):
        what_if(told, log, about, last, last, [Supposed("order")])
