"""How well the true probability ranks, where a simulation wrote it beside its data.

Takes a folder and the test rows; gives metrics of `truth.parquet` (customer, cutoff_time,
problem, probability) on exactly these rows: the best that any model could hope for.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from features.event_log import EventLog
from training.labels import Labelled
from training.splits import Split


def true_scores(
    folder: Path, problem: str, log: EventLog, labelled: Labelled, split: Split
) -> dict[str, Any] | None:
    """AUROC and average precision of the truth; None where nobody knows it."""
    score = true_probabilities(folder, problem, log, labelled, split)
    if score is None:
        return None
    label = labelled.label[split.test]
    return {
        "auroc": float(roc_auc_score(label, score)),
        "average_precision": float(average_precision_score(label, score)),
    }


def true_probabilities(
    folder: Path, problem: str, log: EventLog, labelled: Labelled, split: Split
) -> NDArray[np.float64] | None:
    """The truth of each test row, shape `(n_test,)`; None where nobody knows it."""
    file = folder / "truth.parquet"
    if not file.exists():
        return None
    truth = pq.read_table(file)
    truth = truth.filter(pc.equal(truth["problem"], problem))
    if not truth.num_rows:
        return None
    rows = labelled.moments.rows.take(split.test)
    asked = pa.table(
        {
            "customer": pa.array(log.customers).take(pa.array(rows.customer)),
            "cutoff_time": pa.array(rows.cutoff_time, pa.timestamp("us", "UTC")),
            "place": np.arange(len(rows)),
        }
    )
    found = asked.join(truth, ["customer", "cutoff_time"]).sort_by("place")
    score = found["probability"].to_numpy()
    unknown = np.isnan(score)
    if unknown.any():
        raise ValueError(f"{int(unknown.sum()):,} test rows of {problem} are not in {file.name}")
    return np.asarray(score)
