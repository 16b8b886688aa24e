"""Encoding text, against Arrow's own encoder and Python's sort."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.categorical import ABSENT, Categorical, Runs
from features.encoding import MOST_LEVELS

TEXT = st.one_of(
    st.text(max_size=3), st.sampled_from(["abcdefgh", "abcdefghi", "abcdefgh" * 3, "ä" * 9, "\0"])
)
LAYOUTS = st.sampled_from([pa.string(), pa.large_string(), pa.string_view()])


def spelled(column: Categorical) -> list[str | None]:
    """The text that codes stand for."""
    return [None if code == ABSENT else column.levels[code] for code in column.codes.tolist()]


@given(st.lists(st.none() | TEXT), LAYOUTS, st.integers(0, 3), st.integers(0, 3))
def test_codes_spell_the_text(texts: list[str | None], layout: pa.DataType, a: int, b: int) -> None:
    """Codes of any slice of a column spell its text, and its sorted levels are those in use."""
    array = pa.array(texts, layout)[a : len(texts) - b if b else None]
    found = Categorical.of(array)
    assert array.to_pylist() == spelled(found)
    assert tuple(sorted({text for text in array.to_pylist() if text is not None})) == found.levels


@given(st.lists(st.none() | TEXT))
def test_a_list_is_encoded_as_a_column_is(texts: list[str | None]) -> None:
    """A short list, which is put into Arrow's layout here, has the codes of Arrow's own array."""
    ours, theirs = Categorical.of(texts), Categorical.of(pa.array(texts, pa.string()))
    assert ours.levels == theirs.levels and ours.codes.tolist() == theirs.codes.tolist()


@given(st.lists(TEXT), LAYOUTS, st.integers(0, 3))
def test_runs_are_encoded_alike(texts: list[str], layout: pa.DataType, first: int) -> None:
    """Ascending runs are found as they are, and nothing else is taken for such."""
    for each in (texts, sorted(texts)):
        array = pa.array(each, layout)[first:]
        usual, found = Categorical.of(array), Runs.of(array)
        assert (found is None) == (not len(array) or array.to_pylist() != sorted(array.to_pylist()))
        if found is not None:
            assert usual.levels == found.levels
            places = np.repeat(np.arange(len(found.levels)), np.diff(found.starts))
            np.testing.assert_array_equal(usual.codes, places)


@pytest.mark.parametrize("n_levels", [MOST_LEVELS, MOST_LEVELS + 1, 5_000])
def test_many_levels(n_levels: int) -> None:
    """More levels than the compiled encoder takes, and just as many, are encoded alike."""
    rng = np.random.default_rng(1)
    levels = [f"level {number:05d} of them all" for number in range(n_levels)]
    place = np.concatenate([np.arange(n_levels), rng.integers(0, n_levels, 10_000)])
    found = Categorical.of(pa.array(levels).take(pa.array(place)))
    assert tuple(levels) == found.levels
    np.testing.assert_array_equal(place, found.codes)
