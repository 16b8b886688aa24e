"""What a run found, as a program, MLflow and a person read it.

Takes what the stages of a run gave; gives the summary of `--json`, and parameters, numbers and
series with names. Knows nothing about how anything came about.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from features.durations import DAY, format_moment, parse_duration, parse_moment
from models.fitted import FittedModel
from models.persona import Personas
from training.engines import Engine
from training.evaluation import MODEL, Judgement, Metrics
from training.findings import Finding
from training.fitting import FEW_ROWS, parameters
from training.gate import Decision
from training.judging import TOLD, LookBack, Verdict, look_back_json, verdict_json
from training.prepare import Prepared
from training.record import Record
from training.slices import begin_of
from training.tracking import Logged
from training.tuned import as_told


@dataclass(frozen=True)
class Result:
    """What a run found."""

    problem: str
    logged: Logged
    ready: Prepared
    """The rows that trees were fitted and judged on."""
    verdict: Verdict
    looked: LookBack
    checks: tuple[Finding, ...]
    """Of the pre-flight check."""
    personas: Personas | None
    weekly_risk: dict[str, float]
    """Integrated Brier score of the weekly curves and of an even spread; see `training.timing`."""
    decision: Decision
    """Of the gate."""
    n_trees: int
    report: Path
    """The page of the run."""
    seconds: dict[str, float]

    @property
    def metrics(self) -> Metrics:
        return self.verdict.metrics

    def to_json(self) -> dict[str, Any]:
        """The summary that `--json` prints."""
        numbers_ = asdict(self.metrics)
        split, unknown = self.ready.split, self.ready.labelled.unknown
        segments = () if self.personas is None else self.personas.personas
        return {
            "problem": self.problem,
            "model_version": self.logged.version,
            "aliases": self.logged.aliases,
            "run_id": self.logged.run_id,
            "kept": None if self.logged.kept is None else str(self.logged.kept),
            "n_train": len(split.train),
            "n_validation": len(split.validation),
            "n_test": numbers_.pop("n"),
            "n_test_positive": numbers_.pop("n_positive"),
            "n_unknown": sum(unknown.values()),
            "unknown": unknown,
            **numbers_,
            "baselines": {
                b.name: {"auroc": b.auroc, "average_precision": b.average_precision}
                for b in self.verdict.found
            },
            "best_rule": next((b.says for b in self.verdict.found if b.name == "best_rule"), None),
            "weekly_risk": self.weekly_risk,
            "n_features": len(self.ready.features),
            "n_rounds": self.n_trees,
            "tuned": as_told(self.ready.tuned),
            "split": split.how,
            "preflight": [finding.to_json() for finding in self.checks],
            "gate": self.decision.to_json(),
            "personas": [{"name": p.name, "says": p.says, "share": p.share} for p in segments],
            "report": str(self.report),
            "notes": [*split.notes, *self.verdict.notes],
            "seconds": self.seconds,
            **verdict_json(self.verdict),
            **look_back_json(self.looked),
        }


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


def parameters_of(ready: Prepared, model: FittedModel) -> dict[str, Any]:
    """What a run was started with, for MLflow."""
    return {
        **parameters(len(ready.split.train), len(ready.features), ready.problem.seed),
        **ready.more,
        "tuned": ready.tuned is not None,
        "split": ready.split.how,
        "n_features": len(ready.features),
        "trees": len(model.trees),
        "refit": len(ready.split.train) < FEW_ROWS or ready.has_newer_rows,
    }


def numbers(verdict: Verdict, looked: LookBack, ready: Prepared) -> dict[str, float]:
    """What a run found, for MLflow."""
    found = {f"test_{key}": float(value) for key, value in asdict(verdict.metrics).items()}
    judgement = verdict.judgement
    for metric in ("auroc", "average_precision", "expected_value"):
        for name, of in {"test": judgement.intervals[MODEL], **judgement.differences}.items():
            begin = name if name == "test" else f"over_{name}"
            found[f"{begin}_{metric}_low"] = of[metric].low
            found[f"{begin}_{metric}_high"] = of[metric].high
    if looked.claim is not None:
        found["random_split_auroc"] = looked.claim.auroc
        found["random_split_average_precision"] = looked.claim.average_precision
    for baseline in verdict.found:
        found[f"{baseline.name}_auroc"] = baseline.auroc
        found[f"{baseline.name}_average_precision"] = baseline.average_precision
    found["n_train"] = float(len(ready.split.train))
    found["n_unknown"] = float(ready.labelled.n_unknown)
    return found


def record_series(record: Record, verdict: Verdict, looked: LookBack) -> None:
    """Metrics by period and by gap as steps, and a child run a period of the back-test."""
    record.log_by_period(
        (begin_of(group.level), _some(group.judgement))
        for group in verdict.by_period
        if group.judgement is not None
    )
    record.log_by_gap(
        (parse_duration(group.level) / DAY, _some(group.judgement))
        for group in verdict.by_gap
        if group.judgement is not None
    )
    for period in looked.backtest:
        record.log_period(
            parse_moment(period.first_cutoff), _some(period.judgement), {"n_train": period.n_train}
        )


def _some(judgement: Judgement) -> dict[str, float]:
    return {name: judgement.intervals[MODEL][name].value for name in TOLD}
