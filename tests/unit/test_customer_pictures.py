"""The customer page's pictures and words, without a service."""

import re

import pytest
from conftest import GROCERY
from pages import Element, read_page

from features.config import read_config
from features.durations import DAY, parse_moment
from models.question import came_about, of_hundred
from models.spoken import Words
from serving.charts import Past, bars, history, steps, weekly
from serving.customer_events import StoredCustomer
from serving.customer_page import Shown, customer_view
from serving.event_store import Feed
from serving.freshness import freshness, source_document
from serving.ledger import Recorded
from serving.page_words import date, properties, share, signed, silence, when
from serving.timeline import NEAR, Mark, ticks_of_time, timeline

HERE = parse_moment("2017-12-31")
STAGES = {"awareness": ["campaign"], "decision": ["purchase", "quote"]}


def drawn(picture: str) -> Element:
    return read_page(picture).all("svg")[0]


def test_moments_are_told_from_where_the_reader_stands() -> None:
    """Near ones in hours and days, far ones in months and years, whole days as days."""
    expected = {
        "2017-12-31": "today", "2017-12-30": "yesterday", "2017-11-13": "48 days ago",
        "2017-08-31": "4 months ago", "2014-12-31": "3 years ago", "2018-01-07": "in 7 days",
        "2017-12-30T20:00": "4 hours ago", "2017-12-30T23:59:30": "less than an hour ago",
        "2018-01-01": "in 1 day", "2017-12-31T00:10": "within the hour",
    }  # fmt: skip
    assert expected == {text: when(text, HERE).words for text in expected}
    exact = when("2017-11-13T14:05:09", HERE)
    assert ("2017-11-13T14:05:09Z", "13 Nov 2017, 14:05 UTC") == (exact.exact, exact.date)


def test_numbers_are_never_rounded_to_certainty() -> None:
    """No chance is 0% or 100%, and a point that rounds to nothing has no sign."""
    assert ["under 1%", "1%", "50%", "99%", "over 99%"] == [
        share(p) for p in (0.0001, 0.0051, 0.5, 0.994, 0.9999)
    ]
    points = (2.46, -0.3, 0.04, -0.04, 0.004, -0.004)
    assert ["+2.5", "−0.3", "+0.04", "−0.04", "0.0", "0.0"] == [signed(p) for p in points]


def test_properties_are_said_in_their_unit() -> None:
    """A value has the business's unit, a truth is yes or no, and what is missing is left out."""
    given = {"value": 13.34, "wait_hours": 3.0, "lines": 6, "vip": True, "none": None, "blank": ""}
    assert [("lines", "6"), ("value", "$13.34"), ("vip", "yes"), ("wait", "3 hours")] == properties(
        given, Words(units={"value": "$"})
    )


def test_a_score_is_said_of_a_hundred_customers() -> None:
    """Each kind of outcome is a sentence about what such customers did."""
    business = read_config(GROCERY)
    words = Words(dict(business.words), dict(business.units))
    churn, conversion = business.problems["churn"], business.problems["conversion"]
    said = "Of 100 customers with such a score, {}."
    assert said.format("about 18 had no purchase in the 28 days that followed") == of_hundred(
        churn, words, 0.183
    )
    assert said.format("fewer than 1 redeemed a coupon in the 56 days that followed") == of_hundred(
        conversion, words, 0.004
    )
    assert "a coupon redeemed" == came_about(conversion, words)


def test_bars_begin_where_the_one_before_ends() -> None:
    """The bars of base, reasons and rest lead to the bar of the score, on one scale."""
    found = steps(4.0, [50.0, -20.0, 1.0])
    assert [(0, 4), (4, 54), (54, 34), (34, 35), (0, 35)] == [(s.begins, s.ends) for s in found]
    boxes = [read_page(bar).all("rect")[0].attributes for bar in bars(found)]
    assert ["whole", "raises", "lowers", "raises", "whole"] == [box["class"] for box in boxes]
    begins = [float(box["x"].rstrip("%")) for box in boxes]
    ends = [
        start + float(box["width"].rstrip("%")) for start, box in zip(begins, boxes, strict=True)
    ]
    assert begins[1] == pytest.approx(ends[0], abs=0.02)
    assert ends[2] == pytest.approx(ends[1], abs=0.02)
    assert ends[4] == pytest.approx(ends[3], abs=0.02)
    assert all(0 <= place <= 100 for place in (*begins, *ends))


def test_a_new_version_is_marked_in_the_history() -> None:
    """A dashed line and the version's name stand where another model began to answer."""
    past = [Past(HERE - n * DAY, 0.1 + n / 100, "1" if n > 3 else "2") for n in range(8, -1, -1)]
    picture = drawn(history(past))
    assert 1 == len(picture.all("line", class_="change"))
    assert ["version 2"] == [t.text for t in picture.all("text") if "version" in t.text]
    assert 2 == len(picture.all("path", class_="curve"))
    assert "by version 1" in picture.all("desc")[0].text


def test_the_history_has_a_score_a_day_and_version() -> None:
    """Of scores that were asked again and again the last of a day stands, for each version."""
    business = read_config(GROCERY)

    def recorded(number: int, day: int, version: str, probability: float | None) -> Recorded:
        moment = HERE - day * DAY
        return Recorded(
            f"{number:030d}", "1", "churn", moment, moment, "m", version, "d", probability, None,
            None, None if probability else "not_active", None, None,
        )  # fmt: skip

    past = [
        recorded(6, 0, "2", 0.6), recorded(5, 0, "2", 0.5), recorded(4, 0, "1", 0.4),
        recorded(3, 1, "1", None), recorded(2, 2, "1", 0.2), recorded(1, 2, "1", 0.1),
    ]  # fmt: skip
    shown = Shown(
        business, "churn", "1", StoredCustomer([], [], 0, False), HERE, None, "none", past, HERE
    )
    found = customer_view(shown)["history"]
    assert [0.6, 0.4, 0.2] == [row["score"].at.probability for row in found["listed"]]
    assert "version 2" in found["picture"]


def test_a_lane_for_each_stage() -> None:
    """Every stage has a lane, even an empty one; what belongs to none has its own at the end."""
    events = [(HERE - n * DAY, "purchase") for n in (1, 5, 9)] + [(HERE - 3 * DAY, "<b>")]
    picture = drawn(timeline(events, STAGES, [], HERE))
    names = [text.text for text in picture.all("text", class_="lane-name")]
    assert ["awareness", "decision", "in no stage"] == names
    assert "awareness: 0 events; decision: 3 events; in no stage: 1 events." in picture.text
    assert 4 == len(picture.all("circle", class_="event"))


def places_of(picture: Element) -> list[float]:
    """Where the diamonds of actions stand, in percent of the width."""
    return [
        float(each.attributes["x"].rstrip("%"))
        for each in picture.all("svg")
        if any(shape.attributes.get("class") == "act" for shape in each.parts if shape != "")
    ]


def test_actions_have_a_lane_and_marks_of_their_own() -> None:
    """A diamond stands at its time, with its words; those at one place are one."""
    events = [(HERE - 100 * DAY, "purchase"), (HERE, "purchase")]
    acts = [(HERE - 50 * DAY, "Call <b>"), (HERE - 50 * DAY, "E-mail"), (HERE - 10 * DAY, "Offer")]
    picture = drawn(timeline(events, STAGES, [], HERE, acts))
    assert "what people did" == picture.all("text", class_="lane-name")[-1].text
    assert "3 actions" in picture.text and "what people did: 3" in picture.text
    half, late = places_of(picture)
    assert half == pytest.approx(49.5, abs=0.3) and late == pytest.approx(87.5, abs=0.3)
    assert ["Call <b>; E-mail", "Offer"] == [e.text for e in picture.all("path", class_="act")]
    assert [] == picture.all("line", class_="end")


@pytest.mark.parametrize(("days", "behind"), [(20, False), (33, False), (40, True), (3_000, True)])
def test_actions_after_the_end_stand_behind_it(days: int, behind: bool) -> None:
    """Soon after the histories' end time goes on to them; long after it they stand in their order
    behind a line, and leave the journey its width."""
    events = [(HERE - 100 * DAY, "purchase"), (HERE, "purchase")]
    acts = [(HERE + days * DAY + n, f"Call {n}") for n in (0, 5 * DAY // 2)][: 1 + behind]
    picture = drawn(timeline(events, STAGES, [], HERE, acts))
    (end,) = picture.all("line", class_="end")
    edge = float(end.attributes["x1"].rstrip("%"))
    places = places_of(picture)
    assert all(edge < place <= 98 for place in places) and places == sorted(set(places))
    assert edge == pytest.approx(2 + 95 / 1.15 if behind else 2 + 95 / (1 + days / 100), abs=0.3)


def test_a_journey_of_actions_alone_is_drawn() -> None:
    """A customer of whom nothing but an action is stored has a picture all the same."""
    picture = drawn(timeline([], STAGES, [], HERE, [(HERE + 900 * DAY, "Call")]))
    assert 1 == len(places_of(picture))


def test_marks_do_not_cover_each_other() -> None:
    """Marks of one lane that are near in time stand in different rows."""
    marks = [Mark(n, HERE - n * DAY, "purchase", n % 2 == 0, f"{n}") for n in range(1, 9)]
    events = [(mark.moment, mark.event) for mark in marks] + [(HERE - 365 * DAY, "purchase")]
    picture = drawn(timeline(events, STAGES, marks, HERE))
    found = [each.all("text")[0].attributes for each in picture.all("g", class_="mark")]
    places = [(float(a["x"].rstrip("%")) / 100, float(a["y"])) for a in found]
    assert 8 == len(places)
    for i, (x, y) in enumerate(places):
        assert all(abs(x - a) >= NEAR or abs(y - b) >= 18 for a, b in places[:i])
    assert {"raises", "lowers"} == {
        each.attributes["class"].split()[1] for each in picture.all("g", class_="mark")
    }


@pytest.mark.parametrize("days", [1, 3, 20, 59, 61, 200, 400, 900, 3000, 20000, 700000])
def test_axes_of_time_have_room(days: int) -> None:
    """No more names than a phone has room for, in order, inside, whatever the length."""
    found = ticks_of_time(HERE - days * DAY, HERE)
    assert 1 <= len(found) <= 6
    moments = [moment for moment, _ in found]
    assert sorted(set(moments)) == moments
    assert HERE - days * DAY <= moments[0] and moments[-1] <= HERE
    assert len({name for _, name in found}) == len(found)


def test_a_curve_tells_its_numbers_to_who_cannot_see_it() -> None:
    """The description holds every week's chance."""
    weeks = [(HERE + n * 7 * DAY, 0.9 - n / 10) for n in range(1, 5)]
    said = drawn(weekly(weeks, HERE, "no purchase")).all("desc")[0].text
    assert ["80%", "70%", "60%", "50%"] == re.findall(r"\d+%", said)
    assert f"by {date(weeks[0][0])} 80%" in said


def test_many_silent_sources_are_one_sentence() -> None:
    """It names the longest silent, counts the others, and leaves out who still brings events."""
    names = ("visits", "payments", "calls", "mails", "chats", "orders")
    feeds = [Feed(name, 100, 0, (100 + n) * DAY, HERE) for n, name in enumerate(names)]
    feeds.append(Feed("alive", 2_000, 0, 1_999 * DAY, HERE))
    told = [source_document(freshness(feed, 2_000 * DAY)) for feed in feeds]
    said = silence(told, "dead")
    assert "The sources visits, payments and 4 more bring nothing any more since" in said
    assert "16 Apr 1970" in said and "alive" not in said
    assert "The source visits brings nothing any more since 11 Apr 1970." == silence(
        [told[0], told[-1]], "dead"
    )
    assert "" == silence([told[-1]], "dead")
