"""A shop with households, tickets' texts and features of its own: trained and served alike."""

from pathlib import Path

import numpy as np
import pytest
from conftest import crowned, run, serve
from journeys import make_shop, one_row

from features.buckets import write_buckets
from features.config import read_config
from features.cutoffs import AsOf
from features.durations import format_moment, parse_moment
from features.engine import compute
from features.feature import feature_names
from features.sources import read_histories
from models.files import load, save
from models.fitted import FittedModel
from serving.alike import look_back
from serving.book import Wish, score_book
from serving.book_parts import Task, parts, score_buckets, whole
from serving.book_reasons import Speaker
from training.labels import label_rows

OWN = """
from features.durations import days
from features.language import events
FEATURES = [events("order").having("channel", "shop").sum("value", last=days(45))]
"""
OWN_NAME = "order_shop_channel_value_sum_45d"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's journey.toml with households, texts and own features."""
    path = make_shop(tmp_path_factory.mktemp("households"), n_customers=160)
    household = "'h' || (substr(customer, 2)::int // 3) as household"
    text = path.read_text().replace("amount as value, channel", f"amount as value, {household}")
    text = text.replace("'order' as event,", "'order' as event, channel,")
    words = "case when wait > 15 then 'Refund, please!' else 'where is it' end as text"
    text = text.replace("'ticket' as event, wait", f"'ticket' as event, wait, {words}")
    choice = '[features]\nown = "own.py"\ngroups = ["household"]\n\n[problems.churn]'
    path.write_text(text.replace("[problems.churn]", choice))
    (path.parent / "own.py").write_text(OWN)
    return path


@pytest.fixture(scope="module")
def workspace(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where that shop was trained."""
    folder = tmp_path_factory.mktemp("households-workspace")
    done = run("training", "train", str(config), "--workspace", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    crowned(config, folder)
    return folder


def trained(workspace: Path) -> FittedModel:
    return load(workspace / "shop" / "churn" / "model")


def test_the_contract_has_every_sort_of_feature(workspace: Path) -> None:
    """Own features, households, words, stages, and peer rates are in the model.

    Of each sort some columns are, for the weak ones are left out.
    """
    contract = trained(workspace).contract
    assert OWN_NAME in contract.names
    features = contract.features
    assert {"household"} == {f.over for f in features} - {None}
    assert "refund text" in {f.where.label for f in features}
    assert {f.kind for f in features if f.kind.startswith("stage_")}
    assert {"peer_rate", "attribute_peer_rate"} <= {f.kind for f in features}
    assert not {f for f in features if f.kind == "sessions"}  # dates without a time have none


def test_the_service_gives_training_s_vectors(config: Path, workspace: Path) -> None:
    """Stored customers have the very numbers of the training set; own events alone are a
    household of one."""
    histories = read_histories(read_config(config))
    model = trained(workspace)
    labelled, log = label_rows(read_config(config), model.contract.problem, histories)
    chosen = np.random.default_rng(1).choice(len(labelled), 60, replace=False)
    rows = labelled.moments.rows.take(chosen)
    vectors = compute(model.contract.features, log, histories.attributes, rows)
    names = feature_names(model.contract.features)
    for service in serve(config, workspace):
        with service.client() as client:
            for i in range(len(rows)):
                body = {
                    "problem": "churn", "customer": log.customers[int(rows.customer[i])],
                    "as_of": format_moment(int(rows.cutoff_time[i])), "features": True,
                }  # fmt: skip
                answer = client.post("/v1/scores", json=body).json()
                served = np.array([answer["features"][name] for name in names], float)
                assert np.array_equal(served, vectors[i], equal_nan=True), body
            events = [
                {"event": "order", "event_time": "2023-11-20", "value": 30, "channel": "shop",
                 "household": "h1"},
                {"event": "ticket", "event_time": "2023-11-25", "wait": 50,
                 "text": "REFUND me"},
            ]  # fmt: skip
            body = {"problem": "churn", "events": events, "as_of": "2023-12-01", "features": True}
            answer = client.post("/v1/scores", json=body).json()
            found = answer["features"]
            assert [] == answer["unread"]
            assert 30 == found[OWN_NAME]
            assert 1 == found["household_event_customer_distinct"]
            assert 1 == found["household_event_count"]
            assert 1 == found["refund_text_count"]
            huge = {**body, "events": [{**events[0], "value": 1e300}]}
            assert 422 == client.post("/v1/scores", json=huge).status_code


def test_a_book_in_buckets_is_that_of_all_in_one_log(
    config: Path, workspace: Path, tmp_path: Path
) -> None:
    """Households lie whole in their buckets, so that every row of the book has the same bits, and
    so do those who once stood there."""
    business = read_config(config)
    histories = read_histories(business)
    log, about, as_of = histories.log, histories.attributes, AsOf.then(histories.end)
    written = write_buckets(business, histories, tmp_path / "buckets", 5)
    assert min(written.n_events) > 0
    model = trained(workspace)
    digest = save(model, tmp_path / "model")
    task = Task(written, tmp_path / "model", digest, as_of, Wish(), tmp_path)
    unscored = score_buckets(task, 1, lambda _: None)
    together = score_book(Speaker(model), log, about, as_of, Wish())
    assert together.unscored == unscored and together.table.num_rows > 50
    assert together.table.to_pylist() == whole(parts(task)).to_pylist()
    alone = write_buckets(business, histories, tmp_path / "one", 1)
    stood = [look_back(model, "1", some, histories.end) for some in (written, alone)]
    assert stood[0] == stood[1] and len(stood[0]) > 50


def test_an_unknown_group_is_refused_by_its_nearest_name(config: Path, tmp_path: Path) -> None:
    """A group that no source yields stops the run and names the property that was meant."""
    path = tmp_path / "journey.toml"
    for file in ("orders.csv", "tickets.csv", "customers.csv", "own.py"):
        (tmp_path / file).symlink_to(config.parent / file)
    path.write_text(config.read_text().replace('["household"]', '["houshold"]'))
    done = run("training", "train", str(path), "--workspace", str(tmp_path / "ws"))
    assert 2 == done.returncode
    assert "'houshold', but no source of events yields it as text. Did you mean 'household'?" in (
        " ".join(done.stderr.split())
    )


def test_the_plan_is_made_once_a_model(workspace: Path, config: Path) -> None:
    """Requests reuse the model's plan, and the tables that it made of the store's levels."""
    model, histories = trained(workspace), read_histories(read_config(config))
    plan, bound = model._plan, []
    for customer in histories.log.customers[:3]:
        log, about = histories.log.history(customer), histories.attributes.history(customer)
        model.vectors(log, about, one_row(parse_moment("2023-12-01")))
        assert plan is model._plan
        bound.append([id(part._bound) for part in plan.parts if part.over is None])
    assert bound[0] == bound[1] == bound[2]
