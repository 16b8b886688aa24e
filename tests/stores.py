"""Stores that tests write to: a file, and a real PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracking_server import postgres

from serving.database import Database
from serving.event_store import EventStore, TenantStore
from serving.intake import CANONICAL, Intake, Result
from serving.migrations import upgrade


@contextmanager
def addresses(kind: str, folder: Path) -> Iterator[str]:
    """The URL of a new, empty database of a kind."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'milepost.db'}"
    else:
        with postgres() as url:
            yield url


def opened(url: str, name: str = "shop", groups: tuple[str, ...] = ()) -> TenantStore:
    """A workspace's store in a database that is brought up to date."""
    database = Database(url)
    upgrade(database)
    return EventStore(database).workspace(name, groups)


def sent(
    intake: Intake, store: TenantStore, rows: list[object], form: str = CANONICAL
) -> list[Result]:
    """What became of rows that are sent together."""
    return intake.take(store, rows, [form] * len(rows)).result(60).results
