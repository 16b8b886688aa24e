"""Simulated journeys as a table of events: names, times of day, sources and properties.

Takes journeys; gives one Arrow table with canonical columns, in no particular order. All that
changes and moves a hazard is told by an event; log-ins, page views and adverts are added that
move nothing. Knows nothing about faults, late delivery, files or probabilities.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.durations import DAY, HOUR, MINUTE
from features.simulation_customers import prices
from features.simulation_journeys import (
    BEGAN,
    EXPIRED,
    LEFT,
    NOT_DUE,
    SIGNED,
    WENT_ON,
    History,
    Journeys,
)
from features.simulation_model import (
    ACTIVE_SHARE,
    AREAS,
    ATTRIBUTES,
    ENGAGEMENT,
    MANNERS,
    ONBOARDING,
    PRICE,
    PRICE_CHANGES,
    PROSPECT,
    TICKETS,
)
from features.simulation_settings import Settings
from features.simulation_text import ticket_texts

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ENDING, BEGINNING = (HOUR, 5 * HOUR), (5 * HOUR, 7 * HOUR)
WORKING, NIGHT = (8 * HOUR, 19 * HOUR), (20 * HOUR, 24 * HOUR - 1)
"""When in the day trials and contracts end or go on, when they begin, when most things happen,
and when nightly reports are written. What happens on the day of a decision thus comes after
it, and nothing happens at midnight."""

LOGINS_A_WEEK = 2.5
"""Expected log-ins in a week of a customer with all seats in use."""

REMEMBERED = {
    "slow_page": ("product", "web"),
    "confusing_form": ("product", "web"),
    "robotic_chatbot": ("support", "chat"),
    "success_call": ("crm", "phone"),
    "discount_offer": ("crm", "email"),
    "review_written": ("crm", "partner"),
    "champion_left": ("crm", "email"),
}
"""Source and channel of each memory's event. The web's feed may be late, so what the monitoring
of pages and forms finds comes with the product's."""

AREAS_USED, WAYS_TO_ASK = 0, 1
"""Places in `MANNERS`."""

ASKED_BY = ("email", "chat", "phone")
"""Channels of tickets."""

CONTACTS = {
    "ad_clicked": ("marketing", ("search", "social"), (0.020, 0.006, 0.001)),
    "email_opened": ("marketing", ("email",), (0.035, 0.040, 0.015)),
    "webinar_attended": ("marketing", ("partner",), (0.004, 0.004, 0.001)),
    "page_viewed": ("web", ("web",), (0.070, 0.120, 0.015)),
    "pricing_viewed": ("web", ("web",), (0.015, 0.050, 0.004)),
    "demo_requested": ("web", ("web",), (0.003, 0.004, 0.0)),
    "referral_made": ("crm", ("partner",), (0.0, 0.001, 0.0015)),
}
"""Events that move nothing: source, channels and chance a day by status."""


@dataclass(frozen=True)
class _Scene:
    """What every maker of events needs."""

    journeys: Journeys
    settings: Settings
    rng: np.random.Generator

    def at(self, day: Ints, slot: tuple[int, int]) -> Ints:
        """Moments on some days, within a part of the day."""
        low, high = slot
        return self.settings.start + day * DAY + self.rng.integers(low, high, len(day))

    def manners(self, what: int, who: Ints) -> pa.Array:
        """A choice of each customer by what its persona likes: `AREAS_USED` or `WAYS_TO_ASK`."""
        personas = next(a for a in ATTRIBUTES if a.name == "persona").levels
        bounds = np.cumsum([MANNERS[name][what] for name in personas], axis=1)[:, :-1]
        persona = self.journeys.population.attributes["persona"][who]
        return pa.array((self.rng.random(len(who))[:, None] >= bounds[persona]).sum(axis=1))


@dataclass(frozen=True)
class Rows:
    """Events of one kind, before they become a table."""

    event: str
    source: str
    customer: Ints
    event_time: Ints
    columns: dict[str, Any]
    """Properties: arrays of shape `(n_events,)`, or one text for all."""


def event_table(
    journeys: Journeys, names: pa.Array, accounts: pa.Array, settings: Settings,
    rng: np.random.Generator,
) -> pa.Table:  # fmt: skip
    """Every event, without `recorded_time`; nothing reaches beyond the last day.

    Parameters
    ----------
    names, accounts
        The customers' ids and the ids of their accounts, shape `(n_customers,)`.
    """
    scene = _Scene(journeys, settings, rng)
    makers = (_terms, _levels, _tickets, _memories, _usage, _contacts)
    tables = [
        _table(rows, names, accounts, settings.end) for make in makers for rows in make(scene)
    ]
    table = pa.concat_tables(tables, promote_options="default").combine_chunks()
    number = pc.utf8_lpad(pa.array(np.arange(table.num_rows)).cast(pa.string()), 9, "0")
    ids = pc.binary_join_element_wise("e", number, "")
    return table.add_column(0, "event_id", ids)


def _table(rows: Rows, names: pa.Array, accounts: pa.Array, end: int) -> pa.Table:
    kept = np.flatnonzero(rows.event_time < end)
    who = pa.array(rows.customer[kept])
    columns: dict[str, Any] = {
        "customer": names.take(who),
        "account": accounts.take(who),
        "event_time": pa.array(rows.event_time[kept], pa.timestamp("us", "UTC")),
        "event": _constant(rows.event, len(kept)),
        "source": _constant(rows.source, len(kept)),
    }
    for name, values in rows.columns.items():
        if isinstance(values, str):
            columns[name] = _constant(values, len(kept))
        else:
            columns[name] = (values if isinstance(values, pa.Array) else pa.array(values)).take(
                pa.array(kept)
            )
    return pa.table(columns)


def _constant(text: str, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), n) if n else pa.array([], pa.string())


def _midnights(scene: _Scene, day: Ints) -> pa.Array:
    """Days as timestamps, null where nothing is due."""
    none = day == NOT_DUE
    moments = scene.settings.start + np.where(none, 0, day) * DAY
    return pa.array(moments, pa.timestamp("us", "UTC"), mask=none)


def _terms(scene: _Scene) -> Iterator[Rows]:
    """Trials, contracts, renewals and ends."""
    journeys = scene.journeys
    terms, monthly = journeys.terms, journeys.population.monthly
    plans = pa.array(["yearly", "monthly"])
    begins = np.isin(terms.value, (BEGAN, SIGNED))
    moments = np.where(begins, scene.at(terms.day, BEGINNING), scene.at(terms.day, ENDING))
    for value, event, source in (
        (BEGAN, "trial_started", "product"),
        (EXPIRED, "trial_expired", "product"),
        (SIGNED, "subscribed", "billing"),
        (WENT_ON, "renewed", "billing"),
        (LEFT, "cancelled", "billing"),
    ):
        rows = np.flatnonzero(terms.value == value)
        who, due = terms.customer[rows], _midnights(scene, journeys.due[rows])
        about: dict[str, Any] = {"channel": "app"}
        if value == BEGAN:
            about["trial_ends_at"] = due
        if value in (SIGNED, WENT_ON):
            about["renews_at"] = due
            about["plan"] = plans.take(pa.array(monthly[who].astype(np.int64)))
            yearly = prices(journeys, who, terms.day[rows])
            about["price"] = yearly
            about["value"] = pa.array(yearly, mask=monthly[who])
        yield Rows(event, source, who, moments[rows], about)
    paid = np.flatnonzero(np.isin(terms.value, (SIGNED, WENT_ON)) & monthly[terms.customer])
    who, day = terms.customer[paid], terms.day[paid]
    value_ = np.round(prices(journeys, who, day) / 10, 2)
    yield Rows("card_charged", "billing", who, moments[paid], {"value": value_, "channel": "app"})


def _levels(scene: _Scene) -> Iterator[Rows]:
    """Usage reports, price notices and onboarding steps: each tells the new level."""
    journeys = scene.journeys
    reports = journeys.levels[ENGAGEMENT.name]
    share = np.array(ACTIVE_SHARE)[reports.value]
    seats = journeys.population.seats[reports.customer]
    yield Rows(
        ENGAGEMENT.event, "product", reports.customer, scene.at(reports.day, NIGHT),
        {"active_share": share, "active_users": np.rint(share * seats), "channel": "app"},
    )  # fmt: skip
    notices = journeys.levels[PRICE.name]
    yield Rows(
        PRICE.event, "billing", notices.customer, scene.at(notices.day, WORKING),
        {
            "price_change": np.array(PRICE_CHANGES)[notices.value],
            "price": prices(journeys, notices.customer, notices.day + 1),
            "channel": "email",
        },
    )  # fmt: skip
    steps = journeys.levels[ONBOARDING.name]
    yield Rows(
        ONBOARDING.event, "product", steps.customer, scene.at(steps.day, WORKING),
        {"step": steps.value.astype(np.float64), "channel": "app"},
    )  # fmt: skip


def _tickets(scene: _Scene) -> Iterator[Rows]:
    """Tickets whose words tell what they are, and their answers, slower where it is worse."""
    kinds = [scene.journeys.memories[name] for name in TICKETS]
    what = np.repeat(np.arange(len(kinds)), [len(kind) for kind in kinds])
    who = np.concatenate([kind.customer for kind in kinds])
    opened = scene.at(np.concatenate([kind.day for kind in kinds]), WORKING)
    texts = ticket_texts(what, scene.rng)
    channel = pa.array(ASKED_BY).take(scene.manners(WAYS_TO_ASK, who))
    yield Rows("ticket_opened", "support", who, opened, {"text": texts, "channel": channel})
    usual = np.array([5.0, 9.0, 14.0])[what]
    wait = np.round(scene.rng.exponential(usual) + 0.2, 1)
    closed = opened + (wait * HOUR).astype(np.int64)
    yield Rows(
        "ticket_closed", "support", who, closed,
        {"wait_hours": wait, "channel": "email"},
    )  # fmt: skip


def _memories(scene: _Scene) -> Iterator[Rows]:
    """Frictions, treatments and what else is remembered; coins that fell the other way."""
    rng = scene.rng
    for event, happened in scene.journeys.memories.items():
        if event in TICKETS:
            continue
        source, channel = REMEMBERED[event]
        n = len(happened)
        about: dict[str, Any] = {"channel": channel}
        if event == "slow_page":
            about["load_seconds"] = np.round(6 + rng.exponential(4, n), 1)
        if event == "confusing_form":
            about["form_errors"] = 3.0 + rng.poisson(2, n)
        if event == "robotic_chatbot":
            about["turns"] = 6.0 + rng.poisson(4, n)
        moments = scene.at(happened.day, WORKING)
        yield Rows(event, source, happened.customer, moments, about)
        if event in scene.journeys.controls:
            alone = scene.journeys.controls[event]
            assigned = moments - 10 * MINUTE
            yield _assigned(happened, assigned, event, "treated")
            yield _assigned(alone, scene.at(alone.day, WORKING), event, "control")


def _assigned(who: History, moments: Ints, treatment: str, arm: str) -> Rows:
    """A coin was tossed over a treatment."""
    about = {"treatment": treatment, "arm": arm, "channel": "email"}
    return Rows("outreach_assigned", "crm", who.customer, moments, about)


def _usage(scene: _Scene) -> Iterator[Rows]:
    """Log-ins in the week after each report, and what was used in their sessions."""
    reports, rng = scene.journeys.levels[ENGAGEMENT.name], scene.rng
    expected = LOGINS_A_WEEK * scene.settings.activity * np.array(ACTIVE_SHARE)[reports.value]
    week = np.repeat(np.arange(len(reports)), rng.poisson(expected))
    day = reports.day[week] + rng.integers(0, 7, len(week))
    who = reports.customer[week]
    using = _running(scene.journeys, who, day)
    who, day = who[using], day[using]
    begun = scene.at(day, WORKING)
    session = _numbered("s", len(who))
    yield Rows("login", "product", who, begun, {"session": session, "channel": "app"})
    used = np.repeat(np.arange(len(who)), rng.poisson(1.0, len(who)))
    which = pa.array(AREAS).take(scene.manners(AREAS_USED, who[used]))
    yield Rows(
        "feature_used", "product", who[used], begun[used] + rng.integers(1, HOUR, len(used)),
        {"session": session.take(pa.array(used)), "area": which, "channel": "app"},
    )  # fmt: skip


def _running(journeys: Journeys, who: Ints, day: Ints) -> NDArray[np.bool_]:
    """Whether a trial or contract still runs on a day."""
    last = journeys.terms.last(who, day + 1)
    return ~np.isin(journeys.terms.value[last], (LEFT, EXPIRED))


def _numbered(prefix: str, n: int) -> pa.Array:
    numbers = pc.utf8_lpad(pa.array(np.arange(n)).cast(pa.string()), 8, "0")
    return pc.binary_join_element_wise(prefix, numbers, "") if n else pa.array([], pa.string())


def _spans(journeys: Journeys) -> tuple[Ints, Ints, Ints, Ints]:
    """Stretches of one status: customer, status, first day, day after the last."""
    terms, n = journeys.terms, len(journeys.population)
    who = np.concatenate([np.arange(n), terms.customer])
    first = np.concatenate([journeys.population.arrival, terms.day])
    status = np.concatenate([np.full(n, PROSPECT), _status(terms.value)])
    order = np.lexsort((np.arange(len(who)), first, who))
    who, first, status = who[order], first[order], status[order]
    last = np.append(first[1:], journeys.n_days)
    last[np.append(who[1:] != who[:-1], True)] = journeys.n_days
    return who, status, first, last


def _status(value: Ints) -> Ints:
    """The status that begins with each row of the terms."""
    by_value = np.empty(5, np.int64)
    by_value[[EXPIRED, LEFT]] = PROSPECT
    by_value[BEGAN], by_value[[SIGNED, WENT_ON]] = PROSPECT + 1, PROSPECT + 2
    return np.asarray(by_value[value])


def _contacts(scene: _Scene) -> Iterator[Rows]:
    """Adverts, e-mails and page views of everybody, by status."""
    rng = scene.rng
    who, status, first, last = _spans(scene.journeys)
    for event, (source, channels, per_day) in CONTACTS.items():
        rate = scene.settings.activity * np.array([0.0, *per_day])[status]
        span = np.repeat(np.arange(len(who)), rng.poisson(rate * (last - first)))
        day = first[span] + (rng.random(len(span)) * (last - first)[span]).astype(np.int64)
        channel = pa.array(channels).take(pa.array(rng.integers(0, len(channels), len(span))))
        about: dict[str, Any] = {"channel": channel}
        if event == "page_viewed":
            about["load_seconds"] = np.round(0.4 + rng.exponential(0.9, len(span)), 1)
        yield Rows(event, source, who[span], scene.at(day, WORKING), about)
