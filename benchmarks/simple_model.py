"""What a data scientist tries first: an untuned LightGBM on counts, recency and sums of value.

Takes labelled rows and their split; gives its ranking of the test rows, judged. It is fitted on
train and validation together, for it needs no rows to stop on.
"""

from collections.abc import Iterator
from typing import Any

import lightgbm as lgb
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from features.config import Business
from features.engine import compute
from features.event_log import EventLog
from features.feature import Feature
from features.language import events
from training.labels import Labelled
from training.splits import Split

MOST_EVENTS = 8
"""The most frequent kinds of event are counted."""


def recency_and_frequency(
    business: Business, log: EventLog, attributes: EventLog, labelled: Labelled, split: Split
) -> dict[str, Any]:
    """AUROC and average precision on the test rows."""
    rows = labelled.moments.rows
    until = int(rows.known_time[split.train].max())
    chosen = list(_features(business, log, until))
    fitted_on = np.concatenate([split.train, split.validation])
    known = compute(chosen, log, attributes, rows.take(fitted_on))
    model = lgb.LGBMClassifier(random_state=7, n_jobs=1, verbosity=-1)
    model.fit(known, labelled.label[fitted_on])
    asked = compute(chosen, log, attributes, rows.take(split.test))
    score, label = np.asarray(model.predict_proba(asked))[:, 1], labelled.label[split.test]
    return {
        "auroc": float(roc_auc_score(label, score)),
        "average_precision": float(average_precision_score(label, score)),
        "n_features": len(chosen),
    }


def _features(business: Business, log: EventLog, until: int) -> Iterator[Feature]:
    """Counts in every window, and recency, of the most frequent events; sums of `value`."""
    codes = log.event.codes[log.recorded_time <= until]
    counts = np.bincount(codes, minlength=len(log.event.levels))
    for code in np.argsort(-counts, kind="stable")[:MOST_EVENTS]:
        some = events(log.event.levels[code])
        for last in (*business.features.windows, None):
            yield some.count(last)
        yield some.recency()
    if "value" in log.numbers:
        for last in (*business.features.windows, None):
            yield events().sum("value", last)
