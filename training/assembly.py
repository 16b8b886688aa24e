"""From prepared rows to a fitted model: trees, calibration, weekly risk, contract.

Takes rows with their features and an engine that fits; gives the model that is judged, and the
one that is registered. Knows nothing about how good they are.
"""

from dataclasses import replace
from typing import Any

import lightgbm as lgb
import numpy as np

from features.config import Business
from features.durations import format_moment
from features.event_log import Ints
from models.contract import Contract
from models.fitted import FittedModel
from models.persona import Personas
from models.spoken import Words
from models.trees import trees_from_text
from training.alike import alike
from training.calibrating import fit_calibration, fit_interval
from training.clock import Clock
from training.cross_fitting import cross_fitted_newer
from training.engines import Engine
from training.few_positives import cross_fitted_few, is_few
from training.fitting import FEW_ROWS, Labels
from training.labels import Labelled
from training.prepare import Floats, Prepared
from training.ranges import familiarity_of
from training.timing import fit_weekly_risk, weekly_account
from training.tuned import as_told
from training.usual import peers_of, usual_of


def fit_judged(
    business: Business,
    name: str,
    ready: Prepared,
    personas: Personas | None,
    engine: Engine,
    clock: Clock,
) -> FittedModel:
    """Fit trees on train, stop and calibrate on validation, and write down the contract.

    Where rows are few, or a purge kept newer ones back, the trees are then fitted again on all that
    was known before the test. What calibrates are margins of rows that were not learned from, see
    `_unseen`; with the test's own they are the scores whose percentiles the contract holds.
    What this gives is judged on the untouched test rows; what is registered is `refit_on_all`.
    Base rate and usual values stay those of the training part.
    """
    parts = ready.parts
    with clock.stage("fit") as told:
        booster = engine.fit(ready)
        told.append(f"{booster.num_trees()} trees")
    with clock.stage("calibrate") as told:
        unseen = _unseen(ready, booster)
        calibration = fit_calibration(*unseen)
        interval = fit_interval(calibration, *unseen)
        told.append(calibration.account())
    with clock.stage("when") as told:
        weekly = fit_weekly_risk(ready, booster)
        told.append(weekly_account(weekly))
    again = len(ready.split.train) < FEW_ROWS or ready.has_newer_rows
    if again:
        with clock.stage("refit"):
            booster = engine.refit(ready, booster, before_test=True)
    with clock.stage("contract"):
        words = Words(business.words, business.units)
        groups = alike(ready.features, parts["train"][0], engine.seen, words)
        newest = np.concatenate([unseen[0], booster.predict(parts["test"][0], raw_score=True)])
        contract = Contract(
            business=business.name,
            problem_name=name,
            problem=ready.problem,
            features=ready.features,
            event_kinds=engine.whole.event_kinds,
            attribute_kinds=engine.whole.attribute_kinds,
            event_names=engine.whole.event_names,
            usual=usual_of(ready.features, parts["train"][0]),
            score_quantiles=_percentiles(calibration.probability(newest)),
            base_rate=ready.base_rate,
            trained=_trained(ready, engine, again),
            personas=personas,
            groups=groups,
            peers=peers_of(ready.features, parts["train"][0], ready.problem, personas),
            actionable=business.actionable,
            words=words,
            seen=engine.seen,
            familiarity=familiarity_of(ready, groups, booster.feature_importance("split") > 0),
        )
    trees = trees_from_text(booster.model_to_string())
    return FittedModel(trees, calibration, contract, weekly, interval)


def _unseen(ready: Prepared, booster: lgb.Booster) -> tuple[Floats, Labels, Ints]:
    """Margins, labels and customers of rows to calibrate on, shape `(n_rows,)` each.

    Where positives are few: all rows before the test, each by a fit that did not see its customer.
    Where a purge kept newer rows back, on which the trees will be fitted again: these and the
    validation rows, by fits that did not see their customers. Otherwise, and where the training
    rows are too many to be here: the validation rows.
    """
    if is_few(ready):
        return cross_fitted_few(ready)
    if ready.is_whole and ready.has_newer_rows:
        return cross_fitted_newer(ready, booster)
    matrix, label = ready.parts["validation"]
    customer = ready.labelled.moments.rows.customer[ready.split.validation]
    return np.asarray(booster.predict(matrix, raw_score=True)), label, customer


def refit_on_all(judged: FittedModel, ready: Prepared, engine: Engine, clock: Clock) -> FittedModel:
    """The model that is registered: the judged one's rounds fitted on all rows that have matured.

    Its calibration, usual values and percentiles are the judged model's, for they were found on
    rows that the judged trees had not learned from; no row is left that these have not.
    """
    with clock.stage("refit on all") as told:
        first = lgb.Booster(model_str=judged.trees.text)
        trees = trees_from_text(engine.refit(ready, first, before_test=False).model_to_string())
        trained = {**judged.contract.trained, "this_model": "registered"}
        told.append(f"{trained['fitted']['registered']['n_rows']:,} rows")
    return replace(judged, trees=trees, contract=replace(judged.contract, trained=trained))


def _trained(ready: Prepared, engine: Engine, again: bool) -> dict[str, Any]:
    """What the models were fitted on, for their contracts.

    `fitted` tells of both: the metrics are those of `judged`, which saw nothing at or after the
    test's first cutoff; `registered` was fitted on everything. `this_model` says which one it is.
    """
    split, whole = ready.split, [*ready.split.all_rows, *ready.purged]
    judged = ready.known_before_test if again else split.train
    return {
        **_span(ready.labelled, split.train),
        "history_end": format_moment(engine.end),
        "data_digest": engine.digest,
        "n_train": len(split.train),
        "split": split.how,
        "tuned": as_told(ready.tuned),
        "this_model": "judged",
        "fitted": {
            "judged": _fitted(ready.labelled, judged),
            "registered": _fitted(ready.labelled, np.asarray(whole)),
        },
    }


def _span(labelled: Labelled, rows: Ints) -> dict[str, Any]:
    cutoff = labelled.moments.rows.cutoff_time[rows]
    return {
        "first_cutoff": format_moment(int(cutoff.min())),
        "last_cutoff": format_moment(int(cutoff.max())),
    }


def _fitted(labelled: Labelled, rows: Ints) -> dict[str, Any]:
    moments = labelled.moments.take(rows)
    known = int(np.maximum(moments.closes, moments.rows.known_time).max())
    return {**_span(labelled, rows), "known_by": format_moment(known), "n_rows": len(rows)}


def _percentiles(probabilities: Floats) -> tuple[float, ...]:
    """The scores at the percentiles 0, 1, … 100."""
    return tuple(float(q) for q in np.quantile(probabilities, np.linspace(0, 1, 101)))
