"""Everybody's score as a file: the same as asked one by one, in one process, in two, on Spark."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
from conftest import run

from features.buckets import open_buckets, write_buckets
from features.config import read_config
from features.cutoffs import AsOf
from features.sources import read_histories
from models.registry import Registered, connect, load_alias
from serving.at_risk import Question, page
from serving.book import COLUMNS, Wish, score_book
from serving.book_reasons import Speaker
from serving.book_scores import record
from serving.book_store import BookStore
from serving.database import Database
from serving.event_store import EventStore, Fact
from serving.scoring import Scorer
from serving.worklist import Worklist

JAVA = shutil.which("java") or os.environ.get("JAVA_HOME")


@pytest.fixture(scope="module")
def champion(shop_run: tuple[Path, object]) -> Registered:
    """The shop's champion."""
    return load_alias(connect(shop_run[0]), "shop-churn")


@pytest.fixture(scope="module")
def folder(shop: Path, champion: Registered, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's histories in buckets."""
    business = read_config(shop)
    made = tmp_path_factory.mktemp("book") / "buckets"
    write_buckets(business, read_histories(business), made, 3)
    return made


def test_the_book_says_what_a_single_score_says(shop: Path, champion: Registered) -> None:
    """Each customer's row equals the score asked alone, reasons in words too."""
    histories = read_histories(read_config(shop))
    scorer = Scorer(champion.model)
    speaker = Speaker(champion.model)
    as_of = AsOf.then(histories.end)
    part = score_book(speaker, histories.log, histories.attributes, as_of, Wish())
    rows = {row["customer"]: row for row in part.table.to_pylist()}
    for who in histories.log.customers:
        log, attributes = histories.log.history(who), histories.attributes.history(who)
        (score,) = scorer.scores(scorer.ask(log, attributes, as_of), [5])
        if score.no_score is not None:
            assert who not in rows
            continue
        row = rows.pop(who)
        for name in ("probability", "percentile", "band", "value_at_stake"):
            assert getattr(score, name) == row[name]
        for name in ("value_at_stake", "expected_value"):
            assert row[name] == float(f"{row[name]:.12g}")  # no noise of floats
        assert score.interval is not None
        assert score.interval[:2] == (row["interval_low"], row["interval_high"])
        for rank, reason in enumerate(score.reasons, 1):
            expected = (reason.statement, reason.feature, reason.kind)
            at = f"reason_{rank}"
            assert expected == (row[at], row[f"{at}_feature"], row[f"{at}_kind"])
            assert reason.points == pytest.approx(row[f"{at}_points"], abs=1e-9)
    assert {} == rows


def scored(shop: Path, workspace: Path, folder: Path, out: Path, *more: str) -> str:
    """What the command prints."""
    place = ("--histories", str(folder), "--workspace", str(workspace))
    done = run("serving", "score", str(shop), "--out", str(out), *place, *more)
    assert done.returncode == 0, done.stderr
    assert [out.name] == [path.name for path in out.parent.iterdir()]
    return done.stdout


def test_a_file_holds_the_book_whoever_made_it(
    shop: Path, shop_run: tuple[Path, object], folder: Path, tmp_path: Path
) -> None:
    """One process and two write the same table; CSV has the same rows and columns."""
    places = [tmp_path / name / f"book.{name}" for name in ("parquet", "csv")]
    for place in places:
        place.parent.mkdir()
    told = scored(shop, shop_run[0], folder, places[0])
    table = pq.read_table(places[0])
    assert f"{table.num_rows} customers scored" in told and "not_active" in told
    assert list(COLUMNS) == table.column_names[: len(COLUMNS)]
    assert "reason_5_kind" == table.column_names[-1]
    scored(shop, shop_run[0], folder, places[0], "--processes", "2")
    assert table.equals(pq.read_table(places[0]))
    scored(shop, shop_run[0], folder, places[1], "--reasons", "2")
    plain = pcsv.read_csv(places[1])
    assert table["probability"].to_pylist() == plain["probability"].to_pylist()
    assert table["reason_2"].cast(pa.string()).to_pylist() == plain["reason_2"].to_pylist()


@pytest.mark.skipif(
    JAVA is None or find_spec("pyspark") is None,
    reason="no Java or no pyspark here: make system (as root) and make spark bring them",
)
def test_a_cluster_writes_the_same_book(
    shop: Path, shop_run: tuple[Path, object], folder: Path, tmp_path: Path
) -> None:
    """Spark scores each bucket where it lies, to the bit as one process does."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    scored(shop, shop_run[0], folder, tmp_path / "a" / "book.parquet")
    scored(shop, shop_run[0], folder, tmp_path / "b" / "book.parquet", "--engine", "spark")
    one, two = (pq.read_table(tmp_path / name / "book.parquet") for name in "ab")
    assert one.equals(two)


@pytest.mark.parametrize(
    ("more", "says"),
    [(["--out", "book.xlsx"], "ends in '.xlsx'"), (["--out", "nowhere/book.csv"], "is not there"),
     (["--out", "b.csv", "--problem", "chrun"], "Did you mean 'churn'?"),
     (["--out", "b.csv", "--reasons", "99"], "give 0 to 20")],
)  # fmt: skip
def test_what_can_not_be_written_is_told(shop: Path, more: list[str], says: str) -> None:
    """A wrong name, folder, problem or number is one paragraph and exit code 2."""
    done = run("serving", "score", str(shop), *more)
    assert 2 == done.returncode
    assert says in done.stderr


def test_buckets_stay_as_they_were(shop: Path, folder: Path) -> None:
    """Scoring reads; the folder still opens as the histories it was."""
    assert 3 == len(open_buckets(read_config(shop), folder))


def test_the_store_s_book_is_that_of_its_sources_and_follows_what_arrives(
    shop: Path, shop_run: tuple[Path, object], folder: Path, tmp_path: Path
) -> None:
    """Imported, the store gives the same file, in which who was assigned here is their owner's;
    the keeper lists it, and again after events that came late, with the score of each customer. Its
    rows are computed again to the bit."""
    url = f"sqlite:///{tmp_path}/milepost.db"
    place = ("--workspace", str(shop_run[0]), "--database", url)
    watched = run("models", "watch", str(shop), "--workspace", str(shop_run[0]), "--once")
    assert watched.returncode == 0, watched.stderr
    for command in (("import",), ("keep-book", "--once")):
        done = run("serving", command[0], str(shop), *place, *command[1:])
        assert done.returncode == 0, done.stderr
    out = tmp_path / "out" / "book.parquet"
    out.parent.mkdir()
    scored(shop, shop_run[0], folder, out)
    expected = pq.read_table(out)
    database = Database(url)
    store = EventStore(database).workspace("shop")
    expected = expected.sort_by("customer")  # other buckets, another order
    whose = dict.fromkeys(expected["customer"].to_pylist()[:3], "Zoë")
    Worklist(database, store.workspace).assign(whose, "lena")
    done = run("serving", "score", str(shop), "--out", str(out), *place)
    assert done.returncode == 0, done.stderr
    rows = [{**row, "owner": whose.get(row["customer"])} for row in expected.to_pylist()]
    assert rows == pq.read_table(out).sort_by("customer").to_pylist()
    book = BookStore(database, store.workspace)
    first = book.current("churn")
    assert first is not None
    assert expected.num_rows == first.rows
    listed = page(book, Question("churn", by="probability", limit=500))
    assert sorted(expected["probability"].to_pylist(), reverse=True) == [
        row.probability for row in listed.rows
    ]
    whom = listed.rows[0].customer
    for number, customer in enumerate(("newcomer", whom)):
        order = Fact(0, "crm", f"o-{number}", customer, first.as_of, "order", '{"value":5.0}')
        store.append([order])
    assert run("serving", "keep-book", str(shop), *place, "--once").returncode == 0
    second = book.current("churn")
    assert second is not None
    assert store.state() == (second.arrival, AsOf(second.as_of, second.known_time))
    assert first.as_of == second.as_of < second.known_time
    assert second.number == first.number + 1
    scorer = Scorer(load_alias(connect(shop_run[0]), "shop-churn").model)
    journey = store.journeys.of(whom, scorer.model.contract)
    assert journey is not None
    (score,) = scorer.scores(scorer.ask(journey.log, journey.attributes, store.as_of()), [0])
    again = page(book, Question("churn", by="probability", limit=500)).rows
    (now,) = (row.probability for row in again if row.customer == whom)
    assert listed.rows[0].probability != now == score.probability
    assert run("serving", "keep-book", str(shop), *place, "--once").returncode == 0
    assert book.current("churn") == second
    names = [row.customer for row in again[:7]]
    for _ in range(2):  # what is told of twice is recorded once
        with database.writing() as connection:
            record(connection, book, second, names)
    replayed = run("serving", "replay", str(shop), *place)
    assert replayed.stdout.startswith("7 scores: 7 identical"), replayed.stdout + replayed.stderr
    database.close()
