"""The leakage audit: may a model of this problem be believed?

Takes a business, one of its problems and its histories; proves by mutation that no feature
reads what its row could not know, and looks for leaks that are in the data themselves. Gives
an `Audit`. Knows nothing about MLflow, promotion or how a report is printed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.config import Business
from features.cutoffs import resolve
from features.durations import format_day
from features.overview import overview
from features.sources import Histories
from training.attribute_checks import attribute_checks
from training.clock import Clock
from training.event_checks import event_checks
from training.evidence import Evidence, any_of
from training.findings import LEAK, NOTE, SEVERITIES, WARNING, Finding
from training.leakage import CUTOFFS, Movement, Proof, prove
from training.pipeline import (
    CataloguePipeline,
    Fitted,
    FittedCatalogue,
    Journeys,
    Pipeline,
    question_of,
)
from training.power_checks import Learner, grow_trees, power_checks
from training.prepare import ask
from training.row_checks import row_checks

MOST_ROWS = {"train": 12_000, "validation": 6_000, "test": 8_000}
"""Rows of each part that are looked at, drawn by chance: more of them change no verdict."""


@dataclass(frozen=True)
class Audit:
    """What was found about one problem."""

    problem: str
    findings: tuple[Finding, ...]
    """The worst first."""
    proof: Proof
    n_rows: dict[str, int]
    """Rows of train, validation and test that were looked at."""
    n_rows_of: dict[str, int]
    """Rows that the parts have; where they are more, those looked at were drawn by chance."""
    n_features: int
    split: str
    seconds: dict[str, float]

    def of(self, severity: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == severity)

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """Findings that forbid a promotion."""
        return self.of(LEAK)

    @property
    def clean(self) -> bool:
        """Whether there is no leak; warnings are for a person to judge."""
        return not self.leaks

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            "problem": self.problem,
            "clean": self.clean,
            "counts": {severity: len(self.of(severity)) for severity in SEVERITIES},
            "findings": [finding.to_json() for finding in self.findings],
            "proof": {
                "n_edges": self.proof.n_edges,
                "n_rows": self.proof.n_rows,
                "n_values": self.proof.n_values,
                "n_customers": self.proof.n_customers,
                "n_customers_of": self.proof.n_customers_of,
                "mutations": list(self.proof.mutations),
            },
            "n_rows": self.n_rows,
            "n_rows_of": self.n_rows_of,
            "n_features": self.n_features,
            "split": self.split,
            "seconds": self.seconds,
        }


def audit(
    business: Business,
    problem_name: str,
    histories: Histories,
    pipeline: Pipeline | None = None,
    learner: Learner = grow_trees,
    say: Callable[[str], None] = lambda _: None,
    seed: int = 7,
    cutoffs: int = CUTOFFS,
) -> Audit:
    """Audit one problem.

    Parameters
    ----------
    pipeline
        What turns journeys into a matrix; the path that training uses unless given.
    learner
        What fits a model for the checks of power; trees like those of training unless given.
    say
        Called with a line after each stage.
    cutoffs
        How many moments the proof by mutation tries.

    Raises
    ------
    MilepostError
        When the problem can't be answered from these histories.
    """
    clock = Clock(say)
    problem = resolve(business.problem(problem_name), histories.log, histories.attributes)
    asked = ask(business, problem, histories, clock)
    journeys = Journeys(asked.log, asked.attributes)
    question = question_of(asked, MOST_ROWS, seed)
    whole = overview(asked.log, asked.attributes, problem.events)
    pipeline = pipeline or CataloguePipeline(business, problem, histories.end, whole)
    with clock.stage("features") as told:
        fitted = pipeline.fit(journeys, question)
        matrix = np.asarray(fitted(journeys, question.rows), dtype=np.float64)
        told.append(f"{len(matrix):,} rows × {len(fitted.names)} features")
    with clock.stage("mutations") as told:
        proof = prove(pipeline, journeys, question, problem, seed, cutoffs)
        told.append(f"{proof.n_values:,} values at {proof.n_edges} cutoffs compared")
    evidence = Evidence(
        business, problem, journeys, histories.end, question, fitted.names, matrix, seed,
        _counting(fitted),
    )  # fmt: skip
    findings = list(proved(proof))
    with clock.stage("checks"):
        findings += event_checks(evidence)
        findings += attribute_checks(evidence)
        findings += row_checks(evidence)
        leaking = sorted({found.subject for found in findings if found.severity == LEAK})
        findings += power_checks(evidence, learner, leaking)
    findings.sort(key=lambda finding: (SEVERITIES.index(finding.severity), finding.code))
    sizes = {part: len(getattr(question, part)) for part in MOST_ROWS}
    sizes_of = {part: len(getattr(asked.split, part)) for part in MOST_ROWS}
    return Audit(
        problem_name, tuple(findings), proof, sizes, sizes_of, len(fitted.names), asked.split.how,
        clock.seconds,
    )  # fmt: skip


def _counting(fitted: Fitted) -> frozenset[str]:
    """Names of the product's own features that read no property.

    What they read is proven to lie before the cutoff, and no value of theirs was typed in, so
    however strong they are they are no leak; a back-dated event is found by its own check.
    """
    if not isinstance(fitted, FittedCatalogue):
        return frozenset()
    pairs = zip(fitted.names, fitted.features, strict=True)
    return frozenset(name for name, feature in pairs if feature.of is None)


def proved(proof: Proof) -> Iterator[Finding]:
    """L01 to L04: what the proof by mutation says."""
    of = {kind: [m for m in proof.movements if m.kind == kind] for kind in _TOLD}
    for kind, (code, what, mends) in _TOLD.items():
        if of[kind]:
            yield _moved(code, what, mends, of[kind])
    if proof.columns_came or proof.columns_went:
        yield Finding(
            "L02", LEAK, "columns",
            "Which columns there are depends on what lies beyond the training part: "
            f"{len(proof.columns_came):,} come and {len(proof.columns_went):,} go when it changes, "
            f"such as {any_of((*proof.columns_came, *proof.columns_went))}.",
            ("Choose columns from what was recorded up to the training part's last known time.",),
            {"came": list(proof.columns_came), "went": list(proof.columns_went)},
        )  # fmt: skip
    if proof.cohort_moved:
        yield Finding(
            "L04", LEAK, "cohort",
            f"{proof.cohort_moved:,} rows belong to the cohort, or have their label window, only "
            "because of what came later.",
            ("Let the cohort ask only what was known at the cutoff.",),
            {"n_rows": proof.cohort_moved},
        )  # fmt: skip


_TOLD = {
    "row": (
        "L01",
        "moves when what lies beyond the row's cutoff or known time is {mutation}",
        (
            "Read only events with event_time <= cutoff_time and recorded_time <= known_time.",
            "Rates over other customers may count only outcomes that were known at the cutoff.",
        ),
    ),
    "fit": (
        "L02",
        "of a training row moves with what lies beyond the training part ({mutation})",
        ("Fit scalers, encodings and vocabularies on the training part alone, and keep them.",),
    ),
    "own_label": (
        "L03",
        "of a training row moves when that row's own label is turned round",
        ("Encode with labels of other rows that were known at the cutoff, or not with labels.",),
    ),
}
"""Code, sentence and mends by kind of movement."""


def _moved(code: str, what: str, mends: tuple[str, ...], found: list[Movement]) -> Finding:
    worst = max(found, key=lambda movement: movement.n_rows)
    others = f" {len(found) - 1:,} more features move." if len(found) > 1 else ""
    return Finding(
        code, LEAK, worst.feature,
        f"{worst.feature} {what.format(mutation=worst.mutation)}: {worst.before:g} becomes "
        f"{worst.after:g} for customer {worst.customer} at {format_day(worst.cutoff_time)}, one "
        f"of {worst.n_rows:,} rows.{others}",
        mends,
        {
            "features": {
                m.feature: {
                    "mutations": m.mutation.split(", "),
                    "n_rows": m.n_rows,
                    "customer": m.customer,
                    "cutoff": format_day(m.cutoff_time),
                    "before": None if np.isnan(m.before) else m.before,
                    "after": None if np.isnan(m.after) else m.after,
                }
                for m in found
            }
        },
    )  # fmt: skip


def verdict(audits: list[Audit]) -> int:
    """0 when no problem has a leak, else 1."""
    return int(any(not found.clean for found in audits))


__all__ = ["LEAK", "NOTE", "WARNING", "Audit", "audit", "proved", "verdict"]
