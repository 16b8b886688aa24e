"""Finding personas: segments of customers by how their journeys go, not by what becomes of them.

Takes a model's features and its training vectors; gives segments with names, or none where
the customers do not fall apart. Labels play no part, so that metrics a persona are honest, and
neither do attributes, recency or windows: a persona is read from the mix of what a customer
did so far and from its usual amounts. Knows nothing about models or files.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from features.engine import Matrix
from features.feature import EVENT, Feature
from models.meaning import NOTHING_SEEN
from models.persona import LEAST_EVENTS, Codes, Floats, Persona, Personas, Side, root
from models.seen import Seen
from models.spoken import Words
from training.persona_names import named
from training.prepare import ENOUGH_ROWS, Prepared

FEWEST, MOST = 3, 8
"""How many personas there may be."""

MIN_CUSTOMERS = 100
"""Fewer customers fall into no segments worth a name."""

ENOUGH_CUSTOMERS = 2_000
"""Customers among whom the segments are looked for; more change nothing that a person reads."""

ENOUGH_PAIRS = 1_000
"""Customers among whom the silhouette is measured; its cost grows with their square."""

SMALLEST = 0.05
"""A persona has at least this share of the customers."""

SPREAD = 0.5
"""At least this share of the customers has enough events for a side of behaviour to be looked
at."""

LEAST_REPEATED = 0.7
"""Below this agreement of two halves the segments are an accident of the sample."""

LEAST_KEPT = 0.3
"""Below this agreement of customers' first and last row a segment is a phase, and no persona."""

FEW = 30
"""Customers with two rows from which on that agreement means something."""

SPLITS = 3
"""How often the customers are halved to see whether the halves tell the same story."""

MOST_AMOUNTS = 6
"""Amounts of one kind of event that are looked at together."""

DECIMALS = 6
"""Digits of a stored number; more would differ between two machines' sums."""

NO_WORDS = Words()
"""What a business calls things that said nothing about it."""

ALIKE = 1e-9
"""Columns whose values lie nearer to each other tell nobody apart."""


@dataclass(frozen=True)
class Customers:
    """The training part's customers, one row each and sorted: at their last row and their first."""

    last: Matrix
    first: Matrix
    several: NDArray[np.bool_]
    """Whether the two are different rows, shape `(n_customers,)`."""


@dataclass(frozen=True)
class _Cut:
    """A way of telling customers apart, and how good it is."""

    sides: tuple[Side, ...]
    centres: Floats
    points: Floats
    """What distances are measured on, of customers with enough events."""
    silhouette: float
    """Of distinct points, -1 to 1 (Rousseeuw 1987): how much nearer to their own kind."""
    kept: float
    """Adjusted Rand index of customers' personas at their first and last row: 1 if all kept."""
    repeated: float = 1.0
    """Adjusted Rand index of what two halves of the customers say about all: 1 if the same."""

    @property
    def score(self) -> float:
        """What is compared: clear, found again in other customers, and kept by the same ones."""
        return self.silhouette * self.repeated * self.kept


def personas_of(
    ready: Prepared, words: Words = NO_WORDS, seen: Seen = NOTHING_SEEN
) -> Personas | None:
    """The personas of a problem's training part, whose rows may be thinned.

    Parameters
    ----------
    words, seen
        What the business calls things, and what its histories held, for names and sentences.
    """
    matrix = ready.parts["train"][0]
    matrix = matrix[:: -(-len(matrix) // ENOUGH_ROWS)]
    rows = ready.labelled.moments.rows
    train = ready.split.train
    train = train[:: -(-len(train) // ENOUGH_ROWS)]
    customers = customers_of(matrix, rows.customer[train], rows.cutoff_time[train])
    return find_personas(ready.features, customers, ready.problem.seed, words, seen)


def account_of(personas: Personas | None) -> str:
    """How many there are and how they are told apart, in one line."""
    if personas is None:
        return "none: customers do not fall into segments"
    return "; ".join(f"{one.name} ({one.share:.0%})" for one in personas.personas)


def find_personas(
    features: Sequence[Feature],
    customers: Customers,
    seed: int,
    words: Words = NO_WORDS,
    seen: Seen = NOTHING_SEEN,
) -> Personas | None:
    """Segments of customers, the largest first; None where they do not fall apart.

    One side of behaviour after the other (the mix of events, of channels, of any other
    property; the usual amounts of a frequent event) and each number of personas is tried with
    KMeans; the one with the highest product of silhouette, repeatability and persistence wins.
    The same customers give the same bytes, whatever the order of their rows and the number of
    cores.

    Parameters
    ----------
    features
        Those of the model; the personas read columns among them.
    words, seen
        What names and sentences are made of.
    """
    some = _some(customers, seed)
    with threadpool_limits(1):  # sums of several threads come in no fixed order
        cuts = [
            cut
            for side in _sides(features, some.last)
            for n in range(FEWEST, MOST + 1)
            if (cut := _cut((side,), some, n, seed)) is not None
        ]
        best = _best(cuts, seed)
    return None if best is None else _described(features, best, customers.last, words, seen)


def _best(cuts: list[_Cut], seed: int) -> _Cut | None:
    """The highest score of those that last and that halves of the customers repeat.

    Halving costs most, so it begins with the most promising and ends where no other can win.
    """
    best = None
    for cut in sorted(cuts, key=lambda cut: -cut.score):
        if cut.score <= (0.0 if best is None else best.score):
            break
        if cut.kept < LEAST_KEPT:
            continue
        halved = replace(cut, repeated=_repeated(cut.points, len(cut.centres), seed))
        if halved.repeated >= LEAST_REPEATED and (best is None or halved.score > best.score):
            best = halved
    return best


def _some(customers: Customers, seed: int) -> Customers:
    """As many customers as are enough, drawn by chance."""
    n = len(customers.last)
    if n <= ENOUGH_CUSTOMERS:
        return customers
    drawn = np.random.default_rng(seed).choice(n, ENOUGH_CUSTOMERS, replace=False)
    chosen = np.sort(drawn)
    return Customers(customers.last[chosen], customers.first[chosen], customers.several[chosen])


def customers_of(vectors: Matrix, who: Codes, cutoff_time: Codes) -> Customers:
    """Each customer's last and first row; `who` and `cutoff_time` have shape `(n_rows,)`."""
    order = np.lexsort((cutoff_time, who))
    edges = np.flatnonzero(np.diff(who[order], prepend=-1))
    ends = np.append(edges[1:], len(order)) - 1
    return Customers(vectors[order[ends]], vectors[order[edges]], ends > edges)


def _sides(features: Sequence[Feature], vectors: Matrix) -> Iterator[Side]:
    """The sides of behaviour that the features show and that most customers have."""
    mixes: dict[str, list[int]] = {}
    amounts: dict[str, list[int]] = {}
    counts: dict[str, int] = {}
    for column, feature in enumerate(features):
        place = _place(feature)
        if place is None:
            continue
        if feature.kind == "count":
            mixes.setdefault(place, []).append(column)
            if place == EVENT:
                counts[feature.where.name] = column
        elif place == EVENT and feature.kind in ("mean", "gap_mean"):
            amounts.setdefault(feature.where.name, []).append(column)
    for columns in mixes.values():
        yield from _fitted(tuple(columns), tuple(columns), vectors)
    for name, columns in amounts.items():
        if name in counts:
            yield from _fitted(tuple(columns[:MOST_AMOUNTS]), (counts[name],), vectors)


def _place(feature: Feature) -> str | None:
    """The property by which a feature chooses its events, if it reads one level of one
    property of the customer's own events, so far."""
    conditions = feature.where.conditions
    windowed = feature.last is not None or feature.events is not None
    if windowed or feature.over is not None or len(conditions) != 1:
        return None
    one = conditions[0]
    return one.column if len(one.levels) == 1 and not one.contains else None


def _fitted(columns: tuple[int, ...], counted: tuple[int, ...], vectors: Matrix) -> Iterator[Side]:
    """A side with its centre and scale; nothing where most customers lack it or are alike.

    A mix has one scale, that of the whole: the share of a rare event shall not weigh as much as
    that of a frequent one. Amounts have a scale each, as their units differ.
    """
    side = Side(columns, counted, (0.0,) * len(columns), (1.0,) * len(columns))
    enough = vectors[side.evidence(vectors) >= LEAST_EVENTS]
    if len(enough) < max(MIN_CUSTOMERS, SPREAD * len(vectors)) or len(columns) < 2:
        return
    roots = root(side.values(enough))
    known = ~np.isnan(roots)
    reach = np.where(known, roots, -np.inf).max(axis=0) - np.where(known, roots, np.inf).min(axis=0)
    if not (reach > ALIKE).all():
        left = tuple(column for column, r in zip(columns, reach, strict=True) if r > ALIKE)
        yield from _fitted(left, left if side.is_mix else counted, vectors)
        return
    spread = np.nanstd(roots, axis=0)
    whole = np.sqrt((spread**2).sum())
    scale = np.full(len(columns), whole) if side.is_mix else spread
    yield replace(side, centre=_plain(np.nanmean(roots, axis=0)), scale=_plain(scale))


def _cut(sides: tuple[Side, ...], customers: Customers, n: int, seed: int) -> _Cut | None:
    """Segments by some sides; None where one would be too small or no silhouette exists."""
    plain = Personas(sides, (), {})
    enough = plain.thick(customers.last)
    points = plain.points(customers.last[enough])
    if len(points) < MIN_CUSTOMERS or len(np.unique(points[:, 0])) <= n:
        return None
    fitted = _means(points, n, seed)
    centres = np.round(fitted.cluster_centers_, DECIMALS) + 0.0
    centres = centres[np.argsort(-np.bincount(fitted.labels_, minlength=n), kind="stable")]
    found = _unnamed(sides, centres)
    label = found.assign(customers.last)
    if np.bincount(label[enough], minlength=n).min() < SMALLEST * len(points):
        return None
    return _Cut(
        sides, centres, points, _silhouette(points, label[enough], seed),
        _kept(label, found.assign(customers.first), customers.several),
    )  # fmt: skip


def _unnamed(sides: tuple[Side, ...], centres: Floats) -> Personas:
    return Personas(sides, tuple(Persona("", "", 0.0, tuple(c)) for c in centres.tolist()), {})


def _means(points: Floats, n: int, seed: int) -> KMeans:
    return KMeans(n, n_init=4, random_state=seed).fit(points)


def _silhouette(points: Floats, label: Codes, seed: int) -> float:
    """Among distinct points: many customers at one and the same point are no segment yet."""
    _, distinct = np.unique(points, axis=0, return_index=True)
    if len(distinct) > ENOUGH_PAIRS:
        rng = np.random.default_rng(seed)
        distinct = rng.choice(distinct, ENOUGH_PAIRS, replace=False)
    label = label[distinct]
    if len(np.unique(label)) == 1:
        return -1.0
    return float(silhouette_score(points[distinct], label))


def _repeated(points: Floats, n: int, seed: int) -> float:
    """How well what halves of the customers say of all of them agrees, mean of `SPLITS`."""
    rng = np.random.default_rng(seed)
    agreed = []
    for _ in range(SPLITS):
        half = rng.permutation(len(points)) % 2 == 0
        one, other = (_means(points[chosen], n, seed) for chosen in (half, ~half))
        agreed.append(adjusted_rand_score(one.predict(points), other.predict(points)))
    return float(np.mean(agreed))


def _kept(last: Codes, first: Codes, several: NDArray[np.bool_]) -> float:
    """How well customers' personas at their first and their last row agree; 1 where too few
    have two."""
    both = (last >= 0) & (first >= 0) & several
    return float(adjusted_rand_score(first[both], last[both])) if both.sum() >= FEW else 1.0


def _plain(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in np.round(values, DECIMALS) + 0.0)


def _described(
    features: Sequence[Feature], best: _Cut, vectors: Matrix, words: Words, seen: Seen
) -> Personas:
    """Names, sentences and shares."""
    label = _unnamed(best.sides, best.centres).assign(vectors)
    known = label >= 0
    shares = np.bincount(label[known], minlength=len(best.centres)) / known.sum()
    told = named(features, best.sides, vectors[known], label[known], words, seen)
    trust = {
        "silhouette": round(best.silhouette, 3),
        "repeated": round(best.repeated, 3),
        "kept": round(best.kept, 3),
        "known": round(float(known.mean()), 3),
    }
    return Personas(
        best.sides,
        tuple(
            Persona(name, says, round(float(share), 4), tuple(centre))
            for (name, says), share, centre in zip(told, shares, best.centres.tolist(), strict=True)
        ),
        trust,
    )
