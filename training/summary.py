"""A run in a few lines of Markdown, for the page that a person opens.

Takes a record and a contract; gives text. Knows nothing about MLflow.
"""

from features.durations import format_moment, spell_duration
from models.contract import Contract
from training.record import Record

JUDGED = (
    ("test_auroc", "AUROC"),
    ("test_average_precision", "average precision"),
    ("test_brier", "Brier score"),
    ("test_ece", "calibration error"),
    ("test_lift_at_10", "lift at 10 %"),
)
"""Metrics of the test part that a description names, where a run has them."""


def describe_run(record: Record, contract: Contract) -> str:
    """What was predicted for whom, from what, and how well."""
    problem = contract.problem
    window = f"within {spell_duration(problem.horizon)}" if problem.horizon else "as labelled"
    judged = [(says, record.metrics[key]) for key, says in JUDGED if key in record.metrics]
    best = ", ".join(f"{says} {value:.3f}" for says, value in judged[:2])
    lines = [
        f"**{record.problem}** of **{record.business}**, {window}"
        + (f": {best} on untouched rows." if best else "."),
        "",
        f"- Histories: {record.manifest['n_events']:,} events of "
        f"{record.manifest['n_customers']:,} customers, to {record.manifest['history_end'][:10]}.",
        f"- Split: {record.tags['split']}.",
        f"- Base rate: {record.tags['base_rate']}.",
        f"- Judged: {record.tags['judged_model']}.",
        f"- Registered: {record.tags['registered_model']}.",
    ]
    if record.parts:
        lines += ["", "| part | rows | positive |", "|---|--:|--:|"]
        lines += [f"| {p.context} | {p.n_rows:,} | {p.n_positive:,} |" for p in record.parts]
    if judged:
        lines += ["", "| on the test part | |", "|---|--:|"]
        lines += [f"| {says} | {value:.4f} |" for says, value in judged]
    lines += ["", f"Finished {format_moment(record.finished * 1_000)[:19]} UTC."]
    return "\n".join(lines)
