"""Leaks that tests plant: pipelines that read too much, and shops whose data know the future."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
from journeys import make_shop

from features.catalogue import default_catalogue
from features.config import Problem
from features.cutoffs import Moments
from features.durations import DAY, days
from features.engine import Rows, compute, count_visible
from features.event_log import EventLog
from features.feature import Feature, Where, feature_names
from features.language import events, having
from features.operations import NEVER
from training.peers import Changes, changes
from training.pipeline import Counting, FittedCatalogue, Journeys, Matrix, Question

ORDER, TICKET = events("order"), events("ticket")
HONEST = (ORDER.count(days(30)), ORDER.recency(), ORDER.sum("value", days(90)), TICKET.count())

Column = Callable[[Journeys, Rows], Matrix]


@dataclass(frozen=True)
class Columns:
    """A fitted pipeline: a few honest features, and a column made by a function."""

    column: Column | None = None
    features: tuple[Feature, ...] = HONEST

    @property
    def names(self) -> tuple[str, ...]:
        return (*feature_names(self.features), *(("planted",) if self.column else ()))

    def __call__(self, journeys: Journeys, rows: Rows) -> Matrix:
        honest = compute(self.features, journeys.log, journeys.attributes, rows)
        if self.column is None:
            return honest
        return np.column_stack([honest, self.column(journeys, rows)])

    def anew(self, journeys: Journeys) -> "Columns":
        return self


@dataclass(frozen=True)
class Planted:
    """A pipeline whose `plant` makes the fitted columns."""

    plant: Callable[[Journeys, Question], object] = field(default=lambda j, q: Columns())

    def fit(self, journeys: Journeys, question: Question) -> object:
        return self.plant(journeys, question)


def honest() -> Planted:
    """A few features of the language."""
    return Planted()


def _reading(column: Column) -> Planted:
    return Planted(lambda journeys, question: Columns(column))


def _between(log: EventLog, where: Where, rows: Rows, after: int, until: int) -> Matrix:
    """Events in `(cutoff + after, cutoff + until]`, whenever they were recorded."""
    begin, end = (
        Rows(rows.customer, rows.cutoff_time + edge, np.full(len(rows), NEVER))
        for edge in (after, until)
    )
    return count_visible(log, end, where, None) - count_visible(log, begin, where, None)


def ticket_in_the_label_window() -> Planted:
    return _reading(lambda j, r: _between(j.log, TICKET.where, r, -days(30), days(7)))


def the_whole_cutoff_day() -> Planted:
    """Rounds the cutoff up to the end of its day."""
    return _reading(lambda j, r: _between(j.log, ORDER.where, r, -days(30), DAY))


def one_microsecond_too_much() -> Planted:
    return _reading(lambda j, r: _between(j.log, Where(), r, -days(30), 1))


def no_recorded_time() -> Planted:
    """Reads what happened before the cutoff, whenever it was told."""
    return _reading(lambda j, r: _between(j.log, ORDER.where, r, -days(60), 0))


def attribute_as_it_is_now() -> Planted:
    """The last statement about a customer, whenever it was made."""

    def column(journeys: Journeys, rows: Rows) -> Matrix:
        log = journeys.attributes
        last = log.offsets[rows.customer + 1] - 1
        return log.categories["city"].codes[last].astype(float)

    return _reading(column)


def scaler_over_all_rows() -> Planted:
    """Centres on the mean of train and test together."""

    def plant(journeys: Journeys, question: Question) -> Columns:
        mean = float(np.nanmean(Columns()(journeys, question.rows)[:, 0]))
        return Columns(lambda j, r: Columns()(j, r)[:, 0] - mean)

    return Planted(plant)


def scaler_over_the_batch() -> Planted:
    """Centres on the mean of whatever rows are computed together."""

    def column(journeys: Journeys, rows: Rows) -> Matrix:
        values = Columns()(journeys, rows)[:, 0]
        return values - values.mean()

    return _reading(column)


def largest_of_the_whole_history() -> Planted:
    """Divides by the largest order there ever was."""
    return _reading(lambda j, r: Columns()(j, r)[:, 2] / np.nanmax(j.log.numbers["value"]))


def columns_of_the_whole_history() -> Planted:
    """Chooses columns as of the end of the history."""

    def plant(journeys: Journeys, question: Question) -> FittedCatalogue:
        end = int(journeys.log.recorded_time.max())
        return FittedCatalogue(
            default_catalogue(journeys.log, journeys.attributes, {}, [days(30)], end)
        )

    return Planted(plant)


def vocabulary_of_the_whole_history() -> Planted:
    """One column a word, the words taken from every event there is."""

    @dataclass(frozen=True)
    class Vocabulary:
        words: tuple[str, ...]

        @property
        def names(self) -> tuple[str, ...]:
            return (*Columns().names, *(f"word_{word}" for word in self.words))

        def __call__(self, journeys: Journeys, rows: Rows) -> Matrix:
            log = journeys.log
            counts = [
                compute([having("channel", word).count()], log,
                        journeys.attributes, rows)
                for word in self.words
            ]  # fmt: skip
            return np.column_stack([Columns()(journeys, rows), *counts])

        def anew(self, journeys: Journeys) -> "Vocabulary":
            return self

    return Planted(lambda j, q: Vocabulary(j.log.categories["channel"].levels))


def target_encoding_of_all_rows() -> Planted:
    """The outcome rate of each city, test rows included."""
    return Planted(lambda j, q: _city_rate(j, q, np.arange(len(q.label))))


def target_encoding_of_the_own_row() -> Planted:
    """The outcome rate of each city on train, the row's own label included."""
    return Planted(lambda j, q: _city_rate(j, q, q.train))


def _city_rate(journeys: Journeys, question: Question, rows: Matrix) -> Columns:
    def city(j: Journeys, r: Rows) -> Matrix:
        return j.attributes.categories["city"].codes[j.attributes.offsets[r.customer]]

    codes = city(journeys, question.rows.take(rows))
    rate = np.bincount(codes, question.label[rows]) / np.maximum(np.bincount(codes), 1)
    return Columns(lambda j, r: rate[np.minimum(city(j, r), len(rate) - 1)])


def peer_rate_with_immature_labels() -> Planted:
    """The share of customers who ordered in the 30 days after a moment 10 days before."""

    def column(journeys: Journeys, rows: Rows) -> Matrix:
        log = journeys.log
        out = np.zeros(len(rows))
        for cutoff in np.unique(rows.cutoff_time).tolist():
            everyone = np.arange(log.n_customers)
            begin = np.full(log.n_customers, cutoff - days(10))
            asked = Rows(everyone, begin, begin)
            ordered = _between(log, ORDER.where, asked, 0, days(30)) > 0
            out[rows.cutoff_time == cutoff] = ordered.mean()
        return out

    return _reading(column)


def counted_at_the_cutoff(
    categories: tuple[Feature, ...], problem: Problem, log: EventLog, attributes: EventLog,
    moments: Moments,
) -> Changes:  # fmt: skip
    """Peers count from their cutoff on with the label that they will have: it is immature."""
    found = changes(categories, problem, log, attributes, moments)
    assert problem.horizon is not None
    return replace(found, moment=found.moment - problem.horizon)


def counted_as_told_later(
    categories: tuple[Feature, ...], problem: Problem, log: EventLog, attributes: EventLog,
    moments: Moments,
) -> Changes:  # fmt: skip
    """Peers count from the end of their window on, with outcomes that were recorded later."""
    blind = replace(log, recorded_time=log.event_time)
    return changes(categories, problem, blind, attributes, moments)


BAKED_TOO_EARLY: dict[str, Counting] = {
    "peer rates of immature labels": counted_at_the_cutoff,
    "peer rates of outcomes recorded later": counted_as_told_later,
}
"""Ways of counting outcomes for peer rates that know too much: each is L01."""


READING_TOO_MUCH: dict[str, tuple[str, Callable[[], Planted]]] = {
    "ticket in the label window": ("L01", ticket_in_the_label_window),
    "the whole day of the cutoff": ("L01", the_whole_cutoff_day),
    "one microsecond too much": ("L01", one_microsecond_too_much),
    "recorded time ignored": ("L01", no_recorded_time),
    "attribute as it is now": ("L01", attribute_as_it_is_now),
    "peer rate with immature labels": ("L01", peer_rate_with_immature_labels),
    "largest of the whole history": ("L01", largest_of_the_whole_history),
    "scaler over all rows": ("L02", scaler_over_all_rows),
    "scaler over the rows at hand": ("L02", scaler_over_the_batch),
    "columns of the whole history": ("L02", columns_of_the_whole_history),
    "vocabulary of the whole history": ("L02", vocabulary_of_the_whole_history),
    "target encoding of all rows": ("L02", target_encoding_of_all_rows),
    "target encoding of the own row": ("L03", target_encoding_of_the_own_row),
}
"""Leaks in pipelines: the code that must name each."""

START, LENGTH = date(2023, 1, 1), 400
GONE = START + timedelta(days=LENGTH - 60)
"""Customers whose last order lies before this day have left for good."""


@dataclass(frozen=True)
class Shop:
    """A shop's folder, its text, and who left when."""

    config: Path

    def sql(self, name: str, query: str) -> None:
        """Write a CSV file made from the shop's own."""
        with duckdb.connect() as duck:
            duck.execute(f"set file_search_path = '{self.config.parent}'")
            duck.execute(
                "create view orders as from 'orders.csv'; create view customers as from "
                "'customers.csv'; create view tickets as from 'tickets.csv'; "
                "create view gone as select customer, max(day) as last_day from orders "
                f"group by 1 having max(day) < date '{GONE}'"
            )
            duck.execute(f"create table made as {query}")
            duck.execute(f"copy made to '{self.config.parent / name}' (header)")

    def replace(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text, old
        self.config.write_text(text.replace(old, new))

    def add_events(self, sql: str) -> None:
        self.replace("[customers]", f'[[events]]\nsql = "{sql}"\n\n[customers]')

    def labels(self, query: str, horizon: str | None) -> None:
        """Let the problem bring its own label table."""
        self.sql("labels.csv", query)
        text = self.config.read_text().partition("[problems.churn]")[0]
        text += "[problems.churn]\nlabels = \"from 'labels.csv'\"\n"
        self.config.write_text(text + (f'horizon = "{horizon}"\n' if horizon else ""))


def plain_shop(folder: Path, n_customers: int = 200, seed: int = 5) -> Shop:
    """A clean shop with few windows, so that an audit takes a second."""
    shop = Shop(make_shop(folder, n_customers, seed))
    shop.replace("[problems.churn]", '[features]\nwindows = ["30d"]\n\n[problems.churn]')
    return shop


CUTOFFS = (
    "select customer, cutoff_time from (select distinct customer from orders), "
    "(select unnest(range(timestamp '2023-03-01', timestamp '{until}', interval '{step} days')) "
    "as cutoff_time)"
)


def _rows(until: str = "2024-01-01", step: int = 10) -> str:
    return CUTOFFS.format(until=until, step=step)


def _bought(after: str, until: str) -> str:
    return (
        "exists (select 1 from orders o where o.customer = r.customer and o.day "
        f"{after} and o.day {until})::int"
    )


def closed_label_window(shop: Shop) -> None:
    """The label counts an order on the day of the cutoff, which features read too."""
    label = _bought(">= cutoff_time", "< cutoff_time + interval 3 days")
    shop.labels(f"select *, {label} as label from ({_rows()}) r", "3d")


def status_overwritten(shop: Shop) -> None:
    shop.sql(
        "customers.csv",
        "select c.*, if(g.customer is null, 'open', 'closed') as status "
        "from customers c left join gone g using (customer)",
    )
    shop.replace("customer, city, since", "customer, city, since, status")


def last_seen(shop: Shop) -> None:
    shop.sql(
        "customers.csv",
        "select c.*, l.last_seen from customers c left join "
        "(select customer, max(day) as last_seen from orders group by 1) l using (customer)",
    )
    shop.replace("customer, city, since", "customer, city, since, last_seen")


def survey_at_the_outcome(shop: Shop) -> None:
    shop.sql("surveys.csv", "select customer, last_day + 1 as day from gone")
    shop.add_events(
        "select customer, day as event_time, 'cancel_survey' as event from 'surveys.csv'"
    )


def back_dated_flag(shop: Shop) -> None:
    """Analysts dated their flag to the last order, and the source has no recorded_time."""
    shop.sql("flags.csv", "select customer, last_day as day from gone")
    shop.add_events("select customer, day as event_time, 'risk_flag' as event from 'flags.csv'")


def written_in_one_go(shop: Shop) -> None:
    shop.sql(
        "imported.csv",
        "select customer, timestamp '2023-06-01 03:17:00' as moment from "
        "customers union all select customer, day + interval 11 hours from tickets",
    )
    shop.add_events("select customer, moment as event_time, 'call' as event from 'imported.csv'")


def booked_at_midnight(shop: Shop) -> None:
    shop.sql("orders.csv", "select customer, day + interval (8 + hash(customer, day) % 12) hours "
             "as day, amount, channel from orders")  # fmt: skip


def order_id(shop: Shop) -> None:
    shop.sql("orders.csv", "select *, 7000 + row_number() over (order by day, customer) as "
             "order_id from orders")  # fmt: skip
    shop.replace("amount as value, channel from", "amount as value, channel, order_id from")


def ids_in_the_order_of_leaving(shop: Shop) -> None:
    shop.sql("ids.csv", "select customer, 'k' || row_number() over (order by coalesce(last_day, "
             "date '2030-01-01'), hash(customer)) as id from customers left join gone using "
             "(customer)")  # fmt: skip
    shop.replace("select customer, day as event_time, 'order'",
                 "select id as customer, day as event_time, 'order'")  # fmt: skip
    shop.replace("from 'orders.csv'", "from 'orders.csv' join 'ids.csv' using (customer)")
    shop.replace(
        "select customer, day as event_time, 'ticket' as event, wait from 'tickets.csv'",
        "select id as customer, day as event_time, 'ticket' as event, wait from "
        "'tickets.csv' join 'ids.csv' using (customer)",
    )
    shop.replace("select customer, city, since from 'customers.csv'",
                 "select id as customer, city, since from 'customers.csv' join 'ids.csv' using "
                 "(customer)")  # fmt: skip


def row_in_two_parts(shop: Shop) -> None:
    label = _bought("> cutoff_time", "<= cutoff_time + interval 20 days")
    rows = f"select *, 1 - {label} as label from ({_rows()}) r"
    shop.labels(
        f"select *, if(cutoff_time < timestamp '2023-10-01', 'train', 'test') as split from ({rows}"
        f") union all select *, 'train' from ({rows}) where cutoff_time > timestamp '2023-10-01' "
        "and hash(customer, cutoff_time) % 10 = 0", None,
    )  # fmt: skip


def windows_into_test(shop: Shop) -> None:
    label = _bought("> cutoff_time", "<= cutoff_time + interval 20 days")
    shop.labels(
        f"select *, 1 - {label} as label, if(cutoff_time < timestamp '2023-10-01', 'train', 'test')"
        f" as split from ({_rows()}) r", "20d",
    )  # fmt: skip


def doubles_across_the_split(shop: Shop) -> None:
    """Every tenth customer has a second id, in the other part."""
    for name in ("orders", "tickets", "customers"):
        shop.sql(f"{name}2.csv", f"from {name} union all select 'd' || customer, * exclude "
                 f"(customer) from {name} where hash(customer) % 10 = 0")  # fmt: skip
        shop.replace(f"'{name}.csv'", f"'{name}2.csv'")
    label = _bought("> cutoff_time", "<= cutoff_time + interval 20 days")
    shop.labels(
        f"with r as ({_rows()}), l as (select *, 1 - {label} as label from r) "
        "select *, if(hash(customer, 1) % 3 = 0 and hash(customer) % 10 > 0, 'test', 'train') as "
        "split from l union all select 'd' || customer, cutoff_time, label, 'test' from l where "
        "hash(customer) % 10 = 0", "20d",
    )  # fmt: skip


def windows_not_over(shop: Shop) -> None:
    label = _bought("> cutoff_time", "<= cutoff_time + interval 30 days")
    shop.labels(f"select *, {label} as label from ({_rows('2024-02-03')}) r", "30d")


def labels_of_nobody(shop: Shop) -> None:
    chance = "hash(md5(customer || cutoff_time::varchar)) % 4 = 0"
    shop.labels(f"select *, ({chance})::int as label from ({_rows()}) r", "10d")


def filled_in_hindsight(shop: Shop) -> None:
    """The reason for leaving is written into the customer's older orders."""
    shop.sql(
        "orders.csv",
        "select o.*, if(g.customer is not null and o.day > g.last_day - 14, "
        "'price', null) as reason from orders o left join gone g using (customer)",
    )
    shop.replace("amount as value, channel from", "amount as value, channel, reason from")


def closed_at_on_the_ticket(shop: Shop) -> None:
    shop.sql(
        "tickets.csv",
        "select *, if(day + 20 + wait::int <= date '2024-02-04', day + 20 + wait::int, "
        "null) as closed_at from tickets",
    )
    shop.replace("'ticket' as event, wait from", "'ticket' as event, wait, closed_at from")


def orders_before_signing_up(shop: Shop) -> None:
    shop.sql("customers.csv", "select customer, city, (date '2023-01-01' + (hash(customer) % 400)"
             "::int) as signup_date from customers")  # fmt: skip
    shop.replace("customer, city, since", "customer, city, signup_date")


def score_of_the_future(shop: Shop) -> None:
    """A health score that was computed from the orders that were still to come."""
    shop.sql(
        "orders.csv",
        "select o.*, (select count(*) from orders l where l.customer = "
        "o.customer and l.day > o.day and l.day <= o.day + 60) as health from orders o",
    )
    shop.replace("amount as value, channel from", "amount as value, channel, health from")


KNOWING_TOO_MUCH: dict[str, tuple[str, Callable[[Shop], None]]] = {
    "label window that includes the cutoff": ("L11", closed_label_window),
    "status overwritten after leaving": ("L20", status_overwritten),
    "last-seen date": ("L21", last_seen),
    "survey only at the outcome": ("L10", survey_at_the_outcome),
    "back-fill without recorded time": ("L10", back_dated_flag),
    "events written in one go": ("L14", written_in_one_go),
    "dates among clock times": ("L15", booked_at_midnight),
    "order ids": ("L35", order_id),
    "customers' ids in the order of leaving": ("L35", ids_in_the_order_of_leaving),
    "one row in two parts": ("L30", row_in_two_parts),
    "customers with two ids": ("L31", doubles_across_the_split),
    "label windows that reach into test": ("L32", windows_into_test),
    "labels before their window is over": ("L33", windows_not_over),
    "labels that are noise": ("L07", labels_of_nobody),
    "property filled in hindsight": ("L13", filled_in_hindsight),
    "closing date on the opening event": ("L12", closed_at_on_the_ticket),
    "orders before signing up": ("L16", orders_before_signing_up),
    "score computed from the future": ("L05", score_of_the_future),
}
"""Leaks in data: the code that must name each."""
