"""Which columns a fit is given."""

import numpy as np

from features.language import events
from training.screening import MOST_COLUMNS, strongest

N_COLUMNS = MOST_COLUMNS + 80


def test_a_telling_column_survives_and_noise_is_left_out() -> None:
    """Among hundreds of noisy columns the few that matter are kept, in the catalogue's order."""
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(4_000, N_COLUMNS))
    telling = [3, 90, N_COLUMNS - 1]
    margin = matrix[:, telling].sum(axis=1)
    label = (rng.random(4_000) < 1 / (1 + np.exp(-margin))).astype(np.int8)
    features = [events(f"e{number}").count() for number in range(N_COLUMNS)]
    kept = strongest(features, (matrix, label), seed=1).tolist()
    assert MOST_COLUMNS == len(kept)
    assert sorted(kept) == kept
    assert set(telling) <= set(kept)
    assert kept == strongest(features, (matrix, label), seed=1).tolist()
