"""Where a run's rows and trees come from: this process, or buckets and whoever works on them.

Takes histories or buckets; gives the same answers to the same questions. Knows nothing
about what is done with a fitted model.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import lightgbm as lgb
import numpy as np

from features.buckets import Buckets, sample
from features.cluster import Runner
from features.config import Business, Problem
from features.cutoffs import resolve, settle
from features.overview import Overview, overview
from features.sources import Histories, SourceAccount
from models.seen import Seen
from training.audit import Audit, audit
from training.clock import Clock
from training.distributed import fit_together, refit_together
from training.few_positives import fit_few, is_few
from training.fitting import fit, refit
from training.label_table import SPLITS
from training.on_buckets import build_on_buckets, prepare_on_buckets
from training.partitions import (
    PURGED_BEFORE,
    WRITTEN_SPLITS,
    part_file,
    vectors,
    write_part,
)
from training.prepare import Prepared, ask, chosen_of, prepare
from training.sightings import seen_in
from training.training_set import account_of, claim, wanted, write_account

AUDITED_EVENTS = 1_000_000
"""The audit looks at about so many events of customers that are drawn from buckets; it looks at
fewer of each kind, whatever it is given."""


class Engine(Protocol):
    """What answers a run."""

    @property
    def digest(self) -> str:
        """SHA-256 of the histories' content."""

    @property
    def end(self) -> int:
        """The moment up to which the histories reach."""

    @property
    def sources(self) -> tuple[SourceAccount, ...]: ...

    @property
    def whole(self) -> Overview: ...

    @property
    def seen(self) -> Seen:
        """Which events and values the histories held."""

    def resolve(self, problem: Problem) -> Problem:
        """The problem with everything settled; `ProblemError` when a word is unknown."""

    def build(self, business: Business, problem: Problem, folder: Path, clock: Clock) -> None:
        """Write the training set of a resolved problem as Parquet."""

    def prepare(self, business: Business, problem: Problem, folder: Path, clock: Clock) -> Prepared:
        """Rows, split and vectors; an engine that keeps them on disk does so in `folder`."""

    def fit(self, ready: Prepared) -> lgb.Booster:
        """The trees, fitted on the training part."""

    def refit(self, ready: Prepared, first: lgb.Booster, before_test: bool) -> lgb.Booster:
        """Trees as those of `first`, fitted on rows known before the test, or on all matured."""

    def some(self, n_events: int) -> Histories:
        """Whole journeys of customers, drawn by chance, with about so many events."""

    def audit(self, business: Business, name: str) -> Audit | None:
        """The leakage audit of a problem; None where labels were brought for more customers than
        can be looked at."""


@dataclass(frozen=True)
class InProcess:
    """All histories in this process's memory."""

    histories: Histories
    say: Callable[[str], None]
    """Called with a line of progress."""

    @property
    def digest(self) -> str:
        return self.histories.digest

    @property
    def end(self) -> int:
        return self.histories.end

    @property
    def sources(self) -> tuple[SourceAccount, ...]:
        return self.histories.sources

    @cached_property
    def whole(self) -> Overview:
        return overview(self.histories.log, self.histories.attributes, ())

    @cached_property
    def seen(self) -> Seen:
        return seen_in([(self.histories.log, self.histories.attributes)])

    def resolve(self, problem: Problem) -> Problem:
        return resolve(problem, self.histories.log, self.histories.attributes)

    def build(self, business: Business, problem: Problem, folder: Path, clock: Clock) -> None:
        claim(folder)
        asked = ask(business, problem, self.histories, clock)
        with clock.stage("features") as told:
            features = chosen_of(business, asked)
            nowhere = np.zeros(asked.log.n_customers, np.int64)
            keys = wanted(asked.labelled, asked.split, asked.log.customers, nowhere).rows
            blocks = vectors(asked.log, asked.attributes, keys, features)
            write_part(part_file(folder, 0), keys, features, blocks)
            told.append(f"{keys.num_rows:,} rows × {len(features)} features")
        account = account_of(
            business.name, features, asked.labelled, asked.split, self.digest, self.end
        )
        write_account(folder, account)

    def prepare(
        self,
        business: Business,
        problem: Problem,
        folder: Path,  # noqa: ARG002 - memory needs no folder
        clock: Clock,
    ) -> Prepared:
        return prepare(business, problem, self.histories, clock)

    def fit(self, ready: Prepared) -> lgb.Booster:
        def progress(done: int, loss: float) -> None:
            self.say(f"  {done} rounds, validation log loss {loss:.4f}")

        train, validation = ready.parts["train"], ready.parts["validation"]
        if is_few(ready):
            return fit_few(ready, train, again=False)
        return fit(
            ready.features, train, validation, ready.problem.seed, progress,
            more=ready.more, monotone=ready.problem.monotone,
        )  # fmt: skip

    def refit(self, ready: Prepared, first: lgb.Booster, before_test: bool) -> lgb.Booster:
        rows = ready.before_test if before_test else ready.all_matured
        if is_few(ready):
            return fit_few(ready, rows, again=True)
        return refit(
            ready.features, rows, len(ready.split.train), ready.problem.seed, first,
            ready.problem.monotone, ready.more,
        )  # fmt: skip

    def some(self, n_events: int) -> Histories:
        share = min(1.0, n_events / max(self.histories.log.n_events, 1))
        if share == 1:
            return self.histories
        log, attributes = sample(self.histories.log, self.histories.attributes, share)
        return replace(self.histories, log=log, attributes=attributes)

    def audit(self, business: Business, name: str) -> Audit | None:
        return audit(business, name, self.histories)


@dataclass(frozen=True)
class OnBuckets:
    """Histories bucketed on disk, worked on a bucket at a time, here or on a cluster."""

    buckets: Buckets
    runner: Runner

    @property
    def digest(self) -> str:
        return self.buckets.digest

    @property
    def end(self) -> int:
        return self.buckets.end

    @property
    def sources(self) -> tuple[SourceAccount, ...]:
        return self.buckets.sources

    @property
    def whole(self) -> Overview:
        return self.buckets.whole

    @cached_property
    def seen(self) -> Seen:
        return seen_in(self.buckets.read(number) for number in range(len(self.buckets)))

    def resolve(self, problem: Problem) -> Problem:
        return settle(problem, self.buckets.whole)

    def build(self, business: Business, problem: Problem, folder: Path, clock: Clock) -> None:
        labelled, split, features, _, _ = build_on_buckets(
            business, problem, self.buckets, self.runner, folder, clock
        )
        account = account_of(business.name, features, labelled, split, self.digest, self.end)
        write_account(folder, account)

    def prepare(self, business: Business, problem: Problem, folder: Path, clock: Clock) -> Prepared:
        return prepare_on_buckets(business, problem, self.buckets, self.runner, folder, clock)

    def fit(self, ready: Prepared) -> lgb.Booster:
        if is_few(ready):
            return fit_few(ready, ready.parts["train"], again=False)
        return fit_together(ready, self.runner)

    def refit(self, ready: Prepared, first: lgb.Booster, before_test: bool) -> lgb.Booster:
        if is_few(ready):
            rows = ready.before_test if before_test else ready.all_matured
            return fit_few(ready, rows, again=True)
        splits = (*SPLITS[:2], PURGED_BEFORE) if before_test else WRITTEN_SPLITS
        return refit_together(ready, self.runner, splits, first)

    def some(self, n_events: int) -> Histories:
        share = min(1.0, n_events / max(self.whole.n_events, 1))
        return Histories(*self.buckets.sample(share), self.sources, self.end, self.digest)

    def audit(self, business: Business, name: str) -> Audit | None:
        if self.whole.n_events > AUDITED_EVENTS and business.problem(name).labels is not None:
            return None
        return audit(business, name, self.some(AUDITED_EVENTS))
