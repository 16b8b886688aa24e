"""What a run found, as the file that its version carries: for pages that can't ask the run.

Takes `Told`; gives the JSON of `models.judgement`. The report draws the same numbers. Knows
nothing about MLflow or pages.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.judgement import FORMAT, JUDGEMENT
from training.baselines import rule_score
from training.evaluation import MODEL, reliability
from training.judging import Verdict, group_json, look_back_json
from training.model_card import model_card
from training.pictures import gains, rate_intervals
from training.report_parts import MEANINGLESS, counts, left_out
from training.report_words import (
    METRICS,
    Told,
    called,
    doubt_limits,
    headline,
    meaning_limits,
    which_models,
)
from training.shap_pictures import described
from training.slices import PERSONA
from training.weighted import Floats

SHARES = np.linspace(0, 1, 41)
"""Shares of the rows at which gain is told."""
DIGITS = 6


def write_judgement(folder: Path, told: Told) -> str:
    """Write the file into a run's folder; give its SHA-256."""
    text = json.dumps(plain(judgement(told)), indent=1, sort_keys=True, allow_nan=False)
    (folder / JUDGEMENT).write_bytes(text.encode())
    return hashlib.sha256(text.encode()).hexdigest()


def judgement(told: Told) -> dict[str, Any]:
    """Everything that a page about the model shows."""
    contract, verdict, looked = told.model.contract, told.verdict, told.looked
    probability = told.model.probabilities(told.ready.parts["test"][0])
    slices = [] if verdict is None else verdict.slices
    found: dict[str, Any] = {
        "format": FORMAT,
        "asked": told.asked,
        "which": [list(pair) for pair in which_models(told)],
        "counts": counts(told),
        "left_out": [list(pair) for pair in left_out(told)],
        "meaning": list(meaning_limits(told)),
        "doubts": list(doubt_limits(told)),
        "card": model_card(told),
        "features": list(contract.names),
        "trees": len(told.model.trees),
        "split": told.ready.split.how,
        "trained": dict(contract.trained),
        "value": None if told.ready.problem.value is None else told.ready.problem.value.sum,
        "capacity": told.ready.problem.action.capacity,
        "reliability": _reliability(told, probability),
        "gain": _gain(told, probability),
        "personas": [group_json(group) for group in slices if group.by == PERSONA],
        "gate": None if told.decision is None else told.decision.to_json(),
    }
    if verdict is not None:
        found |= _of_verdict(told, verdict)
    return found if looked is None else {**found, **look_back_json(looked)}


def _of_verdict(told: Told, verdict: Verdict) -> dict[str, Any]:
    better, says = headline(verdict)
    words = {feature.name: described(feature) for feature in told.ready.features}
    slices = [group for group in verdict.slices if group.by != PERSONA]
    return {
        "headline": {"better": better, "says": says},
        "best_rule": next((b.says for b in verdict.found if b.name == "best_rule"), ""),
        "metrics": _metrics(verdict),
        "periods": [group_json(group) for group in verdict.by_period],
        "slices": [{**group_json(group), "by": words.get(group.by, group.by)} for group in slices],
    }


def _metrics(verdict: Verdict) -> list[dict[str, Any]]:
    """Every metric of the model and its rivals: value, lower and upper bound at 95 %."""
    intervals = verdict.judgement.intervals
    rows = []
    for name, words in METRICS.items():
        of = {
            rival: [i.value, i.low, i.high]
            for rival, found in intervals.items()
            if (i := found.get(name)) is not None and (rival, name) not in MEANINGLESS
        }
        if MODEL in of:
            rows.append(
                {"name": name, "title": words.title, "says": words.says, "digits": words.digits,
                 "values": of, "titles": {rival: called(rival) for rival in of}}
            )  # fmt: skip
    return rows


def _reliability(told: Told, probability: Floats) -> list[dict[str, Any]]:
    """Tenths of the untouched rows by score: mean score, observed rate with its interval."""
    label = told.ready.parts["test"][1]
    customer = told.ready.labelled.moments.rows.customer[told.ready.split.test]
    mean, rate, size = reliability(label, probability)
    low, high = rate_intervals(label, probability, customer)
    keys = ("score", "rate", "low", "high", "rows")
    columns: Iterable[list[Any]] = (each.tolist() for each in (mean, rate, low, high, size))
    return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]


def _gain(told: Told, probability: Floats) -> dict[str, Any]:
    """The share of outcomes among the rows with the highest scores, by share of the rows."""
    matrix, label = told.ready.parts["test"]
    scores = {MODEL: probability}
    if told.verdict is not None and told.verdict.rule is not None:
        column, sign = told.verdict.rule
        scores["best_rule"] = rule_score(matrix[:, column], sign)
    found = {name: gains(label, score, SHARES).tolist() for name, score in scores.items()}
    return {"shares": SHARES.tolist(), "rate": float(label.mean()), **found}


def plain(data: Any) -> Any:
    """The same as JSON holds it: short numbers, and None for what is none."""
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    if isinstance(data, np.generic):
        data = data.item()
    if isinstance(data, float):
        return round(data, DIGITS) if math.isfinite(data) else None
    return data
