"""Commands about histories alone: `python -m features simulate OUT`, `bucket CONFIG OUT`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import pyarrow as pa
import pyarrow.parquet as pq

from features.buckets import check_folder, write_buckets
from features.config import read_config
from features.durations import format_day, parse_moment
from features.errors import MilepostError, SimulationError
from features.simulation import simulate, truth_table
from features.simulation_settings import FAULTS, Settings
from features.sources import REJECTED, reach, read_histories

BAD_INPUT = 2
"""Exit code when what was asked for can't be done."""


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
        prog="python -m features", description="Histories of events, and how to get one."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_simulate(commands)
    _add_bucket(commands)
    return parser


def _add_simulate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    usual = Settings()
    command = commands.add_parser(
        "simulate", help="write journeys of a simulated business, and their true probabilities"
    )
    command.add_argument("out", type=Path, metavar="OUT", help="folder for the Parquet files")
    command.add_argument("--customers", type=int, default=usual.n_customers, metavar="N")
    command.add_argument("--seed", type=int, default=usual.seed, metavar="N")
    command.add_argument("--start", default=format_day(usual.start), metavar="DATE")
    command.add_argument("--end", default=format_day(usual.end), metavar="DATE")
    command.add_argument(
        "--late-share", type=float, default=usual.late_share, metavar="SHARE",
        help="of the web's and marketing's events (default: %(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--duplicate-share", type=float, default=usual.duplicate_share, metavar="SHARE",
        help="of events delivered twice under one id (default: %(default)s)",
    )  # fmt: skip
    command.add_argument("--shuffled", action="store_true", help="deliver in random order")
    command.add_argument(
        "--fault", nargs="+", action="extend", default=[], metavar="NAME",
        help=f"what goes wrong in the last quarter: {', '.join(FAULTS)}",
    )  # fmt: skip
    command.set_defaults(run=_simulate)


def _simulate(chosen: argparse.Namespace) -> int:
    """Write events.parquet, customers.parquet and truth.parquet."""
    settings = _settings(chosen)
    world = simulate(settings)
    tables = {
        "events": world.events,
        "customers": world.customers,
        "truth": truth_table(world),
    }
    for name, table in tables.items():
        _write(table, chosen.out / f"{name}.parquet")
        print(f"{chosen.out / name}.parquet: {table.num_rows:,} rows")
    return 0


def _settings(chosen: argparse.Namespace) -> Settings:
    try:
        start, end = parse_moment(chosen.start), parse_moment(chosen.end)
    except ValueError as error:
        raise SimulationError(
            f"{error}; --start and --end are dates such as 2022-01-01."
        ) from error
    if chosen.seed < 0:
        raise SimulationError(f"--seed is {chosen.seed}; give 0 or more.")
    plain = Settings(
        n_customers=chosen.customers, start=start, end=end, seed=chosen.seed,
        late_share=chosen.late_share, duplicate_share=chosen.duplicate_share,
        shuffled=chosen.shuffled,
    )  # fmt: skip
    return replace(plain, faults=tuple(plain.fault(kind) for kind in chosen.fault))


def _write(table: pa.Table, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    except OSError as error:
        raise SimulationError(f"{path} can't be written: {error}.") from error


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
