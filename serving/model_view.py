"""The model page: how good the scores are, and what waits beside the model that answers.

Takes the loaded champion and what its shelf says; gives a document for programs and, for the page,
tables and pictures. Knows nothing about HTTP.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from features.durations import format_moment
from models.contract import Contract
from models.question import question
from models.registry import CHALLENGER, CHAMPION
from models.shelf import Shelf
from serving.champions import Loaded
from serving.quality_charts import gain_chart, lift_chart, range_bar, reliability_chart
from serving.schemas_insight import Beside, ModelAnswer

MODEL, RULE = "model", "best_rule"
COMPARED = ("average_precision", "auroc", "lift_at_10", "ece")
"""Metrics that stand side by side for champion and challenger."""
FEWEST_NAMED = 8
"""Features that differ are named up to so many."""


def model_answer(loaded: Loaded, shelf: Shelf, mlflow: str) -> ModelAnswer:
    """What is known of the model that answers and of the one that waits."""
    told = shelf.described()
    champion = _beside(CHAMPION, told.get(CHAMPION))
    if champion is not None and champion.version != loaded.version:
        champion = None  # a version took over a moment ago; the shelf will tell of it soon
    challenger = _beside(CHALLENGER, told.get(CHALLENGER))
    if challenger is not None and challenger.version == loaded.version:
        challenger = None
    return ModelAnswer(
        problem=loaded.problem, model=loaded.name, model_version=loaded.version,
        since=format_moment(loaded.since), asked=question(loaded.model.contract.problem),
        champion=champion, challenger=challenger, link=_link(mlflow, loaded.name, loaded.version),
    )  # fmt: skip


def _beside(alias: Any, told: Mapping[str, Any] | None) -> Beside | None:
    if told is None:
        return None
    fields = {key: told[key] for key in ("version", "gate", "reasons", "forced", "judgement")}
    return Beside(alias=alias, **fields)


def _link(mlflow: str, name: str, version: str) -> str | None:
    if not mlflow:
        return None
    return (
        f"{mlflow.rstrip('/')}/#/models/{quote(name, safe='')}/versions/{quote(version, safe='')}"
    )


def model_page_view(told: ModelAnswer, contract: Contract) -> dict[str, Any]:
    """What the page shows beside the document; parts that the version does not tell are empty."""
    champion = told.champion.judgement if told.champion else None
    view: dict[str, Any] = {
        "contract": contract,
        "found": champion,
        "beside": None if told.challenger is None else _compared(told, champion),
    }
    if champion is None:
        return view
    metrics = {row["name"]: row for row in champion.get("metrics", ())}
    whole = metrics.get("auroc", {}).get("values", {}).get(MODEL)
    return view | {
        "tiles": [_tile(metrics[name]) for name in COMPARED if name in metrics],
        "metrics": [_row(row) for row in metrics.values()],
        "rivals": _rivals(metrics.values()),
        "reliability": reliability_chart(champion["reliability"]),
        "gain": gain_chart(champion["gain"], champion["capacity"]),
        "lift": lift_chart(champion["gain"], champion["capacity"]),
        "periods": _groups(champion.get("periods", ()), whole),
        "backtest": _groups(
            ({**each, "level": each["first_cutoff"]} for each in champion.get("backtest", ())),
            whole,
        ),
        "slices": _slices(champion.get("slices", ()), whole),
        "by_persona": _groups(champion.get("personas", ()), whole),
    }


def _tile(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """A metric's title, value, interval, and what it is held against."""
    value = row["values"][MODEL]
    rule = row["values"].get(RULE)
    against = "" if rule is None else f"best rule {figure(rule[0], row['digits'])}"
    return row["title"], figure(value[0], row["digits"]), between(value, row["digits"]), against


def _rivals(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for row in rows:
        found |= row["titles"]
    order = (MODEL, "logistic", RULE, "base_rate")
    names = [name for name in order if name in found]
    return [(name, found[name]) for name in [*names, *(n for n in found if n not in names)]]


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A metric of everybody who is judged: value and interval."""
    digits = row["digits"]
    cells = {
        rival: (figure(value[0], digits), "" if value[1] == value[2] else between(value, digits))
        for rival, value in row["values"].items()
    }
    return {"title": row["title"], "says": row["says"], "cells": cells}


def _groups(groups: Iterable[Mapping[str, Any]], whole: Any) -> list[dict[str, Any]]:
    """Rows of a table: counts, rate, mean score and, where there are enough rows, AUROC."""
    rows = []
    for group in groups:
        row: dict[str, Any] = {
            "level": group["level"], "n": group["n"],
            "rate": group["n_positive"] / group["n"] if group["n"] else None,
            "score": group.get("mean_score"), "auroc": None,
        }  # fmt: skip
        known: Any = group.get("intervals", {})
        if all(v is not None for v in known.get("auroc", [None])):
            row["auroc"] = figure(known["auroc"][0], 2)
            row["auroc_between"] = between(known["auroc"], 2)
            row["bar"] = range_bar(known["auroc"], whole and whole[0], f"AUROC {group['level']}")
            row["precision"] = figure(known["average_precision"][0], 2)
            row["precision_between"] = between(known["average_precision"], 2)
        rows.append(row)
    return rows


def _slices(groups: Iterable[Mapping[str, Any]], whole: Any) -> list[dict[str, Any]]:
    """A table a category, of those with two levels that could be judged."""
    by: dict[str, list[Mapping[str, Any]]] = {}
    for group in groups:
        by.setdefault(group["by"], []).append(group)
    tables: list[dict[str, Any]] = [
        {"title": name, "rows": _groups(rows, whole)} for name, rows in by.items()
    ]
    return [t for t in tables if sum(row["auroc"] is not None for row in t["rows"]) > 1]


def _compared(told: ModelAnswer, mine: Mapping[str, Any] | None) -> dict[str, Any]:
    """Champion and challenger side by side, and in what they differ."""
    challenger = told.challenger
    assert challenger is not None
    theirs = challenger.judgement
    if mine is None or theirs is None:
        return {"rows": [], "differs": []}
    sides = [{row["name"]: row for row in each.get("metrics", ())} for each in (mine, theirs)]
    rows = [
        (sides[0][name]["title"], *(_tile(side[name])[1:3] for side in sides))
        for name in COMPARED
        if all(name in side for side in sides)
    ]
    return {"rows": rows, "differs": _differs(mine, theirs)}


def _differs(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """What two versions were made of, where it differs: words, champion, challenger."""
    ours, others = mine["trained"], theirs["trained"]
    told = (
        ("Histories up to", ours["history_end"][:10], others["history_end"][:10]),
        ("Training rows", f"{ours['n_train']:,}", f"{others['n_train']:,}"),
        ("Split", mine["split"], theirs["split"]),
        ("Trees", f"{mine['trees']:,}", f"{theirs['trees']:,}"),
        ("Features", f"{len(mine['features']):,}", f"{len(theirs['features']):,}"),
        ("Features of its own", *(_only(a, b) for a, b in ((mine, theirs), (theirs, mine)))),
    )
    return [(says, a, b) for says, a, b in told if a != b]


def _only(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    names = sorted(set(one["features"]) - set(other["features"]))
    more = len(names) - FEWEST_NAMED
    named = ", ".join(names[:FEWEST_NAMED]) or "none"
    return named if more <= 0 else f"{named} and {more:,} more"


def figure(value: float, digits: int = 3) -> str:
    """A number with a true minus and thousands apart."""
    digits = 0 if abs(value) >= 100 else digits
    return f"{value:,.{digits}f}".replace("-", "−")


def between(value: Any, digits: int = 3) -> str:
    """`0.431 to 0.502`; a dash where the interval is unknown."""
    low, high = value[1:3]
    if low is None or high is None:
        return "–"
    return f"{figure(low, digits)} to {figure(high, digits)}"
