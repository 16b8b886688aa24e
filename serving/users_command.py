"""`python -m serving users add|list|set-password|role|email|disable|enable CONFIG`: who signs in.

Takes a journey.toml and a database. A password is asked for on the terminal, or is the first line
of standard input; it is never an argument, which everybody on the machine could read, and it is
shown nowhere.
"""

import argparse
import getpass
import os
import sys

from features.config import Business, read_config, slug
from features.durations import format_moment, this_moment
from features.errors import nearest
from serving.database import Database
from serving.event_store import store_of
from serving.migrations import upgrade
from serving.ownership import known_owners
from serving.passwords import PasswordError, hashed, no_password
from serving.people import LEAD, MANAGER, ROLES, User, Users
from serving.settings import declare_place, read_settings

ACTIONS = {
    "add": "add a person; asks for a password",
    "list": "show the people",
    "set-password": "give a person another password, which ends their sessions",
    "role": "change a person's role, owner or team",
    "email": "change or take away the address that the weekly digest goes to",
    "disable": "let a person in no more; ends their sessions",
    "enable": "let a person in again",
}


def declare(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS))
    for name, says in ACTIONS.items():
        action = actions.add_parser(name, help=says, description=f"{says.capitalize()}.")
        if name != "list":
            action.add_argument("--name", required=True, help="what they sign in with")
        if name in ("add", "role"):
            action.add_argument(
                "--role", choices=ROLES, required=name == "add", help=f"of {', '.join(ROLES)}"
            )
            action.add_argument(
                "--owner", help="what the histories call them ([people] owner in journey.toml)"
            )
            action.add_argument("--team", help="a lead sees the customers of all in their team")
        if name == "add":
            action.add_argument(
                "--no-password", action="store_true", help="they sign in at the identity provider"
            )
        if name in ("add", "email"):
            action.add_argument("--email", help="where the weekly digest goes; none if empty")
        declare_place(action, configs=1)


def run(chosen: argparse.Namespace) -> int:
    """Add, list or change people."""
    settings = read_settings(os.environ, workspace=chosen.workspace, database=chosen.database)
    business = read_config(chosen.config[0])
    workspace = slug(business.name)
    database = Database(settings.database_url)
    upgrade(database)
    users = Users(database)
    if chosen.action == "list":
        print(*(_line(user) for user in users.all() if user.workspace == workspace), sep="\n")
    elif chosen.action == "add":
        _warn(business, chosen)
        _warn_of_owner(business, database, chosen.owner)
        hash_ = no_password() if chosen.no_password else hashed(_password())
        users.add(workspace, chosen.name, chosen.role, hash_, chosen.owner, chosen.team,
                  chosen.email or None)  # fmt: skip
    elif chosen.action == "set-password":
        users.change(workspace, chosen.name, chosen.action, hash=hashed(_password()))
    elif chosen.action == "role":
        asked = {"role": chosen.role, "owner": chosen.owner, "team": chosen.team}
        given = {name: value or None for name, value in asked.items() if value is not None}
        users.change(workspace, chosen.name, chosen.action, **given)
        _warn(business, chosen)
        _warn_of_owner(business, database, chosen.owner)
    elif chosen.action == "email":
        users.change(workspace, chosen.name, chosen.action, email=chosen.email or None)
    else:
        at = this_moment() if chosen.action == "disable" else None
        users.change(workspace, chosen.name, chosen.action, disabled=at)
    return 0


def _password() -> str:
    """A password that a person types twice, or that a program writes to standard input.

    Raises
    ------
    PasswordError
        When the two differ, or there is nothing to read.
    """
    if not sys.stdin.isatty():
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise PasswordError("Standard input holds no password: write it as its first line.")
        return line
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("The same again: "):
        raise PasswordError("These are two different passwords. Nothing was changed.")
    return first


def _warn(business: Business, chosen: argparse.Namespace) -> None:
    """Say what a person may not expect to see, or not to see."""
    if chosen.role not in (MANAGER, LEAD):
        return
    if business.people.owner is None:
        said = "journey.toml names no [people] owner, so everybody sees all customers."
    elif chosen.role == MANAGER and chosen.owner is None and chosen.action == "add":
        said = "without --owner this person sees no customer."
    elif chosen.role == LEAD and chosen.team is None and chosen.action == "add":
        said = "without --team this person sees no customers but their own."
    else:
        return
    print(f"note: {said}", file=sys.stderr)


def _warn_of_owner(business: Business, database: Database, owner: str | None) -> None:
    """Say that an owner is nobody's, who would see no customer; perhaps it is misspelt."""
    attribute = business.people.owner
    if not owner or attribute is None:
        return
    known = known_owners(store_of(database, business), attribute)
    if known and owner not in known:
        said = f"no customer has the owner {owner!r} so far.{nearest(owner, known)}"
        print(f"note: {said}", file=sys.stderr)


def _line(user: User) -> str:
    until = f"disabled {_day(user.disabled)}" if user.disabled else "works"
    about = f"owner {user.owner or '–'}  team {user.team or '–'}  {user.email or 'no e-mail'}"
    return f"{user.name:<20}  {user.role:<15}  {about}  made {_day(user.made)}  {until}"


def _day(moment: int) -> str:
    return format_moment(moment)[:10]
