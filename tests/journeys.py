"""Journeys that tests make: tables in text, and a small shop with a known habit."""

import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np

from features.durations import MISSING_TIME, parse_moment
from features.engine import Rows
from features.event_log import EventLog, build_log, empty_log
from features.reference import Event

NUMBERS, CATEGORIES, TIMES = (
    ("value", "wait"),
    ("channel", "plan", "account", "text"),
    ("renews_at",),
)


def read_table(text: str) -> EventLog:
    """An event log from an ASCII table; a dash or nothing is a missing value.

    The first line names the columns; `customer` is `c` and `event` is `e` where absent.
    """
    lines = [line.strip().strip("|") for line in text.strip().splitlines()]
    lines = [line for line in lines if not set(line) <= set("-+| ")]
    names = [name.strip() for name in lines[0].split("|")]
    rows = [
        dict(zip(names, (cell.strip() for cell in line.split("|")), strict=True))
        for line in lines[1:]
    ]
    return log_of([{k: v for k, v in row.items() if v not in ("", "-")} for row in rows])


def log_of(rows: Sequence[dict[str, str]]) -> EventLog:
    """An event log from rows of text, with every property of this module as a column."""
    happened = [parse_moment(row["event_time"]) for row in rows]
    recorded = [parse_moment(row.get("recorded_time", row["event_time"])) for row in rows]
    return build_log(
        [row.get("customer", "c") for row in rows],
        np.array(happened, dtype=np.int64),
        [row.get("event", "e") for row in rows],
        np.array(recorded, dtype=np.int64),
        {n: np.array([float(row.get(n, "nan")) for row in rows]) for n in NUMBERS},
        {n: [row.get(n) for row in rows] for n in CATEGORIES},
        {
            n: np.array(
                [parse_moment(row[n]) if n in row else MISSING_TIME for row in rows], dtype=np.int64
            )
            for n in TIMES
        },
    )


def together(log: EventLog, attributes: EventLog | None = None) -> tuple[EventLog, EventLog]:
    """Two logs over the same customers, as the engine wants them."""
    about = attributes if attributes is not None else empty_log()
    customers = tuple(sorted({*log.customers, *about.customers}))
    return log.aligned(customers), about.aligned(customers)


def nobody(log: EventLog) -> EventLog:
    """No attributes, of the same customers."""
    return empty_log(log.customers)


def rows_at(log: EventLog, *moments: tuple[str, str] | tuple[str, str, str]) -> Rows:
    """Rows from (customer, cutoff_time[, known_time])."""
    who = [log.customers.index(moment[0]) for moment in moments]
    cutoff = [parse_moment(moment[1]) for moment in moments]
    known = [parse_moment(moment[-1]) for moment in moments]
    return Rows(np.array(who), np.array(cutoff, np.int64), np.array(known, np.int64))


def one_row(cutoff_time: int, known_time: int | None = None) -> Rows:
    """The single row of a log that holds one customer."""
    known = cutoff_time if known_time is None else known_time
    return Rows(np.array([0]), np.array([cutoff_time]), np.array([known]))


def plain(log: EventLog, customer: int) -> list[Event]:
    """One customer's history as the reference engine reads it."""
    out = []
    for i in range(int(log.offsets[customer]), int(log.offsets[customer + 1])):
        properties: dict[str, float | str | int] = {}
        for name, numbers in log.numbers.items():
            if not np.isnan(numbers[i]):
                properties[name] = float(numbers[i])
        for name, column in log.categories.items():
            if column.codes[i] >= 0:
                properties[name] = column.levels[column.codes[i]]
        for name, times in log.times.items():
            if times[i] != MISSING_TIME:
                properties[name] = int(times[i])
        out.append(
            Event(
                int(log.event_time[i]),
                int(log.recorded_time[i]),
                log.event.levels[log.event.codes[i]],
                properties,
            )
        )
    return out


SHOP_TOML = '''
name = "shop"

[[events]]
name = "orders"
sql = """
select customer, day as event_time, 'order' as event, amount as value, channel from 'orders.csv'
"""

[[events]]
name = "tickets"
sql = "select customer, day as event_time, 'ticket' as event, wait from 'tickets.csv'"

[customers]
sql = "select customer, city, since from 'customers.csv'"

[stages]
decision = ["order"]
support = ["ticket"]

[problems.churn]
outcome = { silence_of = "order" }
cohort = { active_within = "60d" }
horizon = "30d"
every = "15d"
value = { sum = "value", last = "90d" }
'''


def shuffled(shop: Path, folder: Path) -> Path:
    """A copy of a shop whose files hold the same rows in another order; its journey.toml."""
    shutil.copytree(shop.parent, folder)
    for name in ("orders.csv", "tickets.csv", "customers.csv"):
        head, *lines = (folder / name).read_text().splitlines()
        np.random.default_rng(1).shuffle(lines)
        (folder / name).write_text("\n".join([head, *lines]) + "\n")
    return folder / "journey.toml"


def make_shop(folder: Path, n_customers: int = 300, seed: int = 5) -> Path:
    """Write a small shop's files and its journey.toml; give the path of the latter.

    Each customer orders at a rate of their own and may stop for good; a ticket with a long
    wait makes stopping likelier.
    """
    rng = np.random.default_rng(seed)
    start = date(2023, 1, 1)
    orders, tickets, customers = [], [], []
    for number in range(n_customers):
        customer = f"c{number:03d}"
        rate = rng.uniform(0.03, 0.3)
        gone = 400
        for day in range(400):
            today = start + timedelta(days=day)
            if day < gone and rng.random() < rate:
                amount = round(float(rng.gamma(4, 10)), 2)
                orders.append((customer, today, amount, "web" if rng.random() < 0.7 else "shop"))
            if day < gone and rng.random() < 0.004:
                wait = round(float(rng.exponential(20)), 1)
                tickets.append((customer, today, wait))
                if rng.random() < min(0.9, wait / 40):
                    gone = day + 3
        city = str(rng.choice(["Ulm", "Graz", "Bern"]))
        customers.append((customer, city, start - timedelta(days=int(rng.integers(0, 900)))))
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "orders.csv", ("customer", "day", "amount", "channel"), orders)
    _write(folder / "tickets.csv", ("customer", "day", "wait"), tickets)
    _write(folder / "customers.csv", ("customer", "city", "since"), customers)
    path = folder / "journey.toml"
    path.write_text(SHOP_TOML)
    return path


def make_grouped_shop(folder: Path, n_customers: int = 150) -> Path:
    """The same shop with households of three customers, and teams that link some of these.

    A team is told with orders by the web alone; one customer in ten has been in two.
    """
    path = make_shop(folder, n_customers)
    number = "substr(customer, 2)::int"
    household = f"'h' || ({number} // 3) as household"
    team = (
        f"if(channel = 'web' and {number} % 3 = 0, 't' || ({number} // "
        f"if({number} % 30 = 0 and month(day) < 6, 15, 12)), null) as team"
    )
    told = f"amount as value, channel, {household}, {team} from 'orders.csv'"
    text = path.read_text()
    assert "amount as value, channel from 'orders.csv'" in text
    text = text.replace("amount as value, channel from 'orders.csv'", told)
    choice = '[features]\ngroups = ["household", "team"]\n\n[problems.churn]'
    path.write_text(text.replace("[problems.churn]", choice))
    return path


def _write(path: Path, names: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    lines = [",".join(names), *(",".join(str(cell) for cell in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def rejected_rows(path: Path) -> list[tuple[str, str]]:
    """(source, reason) of every row that was set aside."""
    return duckdb.sql(f"select source, reason from '{path}' order by all").fetchall()


def raven(folder: Path, data: Path) -> Path:
    """A journey.toml over five CSV files of a software business whose churn is chance."""
    path = folder / "journey.toml"
    path.write_text(f'''
name = "raven"
data = "{data}"
[[events]]
sql = """select account_id as customer, start_date as event_time, 'subscribed' as event,
         mrr_amount as value, plan_tier from 'ravenstack_subscriptions.csv'"""
[[events]]
sql = """select account_id as customer, usage_date as event_time, 'used' as event, usage_count,
         feature_name from 'ravenstack_feature_usage.csv'
         join 'ravenstack_subscriptions.csv' using (subscription_id)"""
[[events]]
sql = """select account_id as customer, submitted_at as event_time, 'ticket' as event, priority
         from 'ravenstack_support_tickets.csv'"""
[[events]]
sql = """select account_id as customer, churn_date as event_time, 'churned' as event
         from 'ravenstack_churn_events.csv'"""
[customers]
sql = """select account_id as customer, industry, country, seats from 'ravenstack_accounts.csv'"""
[problems.churn]
outcome = {{ event = "churned", repeats = true }}
horizon = "60d"
every = "30d"
''')
    return path
