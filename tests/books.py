"""Scored books that tests make, without a model."""

import numpy as np
import pyarrow as pa

from serving.book import BAND_NAMES, COLUMNS, INSTANT, bands, words
from serving.book_reasons import names

AS_OF = 1_700_000_000_000_000


def scored(probabilities: dict[str, float], stake: float | None = 100.0) -> pa.Table:
    """The book of some customers, in the order of their ids."""
    customers = sorted(probabilities)
    p = np.array([probabilities[c] for c in customers])
    worth = np.full(len(p), np.nan if stake is None else stake) * (1 + np.arange(len(p)) % 7)
    columns = {
        "customer": pa.array(customers),
        "as_of": pa.array([AS_OF] * len(p), INSTANT),
        "probability": pa.array(p),
        "percentile": pa.array(100 * p),
        "band": words(bands(100 * p), BAND_NAMES),
        "value_at_stake": pa.array(worth, from_pandas=True),
        "expected_value": pa.array(p * worth, from_pandas=True),
        "stage": words((np.arange(len(p)) % 3).astype(np.int32), ("usage", "support", "renewal")),
        "owner": words((np.arange(len(p)) % 4 - 1).astype(np.int32), ("Anna", "Bert", "Cora")),
        "base_points": pa.array(np.full(len(p), 5.0)),
    }
    full = {
        name: columns.get(name, pa.nulls(len(p), kind)).cast(kind)
        for name, (kind, _) in COLUMNS.items()
    }
    for rank in (1, 2, 3):
        text, points, feature, kind = names(rank)
        full[text] = pa.array([f"=HYPERLINK({rank})"] * len(p)).dictionary_encode()
        full[points] = pa.array(np.full(len(p), 4.0 - rank))
        full[feature] = pa.array(["login_count_30d"] * len(p)).dictionary_encode()
        full[kind] = pa.array(["actionable"] * len(p)).dictionary_encode()
    return pa.table(full)
