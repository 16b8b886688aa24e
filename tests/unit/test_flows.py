"""How journeys flow, beside journeys that can be followed by hand and a slow count of them."""

from collections import Counter
from itertools import groupby, pairwise

import numpy as np
from journeys import read_table

from features.durations import parse_moment
from features.event_log import EventLog
from training.flows import flow, last_of, last_stage, leaks, paths, steps_of, visits_of

STAGES = {"look": ("view",), "buy": ("order", "pay"), "ask": ("ticket",)}
LOG = read_table(
    """
    customer | event_time | event
    a        | 2024-01-01 | view
    a        | 2024-01-02 | view
    a        | 2024-01-03 | mail
    a        | 2024-01-05 | order
    a        | 2024-01-06 | pay
    a        | 2024-01-08 | view
    a        | 2024-01-09 | ticket
    b        | 2024-01-01 | ticket
    b        | 2024-01-04 | view
    c        | 2024-01-02 | mail
    """
)


def everything(log: EventLog) -> dict[str, object]:
    visits = visits_of(log, STAGES)
    return flow(visits, np.ones(len(visits.stage), dtype=bool))


def day(text: str) -> int:
    return parse_moment(f"2024-01-{text}")


def test_runs_of_a_stage_are_one_visit_and_other_events_interrupt_nothing() -> None:
    """Two views with a mail after them are one visit; order and pay are one."""
    visits = visits_of(LOG, STAGES)
    assert [0, 1, 0, 2, 2, 0] == visits.stage.tolist()
    assert [day("01"), day("05"), day("08"), day("09"), day("01"), day("04")] == (
        visits.begin.tolist()
    )


def test_transitions_are_told_with_jumps_and_returns() -> None:
    """To the next stage it is a step, farther on a jump, to an earlier one a return."""
    found = {
        (t["source"], t["target"]): (t["kind"], t["times"]) for t in everything(LOG)["transitions"]
    }
    assert {
        ("look", "buy"): ("step", 1),
        ("buy", "look"): ("return", 1),
        ("look", "ask"): ("jump", 1),
        ("ask", "look"): ("return", 1),
    } == found


def test_time_in_a_stage_counts_visits_that_were_left() -> None:
    """Of look: 4 days and 1 day; the last visits, which nothing followed, have no time yet."""
    look, buy, ask = everything(LOG)["stages"]
    assert {"low": 1.75, "median": 2.5, "high": 3.25} == look["days"]
    assert 3.0 == buy["days"]["median"]
    assert (3, 2, 1, 1) == (look["visits"], look["customers"], look["starts"], look["ends"])
    assert (2, 1, 1) == (ask["visits"], ask["starts"], ask["ends"])


def test_flows_equal_a_slow_count() -> None:
    """Of 200 random journeys, one at a time and in plain Python."""
    rng = np.random.default_rng(3)
    names = ("view", "order", "pay", "ticket", "mail")
    rows = [
        {"customer": f"c{rng.integers(200)}", "event_time": f"2024-01-{d:02d}", "event": names[e]}
        for d, e in zip(rng.integers(1, 29, 3000), rng.integers(0, 5, 3000), strict=True)
    ]
    text = "customer | event_time | event\n" + "\n".join(" | ".join(row.values()) for row in rows)
    log = read_table(text)
    stage_of = {name: stage for stage, events in STAGES.items() for name in events}
    slow: Counter[tuple[str, str]] = Counter()
    for customer in range(log.n_customers):
        codes = log.event.codes[log.offsets[customer] : log.offsets[customer + 1]]
        walked = [stage_of.get(log.event.levels[code]) for code in codes]
        slow.update(pairwise(stage for stage, _ in groupby(s for s in walked if s)))
    found = everything(log)["transitions"]
    assert slow == Counter({(one["source"], one["target"]): one["times"] for one in found})


def test_the_last_thing_is_found_up_to_a_moment() -> None:
    """Up to the moment itself, of that customer alone, and none before the first."""
    owner, time = np.array([0, 0, 2]), np.array([10, 20, 15])
    customer, until = np.array([0, 0, 0, 1, 2, 2]), np.array([9, 10, 25, 99, 14, 15])
    assert [-1, 0, 1, -1, -1, 2] == last_of(owner, time, customer, until).tolist()


def test_leaks_name_the_last_stage_of_who_was_lost_and_who_was_not() -> None:
    """Who had been in no stage is told as such."""
    visits = visits_of(LOG, STAGES)
    last = last_stage(visits, np.array([0, 1, 2]), np.array([day("06"), day("03"), day("30")]))
    assert [1, 2, -1] == last.tolist()
    told = leaks(visits.stages, last, np.array([True, False, True]))
    assert [("look", 0, 0), ("buy", 1, 0), ("ask", 0, 1), (None, 1, 0)] == [
        (one["stage"], one["lost"], one["kept"]) for one in told
    ]


def test_a_path_is_the_order_in_which_stages_were_first_reached_by_then() -> None:
    """Returns add nothing, and what comes after the moment is not seen."""
    visits = visits_of(LOG, STAGES)
    who, label = np.array([0, 1, 2]), np.array([1, 0, 0], np.int8)
    until = np.array([day("08"), day("30"), day("30")])
    found = paths(visits, who, until, label)
    assert {("look", "buy"): 1.0, ("ask", "look"): 0.0, (): 0.0} == {
        tuple(one["path"]): one["rate"] for one in found["paths"]
    }
    assert 0 == found["other_paths"]["customers"]


def test_a_business_without_stages_is_told_by_its_events() -> None:
    """The commonest events are the steps then."""
    assert ["view", "mail", "ticket", "order", "pay"] == list(steps_of({}, LOG))
    assert {"buy", "ask"} == set(steps_of({"buy": ["pay"], "ask": ["ticket"], "no": ["x"]}, LOG))
