"""The verdict before fitting: each finding where it belongs, and none on healthy rows."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from features.config import Problem
from features.cutoffs import Moments
from features.durations import days
from features.engine import Rows
from features.errors import ProblemError
from features.sources import SourceAccount
from training.findings import NOTE, STOP, WARNING, Finding, tell
from training.labels import Labelled
from training.preflight import preflight, refuse
from training.splits import Split, split_rows

PROBLEM = Problem(**{"outcome": {"event": "buy"}, "horizon": "28d", "every": "28d"})
DAY = days(1)


def rows(
    label: NDArray[np.int8], cutoff: NDArray[np.int64], customers: int = 500, **more: object
) -> Labelled:
    """Labelled rows at cutoffs given in days, of customers in turn."""
    time = cutoff.astype(np.int64) * DAY
    moments = Rows(np.arange(len(label)) % customers, time, time)
    return Labelled(
        Moments(moments, time, time + days(28)), label, **{"unknown": {}, **more}
    )  # fmt: skip


def healthy(rate: float = 0.2, n: int = 12_000, seed: int = 3) -> Labelled:
    """A year of cutoffs every four weeks with a steady rate."""
    rng = np.random.default_rng(seed)
    cutoff = np.repeat(np.arange(12) * 28, n // 12)
    return rows((rng.random(n) < rate).astype(np.int8), cutoff)


def found(
    labelled: Labelled,
    split: Split | None = None,
    sources: tuple[SourceAccount, ...] = (),
    end: int | None = None,
) -> dict[str, Finding]:
    """Findings by code."""
    names = tuple(f"c{n:04d}" for n in range(500))
    split = split or split_rows(PROBLEM, labelled, names)
    last = int(labelled.moments.closes.max())
    verdict = preflight(PROBLEM, labelled, split, sources, last if end is None else end)
    for finding in verdict:  # each with counts, dates and one to four mends
        assert re.search(r"\d", finding.says) and re.search(r"19\d\d-\d\d-\d\d", finding.says)
        assert 1 <= len(finding.mends) <= 4
    return {finding.code: finding for finding in verdict}


def thirds(labelled: Labelled) -> Split:
    """Three parts in the rows' order."""
    return Split(*np.array_split(np.arange(len(labelled)), 3), "by thirds")


def test_healthy_rows_have_no_finding() -> None:
    """A year of steady labels of 500 customers with a live source gets no finding."""
    source = SourceAccount("shop", 10_000, 10_000, first=0, last=days(336))
    assert found(healthy(), sources=(source,)) == {}


@pytest.mark.parametrize(("positives", "stops"), [(39, True), (40, False)])
def test_few_positives(positives: int, stops: bool) -> None:
    """39 positives stop a run and 40 are a warning, each counted in the sentence."""
    label = np.zeros(3_000, np.int8)
    label[:: 3_000 // positives][:positives] = 1
    label[np.flatnonzero(label)[positives:]] = 0
    labelled = rows(label, np.repeat(np.arange(12) * 28, 250))
    finding = found(labelled, thirds(labelled))["P01"]
    said = f"{positives} of 3,000 labelled rows between 1970-01-01 and 1970-11-05 are positive"
    assert said in finding.says
    assert stops == (finding.severity == STOP)
    if stops:
        with pytest.raises(ProblemError, match="P01 too few positives"):
            refuse((finding,))
    else:
        refuse((finding,))


def test_the_rarer_class_counts() -> None:
    """Where almost everybody is positive it is the negatives that are too few."""
    label = np.ones(3_000, np.int8)
    label[::100] = 0
    labelled = rows(label, np.repeat(np.arange(12) * 28, 250))
    says = found(labelled, thirds(labelled))["P01"].says
    assert "30 of 3,000 labelled rows between 1970-01-01 and 1970-11-05 are negative" in says


def test_short_history() -> None:
    """Windows that reach into the next part are told, with first and last cutoff."""
    rng = np.random.default_rng(4)
    label = (rng.random(6_000) < 0.3).astype(np.int8)
    labelled = rows(label, np.repeat([0, 10, 20], 2_000))
    finding = found(labelled, thirds(labelled))["P02"]
    assert {"1970-01-01", "1970-01-21"} <= set(finding.evidence.values())
    assert any("cutoffs over" in mend for mend in finding.mends)


def test_one_cutoff() -> None:
    """Rows that all stand at one cutoff are told as such, and not as a short history."""
    label = (np.random.default_rng(4).random(6_000) < 0.3).astype(np.int8)
    codes = found(rows(label, np.full(6_000, 100)))
    assert "P10" in codes
    assert "P02" not in codes


@pytest.mark.parametrize(("late_days", "told"), [(57, False), (60, True)])
def test_old_labels(late_days: int, told: bool) -> None:
    """Outcomes that ended more than 30 days and a horizon before the history's end are told."""
    labelled = healthy()
    end = int(labelled.moments.closes.max()) + days(late_days)
    assert told == ("P03" in found(labelled, end=end))


@pytest.mark.parametrize(("last", "told"), [(336, False), (330, False), (320, True)])
def test_quiet_source(last: int, told: bool) -> None:
    """A source with 30 events a day is missed after a week, and not before."""
    source = SourceAccount("shop", last * 30, last * 30, first=0, last=days(last))
    verdict = found(healthy(), sources=(source,))
    assert told == ("P05" in verdict)
    if told:
        assert "shop" == verdict["P05"].subject
        assert verdict["P05"].evidence["missed"] == pytest.approx(16 * 30, abs=1)


def test_slow_source_is_not_quiet() -> None:
    """A source with an event a month is not missed after twenty days."""
    source = SourceAccount("letters", 12, 12, first=0, last=days(316))
    assert "P05" not in found(healthy(), sources=(source,))


def test_a_source_that_comes_once_a_customer_may_end() -> None:
    """Sign-ups end where no new customers are taken in: a note, which says what it can be."""
    ended = SourceAccount(
        "joins", 3_000, 3_000, first=0, last=days(200), customers=2_990, events=("joined",)
    )
    finding = found(healthy(), sources=(ended,))["P05"]
    assert NOTE == finding.severity
    assert "3,000 events from 1970-01-01 to 1970-07-20, one a customer, none since" in finding.says
    assert "as it should be if no newer customers were taken into these histories" in finding.says
    assert ("joins", True) == (finding.subject, finding.evidence["once_a_customer"])


def test_an_outcome_that_ended_is_missed_although_it_comes_once() -> None:
    """Cancellations come once too; where they stop, the labels of all that follows are wrong."""
    for more in ({"events": ("buy",), "customers": 3_000}, {"customers": 1_500}, {}):
        ended = SourceAccount("feed", 3_000, 3_000, first=0, last=days(200), **more)
        assert WARNING == found(healthy(), sources=(ended,))["P05"].severity


def test_small_cohort() -> None:
    """Rows of fewer than a hundred customers are told."""
    rng = np.random.default_rng(5)
    label = (rng.random(3_000) < 0.3).astype(np.int8)
    labelled = rows(label, np.repeat(np.arange(12) * 28, 250), customers=99)
    assert 99 == found(labelled)["P06"].evidence["customers"]


def test_rare_outcome_and_changed_rate() -> None:
    """A rate of three in a thousand is rare; one that doubles after training has changed."""
    assert "P07" in found(healthy(rate=0.003, n=60_000))
    rng = np.random.default_rng(6)
    cutoff = np.repeat(np.arange(12) * 28, 1_000)
    risk = np.where(cutoff < 250, 0.1, 0.2)
    finding = found(rows((rng.random(12_000) < risk).astype(np.int8), cutoff))["P08"]
    assert finding.evidence["test_rate"] > 1.5 * finding.evidence["train_rate"]
    assert "too low" in finding.says


def test_unknown_labels() -> None:
    """More rows without a label than with one are told with their reasons."""
    labelled = healthy()
    more = Labelled(labelled.moments, labelled.label, {"window_not_over": len(labelled) + 1})
    assert "12,001 window_not_over" in found(more)["P09"].says


def test_every_finding_has_mends_and_fits_the_terminal() -> None:
    """Each finding has one to four mends, and its lines fit into 96 columns."""
    label = np.zeros(3_000, np.int8)
    label[:10] = 1
    labelled = rows(label, np.repeat([0, 10, 20], 1_000), customers=50)
    for finding in found(labelled, thirds(labelled)).values():
        assert 1 <= len(finding.mends) <= 4
        assert max(map(len, tell(finding))) <= 96
