"""Margins to calibrate on, of rows that are newer than the training part."""

from dataclasses import replace

import numpy as np
from planted_rows import planted

from training.cross_fitting import cross_fitted_newer
from training.fitting import fit
from training.prepare import Prepared


def test_newer_rows_get_margins_of_refits_that_did_not_see_their_customer() -> None:
    """Validation and what was purged and known before the test; no label moves a margin of its
    own customer, and it moves those of others."""
    ready = planted()
    first = fit(ready.features, ready.parts["train"], ready.parts["validation"], 7)
    margin, label, customer = cross_fitted_newer(ready, first)
    newer = ready.known_before_test[len(ready.split.train) :]
    assert ready.has_newer_rows and len(newer) > len(ready.split.validation)
    assert np.array_equal(label, ready.labelled.label[newer])
    assert np.array_equal(customer, ready.labelled.moments.rows.customer[newer])
    mine = int(customer[0])
    again, _, _ = cross_fitted_newer(_turned(ready, mine), first)
    assert np.array_equal(again[customer == mine], margin[customer == mine])
    assert (again != margin)[customer != mine].mean() > 0.3


def _turned(ready: Prepared, customer: int) -> Prepared:
    """The same rows, a customer's labels the other way round."""
    mine = ready.labelled.moments.rows.customer == customer
    label = np.where(mine, 1 - ready.labelled.label, ready.labelled.label).astype(np.int8)
    parts = {name: (matrix, label[ready.rows(name)]) for name, (matrix, _) in ready.parts.items()}
    return replace(ready, parts=parts, labelled=replace(ready.labelled, label=label))
