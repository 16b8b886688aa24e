"""A training set of a past cutoff is the same bytes, however much the log has grown since."""

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.buckets import write_buckets
from features.config import Business, Problem
from features.cutoffs import resolve
from features.durations import DAY, days, parse_moment
from features.engine import Rows, compute
from features.event_log import EventLog, Ints
from features.feature import Feature, feature_names
from features.sources import Histories, read_histories
from training import prepare as prepare_module
from training.clock import Clock
from training.label_table import SPLITS
from training.labels import label_rows
from training.peers import changes
from training.prepare import ask, catalogue_share, choose_features, prepare

START = parse_moment("2022-01-01")
EXTRACTED, GROWN = START + days(300), START + days(400)
PROBLEMS = {
    "again": {"outcome": {"event": "buy", "repeats": True}, "horizon": "20d", "every": "20d"},
    "once": {"outcome": {"event": "cancel", "repeats": False}, "gap": "10d", "horizon": "60d",
             "every": "20d"},
    "silence": {"outcome": {"silence_of": "buy"}, "cohort": {"active_within": "60d"},
                "horizon": "20d", "every": "20d"},
    "date": {"outcome": {"not": "renew", "by": "renews_at"},
             "before": {"property": "renews_at", "lead": ["20d", "5d"]}},
    "anchor": {"outcome": {"event": "buy", "same": "campaign"}, "at": {"event": "advert"},
               "horizon": "15d"},
}  # fmt: skip
OWN = """
from features.durations import days
from features.language import events
FEATURES = [
    events("ticket").containing("refund").count(last=days(60)),
    events("buy").over("account").sum("value"),
]
"""
EVENTS = pa.schema(
    [
        ("customer", pa.string()), ("event_time", pa.timestamp("us")),
        ("recorded_time", pa.timestamp("us")), ("event", pa.string()), ("value", pa.float64()),
        ("wait", pa.float64()), ("channel", pa.string()), ("campaign", pa.string()),
        ("account", pa.string()), ("text", pa.string()), ("renews_at", pa.timestamp("us")),
    ]
)  # fmt: skip
ABOUT = pa.schema(
    [
        ("customer", pa.string()), ("valid_from", pa.timestamp("us")),
        ("recorded_time", pa.timestamp("us")), ("city", pa.string()), ("seats", pa.float64()),
    ]
)  # fmt: skip


def random_events(rng: np.random.Generator, n: int = 4000) -> list[dict[str, Any]]:
    """Events of 90 customers over 400 days, of which a third are recorded late."""
    names = rng.choice(["buy", "look", "ticket", "advert", "cancel", "renew"], n,
                       p=[0.25, 0.35, 0.12, 0.15, 0.03, 0.1])  # fmt: skip
    found = []
    for name in names.tolist():
        day = float(rng.uniform(0, 400))
        # Midnights among the times, so that moments often fall on an edge.
        when = START + (days(day) if rng.random() < 0.5 else days(int(day)))
        late = days(float(rng.exponential(30))) if rng.random() < 0.33 else 0
        number = int(rng.integers(90))
        row: dict[str, Any] = {
            "customer": f"c{number:02d}", "event_time": when, "recorded_time": when + late,
            "event": name, "channel": str(rng.choice(["web", "shop", "app"])),
            "account": f"a{number // 4}" if rng.random() < 0.8 else None,
        }  # fmt: skip
        if name == "buy":
            row["value"] = float(rng.gamma(3, 10))
        if name in ("buy", "advert"):
            row["campaign"] = str(rng.choice(["spring", "summer"]))
        if name == "ticket":
            row["text"] = str(rng.choice(["Refund, please", "where is it", "refund now"]))
        if name == "renew":
            row["renews_at"] = (when + days(int(rng.integers(20, 60)))) // DAY * DAY
        found.append(row)
    return found


def stated(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Dated statements about the customers, some of them recorded late."""
    found = []
    for number in range(90):
        for _ in range(2):
            when = START + days(int(rng.integers(0, 400)))
            found.append(
                {
                    "customer": f"c{number:02d}", "valid_from": when,
                    "recorded_time": when + days(int(rng.integers(0, 90))),
                    "city": str(rng.choice(["Ulm", "Graz"])), "seats": float(rng.integers(9)),
                }
            )  # fmt: skip
    return found


def novelties(rng: np.random.Generator) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What nobody had seen: customers, events, levels, properties, words; all recorded late."""
    found, about = [], []
    for i in range(400):
        when = START + days(float(rng.uniform(0, 400)))
        about_whom = f"{'new' if i % 3 else 'c'}{i % 90:02d}"
        recorded = max(when, EXTRACTED) + 1 + days(float(rng.uniform(0, 50)))
        found.append(
            {
                "customer": about_whom, "event_time": when, "recorded_time": recorded,
                "event": ["aaa", "buy", "zzz", "cancel"][i % 4], "value": 1e6, "wait": 5.0,
                "channel": "fax", "campaign": "autumn", "account": f"a{i % 25}",
                "text": "entirely new words", "renews_at": when + days(30),
            }
        )  # fmt: skip
        about.append(
            {"customer": about_whom, "valid_from": when, "recorded_time": recorded,
             "city": f"town {i % 9}", "seats": 999.0}
        )  # fmt: skip
    return found, about


def write(folder: Path, events: list[dict[str, Any]], about: list[dict[str, Any]]) -> None:
    for name, rows, schema in (("events", events, EVENTS), ("about", about, ABOUT)):
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / f"{name}.parquet")


def business_in(folder: Path, extracted_at: int) -> Business:
    (folder / "own.py").write_text(OWN)
    moment = np.datetime64(extracted_at, "us").item()
    return Business(
        name="grown", folder=folder, extracted_at=moment,
        events=[{"sql": "select * from 'events.parquet'"}],
        customers=[{"sql": "select * from 'about.parquet'"}],
        stages={"seek": ["look", "advert"], "own": ["buy", "renew"], "leave": ["cancel"]},
        features={
            "windows": ["7d", "60d"], "groups": ["account"], "own": str(folder / "own.py"),
        },
        problems=PROBLEMS,
    )  # fmt: skip


def two_worlds(folder: Path, seed: int) -> tuple[Path, Path]:
    """The files as extracted, and as they are after the log has grown."""
    rng = np.random.default_rng(seed)
    events, about = random_events(rng), stated(rng)
    new_events, new_about = novelties(rng)
    then, now = folder / "then", folder / "now"
    for place in (then, now):
        place.mkdir()
    write(then, [e for e in events if e["recorded_time"] <= EXTRACTED],
          [a for a in about if a["recorded_time"] <= EXTRACTED])  # fmt: skip
    everything = events + new_events
    rng.shuffle(everything)
    write(now, everything, about + new_about)
    return then, now


def digest(
    features: tuple[Feature, ...], log: EventLog, rows: Rows, label: Ints, vectors: Any
) -> str:
    """SHA-256 of a training set: names, customers, times, labels and numbers."""
    who = [log.customers[at] for at in rows.customer.tolist()]
    sha = hashlib.sha256(json.dumps([feature_names(features), who]).encode())
    for column in (rows.cutoff_time, rows.known_time, label, vectors):
        sha.update(np.ascontiguousarray(column).tobytes())
    return sha.hexdigest()


def trained_on(business: Business, name: str) -> str:
    """The SHA-256 of what training would fit, and of the model's peer rates."""
    histories = read_histories(business)
    problem = resolve(business.problem(name), histories.log, histories.attributes)
    ready = prepare(business, problem, histories, Clock(lambda _: None))
    used = ready.split.all_rows
    matrix = np.concatenate([ready.parts[name][0] for name in SPLITS])
    rows = ready.labelled.moments.rows.take(used)
    found = digest(ready.features, histories.log, rows, ready.labelled.label[used], matrix)
    return found + json.dumps([feature.to_json() for feature in ready.features])


@pytest.mark.parametrize("seed", [1, 2])
def test_a_training_set_is_rebuilt_to_the_same_bytes(tmp_path: Path, seed: int) -> None:
    """Rows, labels, columns, rates and numbers as of an extraction never change afterwards."""
    then, now = two_worlds(tmp_path, seed)
    for name in PROBLEMS:
        before = trained_on(business_in(then, EXTRACTED), name)
        assert before == trained_on(business_in(now, EXTRACTED), name), name
    assert read_histories(business_in(then, EXTRACTED)).digest != (
        read_histories(business_in(now, GROWN)).digest
    )


def chosen(
    business: Business, problem: Problem, histories: Histories, until: int
) -> tuple[Feature, ...]:
    """The features that training chooses as of `until`, with what the histories now hold."""
    labelled, log = label_rows(business, problem, histories)
    attributes = histories.attributes.aligned(log.customers)
    return choose_features(
        business,
        problem,
        (log, attributes),
        until,
        lambda levels: changes(levels, problem, log, attributes, labelled.peers),
    )


@pytest.mark.parametrize("seed", [5])
def test_columns_are_chosen_from_customers_whom_no_later_event_changes(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a share of the customers is looked at, the share is that of the past's events."""
    monkeypatch.setattr(prepare_module, "CATALOGUE_EVENTS", 1_000)
    then, now = (
        (b, read_histories(b))
        for b in map(business_in, two_worlds(tmp_path, seed), (EXTRACTED, GROWN))
    )
    until = START + days(250)
    shares = []
    for _, histories in (then, now):
        recorded = int((histories.log.recorded_time <= until).sum())
        shares.append(catalogue_share(histories.log.n_events, partial(int, recorded)))
    assert shares[0] == shares[1] < 1
    business, grown = now
    buckets = write_buckets(business, grown, tmp_path / "buckets", 3)
    assert 1_000 / shares[1] == buckets.n_recorded(until) < grown.log.n_events


@pytest.mark.parametrize("seed", [3, 4])
def test_what_was_recorded_later_changes_no_row_of_the_past(tmp_path: Path, seed: int) -> None:
    """With 100 more days of history, late events and late outcomes, old rows keep their bits."""
    then, now = (
        (b, read_histories(b))
        for b in map(business_in, two_worlds(tmp_path, seed), (EXTRACTED, GROWN))
    )
    for name in PROBLEMS:
        business, histories = then
        problem = resolve(business.problem(name), histories.log, histories.attributes)
        asked = ask(business, problem, histories, Clock(lambda _: None))
        rows = asked.labelled.moments.rows
        found = chosen(business, problem, histories, asked.until)
        before = compute(found, histories.log, histories.attributes, rows)
        business, grown = now
        again = chosen(business, problem, grown, asked.until)
        assert feature_names(found) == feature_names(again)
        place = np.array([grown.log.index(c) for c in histories.log.customers])
        moved = Rows(place[rows.customer], rows.cutoff_time, rows.known_time)
        after = compute(again, grown.log, grown.attributes, moved)
        changed = [
            feature.name
            for feature, old, new in zip(found, before.T, after.T, strict=True)
            if old.tobytes() != new.tobytes()
        ]
        assert (name, []) == (name, changed)
