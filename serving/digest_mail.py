"""A digest as an e-mail, in HTML and in plain text, and as an event for subscribers.

Takes a digest and whom it is for. The HTML runs no script and loads nothing; all names are escaped,
and no name makes a line of a header. Knows nothing about stores or networks.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from jinja2 import Environment, PackageLoader, select_autoescape

from features.durations import format_moment
from models.spoken import Words
from serving.digest import Digest, Fate
from serving.page_words import amount, date, share
from serving.people import User
from serving.webhooks import DIGEST, HookEvent, hook_event

PAGES = Environment(
    loader=PackageLoader("serving"), autoescape=select_autoescape(("html",)), trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip
MAIL = policy.SMTP.clone(max_line_length=200)


def e_mail(
    digest: Digest, user: User, week: str, sender: str, public: str, words: Words, value: str
) -> EmailMessage:
    """The message.

    Parameters
    ----------
    public
        Where the service is reached from outside; no links if empty.
    value
        What the business's values are of, so that they get its unit.
    """
    message = EmailMessage(policy=MAIL)
    about = f"{one_line(digest.business)}: your week in customers, {week}"
    message["Subject"] = about
    message["From"] = Address("Milepost", addr_spec=sender)
    message["To"] = Address(one_line(user.name), addr_spec=str(user.email))
    message["Date"] = format_datetime(datetime.now(UTC))
    key = uuid5(NAMESPACE_URL, f"{user.workspace} {user.id} {week}")
    message["Message-ID"] = f"<{key}@{sender.partition('@')[2]}>"  # the same when sent again
    message["Auto-Submitted"] = "auto-generated"
    view = {
        "digest": digest, "user": user, "week": week, "about": about, "public": public,
        "share": share, "date": date, "fate": fate_words,
        "money": lambda sum_: amount(sum_, value, words), "link": lambda c, p: link(public, c, p),
    }  # fmt: skip
    message.set_content(PAGES.get_template("digest.txt").render(view))
    message.add_alternative(PAGES.get_template("digest.html").render(view), subtype="html")
    return message


def link(public: str, customer: str, problem: str) -> str:
    """The address of a customer's page."""
    place = f"{public.rstrip('/')}/customers/{quote(customer, safe='')}"
    return f"{place}?problem={quote(problem, safe='')}"


def fate_words(fate: Fate, outcome: str) -> str:
    """What became of a customer, in words."""
    if fate.came is True:
        return f"it came: {outcome}"
    if fate.came is False:
        return f"it did not come ({outcome})"
    return "not known yet" if fate.now is None else f"not known yet; now at {share(fate.now)}"


def told(digest: Digest, user: User, week: str, workspace: str, now: int) -> HookEvent:
    """The event; its subject is the person's name, and it holds no e-mail address."""
    return hook_event(
        DIGEST, workspace, "all", user.name, now, f"{user.id} {week}",
        {"person": user.name, "week": week, "problems": [_part(part) for part in digest.parts],
         "actions": dict(digest.actions)},
    )  # fmt: skip


def _part(part: Any) -> dict[str, Any]:
    return {
        "problem": part.problem, "as_of": format_moment(part.as_of),
        "model_version": part.version, "customers": part.customers, "mean_score": part.mean,
        "mean_week_ago": part.mean_before, "rose": part.rose, "fell": part.fell,
        "new_risks": [
            {"score_id": r.score_id, "customer": r.customer, "probability": r.probability,
             "week_ago": r.week_ago, "band": r.band, "band_before": r.band_before,
             "value_at_stake": r.at_stake}
            for r in part.risks
        ],
        "more": part.more,
        "became": [
            {"customer": f.customer, "probability": f.probability,
             "as_of": format_moment(f.cutoff), "now": f.now, "came": f.came}
            for f in part.fates
        ],
    }  # fmt: skip


def one_line(text: str) -> str:
    """Text that can't end a header and hides nothing in one."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:200]


def bodies(message: EmailMessage) -> tuple[str, str]:
    """The plain text and the HTML of a message."""
    found: Sequence[str] = [
        str(message.get_body((kind,)).get_content())  # type: ignore[union-attr]
        for kind in ("plain", "html")
    ]
    return found[0], found[1]
