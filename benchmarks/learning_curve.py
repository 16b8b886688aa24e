"""Few positives: how far above the best rule a model ends, of 50, 100, 200 and 500.

Simulates a large business with known truth, keeps its newest rows as a test that no draw touches,
and thins what was known before them, customer by customer, until train and validation and what
the purge left between them hold so many positives. Each draw is trained as the product does, and
so chooses its own columns and its own rule. Prints average precision less that of the draw's rule:
the mean, the worst draw, and how many draws end more than .01 below. The features are computed
once, from the catalogue of the whole business.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score
from true_probability import true_scores

from features.config import read_config
from features.errors import MilepostError
from features.sources import read_histories
from training.baselines import best_rule, rule_score
from training.clock import Clock
from training.engines import InProcess
from training.fitting import fit, refit
from training.prepare import PURGED, Prepared
from training.screening import screened
from training.splits import Split

ROOT = Path(__file__).resolve().parent.parent
SIMULATED = ROOT / "examples" / "saas" / "journey.toml"
RESULTS = ROOT / "benchmarks" / "results" / "learning_curve.json"
TEST_SHARE = 0.4
"""Of the rows: the newest ones, so that the test's own noise is small."""
LEAST = 5
"""Positives of a draw's validation part, as the product asks for."""
ALLOWED = -0.01
"""A draw that ends lower than this below its rule counts as one that does."""


def main() -> None:
    chosen = _arguments()
    found = []
    print(HEADING)
    with tempfile.TemporaryDirectory() as scratch:
        config = chosen.config or simulated(chosen.customers, chosen.seed, Path(scratch))
        for row in curve(config, chosen):
            found.append(row)
            print(line(row), flush=True)
    settings = {"customers": chosen.customers, "seed": chosen.seed, "draws": chosen.draws}
    chosen.json.parent.mkdir(exist_ok=True)
    chosen.json.write_text(json.dumps({**settings, "rows": found}, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, help="a simulated business that lies there already")
    parser.add_argument("--problems", nargs="*", help="all of them unless given")
    parser.add_argument("--positives", type=int, nargs="+", default=[50, 100, 200, 500])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--customers", type=int, default=24_000)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument(
        "--by-validation", action="store_true", help="also fit as where positives are many"
    )
    parser.add_argument("--json", type=Path, default=RESULTS)
    return parser.parse_args()


def simulated(customers: int, seed: int, scratch: Path) -> Path:
    """A copy of the simulated business's file beside data that were made for it now."""
    command = ["-m", "features", "simulate", str(scratch / "data")]
    command += ["--customers", str(customers), "--seed", str(seed)]
    subprocess.run([sys.executable, *command], check=True, cwd=ROOT, stdout=sys.stderr)
    shutil.copy(SIMULATED, scratch / SIMULATED.name)
    return scratch / SIMULATED.name


def curve(config: Path, chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each problem and number of positives."""
    business = read_config(config)
    engine = InProcess(read_histories(business), _silent)
    for name in chosen.problems or business.problems:
        problem = engine.resolve(business.problem(name))
        large = engine.prepare(business, problem, config.parent, Clock(_say))
        rows = Rows(large)
        histories = engine.histories
        test = replace(large.split, test=rows.test)
        truth = true_scores(business.folder, name, histories.log, large.labelled, test)
        for n_positives in chosen.positives:
            drawn = [
                one_draw(rows.thinned(n_positives, draw), engine, chosen.by_validation)
                for draw in range(chosen.draws)
            ]
            yield {
                "problem": name, "n_positives": n_positives, "n_test": len(rows.test),
                "n_test_positive": int(large.labelled.label[rows.test].sum()),
                "truth": truth and truth["average_precision"], "draws": drawn,
            }  # fmt: skip


class Rows:
    """All rows of a large business with their vectors, and which of them are the test."""

    def __init__(self, large: Prepared) -> None:
        self.large = large
        parts = [large.parts[name] for name in ("train", "validation", "test", PURGED)]
        order = np.concatenate([large.split.all_rows, large.purged])
        self.matrix = np.concatenate([matrix for matrix, _ in parts])[np.argsort(order)]
        moments = large.labelled.moments
        self.cutoff, self.who = moments.rows.cutoff_time, moments.rows.customer
        self.known = np.maximum(moments.closes, moments.rows.known_time)
        first = np.quantile(self.cutoff, 1 - TEST_SHARE, method="higher")
        self.test = np.flatnonzero(self.cutoff >= first)
        self.before = self._over(np.arange(len(self.cutoff)), int(first))

    def _over(self, rows: np.ndarray, first: int) -> np.ndarray:
        """Rows whose label was known when a later part begins."""
        return np.asarray(rows[(self.known[rows] <= first) & (self.cutoff[rows] < first)])

    def thinned(self, n_positives: int, draw: int) -> Prepared:
        """What a business has that is so small, and the large one's test."""
        label = self.large.labelled.label
        rng = np.random.default_rng([draw, n_positives])
        customers = rng.permutation(np.unique(self.who[self.before]))
        held = np.bincount(self.who[self.before], label[self.before], int(self.who.max()) + 1)
        enough = int(np.searchsorted(np.cumsum(held[customers]), n_positives)) + 1
        rows = self.before[np.isin(self.who[self.before], customers[:enough])]
        train, validation = self._parts(rows, rng)
        parts = {"train": train, "validation": validation, "test": self.test,
                 PURGED: np.setdiff1d(rows, np.concatenate([train, validation]))}  # fmt: skip
        return replace(
            self.large,
            split=Split(train, validation, self.test, "a draw of customers"),
            parts={name: (self.matrix[part], label[part]) for name, part in parts.items()},
            purged=parts[PURGED],
            stake=None,
        )

    def _parts(self, rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Validation is the newest part; where that is too little, a quarter of the customers."""
        label = self.large.labelled.label
        for share in (0.15, 0.25):
            first = int(np.quantile(self.cutoff[rows], 1 - share, method="higher"))
            train, validation = self._over(rows, first), rows[self.cutoff[rows] >= first]
            if label[validation].sum() >= LEAST and label[train].sum() >= 0.4 * label[rows].sum():
                return train, validation
        other = np.isin(self.who[rows], rng.permutation(np.unique(self.who[rows]))[::4])
        return rows[~other], rows[other]


def one_draw(small: Prepared, engine: InProcess, by_validation: bool) -> dict[str, float]:
    """Average precision of the rule and of the model, both from the draw's rows alone."""
    matrix, label = small.parts["test"]
    rule = best_rule(small.features, *small.seen)
    assert rule is not None
    ready, _ = screened(small)
    vectors = ready.parts["test"][0]
    model = engine.refit(ready, engine.fit(ready), before_test=True)
    found = {
        "n_train": len(small.split.train),
        "rule": _precision(label, rule_score(matrix[:, rule[0]], rule[1])),
        "model": _precision(label, model.predict(vectors, raw_score=True)),
    }
    if by_validation:
        seed, train = ready.problem.seed, ready.parts["train"]
        first = fit(ready.features, train, ready.parts["validation"], seed)
        again = refit(ready.features, ready.before_test, len(train[1]), seed, first)
        found["by_validation"] = _precision(label, again.predict(vectors, raw_score=True))
    return found


def _precision(label: np.ndarray, score: Any) -> float:
    return float(average_precision_score(label, score))


HEADING = f"{'':<16}{'positives':>10}{'truth':>8}{'rule':>8}{'model':>8}{'above rule':>12}{'worst':>8}  draws below {ALLOWED}"  # noqa: E501


def line(row: dict[str, Any]) -> str:
    """One problem and size."""
    drawn = row["draws"]
    above = [one["model"] - one["rule"] for one in drawn]
    truth = "" if row["truth"] is None else f"{row['truth']:.3f}"
    told = (
        f"{row['problem']:<16}{row['n_positives']:>10}{truth:>8}"
        f"{mean(one['rule'] for one in drawn):8.3f}{mean(one['model'] for one in drawn):8.3f}"
        f"{mean(above):+12.3f}{min(above):+8.3f}  {sum(a < ALLOWED for a in above)} of {len(above)}"
    )
    if "by_validation" in drawn[0]:
        other = [one["by_validation"] - one["rule"] for one in drawn]
        told += f"; by validation {mean(other):+.3f}, worst {min(other):+.3f}"
    return told


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _silent(_: str) -> None:
    """Rounds of hundreds of fits are of no interest."""


if __name__ == "__main__":
    try:
        main()
    except MilepostError as error:
        sys.exit(f"error: {error}")
