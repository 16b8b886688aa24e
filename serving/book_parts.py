"""The book of a whole business: a bucket of histories after the other, wherever they are scored.

Takes a business's buckets and a model in a folder; scores buckets in this process, in several, or
on a Spark cluster, with the same function and the same bits. Memory grows with a bucket, which
holds everybody who shares a group (`[features] groups`). Knows nothing about what becomes of the
scores.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa

from features.buckets import Buckets
from features.cluster import Runner
from features.cutoffs import AsOf
from features.groups import with_groups
from models.files import load
from serving.book import Wish, score_book
from serving.book_reasons import Speaker

WORTH_PROCESSES = 2_000_000
"""Events from which on a second process earns what it costs to start."""

Done = Callable[[int], None]
"""Called after each bucket with its events."""


@dataclass(frozen=True)
class Task:
    """What a process needs to score a bucket; small, it travels."""

    buckets: Buckets
    model: Path
    """The folder of the model's files."""
    digest: str
    as_of: AsOf
    wish: Wish
    scratch: Path
    """Where parts are written; every machine sees it under the same path."""

    def part(self, number: int) -> Path:
        """The file of a bucket's scores."""
        return self.scratch / f"part-{number:05d}.arrow"


def score_bucket(task: Task, number: int) -> dict[str, int]:
    """Score one bucket into its file; gives customers without a score by reason."""
    speaker = speaker_of(task.model, task.digest)
    log, attributes = task.buckets.read(number)
    log = with_groups(log, task.buckets.together)
    part = score_book(speaker, log, attributes, task.as_of, task.wish)
    _write(task.part(number), part.table)
    return dict(part.unscored)


def score_buckets(task: Task, n_processes: int, done: Done) -> Counter[str]:
    """Score all buckets on this machine."""
    unscored: Counter[str] = Counter()
    for number, found in _each(partial(score_bucket, task), len(task.buckets), n_processes):
        unscored.update(found)
        done(task.buckets.n_events[number])
    return unscored


def score_on(task: Task, runner: Runner, done: Done) -> Counter[str]:
    """Score all buckets on a cluster."""
    unscored: Counter[str] = Counter()
    for found in runner.each(partial(score_bucket, task), list(range(len(task.buckets)))):
        unscored.update(found)
    done(sum(task.buckets.n_events))
    return unscored


def parts(task: Task) -> Iterator[pa.Table]:
    """The scored parts in the order of their buckets, mapped and not read."""
    for path in sorted(task.scratch.glob("part-*.arrow")):
        with pa.memory_map(str(path)) as source:
            yield pa.ipc.open_file(source).read_all()


def processes(buckets: Buckets, asked: int | None) -> int:
    """How many processes score: as many as there are cores where that pays."""
    if asked is not None:
        return max(1, min(asked, len(buckets)))
    if sum(buckets.n_events) < WORTH_PROCESSES:
        return 1
    return max(1, min(len(os.sched_getaffinity(0)), len(buckets)))


def _each(
    work: Callable[[int], dict[str, int]], n: int, n_processes: int
) -> Iterator[tuple[int, dict[str, int]]]:
    if n_processes == 1:
        yield from ((number, work(number)) for number in range(n))
        return
    with ProcessPoolExecutor(n_processes, get_context("spawn"), _one_thread) as pool:
        yield from enumerate(pool.map(work, range(n)))


def _one_thread() -> None:
    """A process works on one core: the others have processes of their own."""
    pa.set_cpu_count(1)


@lru_cache(maxsize=2)
def speaker_of(model: Path, digest: str) -> Speaker:
    return Speaker(load(model, digest))


def _write(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def whole(parts: Iterator[pa.Table]) -> pa.Table:
    """All parts as one table, in the order of the customers' ids."""
    return pa.concat_tables(list(parts)).unify_dictionaries().sort_by("customer")
