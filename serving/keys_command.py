"""`python -m serving keys create|list|link|revoke CONFIG`: who may ask this workspace.

Takes a journey.toml and a database; prints a new key once, on standard output.
"""

import argparse
import os
from pathlib import Path

from features.config import read_config, slug
from features.durations import format_moment
from serving.database import Database
from serving.keys import SCOPES, Key, KeyInvalidError, Keys
from serving.migrations import upgrade
from serving.sessions import Links
from serving.settings import declare_place, read_settings


def declare(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="create|list|link|revoke")
    create = actions.add_parser("create", help="make a key and print it, once")
    create.add_argument("--name", default="", help="what the key is for")
    create.add_argument(
        "--scopes", default=",".join(SCOPES), help=f"of {', '.join(SCOPES)}; with commas"
    )
    create.add_argument("--days", type=float, help="how long it works (default: until revoked)")
    link = actions.add_parser("link", help="print a path that signs a browser in, once")
    link.add_argument("--id", required=True, help="of the key that signs in")
    revoke = actions.add_parser("revoke", help="end a key")
    revoke.add_argument("--id", required=True, help="as `list` shows it")
    for action in (create, actions.add_parser("list", help="show the keys"), link, revoke):
        declare_place(action, configs=1)


def run(chosen: argparse.Namespace) -> int:
    """Make, list or revoke."""
    settings = read_settings(os.environ, workspace=chosen.workspace, database=chosen.database)
    path: Path = chosen.config[0]
    workspace = slug(read_config(path).name)
    database = Database(settings.database_url)
    upgrade(database)
    keys = Keys(database)
    if chosen.action == "create":
        scopes = tuple(scope.strip() for scope in chosen.scopes.split(","))
        print(keys.create(workspace, chosen.name, scopes, chosen.days))
        return 0
    own = [key for key in keys.all() if key.workspace == workspace]
    if chosen.action == "list":
        print(*map(_line, own), sep="\n")
        return 0
    if chosen.action == "link" and chosen.id in {key.id for key in own if key.revoked is None}:
        print(f"/sign-in?link={Links(database).make(chosen.id)}")
        return 0
    if chosen.id not in {key.id for key in own} or not keys.revoke(chosen.id):
        raise KeyInvalidError(f"No key {chosen.id} of {workspace} works; see: keys list.")
    return 0


def _line(key: Key) -> str:
    until = "revoked" if key.revoked else f"until {_day(key.expires)}" if key.expires else "works"
    return f"{key.id}  {' '.join(key.scopes):<24}  made {_day(key.made)}  {until}  {key.name}"


def _day(moment: int) -> str:
    return format_moment(moment)[:10]
