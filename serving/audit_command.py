"""`python -m serving audit CONFIG`: who asked what of a workspace, the newest first."""

import argparse
import os

from features.config import read_config, slug
from features.durations import format_moment
from serving.audit import asked_of
from serving.database import Database
from serving.migrations import upgrade
from serving.settings import declare_place, read_settings


def declare(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    declare_place(parser, configs=1)
    parser.add_argument("--limit", type=int, default=100, help="how many requests (default: 100)")


def run(chosen: argparse.Namespace) -> int:
    """Print one line a request."""
    settings = read_settings(os.environ, workspace=chosen.workspace, database=chosen.database)
    database = Database(settings.database_url)
    upgrade(database)
    for asked in asked_of(database, slug(read_config(chosen.config[0]).name), chosen.limit):
        print(
            format_moment(asked.at), asked.key, asked.method, asked.route, asked.status,
            f"{asked.milliseconds:.1f} ms", asked.request,
        )  # fmt: skip
    return 0
