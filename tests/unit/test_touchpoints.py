"""Which moments say what a touchpoint does: by hand, with what was before and what came after."""

import numpy as np
import pytest
from journeys import log_of

from features.config import Business
from features.cutoffs import resolve
from features.durations import DAY, HOUR, parse_moment
from features.event_log import empty_log
from features.sources import Histories
from training.labels import label_rows
from training.touchpoints import Compared, Subject, Touchpoint, compare, touchpoints_of

N = 120
SLOW = Touchpoint("slow")


def moment(day: int, hour: int = 0) -> str:
    return f"2024-01-{day:02d} {hour:02d}:00"


def journeys() -> list[dict[str, str]]:
    """120 customers who look and come back. A third are slow on the 5th, a third of those order
    three days later; another third is slow so late that nobody knows yet what came of it."""
    rows = []
    for n in range(N):
        who = {"customer": f"c{n:03d}"}
        rows.append({**who, "event": "view", "event_time": moment(1, n % 5)})
        rows.append({**who, "event": "view", "event_time": moment(15, n % 5)})
        if n % 3 == 0:
            rows.append({**who, "event": "slow", "event_time": moment(5)})
            if n % 9 == 0:
                rows.append({**who, "event": "order", "event_time": moment(8)})
            if n % 9 == 3:  # at the very moment: before it nobody could have known
                rows.append({**who, "event": "order", "event_time": moment(5)})
        if n % 3 == 1:
            rows.append({**who, "event": "slow", "event_time": moment(27)})
        if n % 3 == 2 and n % 2:
            rows.append({**who, "event": "order", "event_time": moment(9)})
        rows.append({**who, "event": "view", "event_time": moment(30)})
    return rows


@pytest.fixture(scope="module")
def subject() -> Subject:
    log = log_of(journeys())
    business = Business.model_validate(
        {
            "name": "shop",
            "events": [{"sql": "x"}],
            "problems": {
                "conversion": {"outcome": {"event": "order"}, "horizon": "7d", "every": "1d"}
            },
        }
    )
    nobody = empty_log(log.customers)
    end = parse_moment("2024-01-31")
    problem = resolve(business.problem("conversion"), log, nobody)
    labelled, log = label_rows(business, problem, Histories(log, nobody, (), end, ""))
    return Subject(business, problem, log, nobody, end, labelled)


@pytest.fixture(scope="module")
def compared(subject: Subject) -> Compared:
    found = compare(subject, SLOW, 7)
    assert found is not None
    return found


def test_who_met_it_counts_once_the_answer_is_known(compared: Compared) -> None:
    """The 40 of the 5th; of those of the 27th nobody knows yet, and unknown is not 0."""
    assert 40 == compared.units.met.sum() == len(compared.asked)
    assert {0} == set((compared.asked % 3).tolist())


def test_the_outcome_lies_after_the_moment(compared: Compared) -> None:
    """An order three days later counts, one at the very moment does not."""
    units = compared.units
    came = dict(zip(units.customer[units.met], units.outcome[units.met], strict=True))
    assert all(label == (customer % 9 == 0) for customer, label in came.items())


def test_nothing_of_the_moment_itself_is_known_before_it(
    subject: Subject, compared: Compared
) -> None:
    """What is adjusted for ends a microsecond before: neither the touchpoint nor what came with
    it. A moment without the touchpoint lies as long after an event, and is none that met it."""
    rows, met = compared.rows, compared.units.met
    assert {moment(5)} == {
        str(np.datetime64(int(t) + 1, "us")).replace("T", " ")[:16] for t in rows.cutoff_time[met]
    }
    slow = parse_moment(moment(5))
    others = set(zip(rows.customer[~met], (rows.cutoff_time[~met] + 1), strict=True))
    assert not others & {(customer, slow) for customer in range(0, N, 3)}
    gaps = {days * DAY - n * HOUR for days in (4, 12) for n in range(5)}
    times = subject.log.event_time
    for customer, when in others:
        own = times[subject.log.offsets[customer] : subject.log.offsets[customer + 1]]
        # With the order of that very moment the touchpoint came at once: so do others.
        assert int(when) in own or int(when - own[own < when].max()) in gaps


def test_the_outcome_is_no_touchpoint_of_its_own_problem(subject: Subject) -> None:
    """Nor is what too few met."""
    assert {"view", "slow"} == {one.event for one in touchpoints_of(subject)}
