"""The whole book: the scores of every customer in the cohort, as columns.

Takes a model and the journeys of many customers; gives an Arrow table with a row a scored
customer, and why the others have no score. What a customer gets here is what `serving.scoring`
says of the same journey. Knows nothing about files, stores or HTTP.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.cutoffs import (
    ALREADY_HAPPENED,
    IN_COHORT,
    OUTSIDE,
    AsOf,
    Moments,
    current,
    days_to_date,
    judge,
)
from features.durations import MISSING_TIME, WEEK
from features.engine import Matrix, Rows, compute_exact, count_visible
from features.event_log import EventLog, Ints
from features.feature import Feature, Where
from features.language import stage_feature
from features.outcomes import over
from models.contract import BANDS
from models.fitted import Explained, FittedModel
from models.persona import NO_PERSONA
from models.spoken import plain
from serving.book_reasons import Speaker, no_reasons
from serving.owners import WORDS, owner_column

Floats = NDArray[np.float64]

INSTANT = pa.timestamp("us", tz="UTC")

EDGES = np.array(sorted(least for least, _ in BANDS))
BAND_NAMES = tuple(name for _, name in sorted(BANDS))

COLUMNS: Mapping[str, tuple[pa.DataType, str]] = {
    "customer": (pa.string(), "the customer's id"),
    "as_of": (INSTANT, "the cutoff: nothing later played a part"),
    "valid_until": (INSTANT, "when the problem would be asked again; empty where nobody said"),
    "probability": (pa.float64(), "calibrated probability of the outcome, 0 to 1"),
    "interval_low": (pa.float64(), "lower bound of the rate among customers with such a score"),
    "interval_high": (pa.float64(), "upper bound of that rate"),
    "percentile": (pa.float64(), "place among the customers the model was judged on, 0 to 100"),
    "band": (WORDS, f"from the percentile: {', '.join(BAND_NAMES)}"),
    "week_ago": (
        pa.float64(),
        "what the same model says as of a week before as_of, by what was known then; empty where "
        "the customer was not in the cohort then",
    ),
    "value_at_stake": (pa.float64(), "what the problem's value sums up to; empty without one"),
    "expected_value": (pa.float64(), "probability × value at stake"),
    "stage": (WORDS, "stage of the last event that belongs to one"),
    "persona": (WORDS, "segment of customers whose journeys go alike; empty where too thin"),
    "owner": (WORDS, "who looks after the customer; empty where the business names nobody"),
    "last_event": (WORDS, "what happened last, as far as it was known as of then"),
    "last_event_time": (INSTANT, "when that was"),
    "date_due": (INSTANT, "the date the problem is about, such as that of a renewal"),
    "days_to_date": (pa.float64(), "days from as_of to date_due"),
    "base_points": (pa.float64(), "score of a typical customer, in percentage points"),
    "vector_hash": (pa.string(), "SHA-256 of the features (float32), as the ledger has it"),
}
"""Name, type and meaning of each column; reasons follow them, see `serving.book_reasons`."""


@dataclass(frozen=True)
class Part:
    """The book of some customers."""

    table: pa.Table
    """A row a scored customer, in the order of their ids."""
    unscored: Counter[str]
    """How many customers have no score, by the code of the reason."""


@dataclass(frozen=True)
class Wish:
    """What the book shall hold beside scores."""

    reasons: int = 5
    """How many reasons a row."""
    week_ago: bool = True
    """Whether to score as of a week ago too, which costs half as much again."""
    owner: str | None = None
    """The attribute that names who looks after a customer."""


def score_book(
    speaker: Speaker, log: EventLog, attributes: EventLog, as_of: AsOf, wish: Wish
) -> Part:
    """Score every customer of two logs who is in the cohort as of a moment."""
    model = speaker.model
    asked, vectors, unscored = scorable(model, log, attributes, as_of)
    if not len(asked):
        return Part(_table({}, 0, no_reasons(wish.reasons)), unscored)
    explained = model.explained(vectors)
    columns = {
        "customer": pa.array([log.customers[i] for i in asked.rows.customer.tolist()], pa.string()),
        **_scores(model, explained),
        **_about(model, log, attributes, asked),
    }
    columns["as_of"] = pa.array(asked.rows.cutoff_time, INSTANT)
    columns["valid_until"] = _valid_until(model, asked)
    columns["persona"] = _personas(model, vectors)
    if wish.owner is not None:
        whose = owner_column(attributes, wish.owner, asked.rows.customer, as_of.known_time)
        columns["owner"] = whose
    if wish.week_ago:
        columns["week_ago"] = _week_ago(model, log, attributes, asked, as_of)
    probability = columns["probability"].to_numpy()
    stake = columns["value_at_stake"].to_numpy(zero_copy_only=False)
    columns["expected_value"] = amounts(probability * stake)
    base, reasons = speaker.columns(vectors, explained, wish.reasons)
    columns["base_points"] = numbers(base)
    columns["vector_hash"] = pa.array([sha256(row.tobytes()).hexdigest() for row in vectors])
    return Part(_table(columns, len(asked), reasons), unscored)


def cohort(
    model: FittedModel, log: EventLog, attributes: EventLog, as_of: AsOf
) -> tuple[Moments, Counter[str]]:
    """Who is asked about as of a moment, and how many are not, by reason."""
    problem = model.contract.problem
    asked = current(problem, log, attributes, as_of)
    verdict = judge(problem, log, attributes, asked)
    verdict[(verdict == IN_COHORT) & over(problem, log, asked, as_of)] = ALREADY_HAPPENED
    codes, counts = np.unique(verdict[verdict != IN_COHORT], return_counts=True)
    unscored = Counter(
        {OUTSIDE[code][0]: n for code, n in zip(codes.tolist(), counts.tolist(), strict=True)}
    )
    return asked.take(verdict == IN_COHORT), unscored


def scorable(
    model: FittedModel, log: EventLog, attributes: EventLog, as_of: AsOf
) -> tuple[Moments, Matrix, Counter[str]]:
    """Who gets a score, with feature vectors; and how many do not, by reason."""
    asked, unscored = cohort(model, log, attributes, as_of)
    vectors = model.vectors(log, attributes, asked.rows)
    n_events = count_visible(log, asked.rows, Where(), None)
    refused = model.contract.familiarity.refused(vectors, n_events)
    unscored.update(why[0] for why in refused if why is not None)
    if any(why is not None for why in refused):
        some = np.array([why is None for why in refused])
        asked, vectors = asked.take(some), vectors[some]
    return asked, vectors, unscored


def bands(percentiles: Floats) -> NDArray[np.int32]:
    """The position in `BAND_NAMES` of each percentile's band."""
    return (np.searchsorted(EDGES, percentiles, side="right") - 1).astype(np.int32)


def numbers(values: Floats) -> pa.Array:
    """A column of numbers; NaN is null."""
    return pa.array(values, pa.float64(), from_pandas=True)


def amounts(values: Floats) -> pa.Array:
    """A column of sums or products as they are shown; NaN is null."""
    return numbers(np.array([plain(value) for value in values.tolist()], np.float64))


def _scores(model: FittedModel, explained: Explained) -> dict[str, pa.Array]:
    margins, probability = explained.margins, explained.probabilities
    percentile = model.percentiles(probability)
    found = {
        "probability": numbers(probability),
        "percentile": numbers(percentile),
        "band": words(bands(percentile), BAND_NAMES),
    }
    if model.interval is not None:
        low, high = model.interval.bounds(margins, probability)
        found |= {"interval_low": numbers(low), "interval_high": numbers(high)}
    return found


def words(codes: NDArray[np.int32], names: tuple[str, ...]) -> pa.DictionaryArray:
    """A column of text from positions in a list; below 0 is null."""
    indices = pa.array(codes, pa.int32(), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))


def _about(
    model: FittedModel, log: EventLog, attributes: EventLog, asked: Moments
) -> dict[str, pa.Array]:
    """What is at stake, where the journey stands, and the date that is due."""
    problem, rows = model.contract.problem, asked.rows
    found = {"value_at_stake": numbers(np.full(len(rows), np.nan))}
    found |= _last_events(log, rows)
    if problem.value is not None:
        stake = Feature("sum", of=problem.value.sum, last=problem.value.last)
        values = compute_exact([stake], log, attributes, rows)[:, 0]
        found["value_at_stake"] = amounts(values)
    if stages := _stages(model):
        now = compute_exact([stage_feature("stage_now", stages)], log, attributes, rows)[:, 0]
        codes = np.where(np.isnan(now), -1, now).astype(np.int32)
        found["stage"] = words(codes, tuple(name for name, _ in stages))
    ahead = days_to_date(problem, log, attributes, rows)
    if ahead is not None:
        found["days_to_date"] = numbers(ahead)
        found["date_due"] = _dates(ahead, rows.cutoff_time)
    return found


def _last_events(log: EventLog, rows: Rows) -> dict[str, pa.Array]:
    """Each row's last event that had happened and was known at its cutoff."""
    cutoff = np.full(log.n_customers, np.iinfo(np.int64).min)
    known = cutoff.copy()
    cutoff[rows.customer], known[rows.customer] = rows.cutoff_time, rows.known_time
    sizes = np.diff(log.offsets)
    seen = log.event_time <= np.repeat(cutoff, sizes)
    seen &= log.recorded_time <= np.repeat(known, sizes)
    there = np.flatnonzero(seen)
    newest = np.full(log.n_customers, -1)
    newest[np.repeat(np.arange(log.n_customers), sizes)[there]] = there  # the later one stays
    last = newest[rows.customer]
    none = last < 0
    code, when = np.full(len(rows), -1, np.int32), np.full(len(rows), MISSING_TIME)
    code[~none], when[~none] = log.event.codes[last[~none]], log.event_time[last[~none]]
    return {
        "last_event": words(code, log.event.levels),
        "last_event_time": pa.array(when, INSTANT, mask=none),
    }


def _stages(model: FittedModel) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The business's stages, as a feature of the contract carries them."""
    return next((f.stages for f in model.contract.features if f.stages), ())


def _dates(ahead: Floats, cutoff: Ints) -> pa.Array:
    known = ~np.isnan(ahead)
    due = np.full(len(ahead), MISSING_TIME)
    due[known] = cutoff[known] + np.rint(ahead[known] * 86_400_000_000).astype(np.int64)
    return pa.array(due, INSTANT, mask=~known)


def _valid_until(model: FittedModel, asked: Moments) -> pa.Array:
    """A score holds until the problem would be asked again; null where nobody said when."""
    problem = model.contract.problem
    lead = min(problem.before.lead) if problem.before else None
    length = problem.every or lead or problem.horizon
    if length is None:
        return pa.nulls(len(asked), INSTANT)
    return pa.array(asked.rows.cutoff_time + length, INSTANT)


def _personas(model: FittedModel, vectors: Matrix) -> pa.Array:
    personas = model.contract.personas
    if personas is None:
        return pa.nulls(len(vectors), WORDS)
    codes = np.asarray(personas.assign(vectors), np.int32)
    return words(np.where(codes == NO_PERSONA, -1, codes).astype(np.int32), personas.names)


def _week_ago(
    model: FittedModel, log: EventLog, attributes: EventLog, asked: Moments, as_of: AsOf
) -> pa.Array:
    """The score of a week before, so that a trend is the customer's and not the model's."""
    then = AsOf.then(as_of.moment - WEEK)
    before, vectors, _ = scorable(model, log, attributes, then)
    chances = np.full(log.n_customers, np.nan)
    if len(before):
        chances[before.rows.customer] = model.probabilities(vectors)
    return numbers(chances[asked.rows.customer])


def _table(
    columns: Mapping[str, pa.Array], n_rows: int, reasons: Mapping[str, pa.Array]
) -> pa.Table:
    """All columns in their order; one that says nothing is null."""
    full = {
        name: columns.get(name, pa.nulls(n_rows, kind)).cast(kind)
        for name, (kind, _) in COLUMNS.items()
    }
    return pa.table({**full, **reasons})
