"""Pictures of a training run: how good, how calibrated, and what moves the scores.

Takes labels, scores and contributions; writes PNG files. Knows nothing about MLflow.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from training.baselines import Baseline
from training.evaluation import Metrics, reliability

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]
Labels = NDArray[np.int8]

INK, MODEL, RULE = "#333333", "#0b6e8a", "#c4622d"
MOST_DOTS = 2_000
"""Rows that the SHAP plots draw."""


def draw_metrics(
    folder: Path,
    label: Labels,
    score: Floats,
    rule: Floats | None,
    metrics: Metrics,
    title: str,
    found: Sequence[Baseline],
) -> None:
    """Write `roc.png`, `precision_recall.png`, `reliability.png` and `lift.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    rule_of = {baseline.name: baseline for baseline in found}
    for name, draw in (("roc", _roc), ("precision_recall", _precision_recall), ("lift", _lift)):
        figure = Figure(figsize=(6, 5), layout="constrained")
        axes = figure.add_subplot()
        if rule is not None:
            draw(axes, label, rule, RULE, rule_of["best_rule"])
        draw(axes, label, score, MODEL, metrics)
        axes.set_title(title, fontsize=10, color=INK)
        axes.legend(frameon=False)
        _save(figure, folder / f"{name}.png")
    _reliability(folder / "reliability.png", label, score, metrics, title)


def draw_contributions(
    folder: Path, contributions: Floats, base: Floats, vectors: Matrix, names: Sequence[str]
) -> None:
    """Write `shap_beeswarm.png` and `shap_bar.png` of at most `MOST_DOTS` rows."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import shap

    values = shap.Explanation(contributions, base, vectors, feature_names=list(names))
    for name, draw in (("beeswarm", shap.plots.beeswarm), ("bar", shap.plots.bar)):
        plt.figure()
        with warnings.catch_warnings(), _same_dice():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column that no shown row has
            draw(values, max_display=20, show=False)
        axes = plt.gca()
        if name == "beeswarm":
            axes.set_xlabel("contribution to the log-odds")
        else:
            axes.set_xlabel("mean absolute contribution to the log-odds")
        plt.gcf().set_size_inches(9, 7)
        plt.savefig(folder / f"shap_{name}.png", dpi=110, bbox_inches="tight")
        plt.close()


@contextmanager
def _same_dice() -> Iterator[None]:
    """Let NumPy's global dice fall alike each time: `shap` shuffles its dots with them, and two
    runs have to give the same bytes. What others drew from them goes on where it was."""
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)


def _roc(
    axes: matplotlib.axes.Axes, label: Labels, score: Floats, colour: str, of: Metrics | Baseline
) -> None:
    wrong, right, _ = roc_curve(label, score)
    axes.plot(wrong, right, color=colour, label=f"{_name(of)}, AUROC {of.auroc:.3f}")
    axes.plot([0, 1], [0, 1], color=INK, lw=0.6, ls=":")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")


def _precision_recall(
    axes: matplotlib.axes.Axes, label: Labels, score: Floats, colour: str, of: Metrics | Baseline
) -> None:
    precision, recall, _ = precision_recall_curve(label, score)
    text = f"{_name(of)}, average precision {of.average_precision:.3f}"
    axes.plot(recall, precision, color=colour, label=text)
    axes.axhline(label.mean(), color=INK, lw=0.6, ls=":")
    axes.set(xlabel="recall", ylabel="precision", ylim=(0, 1))


def _lift(
    axes: matplotlib.axes.Axes, label: Labels, score: Floats, colour: str, of: Metrics | Baseline
) -> None:
    order = np.argsort(-score, kind="stable")
    share = np.arange(1, len(order) + 1) / len(order)
    gained = np.cumsum(label[order]) / label.sum()
    axes.plot(100 * share, 100 * gained, color=colour, label=_name(of))
    axes.plot([0, 100], [0, 100], color=INK, lw=0.6, ls=":")
    axes.set(
        xlabel="% of customers contacted, highest scores first", ylabel="% of outcomes reached"
    )


def _reliability(path: Path, label: Labels, score: Floats, metrics: Metrics, title: str) -> None:
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.add_subplot()
    mean, rate, _ = reliability(label, score)
    top = max(mean.max(), rate.max()) * 1.1
    axes.plot([0, top], [0, top], color=INK, lw=0.6, ls=":")
    text = f"tenths of the test part, expected calibration error {metrics.ece:.3f}"
    axes.plot(mean, rate, "o-", color=MODEL, label=text)
    axes.set(xlabel="mean score", ylabel="observed rate", xlim=(0, top), ylim=(0, top))
    axes.set_title(title, fontsize=10, color=INK)
    axes.legend(frameon=False)
    _save(figure, path)


def _name(of: Metrics | Baseline) -> str:
    return "model" if isinstance(of, Metrics) else "best rule"


def _save(figure: Figure, path: Path) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
