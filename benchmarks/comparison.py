"""Whether a peer's matrix is ours.

Takes two files of NumPy; says in words where they differ. Counts have to be the same; other
columns agree to 1e-9, or to the precision of single floats where our matrix has these.
"""

from pathlib import Path

import numpy as np
from peers import Engine
from share import chosen
from workload import N_CUTOFFS, columns

BLOCK = 50_000
TOLERANCE = {np.dtype(np.float64): 1e-9, np.dtype(np.float32): 2e-7}


def differences(ours: Path, theirs: Path, engine: Engine) -> str | None:
    """The first difference between two matrices, or None when they are equal."""
    wanted, found = np.load(ours, mmap_mode="r"), np.load(theirs, mmap_mode="r")
    tolerance = TOLERANCE[wanted.dtype]
    rows = _rows(len(wanted), len(found), engine)
    if len(rows) != len(found):
        return f"DIFFERENT: {len(found):,} rows for {len(rows):,}"
    exact = np.array([column.exact for column in columns()])
    for begin in range(0, len(rows), BLOCK):
        expected = wanted[rows[begin : begin + BLOCK]].astype(np.float64)
        actual = found[begin : begin + BLOCK].astype(np.float64)
        same = np.isclose(actual, expected, rtol=tolerance, atol=1e-9, equal_nan=True)
        same[:, exact] = actual[:, exact] == expected[:, exact]
        if not same.all():
            row, place = np.argwhere(~same)[0]
            return (
                f"DIFFERENT: {columns()[place]} of row {begin + row} is {actual[row, place]}, "
                f"ours {expected[row, place]}; {(~same).mean():.2%} of these cells"
            )
    return None


def _rows(n_ours: int, n_theirs: int, engine: Engine) -> np.ndarray:
    """The rows of ours that the peer computed."""
    everything = np.arange(n_ours)
    if not engine.by_the_row or n_ours == n_theirs:
        return everything
    people = chosen(n_ours // N_CUTOFFS)
    return np.asarray(everything.reshape(-1, N_CUTOFFS)[people].ravel())
