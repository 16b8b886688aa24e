"""What a score answers, in words.

Takes a problem; gives a phrase for pages, reports and cards. Knows nothing about who shows it.
"""

import re

from features.config import Problem
from features.durations import spell_duration
from features.feature import spoken
from models.spoken import Words, article, event_noun


def question(problem: Problem) -> str:
    """What a score answers: `the probability of no purchase within 28 days`."""
    within = f" within {spell_duration(problem.horizon)}" if problem.horizon else ""
    after = f", from {spell_duration(problem.gap)} after the score on" if problem.gap else ""
    outcome = problem.outcome
    if outcome is None:
        return f"the probability of the outcome that the business labelled{within}{after}"
    if outcome.silence_of is not None:
        return f"the probability of no {spoken(outcome.silence_of)}{within}{after}"
    if outcome.event is not None:
        return f"the probability of {spoken(outcome.event)}{within}{after}"
    return (
        f"the probability that “{spoken(outcome.not_ or '')}” does not come by the date in "
        f"“{spoken(outcome.by or '')}”{after}"
    )


def of_hundred(problem: Problem, words: Words, probability: float) -> str:
    """What a score means: `Of 100 customers with such a score, about 18 had no purchase …`."""
    many = round(100 * probability)
    said = "fewer than 1" if many < 1 else "more than 99" if many > 99 else f"about {many}"
    return f"Of 100 customers with such a score, {said} {followed(problem, words)}."


def came_about(problem: Problem, words: Words) -> str:
    """The outcome as a thing that there is a chance of: `no purchase`, `a coupon redeemed`."""
    outcome = problem.outcome
    if outcome is None:
        return "the outcome that the business labelled"
    if outcome.event is not None:
        said = event_noun(outcome.event, words).one
        return f"{article(said)} {said}"
    return f"no {event_noun(outcome.silence_of or outcome.not_ or '', words).one}"


def came_or_not(problem: Problem, words: Words) -> tuple[str, str]:
    """What there was where the outcome did not come, and where it came: `an order`, `no order`."""
    outcome = problem.outcome
    if outcome is None:
        return "another outcome", came_about(problem, words)
    said = event_noun(outcome.event or outcome.silence_of or outcome.not_ or "", words).one
    some, none = f"{article(said)} {said}", f"no {said}"
    return (none, some) if outcome.event is not None else (some, none)


LOSS = re.compile(
    "cancel|churn|leav|left|lost|loss|lapse|terminat|unsubscri|clos|expire|downgrad|return|refund|"
    "complain|default|attrition|risk"
)
"""What an event or a problem is called where the outcome is unwelcome."""


def is_wanted(problem: Problem, name: str) -> bool:
    """Whether the business is glad of the outcome: of a conversion, not of a silence.

    Of an event its name decides; of a business's own labels, and of an event that says nothing,
    the problem's.
    """
    outcome = problem.outcome
    if outcome is not None and outcome.event is None:
        return False
    said = name if outcome is None else f"{outcome.event} {name}"
    return LOSS.search(said.lower()) is None


def followed(problem: Problem, words: Words) -> str:
    """What customers did who are counted: `had no order in the 30 days that followed`."""
    outcome, during = problem.outcome, ""
    if problem.horizon:
        during = f" in the {spell_duration(problem.horizon)} that followed"
    if problem.gap:
        during += f", counted from {spell_duration(problem.gap)} after the score on"
    if outcome is None or outcome.silence_of is not None:
        return f"had {came_about(problem, words)}{during}"
    if outcome.event is not None:
        did = event_noun(outcome.event, words).did
        return f"{did or f'had {came_about(problem, words)}'}{during}"
    return f"had {came_about(problem, words)} by the date in “{spoken(outcome.by or '')}”{during}"


def asked_of(problem: Problem) -> str:
    """Whom a problem asks about and when: `customers, asked every 7 days`."""
    return f"{_who(problem)}, asked {_when(problem)}"


def _who(problem: Problem) -> str:
    cohort = problem.cohort
    if problem.labels is not None:
        return "the customers of the business's label table"
    who = "customers"
    silence = problem.outcome.silence_of if problem.outcome is not None else None
    if cohort.active_within is not None:
        event = cohort.event or silence
        did = f"at least one {spoken(event)}" if event else "at least one event"
        who += f" with {did} in the {spell_duration(cohort.active_within)} before the cutoff"
    if cohort.without:
        who += f" without {' or '.join(spoken(event) for event in cohort.without)} before it"
    return who


def _when(problem: Problem) -> str:
    if problem.labels is not None:
        return "at the cutoffs that the table names"
    if problem.at is not None:
        return f"at each {spoken(problem.at.event)}"
    if problem.before is not None:
        return f"{_leads(problem.before.lead)} before the date in {problem.before.property}"
    if problem.every is not None:
        return f"every {spell_duration(problem.every)}"
    return "at regular cutoffs"


def _leads(lengths: list[int]) -> str:
    """`120, 90, 60 and 30 days`, where all are of one unit."""
    spelled = [spell_duration(length).split(" ") for length in lengths]
    one_unit = len({unit.rstrip("s") for _, unit in spelled}) == 1
    *some, last = (
        [*(number for number, _ in spelled[:-1]), " ".join(spelled[-1])]
        if one_unit
        else [" ".join(pair) for pair in spelled]
    )
    return f"{', '.join(some)} and {last}" if some else last
