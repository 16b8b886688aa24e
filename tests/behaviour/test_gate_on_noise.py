"""The gate lets no noise through, and lets what is real through."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from journeys import make_shop, raven

from features.config import read_config
from features.sources import read_histories
from training.assembly import fit_judged
from training.clock import Clock
from training.engines import InProcess
from training.fitting import parameters, rounds_of, shape_of
from training.gate import Decision, decide
from training.judging import judge_test, look_back
from training.prepare import Prepared

RAVENSTACK = Path(__file__).parents[2].parent / "shared" / "data" / "ravenstack"
NAME = "churn"
SEEDS = range(20)


def silent(_: str) -> None:
    """Progress that nobody reads."""


def prepared(path: Path, problem: str, folder: Path) -> tuple[InProcess, Prepared]:
    """A problem's rows, ready to be fitted on."""
    business = read_config(path)
    engine = InProcess(read_histories(business, folder / "rejected.parquet", silent), silent)
    resolved = engine.resolve(business.problem(problem))
    return engine, engine.prepare(business, resolved, folder, Clock(silent))


def shuffled(ready: Prepared, seed: int) -> Prepared:
    """The same rows with their labels dealt anew."""
    label = np.random.default_rng(seed).permutation(ready.labelled.label)
    parts = {name: (matrix, label[ready.rows(name)]) for name, (matrix, _) in ready.parts.items()}
    return replace(ready, labelled=replace(ready.labelled, label=label), parts=parts)


def decided(path: Path, problem: str, engine: InProcess, ready: Prepared) -> Decision:
    """What the gate says of a model of these rows, with no leak and no champion."""
    model = fit_judged(read_config(path), problem, ready, None, engine, Clock(silent))
    n_train = len(ready.split.train)
    chosen = parameters(n_train, len(ready.features), 1) | shape_of(model.trees.text)
    verdict = judge_test(ready, model.probabilities(ready.parts["test"][0]))
    alone = decide(verdict, [], None, (), ready.problem.gate)
    if not alone.passed:  # earlier periods can add reasons, but take none back
        return alone
    looked = look_back(ready, chosen, rounds_of(len(model.trees), chosen, n_train), n_train)
    return decide(verdict, looked.backtest, None, (), ready.problem.gate)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, InProcess, Prepared]:
    """The rows of a shop whose customers do leave for a reason."""
    folder = tmp_path_factory.mktemp("gate")
    path = make_shop(folder / "shop", 300)
    return path, *prepared(path, NAME, folder)


def test_real_labels_pass(shop: tuple[Path, InProcess, Prepared]) -> None:
    """Of the shop's own labels a model learns what no rule says, and the gate lets it through."""
    path, engine, ready = shop
    decision = decided(path, NAME, engine, ready)
    assert decision.passed, decision.reasons


def test_shuffled_labels_are_refused(tmp_path: Path) -> None:
    """Dealt anew by 20 seeds, the labels pass the gate with none of them."""
    path = make_shop(tmp_path / "shop", 120)
    engine, ready = prepared(path, NAME, tmp_path)
    passed = [s for s in SEEDS if decided(path, NAME, engine, shuffled(ready, s)).passed]
    assert passed == []


@pytest.mark.skipif(not RAVENSTACK.is_dir(), reason="the data set of chance is not here")
def test_labels_that_are_chance_are_refused(tmp_path: Path) -> None:
    """Whatever seed the fits are given, a business whose churn is chance gets no champion."""
    path = raven(tmp_path, RAVENSTACK)
    engine, ready = prepared(path, NAME, tmp_path)
    passed = []
    for seed in SEEDS:
        problem = ready.problem.model_copy(update={"seed": seed})
        passed += (
            [seed] if decided(path, NAME, engine, replace(ready, problem=problem)).passed else []
        )
    assert passed == []
