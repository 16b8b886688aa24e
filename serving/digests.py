"""`python -m serving digest CONFIG …`: the weekly digest, now or every week.

Without `--serve` it makes everybody's, or one person's, and sends it at once, or prints it. With
`--serve` (started by `serving run` where MILEPOST_DIGEST_DAY is set) it makes each person's once a
week, whatever the number of hosts, and tries to send it until it arrived or a week has passed.
"""

import argparse
import logging
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from features.config import Business, read_config, slug
from features.durations import DAY, HOUR, SECOND, WEEK, format_moment, this_moment
from features.errors import MilepostError, ModelFilesError
from features.log_lines import log_in_lines
from models.fitted import FittedModel
from models.registry import model_name
from models.shelf import Shelf, Standing
from models.spoken import Words
from serving.book_scores import record_named
from serving.book_store import BookStore
from serving.children import declare_parent, orphaned
from serving.database import Database, StoreUnavailableError
from serving.digest import Digest, Sources, digest_of
from serving.digest_mail import bodies, e_mail, told
from serving.digest_store import DEAD, SENT, WAITING, Digests, Taken
from serving.event_store import EventStore, TenantStore
from serving.mailer import MailError, send
from serving.migrations import upgrade
from serving.people import PeopleError, Roster, User, Users
from serving.settings import DAYS, Settings, declare_place, read_settings

LOG = logging.getLogger("milepost.digest")

LOOK_AGAIN = 15.0
"""Seconds between looks at the clock and at what waits."""
LATEST = DAY
"""A digest that could not be made within so long after its hour is left out: next week's tells."""
FIRST_PAUSE, LONGEST_PAUSE = 60 * SECOND, 6 * HOUR
"""Between tries, fourfold each time."""
MONDAY = 4 * DAY
"""The first Monday of 1970, microseconds."""


@dataclass
class Post:
    """Makes and sends one business's digests."""

    business: Business
    workspace: Path
    store: TenantStore
    settings: Settings
    _models: dict[Standing, FittedModel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.users = Users(self.store.database)
        self.kept = Digests(self.store.database, self.store.workspace)

    def people(self, name: str = "") -> list[User]:
        """Who gets a digest: whoever has an address and may sign in.

        Raises
        ------
        PeopleError
            When somebody is named who gets none.
        """
        place = slug(self.business.name)
        found = [
            user for user in self.users.all()
            if user.workspace == place and user.email and user.disabled is None
            and name in ("", user.name)
        ]  # fmt: skip
        if name and not found:
            raise PeopleError(f"{name} has no e-mail address here; see: users list, users email.")
        return found

    def make(self, user: User, week: str, now: int) -> tuple[Digest, EmailMessage]:
        """A person's digest and its message."""
        roster = Roster(self.users)
        roster.refresh()
        owned = self.business.people.owner is not None
        sees = roster.sees(user) if owned else None
        sources = Sources(self.business, self.store, self._answering())
        digest = digest_of(sources, user.name, sees, self.kept.last_named(user.id, week), now)
        words = Words(dict(self.business.words), dict(self.business.units))
        values = [p.value.sum for p in self.business.problems.values() if p.value is not None]
        message = e_mail(
            digest, user, week, self.settings.digest_from, self.settings.public_url, words,
            values[0] if values else "",
        )  # fmt: skip
        return digest, message

    def make_due(self, week: str, now: int) -> int:
        """Make the week's digests that nobody has made; gives how many."""
        count = 0
        for user in self.people():
            if not self._listed() or not self.kept.claim(user.id, week, now):
                continue
            digest, message = self.make(user, week, now)
            event = told(digest, user, week, slug(self.business.name), now)
            given = [risk.score_id for part in digest.parts for risk in part.risks]
            record_named(BookStore(self.store.database, self.store.workspace), given)
            self.kept.keep(user.id, week, now, message.as_string(), digest.named, event)
            count += 1
        return count

    def send_due(self, now: int) -> int:
        """Try what waits; gives how many were sent. Nothing waits for the server but this."""
        count = 0
        for taken in self.kept.take(now) if self.settings.smtp_url else ():
            try:
                send(self.settings.smtp_url, parsed(taken.message))
            except MailError as error:
                self._put_off(taken, error, now)
                continue
            self.kept.settle(taken, SENT, now, "")
            count += 1
        return count

    def _put_off(self, taken: Taken, error: MailError, now: int) -> None:
        pause = min(FIRST_PAUSE * 4 ** min(taken.tries, 10), LONGEST_PAUSE)
        dead = error.final or now - taken.made > WEEK
        self.kept.settle(taken, DEAD if dead else WAITING, now + pause, str(error))
        LOG.warning("a digest of %s was not sent: %s", taken.week, error)

    def _listed(self) -> bool:
        """Whether there is anything to tell: a book, and a model that answers."""
        book = BookStore(self.store.database, self.store.workspace)
        return any(book.current(problem) is not None for problem in self._answering())

    def _answering(self) -> dict[str, FittedModel]:
        """The model that answers each problem, as the shelf points to it."""
        found = {}
        for problem in self.business.problems:
            shelf = Shelf(self.workspace, model_name(self.business.name, problem))
            try:
                pointer = shelf.pointer()
                if pointer is None:
                    continue
                if pointer.champion not in self._models:
                    self._models[pointer.champion] = shelf.load(pointer.champion)
                found[problem] = self._models[pointer.champion]
            except ModelFilesError as error:
                LOG.warning("no digest of %s: %s", problem, error)
        return found


def week_of(settings: Settings, now: int) -> tuple[str, bool]:
    """The day on which this week's digest was due, and whether it still may be made."""
    offset = MONDAY + DAYS.index(settings.digest_day) * DAY + settings.digest_hour * HOUR
    due = now - (now - offset) % WEEK
    return format_moment(due)[:10], now - due <= LATEST


def parsed(text: str) -> EmailMessage:
    """A message as it was kept."""
    message = message_from_bytes(text.encode(), policy=policy.SMTP)
    assert isinstance(message, EmailMessage)
    return message


def declare(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    declare_place(parser)
    parser.add_argument("--person", default="", help="one person's alone: what they sign in with")
    parser.add_argument("--dry-run", action="store_true", help="print it and send nothing")
    parser.add_argument(
        "--out", type=Path, help="with --dry-run: a folder for NAME.html and NAME.txt"
    )
    parser.add_argument("--smtp", help="the mail server (MILEPOST_SMTP_URL)")
    parser.add_argument("--serve", action="store_true", help="every week, until stopped")
    declare_parent(parser)


def run(chosen: argparse.Namespace) -> int:
    """Make and send digests."""
    settings = read_settings(
        os.environ, workspace=chosen.workspace, database=chosen.database, smtp_url=chosen.smtp
    )
    database = Database(settings.database_url)
    upgrade(database)
    log_in_lines(logging.INFO)
    posts = [post_of(read_config(path), settings, database) for path in chosen.config]
    if chosen.serve:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        serve(posts, settings, stopping, chosen.parent)
        return 0
    if not chosen.dry_run and not settings.smtp_url:
        raise MailError("Name a mail server: --smtp smtp://HOST, or MILEPOST_SMTP_URL.")
    for post in posts:
        _at_once(post, chosen)
    return 0


def post_of(business: Business, settings: Settings, database: Database) -> Post:
    """The digests of one business."""
    store = EventStore(database).workspace(slug(business.name), business.features.groups)
    return Post(business, settings.workspace, store, settings)


def serve(
    posts: Sequence[Post], settings: Settings, stopping: threading.Event, parent: int | None
) -> None:
    """Make what is due and send what waits, until stopped; a fault is told and tried again."""
    while not stopping.is_set() and not orphaned(parent):
        for post in posts:
            try:
                look(post, settings, this_moment())
            except StoreUnavailableError as error:
                LOG.warning("digests wait: %s", error)
            except MilepostError as error:
                LOG.warning("no digests of %s: %s", post.business.name, error)
        stopping.wait(LOOK_AGAIN)


def look(post: Post, settings: Settings, now: int) -> tuple[int, int]:
    """One look at a moment: how many digests were made, and how many sent."""
    week, in_time = week_of(settings, now)
    made = post.make_due(week, now) if in_time else 0
    return made, post.send_due(now)


def _at_once(post: Post, chosen: argparse.Namespace) -> None:
    """Send everybody's or one person's now; the weekly one comes all the same."""
    now = this_moment()
    for user in post.people(chosen.person):
        _, message = post.make(user, format_moment(now)[:10], now)
        plain, html = bodies(message)
        if not chosen.dry_run:
            send(post.settings.smtp_url, message)
            print(f"sent to {user.name}")
        elif chosen.out is not None:
            chosen.out.mkdir(parents=True, exist_ok=True)
            (chosen.out / f"{user.name}.html").write_text(html, encoding="utf-8")
            (chosen.out / f"{user.name}.txt").write_text(plain, encoding="utf-8")
        else:
            print(plain)
