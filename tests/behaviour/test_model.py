"""What a trained model does: it learns what is there, and nothing where nothing is."""

from pathlib import Path

import numpy as np
import pytest
from journeys import one_row
from trained import WORKSPACE, Trained

from features.config import read_config
from features.cutoffs import AsOf, current
from features.durations import days
from features.sources import read_histories
from models.files import load
from models.fitted import FittedModel
from training.fitting import fit

FILES = ("model.lgb", "contract.json", "calibration.json", "checksums.json")


@pytest.fixture(scope="module")
def model(shop_run: tuple[Path, object]) -> FittedModel:
    return load(shop_run[0] / "shop" / "churn" / "model")


def test_a_second_run_over_rows_in_another_order_gives_the_same_bytes(
    shop_trained: Trained, second_trained: Trained
) -> None:
    """Trained again from a shuffled extract of the same rows, every file of the model and every
    picture is equal."""
    first, second = (
        made.folder / WORKSPACE / "shop" / "churn" for made in (shop_trained, second_trained)
    )
    assert "version 2" in second_trained.done.stdout
    pictures = sorted(path.relative_to(first) for path in first.glob("plots/*.png"))
    assert len(pictures) == 6
    for name in (*(Path("model", file) for file in FILES), *pictures):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_the_judged_and_the_registered_model_say_what_they_learned_from(
    shop_run: tuple[Path, object], model: FittedModel
) -> None:
    """Metrics come from trees that end before the test; what is registered saw every row."""
    judged = load(shop_run[0] / "shop" / "churn" / "judged")
    assert ("judged", "registered") == (
        judged.contract.trained["this_model"],
        model.contract.trained["this_model"],
    )
    fitted = model.contract.trained["fitted"]
    assert fitted == judged.contract.trained["fitted"]
    assert fitted["judged"]["n_rows"] < fitted["registered"]["n_rows"]
    assert fitted["judged"]["last_cutoff"] < fitted["registered"]["last_cutoff"]
    assert len(judged.trees) == len(model.trees)
    assert judged.trees != model.trees
    assert judged.calibration == model.calibration


def test_silence_raises_the_risk(shop: Path, model: FittedModel) -> None:
    """As time passes without an order, a regular customer's score rises."""
    histories = read_histories(read_config(shop))
    regular = int(np.argmax(np.diff(histories.log.offsets)))
    customer = histories.log.customers[regular]
    log, about = histories.log.history(customer), histories.attributes.history(customer)
    last = int(log.event_time[-1])
    scores = [
        float(model.probabilities(model.vectors(log, about, one_row(last + days(gone))))[0])
        for gone in (0, 15, 30, 50)
    ]
    assert scores == sorted(scores)
    assert scores[-1] > 3 * scores[0]


def test_contributions_add_up_to_the_margin(shop: Path, model: FittedModel) -> None:
    """For every customer, base and contributions are the raw log-odds to 1e-9."""
    histories = read_histories(read_config(shop))
    as_of = AsOf.then(histories.end)
    rows = current(model.contract.problem, histories.log, histories.attributes, as_of).rows
    vectors = model.vectors(histories.log, histories.attributes, rows)
    contributions, base = model.contributions(vectors)
    margins = model.margins(vectors)
    np.testing.assert_allclose(base + contributions.sum(axis=1), margins, rtol=0, atol=1e-9)


def test_one_row_scores_as_in_a_batch(shop: Path, model: FittedModel) -> None:
    """A probability does not depend on who else is scored."""
    histories = read_histories(read_config(shop))
    as_of = AsOf.then(histories.end)
    rows = current(model.contract.problem, histories.log, histories.attributes, as_of).rows
    vectors = model.vectors(histories.log, histories.attributes, rows)
    together = model.probabilities(vectors)
    alone = np.concatenate([model.probabilities(vectors[i : i + 1]) for i in range(len(vectors))])
    assert together.tobytes() == alone.tobytes()


def test_noise_is_not_learnt() -> None:
    """With labels that are chance, held-back scores rank no better than chance."""
    from sklearn.metrics import roc_auc_score

    from features.language import events

    rng = np.random.default_rng(11)
    features = [events(f"e{i}").count() for i in range(20)]
    matrix = rng.normal(size=(6000, 20))
    label = (rng.random(6000) < 0.15).astype(np.int8)
    booster = fit(
        features, (matrix[:3000], label[:3000]), (matrix[3000:4500], label[3000:4500]), seed=1
    )
    assert 0.45 < roc_auc_score(label[4500:], booster.predict(matrix[4500:])) < 0.55
