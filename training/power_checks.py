"""Checks of what the features can do: too much, nothing, or what they should not.

Takes evidence; gives findings about single features, the whole model, shuffled labels and
whether train and test can be told apart. Knows nothing about events or attributes.
"""

from collections.abc import Callable, Iterator, Sequence

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from training.evidence import FEWEST, Evidence, any_of, auroc, rates
from training.findings import LEAK, NOTE, WARNING, Finding
from training.fitting import parameters
from training.pipeline import Labels, Matrix

Floats = NDArray[np.float64]
Part = tuple[Matrix, Labels]
Scorer = Callable[[Matrix], Floats]
Learner = Callable[[Part, Part], Scorer]
"""Fits on train, may stop on validation, and gives what scores a matrix."""

LEAK_POWER = 0.95
"""A single feature with more AUROC than this on later rows is taken for the answer itself.
On histories that are known to be clean the highest were .846 (grocery churn: share of the last
eight weeks' purchases in the last four), .63 (grocery conversion) and .82 to .86 (synthetic
shops); published behavioural churn models reach .68 to .75 with all features together."""
MORE_THAN_COUNTS = 0.005
"""A property is no leak while it says less than mere counts of events, which are proven."""
WARN_POWER = 0.90
"""Half-way between the best honest single feature and a leak."""
MODEL_POWER = 0.97
"""A whole model above this; the best honest one that was measured had .86."""
SHUFFLES = 8
"""Fits on shuffled labels."""
SHUFFLE_T, SHUFFLE_AUROC = 4.785, 0.55
"""Shuffled labels score when their mean AUROC lies above one half by this many standard errors
(Student's t with 7 degrees of freedom, one-sided p = .001) and by an amount that matters."""
NOISE = 2.576 / 1.96
"""Labels are taken for noise when even a 99 % interval of the model's AUROC holds one half, so
that chance hides noise once in two hundred audits."""
ROUNDS = 100
QUICK_ROUNDS, QUICK_ROWS = 40, 4_000
"""What a fit on shuffled labels, or one that tells train from test, gets."""
APART = 0.6
"""Below this nobody needs to hear that train and test can be told apart."""
MOST_APART = 8
"""Features that are named which tell them apart: totals that grow with time come first."""


def grow_trees(train: Part, validation: Part, rounds: int = ROUNDS) -> Scorer:
    """The default learner: the trees of a training run, fewer of them."""
    chosen = {**parameters(len(train[1]), train[0].shape[1], 7), "max_bin": 63}
    data = lgb.Dataset(train[0], train[1], params=chosen)
    booster = lgb.train(
        chosen,
        data,
        rounds,
        valid_sets=[data.create_valid(validation[0], validation[1])],
        callbacks=[lgb.early_stopping(20, verbose=False)],
    )
    return lambda matrix: np.asarray(booster.predict(matrix))


def power_checks(
    evidence: Evidence, learner: Learner = grow_trees, leaking: Sequence[str] = ()
) -> Iterator[Finding]:
    """Everything about what the features can do together and alone.

    Parameters
    ----------
    leaking
        Properties that other checks found to leak: labels may be noise behind them.
    """
    test = evidence.label[evidence.question.test]
    if min(test.sum(), len(test) - test.sum()) < FEWEST:
        yield Finding(
            "L07", NOTE, "labels",
            f"The test part has {int(test.sum()):,} positives among {len(test):,} rows: too few to "
            "say how well anything scores. Checks of power were left out.",
        )  # fmt: skip
        return
    yield from single_features(evidence)
    yield from whole_model(evidence, learner, leaking)
    yield from shuffled_labels(evidence, learner)
    yield from told_apart(evidence)


def single_features(evidence: Evidence) -> Iterator[Finding]:
    """L05: features that rank later rows implausibly well on their own."""
    found, counted = [], 0.0
    for column, name in enumerate(evidence.names):
        power, score = evidence.power(np.asarray(evidence.matrix[:, column], dtype=np.float64))
        if name in evidence.counting:
            counted = max(counted, power)
        if power >= WARN_POWER:
            found.append((power, name, score))
    found.sort(key=lambda item: -item[0])
    # A sum of values is as strong as the count of what has a value; then the value adds nothing.
    bound = max(LEAK_POWER, counted + MORE_THAN_COUNTS)
    proven = [item for item in found if item[0] >= bound and item[1] not in evidence.counting]
    rest = [item for item in found if item not in proven]
    for severity, some in ((LEAK, proven), (WARNING, rest)):
        if some:
            yield _powerful(evidence, severity, some)


def _powerful(evidence: Evidence, severity: str, found: list[tuple[float, str, Floats]]) -> Finding:
    """L05 about the strongest of some features."""
    power, name, score = found[0]
    low, high = evidence.interval(score)
    others = f" {len(found) - 1} more do the like." if len(found) > 1 else ""
    counts = " Mere counts of events do as well: many rows may be of customers who left long ago."
    mends = (
        "Look where its source gets the value, and when; give its events a recorded_time.",
        "If it says that the customer has left already, leave such customers out of the cohort "
        "with active_within or without.",
        "If it is written afterwards, name the property in [features] ignore.",
    )
    return Finding(
        "L05", severity, name,
        f"{name} alone has AUROC {power:.3f} ({low:.3f} to {high:.3f}) on {len(score):,} later "
        f"rows; {LEAK_POWER if severity == LEAK else WARN_POWER} is the bound.{others}"
        f"{counts if severity == WARNING and evidence.counting else ''}",
        mends[1:2] if severity == WARNING and evidence.counting else mends,
        {"auroc": power, "low": low, "high": high,
         "features": {item[1]: round(item[0], 4) for item in found}},
    )  # fmt: skip


def whole_model(
    evidence: Evidence, learner: Learner, leaking: Sequence[str] = ()
) -> Iterator[Finding]:
    """L07 and L08: a model that learns nothing, or too much, from columns that do not leak."""
    honest = ~evidence.columns_reading(leaking)
    if not honest.any():
        return
    without = f" without what reads {any_of(leaking)}" if not honest.all() else ""
    train, validation, test = (
        (matrix[:, honest], label) for matrix, label in _parts(evidence, evidence.label)
    )
    score = learner(train, validation)(test[0])
    power = auroc(test[1], score)
    low, high = evidence.interval(score)
    counts = {"auroc": power, "low": low, "high": high, "n": len(score)}
    if power - (power - low) * NOISE <= 0.5:
        yield Finding(
            "L07", WARNING, "labels",
            f"These labels look like noise: a model's AUROC{without} on {len(score):,} later rows "
            f"is {power:.3f} ({low:.3f} to {high:.3f}), which may as well be .5.",
            (
                "Look whether the labels belong to these customers and times: wrong ids or dates "
                "give labels that nothing predicts.",
                "Do not promote a model of this problem.",
            ),
            counts,
        )  # fmt: skip
    elif power >= MODEL_POWER:
        yield Finding(
            "L08", WARNING, "model",
            f"A model{without} has AUROC {power:.3f} ({low:.3f} to {high:.3f}) on {len(score):,} "
            f"later rows; honest models of journeys stay below {MODEL_POWER}.",
            ("Train, and look at the features with the highest contributions one by one.",),
            counts,
        )  # fmt: skip


def shuffled_labels(evidence: Evidence, learner: Learner) -> Iterator[Finding]:
    """L06: a model of shuffled labels must rank the true labels of test no better than chance."""
    rng = np.random.default_rng(evidence.seed)
    question = evidence.question
    found = []
    for _ in range(SHUFFLES):
        label = evidence.label.copy()
        for part in (question.train, question.validation):
            label[part] = rng.permutation(label[part])
        train, validation, _test = _parts(evidence, label, QUICK_ROWS)
        scorer = (
            grow_trees(train, validation, QUICK_ROUNDS)
            if learner is grow_trees
            else learner(train, validation)
        )
        score = scorer(evidence.matrix[question.test])
        found.append(auroc(evidence.label[question.test], score))
    mean, spread = float(np.mean(found)), float(np.std(found, ddof=1))
    # Models that are alike to the last digit did not read the labels that they were given.
    t = (mean - 0.5) / max(spread / np.sqrt(SHUFFLES), 1e-9)
    if t > SHUFFLE_T and mean > SHUFFLE_AUROC:
        yield Finding(
            "L06", LEAK, "model",
            f"Models fitted on shuffled labels have a mean AUROC of {mean:.3f} over {SHUFFLES} "
            f"shuffles on the true labels of the test part (p < .001); it must be about .5.",
            (
                "Something else than the labels of train and validation reaches the fit: look for "
                "the test part, or for a column that is the label.",
            ),
            {"aurocs": [round(value, 4) for value in found], "t": float(t)},
        )  # fmt: skip


def told_apart(evidence: Evidence) -> Iterator[Finding]:
    """L34: which features tell train from test."""
    question = evidence.question
    rng = np.random.default_rng(evidence.seed)
    size = min(QUICK_ROWS, len(question.train), len(question.test))
    rows = np.concatenate(
        [rng.choice(part, size, replace=False) for part in (question.train, question.test)]
    )
    late = np.repeat(np.array([0, 1], dtype=np.int8), size)
    half = np.isin(evidence.rows.customer[rows], _half(evidence, rng))
    if min(half.sum(), (~half).sum()) < 2 * FEWEST:
        return
    matrix = np.asarray(evidence.matrix[rows], dtype=np.float64)
    scorer = grow_trees((matrix[half], late[half]), (matrix[half], late[half]), QUICK_ROUNDS)
    power = auroc(late[~half], scorer(matrix[~half]))
    if power < APART:
        return
    alone = {
        name: auroc(late[~half], rates(matrix[half, j], late[half], matrix[~half, j]))
        for j, name in enumerate(evidence.names)
    }
    top = sorted(alone, key=lambda name: -alone[name])[:MOST_APART]
    yield Finding(
        "L34", NOTE, "features",
        f"Train and test rows can be told apart with AUROC {power:.2f}, most by "
        f"{', '.join(f'{name} ({alone[name]:.2f})' for name in top)}. Totals that grow with time "
        "do this; a feed that began, stopped or changed its unit does too.",
        ("Look whether the feed of one that is no such total changed between the two",),
        {"auroc": power, "features": {name: round(alone[name], 4) for name in top}},
    )  # fmt: skip


def _half(evidence: Evidence, rng: np.random.Generator) -> NDArray[np.int64]:
    """Every second customer, drawn by chance."""
    customers = np.unique(evidence.rows.customer)
    return rng.permutation(customers)[: len(customers) // 2]


def _parts(evidence: Evidence, label: Labels, most: int | None = None) -> tuple[Part, Part, Part]:
    """Matrix and labels of train, validation and test, the first two at most so long."""
    question = evidence.question
    steps = [
        1 if most is None else -(-len(part) // most)
        for part in (question.train, question.validation)
    ]
    rows = (question.train[:: steps[0]], question.validation[:: steps[1]], question.test)
    train, validation, test = ((evidence.matrix[part], label[part]) for part in rows)
    return train, validation, test
