"""Small journeys and what features are worth on them, worked out by hand.

The spec tests hold both engines to these; the reference page shows them.
"""

import math

from features.durations import days, parse_moment
from features.feature import Feature, Rates
from features.language import (
    attribute_days,
    attribute_level,
    attribute_number,
    attribute_peer_rate,
    calendar,
    events,
    having,
    stage,
    stage_feature,
)

JOURNEY = """
| event_time       | event  | value | wait | channel | renews_at  |
|------------------|--------|-------|------|---------|------------|
| 2024-01-01       | visit  | -     | -    | web     | -          |
| 2024-01-11       | buy    | 10    | -    | web     | 2024-06-01 |
| 2024-01-11T12:00 | buy    | 30    | -    | shop    | -          |
| 2024-01-21       | ticket | -     | 5    | -       | -          |
| 2024-01-31       | buy    | -     | -    | web     | 2024-07-01 |
| 2024-03-01       | buy    | 99    | 1    | phone   | 2025-01-01 |
"""
ATTRIBUTES = """
| event_time | value | plan  | renews_at  |
|------------|-------|-------|------------|
| 2023-01-01 | 3     | basic | 2024-05-01 |
| 2024-01-15 | -     | pro   | -          |
| 2024-02-20 | 7     | basic | -          |
"""
CUTOFF = "2024-02-10"
BUY = events("buy")

SUPPORT = """
| event_time          | event | value | plan  | text                      |
|---------------------|-------|-------|-------|---------------------------|
| 2024-02-01T09:00:00 | look  | 4     | basic | -                         |
| 2024-02-01T09:10:00 | look  | 0     | basic | -                         |
| 2024-02-01T09:40:00 | buy   | -     | pro   | -                         |
| 2024-02-01T10:10:01 | chat  | 2     | -     | Slow PAGE, want a refund! |
| 2024-02-03T12:00:00 | look  | 0     | pro   | -                         |
| 2024-02-05T12:00:00 | chat  | 3     | basic | the page is fine          |
| 2024-02-06T12:00:00 | quit  | 9     | -     | -                         |
"""
CHAT = events("chat")
STAGES = (("seek", ("look",)), ("choose", ("try",)), ("own", ("buy",)), ("help", ("chat",)))
FEBRUARY_5 = parse_moment("2024-02-05")
RATES = (
    Rates(None, (FEBRUARY_5, FEBRUARY_5 + days(9)), (40, 80), (10, 80)),
    Rates("basic", (FEBRUARY_5,), (20,), (15,)),
    Rates("pro", (FEBRUARY_5 + days(9),), (20,), (1,)),
)

SUPPORT_CASES: list[tuple[Feature, float]] = [
    (events().sessions(), 5),  # a pause of 30 minutes goes on, one of 30 minutes and 1 s does not
    (events().sessions(last=days(9) + days(1) * 7 // 12), 5),  # begins inside the first session
    (events("look").session_events(), 3 / 2),
    (events().session_minutes(), 40 / 5),
    (events().busiest_day(), 4),
    (events("look").burstiness(), 0.168389),  # gaps of 10 minutes and 2.1 days
    (events().gap_mean(events=2), 1),
    (events().share(events=4), 1),
    (CHAT.share(events=4), 2 / 4),  # two of the last four events of any kind
    (events().std("value"), math.sqrt(11.2)),  # 4 0 2 0 3 9
    (events().std("value", events=2), math.sqrt(18)),  # 3 and 9
    (events().sum("value", events=3), 12),
    (events().mean("value", events=5), 14 / 4),  # the purchase among them has no value
    (events().min("value", events=2), 3),
    (events().max("value", events=3), 9),
    (events().slope("value", events=2), 6),  # from 3 to 9 in a day
    (events().slope("value", last=days(5)), 6),
    (events().zero_share("value"), 2 / 6),
    (events().last_change("value"), 6),
    (CHAT.last_change("value"), 1),
    (events().changes("value"), 5),
    (events().changes("value", last=days(5)), 2),  # 0 to 3, where the 0 lies before, and 3 to 9
    (events().level_changes("plan"), 2),  # basic basic pro pro basic
    (events().level_changes("plan", last=days(6)), 1),
    (events().distinct("plan", events=4), 2),
    (events("look").level_share("plan", "basic"), 2 / 3),
    (events("look").level_share("plan", "basic", last=days(8)), 0),
    (events("look").level_share("plan", "pro", events=2), 1 / 2),
    (events("chat", "look").having("plan", "basic").count(), 3),
    (events().containing("refund", "slow").count(), 1),
    (CHAT.containing("page").recency(), 4.5),
    (stage_feature("stage_now", STAGES), 3),
    (stage_feature("stage_days", STAGES), 4.5),
    (stage_feature("stage_changes", STAGES), 4),  # seek own help seek help
    (stage_feature("stage_changes", STAGES, last=days(8)), 2),
    (stage_feature("stage_jumps", STAGES), 2),  # seek to own, seek to help
    (stage_feature("stage_regressions", STAGES), 1),
    (stage_feature("stage_furthest", STAGES), 4),
    (events().peer_rate("plan", RATES), (15 + 20 * 10 / 40) / (20 + 20)),
    (events("buy").peer_rate("plan", RATES), math.nan),  # of "pro" nothing was known by then
    (attribute_peer_rate("plan", RATES), math.nan),  # "pro" since 15 January
    (calendar("weekday"), 5),  # 2024-02-10 is a Saturday
    (calendar("day_of_month"), 10),
    (calendar("month"), 2),
]

CASES: list[tuple[Feature, float]] = [
    (events().count(), 5),
    (BUY.count(), 3),
    (BUY.count(last=days(30)), 2),  # (2024-01-11T00:00, 2024-02-10]: noon is in, midnight is out
    (BUY.days_active(), 2),
    (BUY.share(), 3 / 5),
    (BUY.share(last=days(5)), math.nan),
    (BUY.trend(last=days(20)), 1 / 3),  # one in 20 days, two in the 20 before
    (BUY.recency(), 10),
    (BUY.tenure(), 30),
    (BUY.gap_mean(), 10),  # 0.5 and 19.5 days
    (BUY.gap_std(), math.sqrt((9.5**2 + 9.5**2) / 1)),
    (BUY.gap_max(), 19.5),
    (BUY.gap_last(), 19.5),
    (BUY.lateness(), 1.0),
    (BUY.sum("value"), 40),
    (BUY.mean("value"), 20),  # the purchase without a value does not count
    (BUY.min("value"), 10),
    (BUY.max("value"), 30),
    (BUY.last_number("value"), 30),  # the last one that has a value
    (BUY.sum("value", last=days(11)), 0),
    (BUY.mean("value", last=days(11)), math.nan),
    (BUY.distinct("channel"), 2),
    (BUY.last_level("channel", ("shop", "web")), 1),
    (BUY.last_level("channel", ("shop",)), math.nan),  # the last level is not in the list
    (events().days_until("renews_at"), 142),  # 2024-07-01, the last that was known
    (events().stated("renews_at"), 10),  # on 2024-01-31
    (having("channel", "web").count(), 3),
    (stage("money", ("buy", "ticket")).count(), 4),
    (events("buy", "ticket").recency(), 10),
    (events("never").count(), 0),
    (events("never").recency(), math.nan),
    (events("never").sum("value"), 0),
    (events("ticket").gap_mean(), math.nan),
    (attribute_number("value"), 3),  # unknown since 2024-01-15: the last statement holds
    (attribute_level("plan", ("basic", "pro")), 1),
    (attribute_days("renews_at"), 81),
]
