"""The gate: each condition alone refuses, with its code and its numbers in words."""

from dataclasses import replace

import numpy as np
import pytest

from features.config import Gate
from training.backtest import Period
from training.bootstrap import Interval
from training.champion import UNASKED, Champion
from training.evaluation import Judgement, Metrics
from training.findings import LEAK, Finding
from training.gate import Decision, decide
from training.judging import Verdict
from training.slices import Group

BETTER, EQUAL = Interval(0.05, 0.01, 0.09), Interval(0.0, -0.02, 0.02)
METRICS = Metrics(1_000, 200, 0.2, *[0.5] * 12)
LEAKY = Finding("L10", LEAK, "cancelled", "An event stands only around the outcome.", ("Mend it.",))


def judgement(ece: float = 0.01, slope: Interval | None = None, **rivals: Interval) -> Judgement:
    """A judgement whose differences in average precision are given by rival."""
    slope = slope or Interval(1.0, 0.95, 1.05)
    mine = {"ece": Interval(ece, ece, ece), "calibration_slope": slope}
    value = {"expected_value": Interval(10.0, 8.0, 12.0)}
    return Judgement(
        METRICS,
        {"model": mine | value, **dict.fromkeys(rivals, value)},
        {
            name: {"average_precision": of, "expected_value": Interval(0.0, -0.5, 0.5)}
            for name, of in rivals.items()
        },
    )


def verdict(of: Judgement | None = None, slices: tuple[Group, ...] = ()) -> Verdict:
    """A verdict on the test part."""
    return Verdict(of or judgement(best_rule=BETTER), [], None, [], [], list(slices))


def period(difference: float, is_test: bool = False) -> Period:
    """A period of the back-test in which the model was so much better than the rule."""
    of = judgement(best_rule=Interval(difference, -1, 1))
    return Period("2024-01-01", "2024-01-29", 100, is_test, of, np.empty(0, np.int64), np.empty(0))


def asked(
    what: Verdict | None = None,
    periods: tuple[float, ...] = (0.04, 0.02),
    champion: Champion | None = None,
    leaks: tuple[Finding, ...] | None = (),
    gate: Gate | None = None,
) -> Decision:
    """The gate's decision where everything is well but for what is given."""
    given = [period(each) for each in periods]
    return decide(what or verdict(), given, champion, leaks, gate or Gate())


def codes(decision: Decision) -> list[str]:
    return [reason.code for reason in decision.reasons]


def test_a_good_challenger_passes() -> None:
    """Better than the rule, calibrated, audited: it passes, and says what is met."""
    decision = asked()
    assert decision.passed
    assert 6 == len(decision.met)
    assert "  gate: passed" == decision.lines()[0]


@pytest.mark.parametrize("low", [0.0, -0.01])
def test_no_better_than_the_rule(low: float) -> None:
    """A lower bound that is not above 0 is refused, however large the difference."""
    of = judgement(best_rule=Interval(0.2, low, 0.4))
    assert ["G01"] == codes(asked(verdict(of)))


def test_without_a_rule_the_base_rate_has_to_be_beaten() -> None:
    """Where there is no rule the base rate is the rival."""
    assert asked(verdict(judgement(base_rate=BETTER))).passed
    assert ["G01"] == codes(asked(verdict(judgement(base_rate=EQUAL))))


def test_the_margins_are_the_business_s() -> None:
    """A larger margin refuses what the default lets through; that of value is a share."""
    assert ["G01"] == codes(asked(gate=Gate(average_precision=0.02)))
    assert ["G01"] == codes(asked(gate=Gate(expected_value=-0.04)))
    assert asked(gate=Gate(expected_value=-0.06)).passed


def test_the_champion_has_to_be_beaten_on_the_same_rows() -> None:
    """An equal challenger is refused, a better one passes, and one that can't be compared not."""
    served = Champion("7", [0.1], "the version that is served")  # type: ignore[arg-type]
    equal = judgement(best_rule=BETTER, champion=EQUAL)
    decision = asked(verdict(equal), champion=served)
    assert ["G02"] == codes(decision)
    assert "champion, version 7" in decision.reasons[0].says
    better = judgement(best_rule=BETTER, champion=BETTER)
    assert asked(verdict(better), champion=served).passed
    assert ["G08"] == codes(asked(champion=Champion("7", None, "its features are unknown")))


@pytest.mark.parametrize(("periods", "refused"), [((0.1, -0.2), True), ((0.1, -0.05), False)])
def test_earlier_periods_have_to_agree(periods: tuple[float, ...], refused: bool) -> None:
    """The mean of the back-test decides, and without one nothing is held against a model."""
    assert (["G03"] if refused else []) == codes(asked(periods=periods))
    assert asked(periods=()).passed


@pytest.mark.parametrize(
    ("of", "refused"),
    [
        (judgement(ece=0.021, best_rule=BETTER), True),
        (judgement(ece=0.02, best_rule=BETTER), False),
        (judgement(slope=Interval(0.7, 0.6, 0.79), best_rule=BETTER), True),
        (judgement(slope=Interval(0.7, 0.6, 0.81), best_rule=BETTER), False),
        (judgement(slope=Interval(1.4, 1.26, 1.6), best_rule=BETTER), True),
    ],
)
def test_calibration_holds(of: Judgement, refused: bool) -> None:
    """An error or a slope is refused only where its interval lies beyond what is allowed."""
    assert (["G04"] if refused else []) == codes(asked(verdict(of)))


def group(difference: Interval, mean_score: float = 0.2) -> Group:
    """A kind of customer with a rate of 20 %."""
    return Group("plan", "basic", 1_000, 200, mean_score, judgement(best_rule=difference))


@pytest.mark.parametrize(
    ("fallen", "refused"),
    [
        (group(Interval(-0.06, -0.1, -0.01)), True),
        (group(Interval(-0.06, -0.1, 0.01)), False),
        (group(Interval(-0.04, -0.05, -0.03)), False),
        (group(EQUAL, mean_score=0.31), True),
        (group(EQUAL, mean_score=0.29), False),
    ],
)
def test_no_kind_of_customer_collapses(fallen: Group, refused: bool) -> None:
    """A kind is refused when it surely ranks worse than the rule, or is scored far off its rate."""
    decision = asked(verdict(slices=(fallen,)))
    assert (["G05"] if refused else []) == codes(decision)
    if refused:
        assert "plan basic (1,000 rows, 200 positive)" in decision.reasons[0].says


def test_a_small_kind_is_not_judged() -> None:
    """A kind that is too small to be judged refuses nothing."""
    assert asked(verdict(slices=(replace(group(BETTER), judgement=None, mean_score=0.9),))).passed


def test_leaks_forbid_and_so_does_not_looking() -> None:
    """Each leak is a reason, and so is an audit that nobody ran."""
    decision = asked(leaks=(LEAKY, LEAKY))
    assert ["G06", "G06"] == codes(decision)
    assert decision.reasons[0].says.startswith("L10 an event occurs only around the outcome")
    assert ["G07"] == codes(asked(leaks=None))


def test_every_reason_is_told() -> None:
    """All that is wrong is told at once, in lines of at most 96 columns and as plain data."""
    decision = asked(verdict(judgement(ece=0.2, best_rule=EQUAL)), (-0.1,), leaks=None)
    assert ["G01", "G03", "G04", "G07"] == codes(decision)
    assert max(map(len, decision.lines())) <= 96
    assert not decision.to_json()["passed"]


def test_the_test_part_is_no_earlier_period() -> None:
    """Earlier periods that were bad refuse, whatever the newest one, the test, adds to the mean."""
    bad, test = [period(-0.01), period(-0.02)], [period(0.9, is_test=True)]
    assert ["G03"] == codes(decide(verdict(), bad + test, None, (), Gate()))
    told = decide(verdict(), test, None, (), Gate())
    assert told.passed
    assert "no earlier period is long enough for a back-test" in told.met


def test_a_registry_out_of_reach_is_no_reason_against_a_first_model() -> None:
    """Nobody knows of a champion: the version passes, and what is not known is said."""
    told = asked(champion=Champion(UNASKED, None, "it can't be fetched: connection refused"))
    assert told.passed
    assert any("connection refused" in each for each in told.met)
