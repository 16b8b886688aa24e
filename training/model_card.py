"""The model card: what a model is for, how good it is for whom, and what may be wrong with it.

Takes `Told`; gives Markdown that stands in the registered version. Knows nothing about MLflow.
Headings: Mitchell et al. (2019), Model cards for model reporting.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from features.durations import spell_duration
from features.feature import spoken
from features.kinds import ATTRIBUTES
from models.contract import Contract
from models.question import question
from training.evaluation import MODEL
from training.report_groups import slice_tables
from training.report_parts import counts, left_out
from training.report_words import (
    METRICS,
    Told,
    between,
    called,
    doubt_limits,
    figure,
    headline,
    meaning_limits,
    signed,
    which_models,
)


def model_card(told: Told) -> str:
    """The card of a run's model."""
    parts = [
        f"# {plain(told.name)} of {plain(told.business)}",
        *_details(told), *_use(told), *_factors(told), *_metrics(told), *_data(told),
        *_ethics(told), *_caveats(told),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Text that Markdown and HTML take as it is, on one line."""
    one_line = " ".join(str(text).split())
    for letter, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        one_line = one_line.replace(letter, escaped)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", one_line)


def _details(told: Told) -> Iterator[str]:
    contract = told.model.contract
    yield "## Model details"
    yield _bullets(
        [
            f"Gradient-boosted trees (LightGBM) of {len(contract.features):,} features of a "
            "customer's journey up to a cutoff, then calibrated to a probability.",
            f"Output: {question(contract.problem)}; with it exact TreeSHAP contributions and "
            "reasons in words.",
            *(f"{title}: {says}." for title, says in which_models(told)),
            f"Split: {told.ready.split.how}.",
            f"Digest of the histories: {contract.trained['data_digest']}.",
            f"Seed: {contract.problem.seed}.",
        ]
    )


def _use(told: Told) -> Iterator[str]:
    action = told.ready.problem.action
    yield "## Intended use"
    yield plain(told.asked)
    yield (
        "It is meant for deciding whom to look at first, with the reasons beside the score, by "
        f"people who can act on about {action.capacity:.0%} of the cohort."
    )
    yield "Out of scope:"
    yield _bullets(meaning_limits(told))


def _factors(told: Told) -> Iterator[str]:
    personas = told.model.contract.personas
    yield "## Factors"
    names = [table["title"] for table in slice_tables(told)] if told.verdict is not None else []
    looked = f"Judged apart by {', '.join(map(plain, names))}." if names else (
        "No kind of customer is large enough to be judged apart."
    )  # fmt: skip
    yield f"{looked} Periods and gaps are told in the report."
    if personas is not None:
        yield "Personas, found from journeys without looking at any outcome:"
        yield _bullets(f"{one.name} ({one.share:.0%}): {one.says}" for one in personas.personas)


def _metrics(told: Told) -> Iterator[str]:
    if told.verdict is None:
        return
    judgement = told.verdict.judgement
    mine = judgement.intervals[MODEL]
    yield "## Metrics"
    yield plain(headline(told.verdict)[1])
    yield _table(
        ("On the test part", "value", "95% interval"),
        [
            (wording.title, figure(mine[name].value, wording.digits),
             between(mine[name], wording.digits))
            for name, wording in METRICS.items()
            if name in mine
        ],
    )  # fmt: skip
    yield _table(
        ("Average precision over", "difference", "95% interval"),
        [
            (called(name), signed(of["average_precision"].value),
             between(of["average_precision"], with_sign=True))
            for name, of in judgement.differences.items()
        ],
    )  # fmt: skip
    if told.looked is not None and told.looked.claim is not None:
        claim = told.looked.claim
        yield (
            f"A random split would have claimed AUROC {figure(claim.auroc)} and average precision "
            f"{figure(claim.average_precision)}."
        )


def _data(told: Told) -> Iterator[str]:
    yield "## Evaluation and training data"
    yield _table(
        ("part", "rows", "customers", "positive", "cutoffs", "labels known by"),
        [
            (row["part"], f"{row['n']:,}", f"{row['customers']:,}",
             f"{row['positives']:,} ({row['rate']:.1%})", f"{row['from']} to {row['to']}",
             row["closes"])
            for row in counts(told)
        ],
    )  # fmt: skip
    unknown = [f"{n:,} rows without a label: {why}." for why, n in left_out(told)]
    sources = [
        f"{one['name']}: {one['kept']:,} of {one['read']:,} rows kept"
        + (f", {one['first'][:10]} to {one['last'][:10]}." if one["first"] else ", undated.")
        for one in told.manifest.get("sources", ())
    ]
    yield _bullets([*unknown, *(f"Source {line}" for line in sources)])


def _ethics(told: Told) -> Iterator[str]:
    yield "## Ethical considerations"
    attributes = _attributes(told.model.contract)
    says = (
        f"The model reads these attributes of a customer: {', '.join(map(plain, attributes))}. "
        "Look whether the law and your own rules allow a decision to rest on them; `ignore` in "
        "journey.toml leaves an attribute out."
        if attributes
        else "The model reads no attribute of a customer, only what they did."
    )
    yield says
    yield (
        "A score alone should not take anything away from a customer: it is a probability, often "
        "wrong for one person, and a person should be able to ask for its reasons."
    )


def _attributes(contract: Contract) -> list[str]:
    return sorted({f.of for f in contract.features if f.of is not None and f.source == ATTRIBUTES})


def _caveats(told: Told) -> Iterator[str]:
    yield "## Caveats and recommendations"
    found = list(doubt_limits(told))
    found += [f"Pre-flight {one.code}: {one.says}" for one in told.checks]
    if told.audit is not None:
        leaks = len(told.audit.leaks)
        found.append(f"Leakage audit: {f'{leaks} leaks' if leaks else 'no leak'}.")
    if told.decision is not None:
        verdict = "fit to be champion" if told.decision.passed else "not fit to be champion"
        found.append(
            f"Gate: {verdict}. {' '.join(f'{r.code} {r.says}' for r in told.decision.reasons)}"
        )
    horizon = told.ready.problem.horizon
    if horizon:
        after = horizon + told.ready.problem.gap
        found.append(
            f"How good a score was is known {spell_duration(after)} after it was given. Compare "
            "then, and train again when calibration or lift have worn off."
        )
    value = told.ready.problem.value
    if value is not None:
        found.append(f"What is at stake is the sum of {spoken(value.sum)}, as the events give it.")
    yield _bullets(found)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)
