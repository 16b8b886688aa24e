"""A training set from bucketed histories: rows and vectors in the partitions.

Takes buckets and a way to work on them; gives a training set on disk that equals the one of
a single process bit for bit. Knows nothing about what runs the partitions.

Schedule, cohort, labels and features are computed where the bucket is read, because each
reads nothing but one customer's events and an overview that the manifest holds. Here, in
the driver, is done what needs all rows: the split, the draw of training rows, and the choice
of columns. The driver holds the labelled rows (some 50 bytes each, their number is bounded
for a regular schedule), a sample of about `CATALOGUE_EVENTS` events, the rows on which a model
is judged, and those that a purge left out, of at most `MOST_ROWS` of `training.prepare`; never
the log and never all vectors.
"""

from collections import Counter
from functools import partial
from pathlib import Path
from shutil import rmtree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.buckets import Buckets
from features.categorical import Categorical
from features.cluster import Runner
from features.config import Business, Problem
from features.cutoffs import Moments
from features.engine import Rows
from features.errors import ConfigError
from features.event_log import Ints, union
from features.feature import Feature
from training.clock import Clock
from training.label_table import read_labels
from training.labels import Labelled, check_classes, check_cohort, from_table
from training.partitions import (
    LABEL_COLUMNS,
    bucket_file,
    count_bucket,
    fill_bucket,
    label_bucket,
    peers_file,
)
from training.peers import Changes, joined
from training.prepare import (
    Prepared,
    catalogue_share,
    choose_features,
    label_account,
    over_before_test,
    purged_rows,
    split_account,
    thinned,
)
from training.splits import Split, split_rows
from training.training_set import SCRATCH, Wanted, claim, load, wanted


def build_on_buckets(
    business: Business,
    problem: Problem,
    buckets: Buckets,
    runner: Runner,
    folder: Path,
    clock: Clock,
    with_purged: bool = False,
) -> tuple[Labelled, Split, tuple[Feature, ...], Wanted, Ints]:
    """Write the training set of a resolved problem to `folder`, a file a bucket.

    The last thing that it gives are the purged rows, which are written too if `with_purged`.
    """
    claim(folder)
    scratch = folder / SCRATCH
    scratch.mkdir(exist_ok=True)
    try:
        with clock.stage("labels") as told:
            labelled, customers = _label(business, problem, buckets, runner, scratch)
            told += [label_account(labelled), *labelled.notes]
        with clock.stage("split") as told:
            split = thinned(split_rows(problem, labelled, customers), problem.seed)
            told += [split_account(split), *split.notes]
        with clock.stage("features") as told:
            until = int(labelled.moments.rows.known_time[split.train].max())
            features = _choose(business, problem, buckets, runner, scratch, until)
            bucket, purged = buckets.bucket_of(customers), purged_rows(labelled, split)
            over = over_before_test(problem, labelled, split, purged)
            more = (purged, over) if with_purged else None
            rows = wanted(labelled, split, customers, bucket, more)
            n_rows = _fill(buckets, runner, features, rows, scratch, folder)
            told.append(f"{n_rows:,} rows × {len(features)} features")
    finally:
        rmtree(scratch, ignore_errors=True)
    return labelled, split, features, rows, purged


def prepare_on_buckets(
    business: Business,
    problem: Problem,
    buckets: Buckets,
    runner: Runner,
    folder: Path,
    clock: Clock,
) -> Prepared:
    """Build a training set, and read what a model is judged on."""
    labelled, split, features, rows, purged = build_on_buckets(
        business, problem, buckets, runner, folder, clock, with_purged=True
    )
    with clock.stage("load"):
        parts = load(folder, rows, features, labelled, split, purged)
    return Prepared(problem, labelled, split, features, parts, purged, folder)


def _label(
    business: Business, problem: Problem, buckets: Buckets, runner: Runner, scratch: Path
) -> tuple[Labelled, tuple[str, ...]]:
    """Every labelled row, in the order in which one process finds them, and their customers."""
    if problem.labels is not None:
        table = read_labels(business, problem.labels)
        someone = buckets.read(_fullest(buckets))[0]
        heard = someone.customers[int(np.flatnonzero(np.diff(someone.offsets))[0])]
        customers = union(Categorical.of(table.customer).levels, [heard])
        labelled = from_table(
            problem, table, customers, buckets.event_counts(customers), buckets.end
        )
    else:
        labelled, customers = _declared(problem, buckets, runner, scratch)
    check_classes(problem, labelled)
    return labelled, customers


def _declared(
    problem: Problem, buckets: Buckets, runner: Runner, scratch: Path
) -> tuple[Labelled, tuple[str, ...]]:
    """Label every bucket where it lies, and put their rows together."""
    numbers = list(range(len(buckets)))
    answers = runner.each(partial(label_bucket, buckets, problem, scratch), numbers)
    unknown: Counter[str] = Counter()
    verdicts: Counter[int] = Counter()
    for answer in answers:
        unknown.update(answer["unknown"])
        verdicts.update({int(code): count for code, count in answer["verdicts"].items()})
    check_cohort(verdicts)
    table = pa.concat_tables([_written(bucket_file(scratch, number)) for number in numbers])
    who = Categorical.of(table["customer"])
    columns = {name: table[name].to_numpy() for name in table.column_names if name != "customer"}
    regular = problem.at is None and problem.before is None
    # A customer's rows lie in one bucket, in order: only customers have to be put in order.
    keys = (who.codes, columns["cutoff_time"]) if regular else (who.codes,)
    order = np.lexsort(keys)
    cutoff, known, opens, closes, label = (columns[name][order] for name in LABEL_COLUMNS)
    moments = Moments(Rows(who.codes[order].astype(np.int64), cutoff, known), opens, closes)
    return Labelled(moments, label, dict(unknown), when=columns["when"][order]), who.levels


def _choose(
    business: Business,
    problem: Problem,
    buckets: Buckets,
    runner: Runner,
    scratch: Path,
    until: int,
) -> tuple[Feature, ...]:
    """The columns that one process would choose: it looks at the same sample."""
    share = catalogue_share(buckets.whole.n_events, lambda: buckets.n_recorded(until))
    some = buckets.sample(share)
    count = partial(_count, problem, buckets, runner, scratch)
    return choose_features(business, problem, some, until, count)


def _count(
    problem: Problem,
    buckets: Buckets,
    runner: Runner,
    scratch: Path,
    categories: tuple[Feature, ...],
) -> Changes:
    """Count outcomes by categories where the buckets lie, and put the counts together."""
    numbers = list(range(len(buckets)))
    runner.each(partial(count_bucket, buckets, problem, categories, scratch), numbers)
    tables = [_written(peers_file(scratch, number)) for number in numbers]
    return joined(
        [Changes(**{name: t[name].to_numpy() for name in t.column_names}) for t in tables]
    )


def _fill(
    buckets: Buckets,
    runner: Runner,
    features: tuple[Feature, ...],
    rows: Wanted,
    scratch: Path,
    folder: Path,
) -> int:
    """Hand each bucket its rows, and have their vectors written."""
    for bucket in rows.filled:
        table = rows.rows.slice(*_extent(rows.bucket(bucket)))
        pq.write_table(table.unify_dictionaries(), bucket_file(scratch, bucket))
    return sum(runner.each(partial(fill_bucket, buckets, features, scratch, folder), rows.filled))


def _extent(part: slice) -> tuple[int, int]:
    return part.start, part.stop - part.start


def _fullest(buckets: Buckets) -> int:
    return int(np.argmax(buckets.n_events))


def _written(path: Path) -> pa.Table:
    """What a task wrote, if this machine sees it."""
    try:
        return pq.read_table(path)
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no file {path}, though a task wrote it. Every machine of the cluster must "
            "see this folder under the same path."
        ) from error
