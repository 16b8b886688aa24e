"""Text as codes into sorted levels.

Takes columns of text; gives codes that order as the text does, and the levels. Knows nothing
about events, customers or features.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.encoding import MOST_LEVELS, few, renumber, runs

ABSENT = -1
"""The code of a missing category."""

MANY = 1_000
"""Texts of a list that are left to Arrow, which is faster by then."""

Text: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[str | None]


@dataclass(frozen=True)
class Categorical:
    """A column of text as codes into sorted levels."""

    codes: NDArray[np.int32]
    """Shape `(n_events,)`; `ABSENT` where missing."""
    levels: tuple[str, ...]
    """Sorted, so that codes order as the text does whatever other rows there are."""

    @classmethod
    def of(cls, column: Text) -> "Categorical":
        """Encode text; nulls become `ABSENT`."""
        array = _one_chunk(column)
        if pa.types.is_dictionary(array.type):
            return cls._ranked(array.indices, array.dictionary.cast(pa.string()))
        array = _text(array)
        firsts, codes = np.empty(MOST_LEVELS, np.int64), np.empty(len(array), np.int32)
        found = few(*_buffers(array), codes, firsts) if len(array) else 0
        if found < 0:
            encoded = array.dictionary_encode()
            return cls._ranked(encoded.indices, encoded.dictionary, all_used=True)
        seen = array.take(_places(firsts[:found])).to_pylist()
        order = sorted(range(found), key=seen.__getitem__)
        rank = np.empty(found, np.int32)
        rank[order] = np.arange(found, dtype=np.int32)
        renumber(codes, rank)
        return cls(codes, tuple(seen[place] for place in order))

    @classmethod
    def _ranked(
        cls, indices: pa.Array, dictionary: pa.Array, all_used: bool = False
    ) -> "Categorical":
        """Codes that order as the text does; a level that no row has is left out."""
        used = np.arange(len(dictionary))
        if not all_used:
            used = np.sort(pc.unique(indices).drop_null().to_numpy(zero_copy_only=False))
        seen = dictionary.take(_places(used)).to_pylist()
        if len(set(seen)) < len(seen) or None in seen:
            return cls.of(dictionary.take(indices))
        order = sorted(range(len(seen)), key=seen.__getitem__)
        rank = np.full(len(dictionary) + 1, ABSENT, np.int32)
        rank[used[order]] = np.arange(len(seen), dtype=np.int32)
        places = indices
        if indices.null_count:
            places = pc.fill_null(indices, pa.scalar(len(dictionary), indices.type))
        codes = rank[places.to_numpy(zero_copy_only=False)]
        return cls(codes, tuple(seen[place] for place in order))

    def code(self, level: str) -> int:
        """The code of a level; a value that no event has when the level is unknown."""
        at = bisect_left(self.levels, level)
        return at if at < len(self.levels) and self.levels[at] == level else ABSENT - 1

    def take(self, order: NDArray[np.int64] | slice) -> "Categorical":
        """The same column with its rows in another order."""
        return replace(self, codes=self.codes[order])


@dataclass(frozen=True)
class Runs:
    """A column of text whose equal values stand together and ascend, as ids often do."""

    starts: NDArray[np.int64]
    """Where each level's rows begin, `(n_levels + 1,)`."""
    levels: tuple[str, ...]

    @classmethod
    def of(cls, column: Text) -> "Runs | None":
        """Encode text; None where equal values stand apart or don't ascend."""
        array = _one_chunk(column)
        if pa.types.is_dictionary(array.type) or not len(array) or array.null_count:
            return None
        array = _text(array)
        starts = np.empty(len(array) + 1, np.int64)
        offsets, wide, text, _, _, n = _buffers(array)
        found = runs(offsets, wide, text, n, starts)
        if found < 0:
            return None
        firsts = _places(starts[:found])
        return cls(starts[: found + 1].copy(), tuple(array.take(firsts).to_pylist()))

    def __len__(self) -> int:
        return int(self.starts[-1])


def _one_chunk(column: Text) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(column, pa.Array):
        return column
    if isinstance(column, list | tuple) and len(column) < MANY:
        return _of_texts(column)
    return pa.array(column, pa.string())


def _of_texts(texts: Sequence[str | None]) -> pa.Array:
    """A short list of texts as Arrow has them.

    `pa.array` would import pandas, into every process that serves: a third of a second of its
    start, and 40 MB.
    """
    encoded = [b"" if text is None else text.encode() for text in texts]
    ends = np.array([0, *accumulate(map(len, encoded))], np.int64)
    valid = None
    if None in texts:
        there = np.array([text is not None for text in texts])
        valid = pa.py_buffer(np.packbits(there, bitorder="little"))
    buffers = valid, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))
    return pa.Array.from_buffers(pa.large_string(), len(encoded), buffers)


def _places(places: NDArray[np.int64]) -> pa.Array:
    """Positions as Arrow has them, without pandas."""
    whole = np.ascontiguousarray(places, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(whole), [None, pa.py_buffer(whole)])


def _text(array: pa.Array) -> pa.Array:
    """The same text in one of the two layouts that the compiled encoders read."""
    plain = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
    return array if plain else array.cast(pa.string())


def _buffers(array: pa.Array) -> tuple[int, bool, int, int, int, int]:
    """Where an Arrow column's offsets and text lie; its bitmap of validity, 0 without nulls, and
    the bit of its first row; its length. The column must outlive the use of them."""
    valid, offsets, text = array.buffers()
    wide = pa.types.is_large_string(array.type)
    begin = offsets.address + array.offset * (8 if wide else 4)
    bitmap = valid.address if array.null_count else 0
    return begin, wide, text.address if text else 0, bitmap, array.offset, len(array)
