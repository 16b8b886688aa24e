"""The customers that a peer computes which is measured by the row."""

import numpy as np

EVERY = 20
"""One customer in so many."""


def chosen(n_customers: int) -> np.ndarray:
    """Positions of the customers that are computed, at least five."""
    return np.arange(0, n_customers, max(1, min(EVERY, n_customers // 5)))
