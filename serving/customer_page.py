"""The customer page: an answer, the stored journey and the ledger, put into a reader's words.

Takes the answer that `/v1/scores` gives, as it was encoded, and what is stored; gives the values
that the template shows. It computes no score and changes none. Knows nothing about HTTP.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from features.actions import FOLLOW_UP, is_action
from features.config import Business
from features.cutoffs import OUTSIDE
from features.durations import BEGINNING, DAY, parse_moment
from models.peers import EVERYBODY
from models.question import came_about, is_wanted, of_hundred, question
from models.removals import MOST_TRIED
from models.spoken import Words, capital, event_noun
from serving.action_words import kind_words
from serving.charts import Past, bars, history, steps, weekly
from serving.customer_events import StoredCustomer
from serving.customer_rows import Row
from serving.ledger import Recorded
from serving.page_words import (
    amount,
    lasting,
    maybe,
    percentage,
    properties,
    share,
    signed,
    silence,
    when,
)
from serving.timeline import Mark, timeline

REASONS = 8
"""So many reasons; the rest is one bar."""
EVENTS = 50
"""Of one page of the list."""
LEAST_POINTS = 0.05
"""Events that move the score less are not singled out."""
MOST_PAST = 400
"""Recorded scores that are looked through for the history."""
LISTED_PAST = 12
"""Of these the newest stand in a table."""

WHY_OUTSIDE = dict(OUTSIDE.values())
"""The sentence of each code that says why a customer is not asked about."""

View = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """What a page is made from."""

    business: Business
    problem: str
    customer: str
    stored: StoredCustomer
    here: int
    """The moment that all others are told from: where the stored histories end."""
    answer: Mapping[str, Any] | None
    """Of `/v1/scores`; None where no model answers."""
    why_not: str
    """Why no model answers."""
    past: Sequence[Recorded]
    """Recorded scores of this problem, newest first."""
    now: int
    """The clock."""

    @property
    def words(self) -> Words:
        return Words(dict(self.business.words), dict(self.business.units))


def customer_view(shown: Shown) -> View:
    """All that the template shows of the score and the journey."""
    business, answer = shown.business, shown.answer
    problem = business.problems[shown.problem]
    view: View = {
        "business": business.name,
        "customer": shown.customer,
        "problem": shown.problem,
        "problems": list(business.problems),
        "question": question(problem),
        "outcome": came_about(problem, shown.words),
        "end": when(shown.here, shown.now),
        "answer": answer,
        "why_not": shown.why_not,
        "attributes": _attributes(shown),
        "searched": MOST_TRIED,
        "history": _history(shown),
    }
    if answer is None:
        return {**view, "timeline": _timeline(shown, [])}
    marks = _marks(shown, answer.get("touchpoints") or ())
    view |= {
        "as_of": when(answer["as_of"], shown.here),
        "valid_until": maybe(answer["valid_until"], shown.here),
        "silent": list(_silent(answer)),
        "silence": silence(answer["sources"], "late", "dead"),
        "warnings": list(_warnings(shown, answer)),
        "sources": [_source(shown, each) for each in answer["sources"]],
        "marks": marks,
        "timeline": _timeline(shown, [mark for mark, _ in marks]),
    }
    if answer["no_score"] is None:
        view |= _score(shown, answer)
    return view


def events_view(shown: Shown, page: Sequence[Row]) -> list[View]:
    """Events of the list."""
    return [_event(shown, row) for row in page]


def _score(shown: Shown, answer: Mapping[str, Any]) -> View:
    problem, words = shown.business.problems[shown.problem], shown.words
    probability, stake = answer["probability"], answer["value_at_stake"]
    stage, value = answer["stage"], problem.value
    view: View = {
        "means": of_hundred(problem, words, probability),
        "wanted": is_wanted(problem, shown.problem),
        "stake": None,
        "stage_since": stage and when(stage["since"], shown.here),
        "sum": _sum(shown, answer),
        "peers": list(dict.fromkeys(_peers(each["peers"]) for each in answer["reasons"])),
        "changed": _changed(shown, answer.get("changed")),
        "weekly": None,
    }
    if value is not None and stake is not None:
        view["stake"] = amount(stake, value.sum, words)
        view["expected"] = amount(probability * stake, value.sum, words)
    weeks = [(parse_moment(each["until"]), each["probability"]) for each in answer["weekly_risk"]]
    if weeks:
        as_of = parse_moment(answer["as_of"])
        view["weekly"] = weekly(weeks, as_of, came_about(problem, words))
        view["weeks"] = [(when(until, shown.here), chance) for until, chance in weeks]
    return view


def _peers(name: str) -> str:
    """Whom `customers like this` means."""
    if name == EVERYBODY:
        return name
    return f"those {name}" if name.startswith("in the stage ") else f"the persona “{name}”"


def _sum(shown: Shown, answer: Mapping[str, Any]) -> list[View]:
    """Base, reasons and rest, which add up to the score, each with its bar."""
    by_id = {row[3]: row for row in shown.stored.events}
    reasons = answer["reasons"]
    added = [*(each["points"] for each in reasons), answer["rest_points"]]
    base, *moved, whole = bars(steps(answer["base_points"], added))
    rows: list[View] = [{"says": "A typical customer", "bar": base, "total": answer["base_points"]}]
    for reason, bar in zip(reasons, moved, strict=False):
        rests = [_event(shown, by_id[each]) for each in reason["events"] if each in by_id]
        rows.append({"reason": reason, "points": reason["points"], "bar": bar, "rests": rests})
    rows.append({"says": "Everything else", "bar": moved[-1], "points": answer["rest_points"]})
    total = 100 * answer["probability"]
    return [*rows, {"says": "This customer", "bar": whole, "total": total}]


def _changed(shown: Shown, changed: Mapping[str, Any] | None) -> View | None:
    if changed is None:
        return None
    by_id = {row[3]: row for row in shown.stored.events}
    strongest = [
        {**_event(shown, by_id[each["event_id"]]), **each}
        for each in changed["strongest"]
        if each["event_id"] in by_id
    ]
    return {**changed, "at": when(changed["since_as_of"], shown.here), "strongest": strongest}


def _silent(answer: Mapping[str, Any]) -> Iterable[str]:
    """The sources that have gone silent, a sentence each."""
    for source in answer["sources"]:
        if source["status"] in ("late", "dead"):
            silent, usual = (lasting(source[n]) for n in ("silent_days", "usual_pause_days"))
            yield (
                f"The source {source['name']} is {source['status']}: nothing came for {silent}; "
                f"its usual pause is {usual}. What it did not bring is missing from the score."
            )


def _warnings(shown: Shown, answer: Mapping[str, Any]) -> Iterable[str]:
    """What else stands against trusting the score, in sentences."""
    for source in answer["sources"]:
        if source["status"] == "empty":
            yield f"The source {source['name']} has brought nothing yet."
    until = answer["valid_until"]
    if until is not None and parse_moment(until) < shown.now:
        yield (
            f"The stored histories end {when(shown.here, shown.now).words}, on "
            f"{when(shown.here, shown.now).date}. Whatever happened since is not in the score, "
            f"which was valid until {when(until, shown.here).date}."
        )


def _source(shown: Shown, source: Mapping[str, Any]) -> View:
    pause, silent = source["usual_pause_days"], source["silent_days"]
    last = source["last_event"]
    return {
        **source,
        "last": last and when(last, shown.here if parse_moment(last) <= shown.here else shown.now),
        "pause": None if pause is None else lasting(pause),
        "silent": None if silent is None else lasting(silent),
    }


def _event(shown: Shown, row: Row) -> View:
    """One stored event in words."""
    happened, recorded, event, event_id, given = row
    late = recorded - happened
    act, beyond = is_action(event), happened > shown.here
    here = shown.now if act or beyond else shown.here
    return {
        "id": event_id,
        "name": action_words(event) if act else capital(event_noun(event, shown.words).one),
        "action": act,
        "beyond": beyond and not act,
        "when": when(happened, here) if happened > BEGINNING else None,
        "late": lasting(late / DAY) if late >= DAY and happened > BEGINNING else None,
        "properties": properties(_told(msgspec.json.decode(given), act), shown.words),
    }


def action_words(event: str) -> str:
    """An action's event in words: `E-mail`."""
    if event == FOLLOW_UP:
        return "What came of an action"
    return capital(kind_words(event.removeprefix("action_")))


def _told(given: Mapping[str, Any], act: bool) -> Mapping[str, Any]:
    """What a reader wants to know of an event: of an action neither its id nor its kind again."""
    return {name: given[name] for name in given if not act or name not in ("of", "kind")}


def _attributes(shown: Shown) -> list[View]:
    """The newest statement of each attribute, and since when it holds."""
    found: dict[str, View] = {}
    for row in shown.stored.statements:
        said = _event(shown, row)
        for name, value in said["properties"]:
            found.setdefault(name, {"name": name, "value": value, "since": said["when"]})
    return [found[name] for name in sorted(found)]


def _marks(shown: Shown, touchpoints: Sequence[Mapping[str, Any]]) -> list[tuple[Mark, View]]:
    """Events that moved the score most, numbered, and each in words."""
    by_id = {row[3]: row for row in shown.stored.events}
    found = []
    telling = [e for e in touchpoints if e["points"] is None or abs(e["points"]) >= LEAST_POINTS]
    for number, each in enumerate(telling, 1):
        points = each["points"]
        moment = parse_moment(each["event_time"])
        noun = event_noun(each["event"], shown.words).one
        if points is None:
            code = each["no_score_without"]
            says = f"without it there would be no score: {WHY_OUTSIDE.get(code, code)}"
        else:
            says = f"{signed(points)} points"
        told = f"{number}. {capital(noun)}, {when(moment, shown.here).date}: {says}"
        mark = Mark(number, moment, each["event"], None if points is None else points > 0, told)
        row = by_id.get(each["event_id"])
        found.append((mark, {"points": points, "says": says, "event": row and _event(shown, row)}))
    return found


def _timeline(shown: Shown, marks: Sequence[Mark]) -> Any:
    rows = shown.stored.events
    # An event long after the end would leave the journey before it no room.
    near = shown.here + DAY
    events = [(row[0], row[2]) for row in rows if not is_action(row[2]) and row[0] <= near]
    acts = [
        (row[0], f"{action_words(row[2])}, {when(row[0], shown.now).date}")
        for row in rows
        if is_action(row[2]) and row[2] != FOLLOW_UP
    ]
    if not events and not acts:
        return None
    return timeline(events, shown.business.stages, marks, shown.here, acts)


def _history(shown: Shown) -> View | None:
    """Recorded scores: the last of each day and version, from old to new, drawn and listed."""
    kept: dict[tuple[int, str], Scored] = {}
    for each in _scored(shown):
        kept.setdefault((each.at.as_of // DAY, each.at.version), each)
    found = sorted(kept.values(), key=lambda each: (each.at.as_of, each.score_id))
    if not found:
        return None
    now = shown.answer and shown.answer["score_id"]
    listed = [
        {"at": when(each.at.as_of, shown.here), "score": each, "now": each.score_id == now}
        for each in reversed(found)
    ]
    return {
        "picture": history([each.at for each in found]) if len(found) > 1 else None,
        "listed": listed[:LISTED_PAST],
        "many": len(found),
    }


@dataclass(frozen=True)
class Scored:
    """A score of the history."""

    score_id: str
    at: Past


def _scored(shown: Shown) -> Iterable[Scored]:
    """Scores of the customer, newest first; the one that is shown may not be recorded yet."""
    answer = shown.answer
    if answer is not None and answer["probability"] is not None:
        said = answer["probability"], answer["model_version"]
        yield Scored(answer["score_id"], Past(parse_moment(answer["as_of"]), *said))
    for each in shown.past:
        if each.probability is not None:
            yield Scored(each.score_id, Past(each.as_of, each.probability, each.version))


FILTERS = {"share": share, "signed": signed, "percentage": percentage, "first_up": capital}
"""What the template says numbers with."""
