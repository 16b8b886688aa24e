"""How often a score's interval holds the true rate among customers with such a score.

    make bench-coverage

Simulates businesses with known truth, trains each as the product does, and asks of every test row
whether its 90 % interval holds the mean true probability of the test rows with the nearest
scores. One business tells little, for its one curve is right or wrong for many rows at once: read
the mean over all of them. Printed overall and by the stage that a customer is in.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import mean

import numpy as np
from learning_curve import simulated
from numpy.typing import NDArray
from true_probability import true_probabilities

from features.config import read_config
from features.sources import read_histories
from training.assembly import fit_judged
from training.clock import Clock
from training.engines import InProcess
from training.prepare import Prepared
from training.screening import screened

Floats = NDArray[np.float64]

RESULTS = Path(__file__).resolve().parent / "results" / "coverage.json"
NEAR = 0.1
"""The share of the test rows that are near a score."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", default="renewal")
    parser.add_argument("--businesses", type=int, default=30)
    parser.add_argument("--customers", type=int, default=8_000)
    parser.add_argument("--seed", type=int, default=301, help="of the first business")
    parser.add_argument("--json", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    found: dict[str, list[float]] = defaultdict(list)
    for seed in range(chosen.seed, chosen.seed + chosen.businesses):
        with tempfile.TemporaryDirectory() as scratch:
            config = simulated(chosen.customers, seed, Path(scratch))
            one = one_business(config, chosen.problem)
        for group, covered in one.items():
            found[group].append(covered)
        told = ", ".join(f"{group} {covered:.1%}" for group, covered in one.items())
        print(f"seed {seed}: {told}", flush=True)
    for group, each in found.items():
        error = np.std(each) / np.sqrt(len(each))
        print(f"{group:<24}{mean(each):7.1%}  standard error {error:.1%}, {len(each)} businesses")
    settings = {"problem": chosen.problem, "customers": chosen.customers, "seed": chosen.seed}
    chosen.json.parent.mkdir(exist_ok=True)
    chosen.json.write_text(json.dumps({**settings, "covered": found}, indent=1) + "\n")


def one_business(config: Path, name: str) -> dict[str, float]:
    """The share of the test rows whose interval holds the truth: of all, and of each stage."""
    business = read_config(config)
    engine = InProcess(read_histories(business), _say)
    problem = engine.resolve(business.problem(name))
    whole = engine.prepare(business, problem, config.parent, Clock(_say))
    ready, _ = screened(whole)
    model = fit_judged(business, name, ready, None, engine, Clock(_say))
    log = engine.histories.log
    truth = true_probabilities(business.folder, name, log, whole.labelled, whole.split)
    assert truth is not None and model.interval is not None
    margin = model.margins(ready.parts["test"][0])
    low, high = model.interval.bounds(margin, model.calibration.probability(margin))
    rate = near(margin, truth)
    covered = (low <= rate) & (rate <= high)
    found = {"all": float(covered.mean())}
    stage, levels = _stage(whole)
    for code, level in enumerate(levels):
        if (stage == code).any():
            found[level] = float(covered[stage == code].mean())
    return found


def near(margin: Floats, truth: Floats) -> Floats:
    """The mean truth of the rows with the nearest scores."""
    order = np.argsort(margin, kind="stable")
    width = max(1, round(NEAR * len(order)) // 2)
    total = np.concatenate([[0.0], np.cumsum(truth[order])])
    place = np.arange(len(order))
    first, last = np.maximum(place - width, 0), np.minimum(place + width + 1, len(order))
    rate = np.empty(len(order))
    rate[order] = (total[last] - total[first]) / (last - first)
    return rate


def _stage(whole: Prepared) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The stage of each test row, a position among the levels."""
    column = next(i for i, f in enumerate(whole.features) if f.kind == "stage_now")
    code = np.nan_to_num(whole.parts["test"][0][:, column], nan=-1)
    return code.astype(np.int64), whole.features[column].levels


def _say(_: str) -> None:
    """What a training says of itself is of no interest here."""


if __name__ == "__main__":
    main()
