"""Commands about histories alone: `python -m features bucket CONFIG OUT`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from features.buckets import check_folder, write_buckets
from features.config import read_config
from features.errors import MilepostError
from features.sources import REJECTED, reach, read_histories

BAD_INPUT = 2
"""Exit code when the configuration or the data have to be mended."""


def say(line: str) -> None:
    """Progress, for a person; standard output is kept for results."""
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 when it worked, 2 when a person has to mend something."""
    chosen = _parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except MilepostError as error:
        say(f"error: {error}")
        return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m features", description="Prepare histories of customer journeys."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_bucket(commands)
    return parser


def _add_bucket(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    bucket = commands.add_parser(
        "bucket",
        help="write the histories as Parquet bucketed by customer",
        description=(
            "Read the sources once and write them as Parquet, every customer's events and "
            "attributes whole in one bucket, each bucket sorted as the engine wants it. "
            "python -m training build and train work on them a bucket at a time (--buckets OUT), "
            "in one process or on a cluster whose machines all see OUT under the same path."
        ),
    )
    bucket.add_argument("config", type=Path, metavar="CONFIG", help="a journey.toml")
    bucket.add_argument("out", type=Path, metavar="OUT", help="a new folder, or one of old buckets")
    bucket.add_argument(
        "--buckets",
        type=int,
        help="how many (default: one for every half million events, at least 8)",
    )
    bucket.set_defaults(run=_bucket)


def _bucket(chosen: argparse.Namespace) -> int:
    start = perf_counter()
    business = read_config(chosen.config)
    check_folder(chosen.out)
    say(f"reading {chosen.config}")
    rejected = chosen.out.parent / f"{chosen.out.name}-{REJECTED}"
    histories = read_histories(business, rejected, lambda line: say(f"  {line}"))
    say(f"  {reach(histories)}")
    if rejected.exists():
        say(f"  rows set aside are in {rejected}")
    made = write_buckets(business, histories, chosen.out, chosen.buckets)
    print(
        f"{chosen.out}: {len(made):,} buckets of {min(made.n_events):,} to "
        f"{max(made.n_events):,} events, digest {made.digest[:12]}, "
        f"{perf_counter() - start:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
