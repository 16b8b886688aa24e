"""The report of a training run: one HTML page that needs nothing but itself.

Takes `Told`, whose absent parts are left out; writes a page without scripts and without a
reference to any other file or host, so that it can be mailed, printed and kept. It holds no
customer's id, and no time of its own making: the same run gives the same bytes. Knows nothing
about MLflow.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from training import report_groups as groups
from training import report_parts as parts
from training.logged_model import CARD
from training.model_card import model_card
from training.outbox import REPORT
from training.report_words import (
    Told,
    between,
    doubt_limits,
    figure,
    headline,
    meaning_limits,
    which_models,
)
from training.weighted import Floats

PAGES = Environment(
    loader=PackageLoader("training"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_report(path: Path, told: Told) -> None:
    """Write the page of a run to `path`."""
    path.write_text(page(told), encoding="utf-8")


def write_told(folder: Path, told: Told) -> None:
    """Write the page and the model card into a run's folder."""
    write_report(folder / REPORT, told)
    (folder / CARD).write_text(model_card(told), encoding="utf-8")


def page(told: Told) -> str:
    """The page as text."""
    probability = told.model.probabilities(told.ready.parts["test"][0])
    return PAGES.get_template("report.html").render(_shown(told, probability))


def _shown(told: Told, probability: Floats) -> dict[str, Any]:
    """Everything that the template reads; an absent part is None or empty."""
    verdict, looked = told.verdict, told.looked
    claimed = verdict is not None and looked is not None and looked.claim is not None
    return {
        "told": told,
        "trained": told.model.contract.trained,
        "models": which_models(told),
        "counts": parts.counts(told),
        "left_out": parts.left_out(told),
        "time_line": parts.time_line_of(told),
        "headline": None if verdict is None else headline(verdict),
        "tiles": [] if verdict is None else _tiles(told),
        "metrics": None if verdict is None else parts.metric_table(told),
        "rule": _rule(told),
        "forests": [] if verdict is None else parts.forests(told),
        "claim": parts.claim_rows(told) if claimed else [],
        "quality": parts.quality_pictures(told, probability),
        "periods": [] if verdict is None else groups.group_rows(told, verdict.by_period),
        "backtest": [] if looked is None else groups.backtest_rows(told),
        "gaps": [] if verdict is None else groups.group_rows(told, verdict.by_gap),
        "past_gaps": [] if looked is None else groups.group_rows(told, looked.by_gap),
        "slices": [] if verdict is None else groups.slice_tables(told),
        "personas": groups.persona_rows(told),
        "moving": parts.moving(told),
        "examples": parts.examples(told, probability),
        "tried": None if told.audit is None else told.audit.tried,
        "meaning": list(meaning_limits(told)),
        "doubts": list(doubt_limits(told)),
    }


def _tiles(told: Told) -> list[tuple[str, str, str]]:
    """The few figures that stand at the top: a name, a value, and what to hold it against."""
    assert told.verdict is not None
    metrics, intervals = told.verdict.metrics, told.verdict.judgement.intervals["model"]
    return [
        ("Average precision", figure(metrics.average_precision),
         f"{between(intervals['average_precision'])}; base rate {figure(metrics.base_rate)}"),
        ("AUROC", figure(metrics.auroc), f"{between(intervals['auroc'])}; chance 0.500"),
        ("Lift at 10%", figure(metrics.lift_at_10, 1),
         f"{between(intervals['lift_at_10'], 1)}; chance 1.0"),
        ("Calibration error", figure(metrics.ece), f"{between(intervals['ece'])}; best 0.000"),
    ]  # fmt: skip


def _rule(told: Told) -> str:
    """The best rule in words."""
    found = [] if told.verdict is None else told.verdict.found
    return next((baseline.says for baseline in found if baseline.name == "best_rule"), "")
