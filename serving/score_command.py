"""`python -m serving score CONFIG --out FILE`: everybody's score with reasons, as a file.

Reads the workspace's histories from a copy that follows the store, scores them a bucket at a time
here or on a Spark cluster, and writes one file. Whom a lead assigned goes before the owner whom the
histories name, as in the lists; histories that are given as buckets stand for themselves.
Standard output says how many customers were scored, and why the others were not.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from tqdm import tqdm

from features.buckets import Buckets, open_buckets
from features.cluster import DEFAULT_MASTER, spark
from features.config import Business, read_config, slug
from features.cutoffs import AsOf
from features.durations import format_moment
from features.errors import ConfigError, SourceError
from models.files import save
from models.registry import Registered, connect, load_alias, model_name
from serving.book import Wish
from serving.book_files import check_path, write_book
from serving.book_owners import with_owners
from serving.book_parts import Done, Task, parts, processes, score_buckets, score_on
from serving.database import Database
from serving.event_store import store_of
from serving.migrations import upgrade
from serving.settings import Settings, declare_place, read_settings
from serving.snapshot import FromStore
from serving.worklist import Worklist

LOCAL, SPARK = "local", "spark"
MOST_REASONS = 20


def declare(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    declare_place(parser, 1)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="FILE.parquet or FILE.csv"
    )
    parser.add_argument("--problem", help="which problem (default: the first one)")
    parser.add_argument(
        "--reasons", type=int, default=5, metavar="N", help="reasons a row (default: 5)"
    )
    parser.add_argument(
        "--histories", type=Path, metavar="DIR",
        help="buckets to score instead of the store's, as python -m features bucket writes them",
    )  # fmt: skip
    parser.add_argument("--engine", choices=(LOCAL, SPARK), default=LOCAL)
    parser.add_argument(
        "--master", default=DEFAULT_MASTER, help="the Spark master (default: %(default)s)"
    )
    parser.add_argument(
        "--processes", type=int, metavar="N", help="processes that score (default: by size)"
    )


def run(chosen: argparse.Namespace) -> int:
    """Score the book and write it."""
    begun = perf_counter()
    check_path(chosen.out)
    if not 0 <= chosen.reasons <= MOST_REASONS:
        raise ConfigError(f"--reasons is {chosen.reasons}; give 0 to {MOST_REASONS}.")
    business = read_config(chosen.config[0])
    problem = chosen.problem or next(iter(business.problems), "")
    business.problem(problem)
    settings = read_settings(os.environ, workspace=chosen.workspace, database=chosen.database)
    registered = load_alias(connect(settings.workspace), model_name(business.name, problem))
    buckets, as_of, assigned = _histories(business, settings, chosen.histories)
    with tempfile.TemporaryDirectory(dir=chosen.out.parent, prefix=".milepost-") as scratch:
        wish = Wish(reasons=chosen.reasons, owner=business.people.owner)
        task = _task(registered, buckets, as_of, Path(scratch), wish)
        with _progress(buckets) as done:
            unscored = _scored(chosen, task, done)
        book = (with_owners(part, assigned) for part in parts(task))
        rows = write_book(chosen.out, book, _about(registered, buckets, as_of))
    _tell(chosen.out, rows, unscored, perf_counter() - begun)
    return 0


def _task(registered: Registered, buckets: Buckets, as_of: AsOf, scratch: Path, wish: Wish) -> Task:
    """The work, with the model's files where every process finds them."""
    folder = scratch.resolve() / "model"
    digest = save(registered.model, folder)
    return Task(buckets, folder, digest, as_of, wish, scratch.resolve())


def _scored(chosen: argparse.Namespace, task: Task, done: Done) -> Counter[str]:
    if chosen.engine == LOCAL:
        return score_buckets(task, processes(task.buckets, chosen.processes), done)
    with spark(chosen.master) as runner:
        return score_on(task, runner, done)


def _histories(
    business: Business, settings: Settings, histories: Path | None
) -> tuple[Buckets, AsOf, dict[str, str]]:
    """The histories to score, as of when, and who was assigned in the store they come from."""
    if histories is not None:
        buckets = open_buckets(business, histories)
        return buckets, AsOf.then(buckets.end), {}
    name = slug(business.name)
    folder = settings.workspace / name / "score-histories"
    database = Database(settings.database_url)
    upgrade(database)
    store = store_of(database, business)
    if store.arrival():
        assigned = Worklist(database, store.workspace).assigned()
        copy = FromStore(business, store, folder).copy()
        return copy.buckets, copy.as_of, assigned
    raise SourceError(
        f"The store has no events of {business.name}. Import its sources with python -m serving "
        "import CONFIG, send events, or name buckets with --histories."
    )


@contextmanager
def _progress(buckets: Buckets) -> Iterator[Done]:
    total = sum(buckets.n_events)
    with tqdm(total=total, unit=" events", unit_scale=True, desc="scoring", file=sys.stderr) as bar:
        yield bar.update


def _about(registered: Registered, buckets: Buckets, as_of: AsOf) -> dict[str, str]:
    return {
        "problem": registered.model.contract.problem_name,
        "model": registered.name,
        "model_version": registered.version,
        "as_of": format_moment(as_of.moment),
        "histories": buckets.digest,
    }


def _tell(path: Path, rows: int, unscored: Counter[str], seconds: float) -> None:
    print(f"{path}: {rows:,} customers scored in {seconds:.1f} s")
    for code, count in sorted(unscored.items()):
        print(f"  no score for {count:,}: {code}")
