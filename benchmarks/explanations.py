"""Explanations: quadrature TreeSHAP beside LightGBM's `pred_contrib` and `shap.TreeExplainer`.

    make bench-explanations

fits trees to random rows, compares every cell of the three, and then times them in turns in one
process: one row, where rows rotate because one repeated row flatters, and a batch of 1,000. What
counts is CPU time of this process on one thread, the least of several turns; read the ratios. The
targets are 8 times for one row and 40 times for a batch. It also times a batch's scores and
contributions together beside LightGBM's plain `predict`. Knows nothing about what features mean.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import lightgbm as lgb
import numpy as np
import shap
from numpy.typing import NDArray

from models.trees import Trees, trees_from_text

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "explanations.json"
SHAPES = ((300, 31), (1_000, 63))
N_FEATURES, N_ROWS, BATCH, ROTATING = 250, 20_000, 1_000, 200
TARGET_ONE, TARGET_BATCH, LEAST = 8.0, 40.0, 1e-9
TURNS = 5

Matrix = NDArray[np.float32]


def drawn(seed: int) -> tuple[Matrix, NDArray[np.bool_]]:
    """Random rows with counts among the numbers and a tenth missing, and labels."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    matrix[:, ::3] = np.abs(np.round(matrix[:, ::3]))
    weight = rng.normal(size=N_FEATURES) * (rng.random(N_FEATURES) < 0.4)
    return matrix, np.nan_to_num(matrix) @ weight + 2 * rng.normal(size=N_ROWS) > 0


def fit(matrix: Matrix, label: NDArray[np.bool_], n_trees: int, n_leaves: int) -> lgb.Booster:
    """Trees of the asked number and size."""
    parameters = {
        "objective": "binary", "num_leaves": n_leaves, "learning_rate": 0.05, "max_bin": 63,
        "min_data_in_leaf": 5, "num_threads": 1, "verbosity": -1, "seed": 1,
    }  # fmt: skip
    return lgb.train(parameters, lgb.Dataset(matrix, label), n_trees)


def cpu(work: Callable[[int], object], calls: int, first: int) -> float:
    """CPU seconds of one call, mean over some."""
    begin = time.process_time()
    for call in range(first, first + calls):
        work(call)
    return (time.process_time() - begin) / calls


def turns(works: dict[str, tuple[Callable[[int], object], int]]) -> dict[str, float]:
    """The least CPU seconds of each, where all take turns."""
    least = dict.fromkeys(works, np.inf)
    for turn in range(TURNS):
        for name, (work, calls) in works.items():
            least[name] = min(least[name], cpu(work, calls, turn * calls))
    return least


def compare(
    trees: Trees, booster: lgb.Booster, explainer: shap.TreeExplainer, rows: Matrix
) -> float:
    """The largest distance of any cell from both others; margins are compared to the bit."""
    margins, ours = trees.explained(rows)
    theirs = booster.predict(rows, pred_contrib=True, num_threads=1)
    assert margins.tobytes() == booster.predict(rows, raw_score=True, num_threads=1).tobytes()
    apart = max(
        np.abs(theirs[:, :-1] - ours).max(),
        np.abs(theirs[:, -1] - trees.base).max(),
        np.abs(explainer.shap_values(rows) - ours).max(),
    )
    assert apart <= LEAST, apart
    return float(apart)


def measure(n_trees: int, n_leaves: int) -> dict[str, object]:
    """All figures of one shape."""
    matrix, label = drawn(n_trees)
    booster = fit(matrix, label, n_trees, n_leaves)
    trees, explainer = trees_from_text(booster.model_to_string()), shap.TreeExplainer(booster)
    batch = matrix[:BATCH].copy()
    rows = [matrix[row : row + 1].copy() for row in range(ROTATING)]
    apart = compare(trees, booster, explainer, batch[:100])
    trees.explained(batch)
    one = turns({
        "ours": (lambda i: trees.explained(rows[i % ROTATING]), 40),
        "pred_contrib": (
            lambda i: booster.predict(rows[i % ROTATING], pred_contrib=True, num_threads=1), 10,
        ),
        "shap": (lambda i: explainer.shap_values(rows[i % ROTATING]), 10),
    })  # fmt: skip
    # The others' time grows with the rows exactly: a fifth of the batch says enough.
    fifth = batch[: BATCH // 5].copy()
    many = turns({
        "ours": (lambda _: trees.explained(batch), 1),
        "predict": (lambda _: booster.predict(batch, raw_score=True, num_threads=1), 1),
        "pred_contrib": (lambda _: booster.predict(fifth, pred_contrib=True, num_threads=1), 1),
        "shap": (lambda _: explainer.shap_values(fifth), 1),
    })  # fmt: skip
    many |= {name: 5 * many[name] for name in ("pred_contrib", "shap")}
    return {
        "trees": n_trees, "leaves": n_leaves, "features": N_FEATURES,
        "largest_distance": apart,
        "one_row_us": {name: round(1e6 * seconds, 1) for name, seconds in one.items()},
        "batch_of_1000_ms": {name: round(1e3 * seconds, 1) for name, seconds in many.items()},
        "one_row_ratio": {n: round(one[n] / one["ours"], 1) for n in ("pred_contrib", "shap")},
        "batch_ratio": {n: round(many[n] / many["ours"], 1) for n in ("pred_contrib", "shap")},
        "explained_over_predict": round(many["ours"] / many["predict"], 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the figures go")
    out = parser.parse_args().out
    found = []
    for n_trees, n_leaves in SHAPES:
        one = measure(n_trees, n_leaves)
        found.append(one)
        print(
            f"{n_trees} trees × {n_leaves} leaves × {N_FEATURES} features: cells within "
            f"{one['largest_distance']:.0e}; one row {one['one_row_ratio']} (target {TARGET_ONE}), "
            f"batch {one['batch_ratio']} (target {TARGET_BATCH}) times faster; scores and "
            f"contributions {one['explained_over_predict']} × predict",
            flush=True,
        )
    out.write_text(json.dumps({
        "when": datetime.now(UTC).date().isoformat(),
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("lightgbm", "shap", "numba", "numpy")},
        "measured": "CPU time on one thread, least of five turns in one process",
        "targets": {"one_row": TARGET_ONE, "batch": TARGET_BATCH},
        "shapes": found,
    }, indent=1, ensure_ascii=False) + "\n")  # fmt: skip


if __name__ == "__main__":
    main()
