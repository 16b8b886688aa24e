"""What training tells of a persona: paths by hand, leanings by hand."""

import numpy as np
import pytest
from journeys import read_table

from features.durations import parse_moment
from features.language import events, having
from models.persona import Facts, Persona, Personas, Side, Trait, personas_from_json
from training.persona_facts import commonest, leaning_of, paths_of, told_by
from training.persona_names import says_the_same

STAGES = {"awareness": ["ad"], "decision": ["order"], "support": ["ticket"]}
LOG = read_table("""
    customer | event  | event_time | recorded_time
    a        | ad     | 2024-01-01 | -
    a        | visit  | 2024-01-02 | -
    a        | order  | 2024-01-03 | -
    a        | ad     | 2024-01-04 | -
    a        | ticket | 2024-02-01 | -
    b        | ad     | 2024-01-01 | -
    b        | order  | 2024-01-02 | -
    c        | ticket | 2024-01-01 | -
    c        | order  | 2024-01-02 | 2024-03-01
    d        | visit  | 2024-01-01 | -
""")
UNTIL = np.full(4, parse_moment("2024-01-31"))


def test_a_path_is_the_order_in_which_stages_were_first_reached() -> None:
    """Events of no stage, returns, and what was not known by the cutoff do not count."""
    found = paths_of(LOG, STAGES, np.arange(4), UNTIL)
    assert found is not None
    assert [[0, 1, -1], [0, 1, -1], [2, -1, -1], [-1, -1, -1]] == found.tolist()
    path, share = commonest(found, tuple(STAGES))
    assert ("awareness", "decision") == path
    assert share == pytest.approx(2 / 3, abs=1e-6)


def test_without_stages_or_events_there_is_no_path() -> None:
    """Where nothing says what a stage is, or the events are elsewhere, nothing is told."""
    assert paths_of(LOG, {}, np.arange(4), UNTIL) is None
    assert paths_of(None, STAGES, np.arange(4), UNTIL) is None
    assert ((), None) == commonest(np.full((2, 3), -1), tuple(STAGES))


def test_a_leaning_counts_pairs() -> None:
    """It is the share of pairs in which the persona's customer has more, ties half, less ½."""
    values = np.array([1.0, 2.0, 2.0, 5.0, np.nan])
    mine = np.array([False, False, True, True, True])
    pairs = [1.0, 0.5, 1.0, 1.0]
    assert leaning_of(values, mine) == pytest.approx(np.mean(pairs) - 0.5)
    assert 0.0 == leaning_of(values, np.zeros(5, bool))


def test_what_tells_personas_apart_is_told_once() -> None:
    """Of a mixed property no other feature is a trait too, and of two levels the rarer one is."""
    yes, no = (having("late", level).count() for level in ("yes", "no"))
    share, order = events("payment").level_share("late", "yes"), events("order").count()
    sides = (Side((0, 1), (0, 1), (0.0, 0.0), (1.0, 1.0)),)
    said = told_by((yes, no, share, order), sides)
    assert {yes.group, no.group, share.group} == said
    vectors = np.array([[2, 18, 0.1, 3], [0, 20, 0, 3]], np.float32)
    assert 1 == says_the_same(sides[0], vectors)
    assert 0 == says_the_same(sides[0], vectors[:, [1, 0]])
    assert says_the_same(Side((0, 1, 2), (0, 1, 2), (0.0,) * 3, (1.0,) * 3), vectors) is None


def test_facts_survive_their_json_and_may_be_absent() -> None:
    """A persona with facts comes back the same; one of an older model has none."""
    facts = Facts(10, 20, 0.2, 0.1, 0.3, (Trait("Orders", 2.0, 3.0, "events"),), ("a", "b"), 0.5)
    for told in (facts, None):
        personas = Personas((), (Persona("One", "Says.", 1.0, (), told),), {})
        assert personas == personas_from_json(personas.to_json([]), [])
