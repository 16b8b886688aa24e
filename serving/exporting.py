"""`python -m serving export CONFIG OUT`: the store's histories as a folder of buckets.

What `python -m training … --histories OUT` and the whole book read.
"""

import argparse
import os
import sys
from pathlib import Path

from features.config import read_config
from serving.settings import declare_place, read_settings
from serving.snapshot import export


def declare(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    declare_place(parser, configs=1)
    parser.add_argument("out", type=Path, metavar="OUT", help="a new or empty folder")


def run(chosen: argparse.Namespace) -> int:
    """Write the folder."""
    settings = read_settings(os.environ, workspace=chosen.workspace, database=chosen.database)
    made = export(read_config(chosen.config[0]), settings.database_url, chosen.out.resolve())
    print(
        f"{chosen.out}: {made.whole.n_events:,} events of {made.whole.n_customers:,} customers "
        f"in {len(made):,} buckets, digest {made.digest[:12]}",
        file=sys.stderr,
    )
    return 0
