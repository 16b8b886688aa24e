"""A model tried on invented rows before anybody is scored by it.

Takes a fitted model; asks of it all that a request would ask, and refuses it unless every answer
is sound: finite, within its range, and contributions that add up. So what is slow the first
time, such as compiled passes, has happened too. Knows nothing about where the model came from.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from features.cutoffs import Moments
from features.durations import BEGINNING, DAY, parse_moment
from features.engine import Matrix, Rows
from features.errors import ModelFilesError
from features.event_log import CATEGORY, NUMBER, TIME, EventLog, build_log
from models.contract import Contract
from models.fitted import FittedModel

Floats = NDArray[np.float64]

NOW = parse_moment("2024-01-01")
WHO = ("busy", "quiet")
N_EVENTS, N_VECTORS = 60, 32
SEED = 1
CLOSE = 1e-9
"""What contributions may miss the margin by, relative to the largest of them."""


def try_model(model: FittedModel) -> None:
    """Score invented rows.

    Raises
    ------
    ModelFilesError
        When an answer is not sound, or when there is none.
    """
    try:
        vectors = np.concatenate([_through_the_engine(model), invented_vectors(model.contract)])
        _check(model, np.ascontiguousarray(vectors, np.float32))
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise ModelFilesError(
            f"The model can't score invented customers: {type(error).__name__}: {error}. Train it "
            "again."
        ) from error


def invented_log(kinds: Mapping[str, str], names: Sequence[str]) -> EventLog:
    """A history with a column for every property; of `WHO` only the first has any row.

    Without names of events it is a statement that holds always, as of attributes.
    """
    chance = np.random.default_rng(SEED)
    n = N_EVENTS if names else 1
    happened = NOW - np.arange(n) * 3 * DAY if names else np.full(n, BEGINNING)

    def of_kind(kind: str) -> list[str]:
        return [name for name in kinds if kinds[name] == kind]

    log = build_log(
        [WHO[0]] * n,
        happened.astype(np.int64),
        [names[i % len(names)] if names else "attributes" for i in range(n)],
        None,
        {name: chance.gamma(2.0, 10.0, n) for name in of_kind(NUMBER)},
        {name: ["a" if i % 2 else "b" for i in range(n)] for name in of_kind(CATEGORY)},
        {name: np.full(n, NOW + 30 * DAY) for name in of_kind(TIME)},
    )
    return log.aligned(WHO)


def invented_vectors(contract: Contract) -> Matrix:
    """Rows around what is usual, some cells missing, some enormous, `(N_VECTORS, n_features)`."""
    chance = np.random.default_rng(SEED)
    usual = np.array([np.nan if value is None else value for value in contract.usual], np.float64)
    shape = (N_VECTORS, len(usual))
    rows = np.nan_to_num(usual) * chance.gamma(1.0, 1.0, shape) + chance.normal(0.0, 1.0, shape)
    rows[chance.random(shape) < 0.2] = np.nan
    rows[0], rows[1], rows[2], rows[3] = usual, np.nan, 1e20, -1e20
    return rows.astype(np.float32)


def _through_the_engine(model: FittedModel) -> Matrix:
    """Vectors of customers with and without a history, `(n_customers, n_features)`."""
    contract = model.contract
    log = invented_log(contract.event_kinds, contract.event_names or ("event",))
    about = invented_log(contract.attribute_kinds, ())
    now = np.full(len(WHO), NOW, np.int64)
    rows = Rows(np.arange(len(WHO)), now, now)
    vectors = model.vectors(log, about, rows)
    alone = model.vectors(log.history(WHO[0]), about.history(WHO[0]), rows.take(np.array([0])))
    _require((vectors[:1] == alone) | np.isnan(alone), "a customer alone has other features")
    return vectors


def _check(model: FittedModel, vectors: Matrix) -> None:
    margins, scores = model.margins(vectors), model.probabilities(vectors)
    _require(np.isfinite(margins), "a margin is not finite")
    _require((scores > 0) & (scores < 1), "a probability is not between 0 and 1")
    contributions, base = model.contributions(vectors)
    _require(np.isfinite(contributions), "a contribution is not finite")
    size = np.maximum(1.0, np.abs(contributions).max(axis=1, initial=0.0))
    missed = np.abs(contributions.sum(axis=1) + base - margins)
    _require(missed <= CLOSE * size, "contributions and base do not add up to the margin")
    quantiles = np.asarray(model.contract.score_quantiles, np.float64)
    _require((quantiles >= 0) & (quantiles <= 1), "percentiles are not told by probabilities")
    _require(np.diff(quantiles) >= 0, "percentiles do not rise with the probability")
    standing = model.percentiles(scores)
    _require((standing >= 0) & (standing <= 100), "a percentile is not between 0 and 100")
    _check_bounds(model, vectors, scores)
    _check_weeks(model, vectors, scores)
    if model.contract.personas is not None:
        model.contract.personas.assign(vectors)
    one = vectors[:1]
    alone = model.probabilities(one), model.contributions(one)[0][0]
    _require(alone[0] == scores[:1], "a row alone has another score than among others")
    _require(
        np.abs(alone[1] - contributions[0]) <= CLOSE * size[0], "a row alone has other reasons"
    )


def _check_bounds(model: FittedModel, vectors: Matrix, scores: Floats) -> None:
    bounds = model.bounds(vectors)
    if bounds is not None:
        _require((bounds[0] <= scores) & (scores <= bounds[1]), "a score lies beyond its interval")


def _check_weeks(model: FittedModel, vectors: Matrix, scores: Floats) -> None:
    moments = np.full(len(vectors), NOW, np.int64)
    length = model.contract.problem.horizon or 60 * DAY
    rows = Rows(np.zeros(len(vectors), np.int64), moments, moments)
    weekly = model.weekly(vectors, Moments(rows, moments, moments + length))
    if weekly is not None:
        _require((weekly >= 0) & (weekly <= 1), "a week's probability is not between 0 and 1")
        _require(weekly[:, -1] == scores, "the weekly risk does not end at the score")


def _require(sound: NDArray[np.bool_], otherwise: str) -> None:
    if not sound.all():
        raise ModelFilesError(f"On an invented customer {otherwise}. Train the model again.")
