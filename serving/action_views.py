"""What people wrote down, in a reader's words: for the customer's page, the list and the queue.

Takes actions, notes and opinions; gives the values that templates show. Moments are told from the
clock: people act now, wherever the stored histories end. Knows nothing about HTTP.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from features.actions import KINDS
from features.config import Problem
from features.durations import MINUTE, format_moment, spell_duration
from features.feature import spoken
from models.question import came_about, came_or_not, followed, is_wanted
from models.spoken import Words, capital
from serving.action_log import EARLIEST, ledger, listed, new_id
from serving.action_words import kind_words
from serving.actions import OUTCOMES, Action, FollowUp, Wanted
from serving.alike import FEWEST, Alikes
from serving.notes import Notes
from serving.opinions import Opinion, Tally, queue, tally
from serving.page_words import amount, when
from serving.settling import opinions_of
from serving.sight import Sight

View = dict[str, Any]

SHOWN, MOST_NOTES = 10, 200
"""Actions, and notes, of a customer's page; of the notes the first ten stand open."""
LISTED = 50
"""Actions of one page of the list."""
MOST_OPINIONS = 5_000
"""The newest opinions of a problem that the queue and the tally are made of."""
LISTED_OPINIONS = 100


def acts_view(sight: Sight, customer: str, problem: str, now: int) -> View:
    """All that people wrote down about a customer."""
    kept, words = sight.tenant.kept, words_of(sight)
    found = listed(sight, Wanted(customer), SHOWN)
    notes, n_notes = Notes(kept.database, kept.workspace).of_customer(customer, MOST_NOTES)
    asked = sight.tenant.business.problems[problem]
    opinions = opinions_of(sight.tenant).of_customer(customer, problem, SHOWN)
    return {
        "actions": actions_view(sight, found.actions, now),
        "more": found.next is not None,
        "notes": [{**vars(each), "when": when(each.at, now)} for each in notes],
        "n_notes": n_notes,
        "opinions": [opinion_view(each, asked, words, now) for each in opinions],
    }


def alike_view(
    sight: Sight, problem: Problem, answer: Mapping[str, Any] | None, now: int
) -> View | None:
    """Customers who once stood where one stands now, and what became of them.

    They are counted whoever's they are; those whom the reader sees are named.

    Parameters
    ----------
    answer
        Of `/v1/scores`.
    """
    if answer is None or answer["probability"] is None:
        return None
    kept, words, persona = sight.tenant.kept, words_of(sight), answer["persona"]
    found = Alikes(kept.database, kept.workspace).nearest(
        answer["problem"], answer["customer"], answer["probability"], persona and persona["name"]
    )
    if len(found.stood) < FEWEST:
        return None
    seen = sight.among({each.customer for each in found.stood})
    told = came_or_not(problem, words)
    chances = [each.probability for each in found.stood]
    return {
        "many": len(found.stood),
        "came": sum(each.came for each in found.stood),
        "did": followed(problem, words),
        "otherwise": told[0],
        "persona": found.persona,
        "low": min(chances),
        "high": max(chances),
        "at": when(max(each.cutoff for each in found.stood), now),
        "version": found.stood[0].version,
        "named": [
            {**vars(each), "became": told[each.came], "at": when(each.cutoff, now)}
            for each in found.stood
            if each.customer in seen
        ],
    }


def form_view(problem: Problem, words: Words, now: int, sent: Mapping[str, str]) -> View:
    """What the forms offer, and what was typed into one that could not be kept.

    Parameters
    ----------
    sent
        The fields of that form; empty where there was none.
    """
    yes, no = expected(problem, words)
    return {
        "kinds": [(kind, capital(kind_words(kind))) for kind in KINDS],
        "outcomes": OUTCOMES,
        "says": (("yes", yes), ("no", no)),
        "id": sent.get("id") or new_id(),
        "at": sent.get("at") or _minute(now),
        "latest": _minute(now + MINUTE),
        "earliest": _minute(EARLIEST),
        "sent": sent,
    }


def actions_view(sight: Sight, actions: Sequence[Action], now: int) -> list[View]:
    """Actions of a list, with all that was said later of each."""
    later = ledger(sight).follow_ups([each.action for each in actions])
    return [_action(each, later.get(each.action, []), now) for each in actions]


def disagreements_view(sight: Sight, name: str, now: int) -> View:
    """The queue, and how person and model did, of customers whom the reader sees."""
    words, problem = words_of(sight), sight.tenant.business.problems[name]
    mine, cut = seen_opinions(sight, name)
    waiting = queue(mine)
    over = [each for each in mine if each.truth is not None or each.why_unknown is not None]
    return {
        "problem": name,
        "problems": list(sight.tenant.business.problems),
        "business": sight.tenant.business.name,
        "declared": problem.outcome is not None,
        "wanted": is_wanted(problem, name),
        "queue": [opinion_view(e, problem, words, now) for e in waiting[:LISTED_OPINIONS]],
        "n_queue": len(waiting),
        "over": [opinion_view(e, problem, words, now) for e in over[:LISTED_OPINIONS]],
        "n_over": len(over),
        "unknown": sum(each.why_unknown is not None for each in over),
        "tally": tally(mine),
        "briers": _briers(tally(mine)),
        "most": MOST_OPINIONS if cut else None,
        "expected": expected(problem, words),
    }


def seen_opinions(sight: Sight, name: str) -> tuple[list[Opinion], bool]:
    """The newest opinions on customers whom the reader sees; whether older ones are left out."""
    every = opinions_of(sight.tenant).of_problem(name, MOST_OPINIONS)
    seen = sight.among({each.customer for each in every})
    return [each for each in every if each.customer in seen], len(every) == MOST_OPINIONS


def opinion_view(opinion: Opinion, problem: Problem, words: Words, now: int) -> View:
    """An opinion beside the score of its moment, and what became of the customer."""
    yes, no = expected(problem, words)
    value = problem.value
    stake = None
    if value is not None and opinion.stake is not None:
        stake = amount(opinion.stake, value.sum, words)
    truth = None if opinion.truth is None else (no, yes)[opinion.truth]
    return {
        **vars(opinion),
        "disagrees": opinion.disagrees,
        "when": when(opinion.at, now),
        "as_of": when(opinion.cutoff, now),
        "over": None if opinion.closes is None else when(opinion.closes, now),
        "expects": (no, yes)[opinion.says],
        "became": truth,
        "person_right": None if opinion.truth is None else opinion.truth == opinion.says,
        "money": stake,
    }


def expected(problem: Problem, words: Words) -> tuple[str, str]:
    """What a person may expect: that the outcome comes true, or that it does not."""
    outcome, said = problem.outcome, came_about(problem, words)
    within = f" within {spell_duration(problem.horizon)}" if problem.horizon else ""
    if outcome is None or outcome.event is not None:
        return f"They will: {said}{within}", f"They won’t: {said}{within}"
    by = f" by the date in “{spoken(outcome.by)}”" if outcome.by else within
    return f"They will leave: {said}{by}", "They will stay"


def words_of(sight: Sight) -> Words:
    """What the business calls events and units."""
    business = sight.tenant.business
    return Words(dict(business.words), dict(business.units))


def _action(action: Action, later: Sequence[FollowUp], now: int) -> View:
    return {
        **vars(action),
        "says": capital(kind_words(action.kind)),
        "when": when(action.at, now),
        "entry": new_id(),
        "later": [{**vars(each), "when": when(each.at, now)} for each in later],
    }


def _briers(found: Tally) -> tuple[str, str] | None:
    """The two scores with three decimals."""
    if found.person_brier is None or found.model_brier is None:
        return None
    return f"{found.person_brier:.3f}", f"{found.model_brier:.3f}"


def _minute(moment: int) -> str:
    """A moment as a browser's form takes it, UTC."""
    return format_moment(moment // MINUTE * MINUTE)[:16]
