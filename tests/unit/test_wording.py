"""Sentences: every kind of feature as an account manager would say it."""
# ruff: noqa: E501 - a sentence stands on one line, so that it is read as people will read it

import math

import pytest
from worked_examples import RATES, STAGES

from features.durations import days
from features.feature import Feature
from features.kinds import KINDS
from features.language import (
    attribute_days,
    attribute_level,
    attribute_number,
    attribute_peer_rate,
    calendar,
    containing,
    events,
    having,
    stage,
    stage_feature,
)
from models.meaning import title
from models.seen import Seen, SeenEvent, Values
from models.spoken import (
    Words,
    event_noun,
    length,
    money,
    number,
    plural,
    property_of,
    share,
    singular,
)
from models.wording import DID, WORDING, phrase

NAN = math.nan
WORDS = Words({"purchase": "bought"}, {"value": "$"})
BUY, LOGIN, TICKET = events("purchase"), events("login"), events("ticket_opened")
WEEKS = days(56)

SENTENCES: list[tuple[Feature, float, float | None, str]] = [
    (BUY.count(WEEKS), 3, 7, "Bought 3 times in the last 8 weeks; customers like this usually 7 times"),
    (BUY.count(WEEKS), 0, 7, "Never bought in the last 8 weeks; customers like this usually 7 times"),
    (LOGIN.count(WEEKS), 1, 7, "1 login in the last 8 weeks; customers like this usually have 7"),
    (LOGIN.count(WEEKS), 0, 7, "No login in the last 8 weeks; customers like this usually have 7 logins"),
    (LOGIN.count(WEEKS), 7, 7, "7 logins in the last 8 weeks, as is usual for customers like this"),
    (LOGIN.count(), 2, None, "2 logins so far"),
    (BUY.days_active(WEEKS), 1, 7, "Bought on 1 day in the last 8 weeks; customers like this usually on 7"),
    (events().days_active(WEEKS), 4, 7, "Active on 4 days in the last 8 weeks; customers like this usually on 7"),
    (LOGIN.share(days(28)), 0.4, 0.6, "Logins make up 40% of all events in the last 4 weeks; customers like this usually have 60%"),
    (LOGIN.trend(days(28)), 0.25, 0.5, "Of the logins in the last 8 weeks, 25% came in the later half; customers like this usually 50%"),
    (LOGIN.trend(days(28)), NAN, 0.5, "No login in the last 8 weeks; customers like this usually have some"),
    (BUY.recency(), 48, 7, "Last bought 48 days ago; customers like this usually 7 days ago"),
    (LOGIN.recency(), NAN, 7, "No login so far; the last one of customers like this was usually 7 days ago"),
    (LOGIN.tenure(), 300, 340, "The first login was 300 days ago; customers like this usually 340 days ago"),
    (LOGIN.lateness(), 6.2, 0.8, "Since the last login it has been 6.2 times the customer's usual pause; customers like this usually 0.8 times"),
    (LOGIN.gap_mean(days(90)), 12, 7, "On average 12 days between logins in the last 3 months; customers like this usually 7 days"),
    (LOGIN.gap_std(), 12, 7, "The time between logins varies by 12 days; customers like this usually by 7 days"),
    (LOGIN.gap_max(), 48, 20, "The longest pause between logins was 48 days; customers like this usually have 20 days"),
    (LOGIN.gap_last(), 0.5, 7, "12 hours between the last two logins; customers like this usually have 7 days"),
    (LOGIN.burstiness(), 0.5, 0, "Logins come in bursts (0.5 from -1, a clock, to 1); those of customers like this usually come at no fixed rhythm (0.0 from -1, a clock, to 1)"),
    (LOGIN.burstiness(), -0.04, None, "Logins come at no fixed rhythm (0.0 from -1, a clock, to 1)"),
    (LOGIN.busiest_day(), 3, 2, "At most 3 logins on one day; customers like this usually 2"),
    (LOGIN.sessions(WEEKS), 1, 7, "1 session with logins in the last 8 weeks; customers like this usually have 7"),
    (LOGIN.session_events(WEEKS), 1.5, 2, "1.5 logins a session in the last 8 weeks; customers like this usually 2"),
    (LOGIN.session_minutes(), 12, 20, "A session with logins took 12 minutes on average so far; customers like this usually 20 minutes"),
    (BUY.sum("value", WEEKS), 13.34, 200, "Purchases in the last 8 weeks add up to a value of $13.34; customers like this usually have $200"),
    (BUY.sum("departments", WEEKS), 1, 19, "Purchases in the last 8 weeks add up to 1 department; customers like this usually have 19"),
    (TICKET.mean("wait_hours", days(365)), 3, 5, "Tickets opened in the last year have a wait of 3 hours on average; customers like this usually have 5 hours"),
    (BUY.std("value", events=5), 12, 7, "The value of the last 5 purchases varies by $12; customers like this usually by $7"),
    (BUY.min("value"), 2.3, 4, "The lowest value of purchases so far is $2.30; customers like this usually have $4"),
    (BUY.max("value"), 1200, 90, "The highest value of purchases so far is $1,200; customers like this usually have $90"),
    (BUY.slope("value", days(28)), -0.5, 0, "The value of purchases in the last 4 weeks falls by $0.50 a day; for customers like this it usually stays level"),
    (BUY.zero_share("value"), 0.4, 0.8, "40% of purchases so far have a value of 0; customers like this usually 80%"),
    (BUY.last_number("value"), 13.34, 20, "The last purchase had a value of $13.34; customers like this usually have $20"),
    (BUY.last_change("value"), -3, 0, "Between the last two purchases the value fell by $3; for customers like this it usually did not change"),
    (BUY.changes("price"), 2, 1, "The price changed twice from one purchase to the next so far; customers like this usually once"),
    (BUY.distinct("channel"), 1, 3, "1 channel among purchases so far; customers like this usually have 3"),
    (BUY.last_level("channel", ("shop", "web")), 1, 0, "The channel of the last purchase was web; for customers like this it is usually shop"),
    (BUY.level_share("channel", "web"), 0.4, 0.7, "The channel was web in 40% of purchases so far; customers like this usually in 70%"),
    (BUY.level_changes("channel"), 0, 2, "The channel never changed from one purchase to the next so far; customers like this usually twice"),
    (BUY.peer_rate("plan", RATES), 0.23, 0.15, "Of earlier customers with the same plan at the last purchase, 23% had this outcome; for customers like this it is usually 15%"),
    (events().days_until("renews_at"), 30, 90, "The date “renews at” is in 30 days; for customers like this it usually is in 90 days"),
    (events().days_until("renews_at"), -1, None, "The date “renews at” was 1 day ago"),
    (events().stated("renews_at"), 30, None, "The date “renews at” was last given 30 days ago"),
    (stage_feature("stage_now", STAGES), 3, 0, "Now in the stage help; customers like this usually in seek"),
    (stage_feature("stage_days", STAGES), 12, 30, "In the present stage for 12 days; customers like this usually for 30 days"),
    (stage_feature("stage_changes", STAGES, WEEKS), 1, 5, "Moved from one stage to another once in the last 8 weeks; customers like this usually 5 times"),
    (stage_feature("stage_jumps", STAGES), 3, 1, "Skipped a stage 3 times so far; customers like this usually once"),
    (stage_feature("stage_regressions", STAGES), 0, 1, "Never went back to an earlier stage so far; customers like this usually once"),
    (stage_feature("stage_furthest", STAGES), 2, 3, "The furthest stage reached is choose (stage 2 of 4); for customers like this it is usually own (stage 3 of 4)"),
    (attribute_number("household_size"), 3, 2, "The customer's household size is 3; for customers like this it is usually 2"),
    (attribute_level("income", ("high", "low")), 1, 0, "The customer's income is low; for customers like this it is usually high"),
    (attribute_level("income", ("high", "low")), NAN, None, "The customer's income is not known or new"),
    (attribute_days("joined"), -300, None, "The customer's date “joined” was 300 days ago"),
    (attribute_peer_rate("plan", RATES), 0.23, 0.15, "Of earlier customers with the same plan, 23% had this outcome; for customers like this it is usually 15%"),
    (calendar("weekday"), 5, 0, "The score was asked for on a Saturday"),
    (calendar("day_of_month"), 31, 15, "The score was asked for on day 31 of the month"),
    (calendar("month"), 12, 6, "The score was asked for in December"),
    (having("channel", "web").count(WEEKS), 3, 5, "3 events with channel web in the last 8 weeks; customers like this usually have 5"),
    (containing("refund", "slow").recency(), 2, None, "The last event that mentions “refund” or “slow” was 2 days ago"),
    (stage("support", ("chat", "ticket")).count(WEEKS), 1, 2, "1 event of the support stage in the last 8 weeks; customers like this usually have 2"),
    (events("ticket").over("account").count(days(90)), 3, 1, "3 tickets of the whole account in the last 3 months; customers like this usually have 1"),
]  # fmt: skip


@pytest.mark.parametrize(("feature", "value", "usual", "sentence"), SENTENCES)
def test_a_sentence_is_what_a_person_would_say(
    feature: Feature, value: float, usual: float | None, sentence: str
) -> None:
    """A kind, a value and what is usual among peers give this sentence."""
    assert sentence == phrase(feature, WORDS).statement(value, usual)


def test_every_kind_has_words_and_an_example() -> None:
    """No kind of feature is without a sentence, and each is shown here."""
    assert set(KINDS) == set(WORDING) == {feature.kind for feature, *_ in SENTENCES}
    assert set(DID) <= set(KINDS)


@pytest.mark.parametrize("feature", [feature for feature, *_ in SENTENCES])
def test_a_missing_value_has_a_sentence(feature: Feature) -> None:
    """What is not known is said so, with nothing left to fill in."""
    for usual in (None, 1.0):
        said = phrase(feature, WORDS).statement(NAN, usual)
        assert said[0].isupper()
        assert "{" not in said and "nan" not in said
        assert said == said.strip()


SIGNED = events("signup")
LEVELS = Values(levels={"channel": ("shop", "web")})


@pytest.mark.parametrize(
    ("feature", "value", "usual", "sentence"),
    [
        (SIGNED.level_share("channel", "web"), 1, 0, "The channel of the signup was web; for customers like this it usually was not web"),
        (SIGNED.level_share("channel", "web"), 0, 0, "The channel of the signup was not web, as is usual for customers like this"),
        (SIGNED.level_share("channel", "web", events=5), 1, None, "The channel of the signup was web"),
        (SIGNED.level_share("channel", "web"), 0.5, None, "The channel of the signup was web in 50% of them"),
        (SIGNED.level_share("channel", "web"), NAN, None, "No channel is known of signups so far"),
        (events().level_share("channel", "web"), 1, 0, "The channel of the signup was web; for customers like this it usually was not web"),
        (SIGNED.last_level("channel", ("shop", "web")), 1, 0, "The channel of the signup was web; for customers like this it is usually shop"),
    ],
)  # fmt: skip
def test_of_what_comes_once_the_level_is_said(
    feature: Feature, value: float, usual: float | None, sentence: str
) -> None:
    """Where nobody signs up twice, nobody wants to read of 100 % of the signing up."""
    seen = Seen({"signup": SeenEvent(1_000, 1, LEVELS, customers=995)})
    assert sentence == phrase(feature, WORDS, seen).statement(value, usual)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("failed", "The mark “failed” of the last payment was yes"),
        ("is_new", "The mark “is new” of the last payment was yes"),
        ("is", "The is of the last payment was yes"),
        ("main_department", "The main department of the last payment was yes"),
        ("speed", "The speed of the last payment was yes"),
    ],
)
def test_a_property_that_is_no_noun_is_a_mark(name: str, said: str) -> None:
    """Nobody speaks of the failed of a payment."""
    last = events("payment").last_level(name, ("no", "yes"))
    assert said == phrase(last, WORDS).statement(1, None)
    assert said.removeprefix("The ").startswith(title([last], WORDS).split(" of ")[0].lower())


def test_of_what_comes_often_the_share_is_said() -> None:
    """A few customers with several are enough, and so is a model that counted nobody."""
    for customers in (980, 0):
        seen = Seen({"signup": SeenEvent(1_000, 1, LEVELS, customers)})
        said = phrase(SIGNED.level_share("channel", "web"), WORDS, seen).statement(1, None)
        assert "The channel was web in 100% of signups so far" == said


def test_a_property_that_few_events_carry_is_said_of_these() -> None:
    """`main_department` is known to be of purchases, so that the events need no other name."""
    seen = Seen({"purchase": SeenEvent(9, 1, Values(levels={"main_department": ("A", "B")}))})
    said = phrase(having("main_department", "A").recency(), WORDS, seen).statement(9, None)
    assert "The last purchase with main department A was 9 days ago" == said


@pytest.mark.parametrize(
    ("name", "one", "many"),
    [
        ("purchase", "purchase", "purchases"),
        ("campaign_received", "campaign received", "campaigns received"),
        ("email_sent", "email sent", "emails sent"),
        ("Order Completed", "order completed", "orders completed"),
        ("pageView", "page view", "page views"),
        ("delivery", "delivery", "deliveries"),
        ("downloads", "download", "downloads"),
        ("browsing", "browsing event", "browsing events"),
        ("renewed", "“renewed” event", "“renewed” events"),
        ("購入", "“購入” event", "“購入” events"),
    ],
)
def test_events_are_nouns(name: str, one: str, many: str) -> None:
    """An event's name gives a noun in one and many, whatever its style."""
    said = event_noun(name, Words())
    assert (one, many) == (said.one, said.many)


def test_what_a_customer_did_is_told_or_plain_to_see() -> None:
    """The business's word comes first; a past participle alone is what the customer did."""
    assert "bought" == event_noun("purchase", WORDS).did
    assert "renewed" == event_noun("renewed", WORDS).did
    assert event_noun("purchase", Words()).did is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (1234.5, "1,234"), (2.25, "2.2"), (4.0, "4"), (0.034, "0.034"), (0.0, "0"),
     (0.0000651, "0.000065"), (-0.0, "0"), (-2.5, "-2.5")],
)  # fmt: skip
def test_numbers_have_as_many_digits_as_a_person_wants(value: float, text: str) -> None:
    """Small numbers keep two digits, large ones none behind the point, none an exponent."""
    assert text == number(value)


def test_amounts_shares_and_lengths_are_said_with_their_units() -> None:
    """Money has its sign in front, shares are never rounded to none or all, 56 days are weeks."""
    assert ["$13.34", "-€1,200", "$7"] == [money(13.34, "$"), money(-1200.4, "€"), money(7, "$")]
    assert ["0%", "less than 1%", "more than 99%", "100%"] == [
        share(value) for value in (0, 0.001, 0.999, 1)
    ]
    assert ["8 weeks", "3 months", "year", "7 days", "24 hours", "12 hours"] == [
        length(days(count)) for count in (56, 91, 365, 7, 1, 0.5)
    ]
    assert "a wait of 1 hour" == property_of("wait_hours", Words()).whole(1)
    assert "14 kg" == property_of("weight", Words(units={"weight": "kg"})).short(14)


@pytest.mark.parametrize("word", ["line", "box", "city", "day", "class", "dish"])
def test_a_plural_and_back_is_the_word(word: str) -> None:
    """Several of a noun, taken as one again, is the noun."""
    assert word == singular(plural(word))


def test_the_last_bits_of_a_sum_are_nothing() -> None:
    """Equal values vary by what is left of all sums before them; a person reads 0."""
    assert ["0", "0", "0.0000012"] == [number(value) for value in (2.6e-11, -2.6e-11, 1.2e-6)]
