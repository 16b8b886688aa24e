"""What holds of personas whatever the histories: alone or together, in any order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.language import events, having
from models.persona import FARTHEST, LEAST_EVENTS, NO_PERSONA, Persona, Personas, Side
from training.personas import customers_of, find_personas

COUNT = st.one_of(st.integers(0, 2000).map(float), st.just(np.nan))
AMOUNT = st.floats(-1e6, 1e6, width=32) | st.just(np.nan)
ROWS = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        arrays(np.float32, (n, 3), elements=COUNT), arrays(np.float32, (n, 2), elements=AMOUNT)
    ).map(np.column_stack)
)

PERSONAS = Personas(
    (
        Side((0, 1, 2), (0, 1, 2), (0.61, 0.33, 0.271), (0.47, 0.47, 0.47)),
        Side((3, 4), (2,), (11.3, -2.9), (7.1, 0.9)),
    ),
    tuple(
        Persona(f"{n}", "", 0.25, tuple(centre))
        for n, centre in enumerate(np.random.default_rng(5).normal(size=(4, 5)).round(6).tolist())
    ),
    {},
)

CHANNELS = ("email", "chat", "phone")
FEATURES = tuple(having("channel", level).count() for level in CHANNELS)


@given(ROWS)
def test_a_row_alone_gets_what_it_gets_among_others(rows: np.ndarray) -> None:
    """Batch and single answers are the same, and so are those of rows in another order."""
    rows = rows.astype(np.float32)
    together = PERSONAS.assign(rows)
    alone = [int(PERSONAS.assign(rows[i : i + 1])[0]) for i in range(len(rows))]
    assert alone == together.tolist()
    for layout in (np.asfortranarray(rows), np.repeat(rows, 2, axis=1)[:, ::2]):
        assert alone == PERSONAS.assign(layout).tolist()
    order = np.random.default_rng(0).permutation(len(rows))
    assert np.array_equal(together[order], PERSONAS.assign(rows[order]))


@given(ROWS)
def test_personas_are_the_nearest_centres_of_standardised_values(rows: np.ndarray) -> None:
    """Points, too thin histories and nearest centres are those of the formula."""
    rows = rows.astype(np.float32)
    points, thick = [], np.ones(len(rows), bool)
    for side in PERSONAS.sides:
        n_events = side.evidence(rows)
        thick &= n_events >= LEAST_EVENTS
        values = side.values(rows)
        with np.errstate(invalid="ignore"):
            roots = np.sign(values) * np.sqrt(np.abs(values))
        points.append((roots - np.array(side.centre)) / np.array(side.scale))
    expected = np.nan_to_num(np.clip(np.concatenate(points, axis=1), -FARTHEST, FARTHEST), nan=0.0)
    assert np.array_equal(PERSONAS.points(rows), expected)
    assert np.array_equal(PERSONAS.thick(rows), thick)
    centres = np.array([persona.centre for persona in PERSONAS.personas])
    far = ((expected[:, None, :] - centres) ** 2).sum(axis=2)
    found = PERSONAS.assign(rows)
    assert np.array_equal(found == NO_PERSONA, ~thick)
    nearest = far[np.arange(len(rows)), np.where(thick, found, 0)]
    assert (nearest[thick] <= far.min(axis=1)[thick] * (1 + 1e-12)).all()


@given(st.integers(0, 2**31 - 1))
@settings(max_examples=5)
def test_the_order_of_training_rows_changes_nothing(seed: int) -> None:
    """Shuffled rows give the same personas, to the byte."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(150), 2)
    cutoff = np.tile([1, 2], 150)
    likes = np.eye(3)[who % 3] * 0.8 + 0.2 / 3
    rows = np.array([rng.multinomial(30, p) for p in likes], np.float32)
    order = rng.permutation(len(rows))
    expected = find_personas(FEATURES, customers_of(rows, who, cutoff), seed=1)
    shuffled = customers_of(rows[order], who[order], cutoff[order])
    found = find_personas(FEATURES, shuffled, seed=1)
    assert expected is not None
    assert found is not None
    names = [feature.name for feature in FEATURES]
    assert expected.to_json(names) == found.to_json(names)
    assert expected == found


def test_first_and_last_rows_are_those_in_time() -> None:
    """A customer's rows are put in order of time; one alone counts once."""
    rows = np.arange(8, dtype=np.float32).reshape(4, 2)
    found = customers_of(rows, np.array([3, 1, 3, 3]), np.array([20, 5, 10, 30]))
    assert [[2, 3], [6, 7]] == found.last.tolist()
    assert [[2, 3], [4, 5]] == found.first.tolist()
    assert [False, True] == found.several.tolist()


def test_events_of_other_kinds_do_not_matter() -> None:
    """A column that no side reads changes no persona."""
    rng = np.random.default_rng(2)
    likes = np.eye(3)[np.arange(150) % 3] * 0.8 + 0.2 / 3
    rows = np.array([rng.multinomial(30, p) for p in likes], np.float32)
    who = np.arange(150)
    plain = find_personas(FEATURES, customers_of(rows, who, who), seed=1)
    more = np.column_stack([rows, rng.normal(size=150)]).astype(np.float32)
    recency = (*FEATURES, events("login").recency())
    assert plain == find_personas(recency, customers_of(more, who, who), seed=1)
