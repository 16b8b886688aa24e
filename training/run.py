"""One training run, from a business's file to a registered challenger: the whole story.

Takes a `journey.toml` and a workspace; gives a result with honest metrics. Every step lives
in the module that its name says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from features.config import Business, slug
from features.durations import format_moment, spell_duration
from features.engine import Matrix
from features.event_log import Ints
from features.feature import Feature
from features.own import own_features
from models.calibration import fit_calibration
from models.contract import Contract
from models.files import save
from models.fitted import FittedModel
from models.interval import fit_interval
from models.persona import Personas
from training.baselines import Baseline, rule_score
from training.clock import Clock
from training.engines import Engine
from training.evaluation import MODEL, Metrics
from training.findings import Finding, tell
from training.fitting import FEW_ROWS, constraints, parameters, rounds_of, shape_of
from training.judging import (
    LookBack,
    Verdict,
    judge_test,
    look_back,
    look_back_json,
    verdict_json,
)
from training.labels import Labelled
from training.personas import account_of, personas_of
from training.plots import MOST_DOTS, draw_contributions, draw_metrics
from training.preflight import preflight, refuse
from training.prepare import ENOUGH_ROWS, Floats, Prepared
from training.record import Record, complete
from training.screening import screened
from training.splits import Split
from training.timing import fit_weekly_risk, judge_weekly_risk, weekly_account
from training.tracking import Logged, log_run
from training.tuned import as_told, usable

JUDGED = "judged"
"""The folder of the model that the metrics belong to, beside the one that is registered."""

TRAINING_SET = "training_set"
"""Where an engine that keeps the training set on disk does so, beside the model."""


@dataclass(frozen=True)
class Result:
    """What a run found."""

    problem: str
    logged: Logged
    metrics: Metrics
    found: list[Baseline]
    n_train: int
    n_validation: int
    n_features: int
    n_rounds: int
    unknown: dict[str, int]
    split: Split
    checks: tuple[Finding, ...]
    """Of the pre-flight check."""
    seconds: dict[str, float]
    personas: Personas | None
    verdict: Verdict
    looked: LookBack
    weekly_risk: dict[str, float]
    """Integrated Brier score of the weekly curves and of an even spread; see `training.timing`."""
    tuned: Mapping[str, Any] | None
    """What a search found and the fit used; None for the default parameters."""

    def to_json(self) -> dict[str, Any]:
        """The summary that `--json` prints."""
        numbers = asdict(self.metrics)
        return {
            "problem": self.problem,
            "model_version": self.logged.version,
            "aliases": self.logged.aliases,
            "run_id": self.logged.run_id,
            "kept": None if self.logged.kept is None else str(self.logged.kept),
            "n_train": self.n_train,
            "n_validation": self.n_validation,
            "n_test": numbers.pop("n"),
            "n_test_positive": numbers.pop("n_positive"),
            "n_unknown": sum(self.unknown.values()),
            "unknown": self.unknown,
            **numbers,
            "baselines": {
                b.name: {"auroc": b.auroc, "average_precision": b.average_precision}
                for b in self.found
            },
            "best_rule": next((b.says for b in self.found if b.name == "best_rule"), None),
            "weekly_risk": self.weekly_risk,
            "n_features": self.n_features,
            "n_rounds": self.n_rounds,
            "tuned": self.tuned,
            "split": self.split.how,
            "preflight": [finding.to_json() for finding in self.checks],
            "personas": []
            if self.personas is None
            else [
                {"name": one.name, "says": one.says, "share": one.share}
                for one in self.personas.personas
            ],
            "notes": [*self.split.notes, *self.verdict.notes],
            "seconds": self.seconds,
            **verdict_json(self.verdict),
            **look_back_json(self.looked),
        }


def train(
    business: Business,
    name: str,
    engine: Engine,
    workspace: Path,
    say: Callable[[str], None],
    read_seconds: float = 0.0,
    untuned: bool = False,
) -> Result:
    """Train, judge and register a model of one problem.

    With `untuned` the parameters that a search found are left aside.

    Raises
    ------
    MilepostError
        When the problem can't be answered from these histories, or nothing can be logged.
    """
    say(f"{business.name}: {name}")
    clock = Clock(say)
    clock.seconds["read"] = round(read_seconds, 3)
    declared = business.problem(name)
    problem = engine.resolve(declared)
    if problem.every not in (declared.every, declared.horizon):
        say(f"  a cutoff every {spell_duration(problem.every or 0)}: closer ones are too many rows")
    record = Record(business=business.name, problem=name)
    folder = (workspace / slug(business.name) / slug(name)).resolve()
    whole = engine.prepare(business, problem, folder / TRAINING_SET, clock)
    checks = preflight(problem, whole.labelled, whole.split, engine.sources, engine.end)
    for line in chain.from_iterable(map(tell, checks)):
        say(line)
    refuse(checks)
    with clock.stage("personas") as told:
        personas = personas_of(whole)
        told.append(account_of(personas))
    with clock.stage("screen") as told:
        ready, personas = screened(whole, own_features(business.features.own), personas)
        told.append(f"{len(ready.features)} of {len(whole.features)} columns are worth fitting on")
    tuned, why = (None, "") if untuned else usable(folder, business, name)
    ready = replace(ready, tuned=tuned)
    if why:
        say(f"  {why}")
    model = _fit(business, name, ready, personas, engine, clock)
    with clock.stage("judge") as told:
        matrix, label = ready.parts["test"]
        verdict = judge_test(whole, model.probabilities(matrix))
        metrics, found, rule = verdict.metrics, verdict.found, verdict.rule
        told.append(f"AUROC {metrics.auroc:.3f} on {metrics.n:,} untouched rows")
        weekly = judge_weekly_risk(model, ready)
    with clock.stage("back-test") as told:
        looked = _look_back(ready, model)
        told.append(f"{len(looked.backtest)} periods, and a random split for comparison")
    with clock.stage("plots"):
        title = f"{business.name}: {name}, {metrics.n:,} rows that nothing was fitted on"
        rule_scores = (
            None if rule is None else rule_score(whole.parts["test"][0][:, rule[0]], rule[1])
        )
        draw_metrics(
            folder / "plots", label, model.probabilities(matrix), rule_scores, metrics, title, found
        )
        shown = matrix[:: -(-metrics.n // MOST_DOTS)]
        draw_contributions(
            folder / "plots", *model.contributions(shown), shown, model.contract.names
        )
    final = _final(model, ready, engine, clock)
    with clock.stage("register") as told:
        record.digest = save(final, folder / "model")
        save(model, folder / JUDGED)
        complete(record, ready, final, _parameters(ready, model), _numbers(verdict, looked, ready),
             manifest(engine))  # fmt: skip
        logged = log_run(workspace, record, folder)
        told.append(
            f"version {logged.version}, {' and '.join(logged.aliases)}"
            if logged.kept is None
            else f"not registered: {logged.why}"
        )
    return Result(
        name, logged, metrics, found, len(ready.split.train), len(ready.split.validation),
        len(ready.features), model.booster.num_trees(), ready.labelled.unknown, ready.split,
        checks, clock.seconds, model.contract.personas, verdict, looked, weekly,
        as_told(ready.tuned),
    )  # fmt: skip


def _look_back(ready: Prepared, model: FittedModel) -> LookBack:
    """The model's own parameters and rounds, one fit each, judged on other rows."""
    n_train = len(ready.split.train)
    chosen = parameters(n_train, len(ready.features), ready.problem.seed)
    chosen |= (
        ready.more | shape_of(model.booster) | constraints(ready.features, ready.problem.monotone)
    )
    return look_back(ready, chosen, rounds_of(model.booster, chosen, n_train), n_train)


def _fit(
    business: Business,
    name: str,
    ready: Prepared,
    personas: Personas | None,
    engine: Engine,
    clock: Clock,
) -> FittedModel:
    """Fit trees on train, stop and calibrate on validation, and write down the contract.

    Where rows are few, or a purge kept newer ones back, the trees are then fitted again on all
    that was known before the test.
    What this gives is judged on the untouched test rows; what is registered is `_final`. The
    calibration is that of the first fit, whose validation rows were not learned from; so are the
    scores of the validation rows in the contract. Base rate and usual values stay those of the
    training part.
    """
    parts = ready.parts
    with clock.stage("fit") as told:
        booster = engine.fit(ready)
        told.append(f"{booster.num_trees()} trees")
    with clock.stage("calibrate") as told:
        margin = np.asarray(booster.predict(parts["validation"][0], raw_score=True))
        who = ready.labelled.moments.rows.customer[ready.split.validation]
        calibration = fit_calibration(margin, parts["validation"][1], who)
        interval = fit_interval(calibration, margin, parts["validation"][1], who)
        told.append(calibration.account())
    with clock.stage("when") as told:
        weekly = fit_weekly_risk(ready, booster)
        told.append(weekly_account(weekly))
    again = len(ready.split.train) < FEW_ROWS or ready.has_newer_rows
    if again:
        with clock.stage("refit"):
            booster = engine.refit(ready, booster, before_test=True)
    with clock.stage("contract"):
        newest = np.concatenate([margin, booster.predict(parts["test"][0], raw_score=True)])
        contract = Contract(
            business=business.name,
            problem_name=name,
            problem=ready.problem,
            features=ready.features,
            event_kinds=engine.whole.event_kinds,
            attribute_kinds=engine.whole.attribute_kinds,
            event_names=engine.whole.event_names,
            usual=_usual(ready.features, parts["train"][0]),
            score_quantiles=_percentiles(calibration.probability(newest)),
            base_rate=ready.base_rate,
            trained=_trained(ready, engine, again),
            personas=personas,
        )
    return FittedModel(booster, calibration, contract, weekly, interval)


def _final(judged: FittedModel, ready: Prepared, engine: Engine, clock: Clock) -> FittedModel:
    """The model that is registered: the judged one's rounds fitted on all rows that have matured.

    Its calibration, usual values and percentiles are the judged model's, for they were found on
    rows that the judged trees had not learned from; no row is left that these have not.
    """
    with clock.stage("refit on all") as told:
        booster = engine.refit(ready, judged.booster, before_test=False)
        trained = {**judged.contract.trained, "this_model": "registered"}
        told.append(f"{trained['fitted']['registered']['n_rows']:,} rows")
    return replace(judged, booster=booster, contract=replace(judged.contract, trained=trained))


def manifest(engine: Engine) -> dict[str, Any]:
    """Where the rows came from: each source's account, and the digest of everything kept."""
    return {
        "digest": engine.digest,
        "history_end": format_moment(engine.end),
        "n_events": engine.whole.n_events,
        "n_customers": engine.whole.n_customers,
        "sources": [
            {
                "name": account.name,
                "read": account.read,
                "kept": account.kept,
                "rejected": account.rejected,
                "first": None if account.first is None else format_moment(account.first),
                "last": None if account.last is None else format_moment(account.last),
            }
            for account in engine.sources
        ],
    }


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
    return {**_span(labelled, rows), "n_rows": len(rows)}


def _percentiles(probabilities: Floats) -> tuple[float, ...]:
    """The scores at the percentiles 0, 1, … 100."""
    return tuple(float(q) for q in np.quantile(probabilities, np.linspace(0, 1, 101)))


def _usual(features: Sequence[Feature], vectors: Matrix) -> tuple[float | None, ...]:
    """The median of each column, the commonest level of a category.

    None where fewer than half of the rows have it.
    """
    vectors = vectors[:: -(-len(vectors) // ENOUGH_ROWS)]
    known = ~np.isnan(vectors)
    usual: list[float | None] = []
    for column, feature in enumerate(features):
        values = vectors[known[:, column], column]
        if len(values) * 2 < len(vectors) or not len(values):
            usual.append(None)
        elif feature.is_position:
            usual.append(float(np.bincount(values.astype(np.int64)).argmax()))
        else:
            usual.append(float(np.quantile(values, 0.5, method="lower")))
    return tuple(usual)


def _parameters(ready: Prepared, model: FittedModel) -> dict[str, Any]:
    """What a run was started with, for MLflow."""
    return {
        **parameters(len(ready.split.train), len(ready.features), ready.problem.seed),
        **ready.more,
        "tuned": ready.tuned is not None,
        "split": ready.split.how,
        "n_features": len(ready.features),
        "trees": model.booster.num_trees(),
        "refit": len(ready.split.train) < FEW_ROWS or ready.has_newer_rows,
    }


def _numbers(verdict: Verdict, looked: LookBack, ready: Prepared) -> dict[str, float]:
    """What a run found, for MLflow."""
    numbers = {f"test_{key}": float(value) for key, value in asdict(verdict.metrics).items()}
    judgement = verdict.judgement
    for metric in ("auroc", "average_precision", "expected_value"):
        for name, of in {"test": judgement.intervals[MODEL], **judgement.differences}.items():
            begin = name if name == "test" else f"over_{name}"
            numbers[f"{begin}_{metric}_low"] = of[metric].low
            numbers[f"{begin}_{metric}_high"] = of[metric].high
    if looked.claim is not None:
        numbers["random_split_auroc"] = looked.claim.auroc
        numbers["random_split_average_precision"] = looked.claim.average_precision
    for baseline in verdict.found:
        numbers[f"{baseline.name}_auroc"] = baseline.auroc
        numbers[f"{baseline.name}_average_precision"] = baseline.average_precision
    numbers["n_train"] = float(len(ready.split.train))
    numbers["n_unknown"] = float(ready.labelled.n_unknown)
    return numbers
