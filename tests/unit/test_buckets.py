"""Histories bucketed by customer: what is written, what comes back, what is refused."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import run
from journeys import log_of, make_grouped_shop, make_shop, read_table, together

from features.__main__ import main as features_main
from features.buckets import bucket_of, open_buckets, sample, write_buckets
from features.cluster import OneProcess, pack
from features.config import Business, read_config
from features.errors import BucketError, ConfigError
from features.event_log import EventLog, empty_log
from features.groups import leaders
from features.overview import Overview, overview
from features.sources import Histories, digest, read_histories
from training.__main__ import main as training_main
from training.training_set import claim


@pytest.fixture(scope="module")
def business(tmp_path_factory: pytest.TempPathFactory) -> Business:
    return read_config(make_shop(tmp_path_factory.mktemp("shop"), 60))


@pytest.fixture(scope="module")
def histories(business: Business) -> Histories:
    return read_histories(business)


def histories_of(log: EventLog, attributes: EventLog) -> Histories:
    log, attributes = together(log, attributes)
    return Histories(log, attributes, (), int(log.event_time.max()), digest(log, attributes))


def test_every_customer_is_whole_in_one_bucket(
    business: Business, histories: Histories, tmp_path: Path
) -> None:
    """A customer's events and attributes lie in the bucket of the id, and nowhere else."""
    made = write_buckets(business, histories, tmp_path / "b", 7)
    seen: list[str] = []
    for bucket in range(7):
        log, attributes = made.read(bucket)
        assert log.customers == attributes.customers
        assert {bucket} == set(bucket_of(log.customers, 7).tolist())
        assert made.n_events[bucket] == log.n_events
        for who in log.customers:
            whole = histories.log.history(who)
            assert whole.event_time.tolist() == log.history(who).event_time.tolist()
        seen += log.customers
    assert list(histories.log.customers) == sorted(seen)


def test_all_buckets_together_are_the_histories(
    business: Business, histories: Histories, tmp_path: Path
) -> None:
    """Reading every bucket gives the content that was written, whatever their number."""
    for n_buckets in (1, 5):
        folder = tmp_path / str(n_buckets)
        write_buckets(business, histories, folder, n_buckets)
        again = open_buckets(business, folder)
        assert histories.digest == digest(*again.sample(1.0)) == again.digest
        assert overview(histories.log, histories.attributes) == again.whole
        assert (histories.end, histories.sources) == (again.end, again.sources)


def test_a_sample_of_the_buckets_is_the_sample_of_the_whole(
    business: Business, histories: Histories, tmp_path: Path
) -> None:
    """Whether a customer is in a sample depends on nobody else."""
    made = write_buckets(business, histories, tmp_path / "b", 4)
    some = sample(histories.log, histories.attributes, 0.4)
    assert 10 < some[0].n_customers < 40
    assert digest(*some) == digest(*made.sample(0.4))


def test_missing_values_and_odd_ids_survive(business: Business, tmp_path: Path) -> None:
    """Nulls, a property that few events have, empty text and foreign letters come back as is."""
    log = read_table("""
        customer | event_time | event | value | channel | renews_at  | recorded_time
        NA       | 2024-01-01 | a     | 1.5   | web     | -          | 2024-02-01
        null     | 0001-01-01 | b     | -     | -       | 9999-12-31 | -
        Ωmega    | 2024-01-01 | a     | -0.0  | -       | -          | -
        zoë      | 2024-01-01 | a     | 7     | phöne   | 2024-03-01 | -
    """)
    attributes = read_table("""
        customer | event_time | plan
        lonely   | 2024-01-01 | gold
    """)
    histories = histories_of(log, attributes)
    made = write_buckets(business, histories, tmp_path / "b", 3)
    assert histories.digest == digest(*made.sample(1.0))
    assert ("NA", "lonely", "null", "zoë", "Ωmega") == made.sample(1.0)[0].customers


def test_other_programs_can_read_the_buckets(
    business: Business, histories: Histories, tmp_path: Path
) -> None:
    """The files are plain Parquet: times are times, text is text, missing is null."""
    write_buckets(business, histories, tmp_path / "b", 3)
    query = (
        "select count(*), count(value), count(distinct customer), min(event_time)::date::varchar "
        f"from '{tmp_path}/b/events/*.parquet'"
    )
    value = histories.log.numbers["value"]
    first = "2023-01-01"
    n_customers = int((np.diff(histories.log.offsets) > 0).sum())
    expected = (len(value), int((~np.isnan(value)).sum()), n_customers, first)
    assert [expected] == duckdb.sql(query).fetchall()


def test_buckets_of_other_sources_or_other_histories_are_refused(
    business: Business, histories: Histories, tmp_path: Path
) -> None:
    """A changed configuration, or a bucket of an older folder, is named with both digests."""
    made = write_buckets(business, histories, tmp_path / "b", 2)
    changed = business.model_copy(update={"data": "elsewhere"})
    with pytest.raises(BucketError, match="made from other sources"):
        open_buckets(changed, tmp_path / "b")
    with_actions = business.features.model_copy(update={"actions": True})
    with pytest.raises(BucketError, match="made from other sources"):
        open_buckets(business.model_copy(update={"features": with_actions}), tmp_path / "b")
    write_buckets(business, replace(histories, digest="f" * 64), tmp_path / "old", 2)
    stray = tmp_path / "old" / "events" / "bucket-00001.parquet"
    stray.replace(tmp_path / "b" / "events" / "bucket-00001.parquet")
    with pytest.raises(BucketError, match=f"digest ffffffffffff, .* to {made.digest[:12]}"):
        open_buckets(business, tmp_path / "b").read(1)


def test_a_folder_without_buckets_is_refused(
    business: Business, histories: Histories, tmp_path: Path
) -> None:
    """No manifest, a broken one and another format each say to make the buckets again."""
    with pytest.raises(BucketError, match="There are no buckets in"):
        open_buckets(business, tmp_path)
    write_buckets(business, histories, tmp_path / "b", 2)
    manifest = tmp_path / "b" / "manifest.json"
    data = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**data, "format": 99}))
    with pytest.raises(BucketError, match="format 99"):
        open_buckets(business, tmp_path / "b")
    manifest.write_text("{")
    with pytest.raises(BucketError, match="can't be read as a manifest"):
        open_buckets(business, tmp_path / "b")


def test_old_buckets_are_replaced_and_other_files_are_not(
    business: Business, histories: Histories, tmp_path: Path
) -> None:
    """Writing again leaves the new buckets alone; a folder with somebody's file is refused."""
    write_buckets(business, histories, tmp_path / "b", 6)
    write_buckets(business, histories, tmp_path / "b", 2)
    assert 2 == len(list((tmp_path / "b" / "events").iterdir()))
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(BucketError, match=r"holds 'notes\.txt'"):
        write_buckets(business, histories, tmp_path / "b", 2)


def test_everybody_who_shares_a_group_lies_in_one_bucket(tmp_path: Path) -> None:
    """Households and teams lie whole, also where a member of two links them; others are spread."""
    business = read_config(make_grouped_shop(tmp_path / "shop"))
    histories = read_histories(business)
    write_buckets(business, histories, tmp_path / "b", 4)
    made = open_buckets(business, tmp_path / "b")
    assert ("household", "team") == made.together
    places: dict[tuple[str, str], set[int]] = {}
    for bucket in range(4):
        log, _ = made.read(bucket)
        assert {bucket} == set(made.bucket_of(log.customers).tolist())
        for kind in made.together:
            column = log.categories[kind]
            for code in np.unique(column.codes[column.codes >= 0]).tolist():
                places.setdefault((kind, column.levels[code]), set()).add(bucket)
    assert {1} == {len(buckets) for buckets in places.values()}
    assert len(set().union(*places.values())) > 2
    customers = histories.log.customers
    apart = bucket_of(customers, 4) != made.bucket_of(customers)
    assert 20 < apart.sum() < len(customers)
    assert np.array_equal(np.diff(histories.log.offsets), made.event_counts(customers))


def test_who_shares_a_group_with_whom() -> None:
    """Groups that a member of both links have one leader, the first customer of all."""
    log = log_of(
        [
            {"customer": customer, "event_time": "2024-01-01", "event": "e", **more}
            for customer, more in (
                ("a", {}), ("b", {"account": "x"}), ("c", {"account": "y"}),
                ("d", {"account": "z", "plan": "p"}), ("e", {"account": "x"}),
                ("e", {"account": "y"}), ("f", {"plan": "p"}),
            )
        ]
    )  # fmt: skip
    assert [0, 1, 1, 3, 1, 5] == leaders(log, ["account"]).tolist()
    assert [0, 1, 1, 3, 1, 3] == leaders(log, ["account", "plan"]).tolist()
    assert [0, 1, 2, 3, 4, 5] == leaders(log, []).tolist()


def test_buckets_whose_groups_lie_apart_are_refused(tmp_path: Path) -> None:
    """Buckets made before a group was declared are no ground for its features."""
    business = read_config(make_grouped_shop(tmp_path / "shop", 40))
    histories = read_histories(business)
    fewer = business.features.model_copy(update={"groups": ["household"]})
    write_buckets(business.model_copy(update={"features": fewer}), histories, tmp_path / "b", 2)
    with pytest.raises(BucketError, match="customers of one team lie in several"):
        open_buckets(business, tmp_path / "b")
    assert open_buckets(business, tmp_path / "b", grouped=True).together == ("household",)
    (tmp_path / "b" / "leaders.parquet").write_bytes(b"no parquet")
    with pytest.raises(BucketError, match=r"leaders\.parquet can't be read"):
        open_buckets(business, tmp_path / "b", grouped=True).bucket_of(["c000"])


def test_a_training_set_never_replaces_other_files(tmp_path: Path) -> None:
    """`--out` may be new, empty, or hold an older training set."""
    (tmp_path / "part-00000.parquet").write_text("old")
    claim(tmp_path)
    assert [] == list(tmp_path.iterdir())
    (tmp_path / "thesis.docx").write_text("mine")
    with pytest.raises(ConfigError, match=r"thesis\.docx"):
        claim(tmp_path)


def test_the_command_writes_buckets_and_says_how_many(tmp_path: Path) -> None:
    """`python -m features bucket CONFIG OUT --buckets N` reads the sources once."""
    shop = make_shop(tmp_path / "shop", 30)
    done = run("features", "bucket", str(shop), str(tmp_path / "out"), "--buckets", "3")
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'out'}: 3 buckets of" in done.stdout
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert read_histories(read_config(shop)).digest == manifest["digest"]
    assert {"value": "number", "channel": "category"}.items() <= (
        manifest["overview"]["event_kinds"].items()
    )
    assert ["order", "ticket"] == manifest["overview"]["event_names"]
    rows = [pq.read_metadata(p).num_rows for p in sorted((tmp_path / "out/events").iterdir())]
    assert [bucket["n_events"] for bucket in manifest["buckets"]] == rows


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bucket", "{shop}", "{shop}"), "can't be used for buckets"),
        (("bucket", "{shop}", "{out}", "--buckets", "0"), "0 buckets are asked for"),
        (("bucket", "gone.toml", "{out}"), "There is no file gone.toml"),
    ],
)
def test_bad_input_is_one_paragraph_and_exit_code_2(
    arguments: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can't be bucketed is named in the last line."""
    shop = make_shop(tmp_path / "shop", 30)
    filled = [word.format(shop=shop, out=tmp_path / "out") for word in arguments]
    assert 2 == features_main(filled)
    assert says in capsys.readouterr().err.strip().splitlines()[-1]


def test_training_on_absent_or_foreign_buckets_ends_with_exit_code_2(
    business: Business, histories: Histories, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--buckets` names a folder that was made from this configuration's sources."""
    shop = make_shop(tmp_path / "shop", 30)
    write_buckets(business.model_copy(update={"data": "x"}), histories, tmp_path / "foreign", 2)
    for folder, says in (("none", "no buckets in"), ("foreign", "made from other sources")):
        out, buckets = str(tmp_path / "out"), str(tmp_path / folder)
        assert 2 == training_main(["build", str(shop), "--out", out, "--buckets", buckets])
        assert says in capsys.readouterr().err.strip().splitlines()[-1]


def test_an_overview_survives_its_own_json() -> None:
    """What the manifest keeps is what was found."""
    log = read_table("""
        customer | event_time       | event
        a        | 2024-01-01       | x
        a        | 2024-01-02 10:00 | x
        b        | 2024-01-03       | y
        b        | 2024-01-03       | y
    """)
    found = overview(log, empty_log(log.customers))
    assert found == Overview.from_json(json.loads(json.dumps(found.to_json())))
    assert {"x": True, "y": False} == found.repeats
    assert not found.date_only


def test_one_process_works_on_buckets_in_order() -> None:
    """The answers come in the order of the numbers."""
    assert [9, 1, 4] == OneProcess().each(lambda number: number**2, [3, 1, 2])
    assert [1] == OneProcess().together(lambda number, addresses: len(addresses), 1)


def test_what_is_sent_to_workers_can_be_imported(tmp_path: Path) -> None:
    """Python imports the packages that a task needs from the zip file, from nowhere else."""
    path = pack(tmp_path / "packages.zip")
    code = (
        f"import sys; sys.path.insert(0, {str(path)!r}); import "
        "training.partitions as p, features.engine as e; print(p.__file__, e.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(file.startswith(str(path)) for file in done.stdout.split())
