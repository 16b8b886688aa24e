"""The data scientist's commands: `python -m training COMMAND CONFIG`.

`preflight`, `build`, `tune`, `train` and `audit` are here; what is done with finished models
(`register`, `promote`, `reject`, `rollback`, `compare`) is in `training.registry_commands`.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import perf_counter

# Idle OpenMP threads must not spin: with busy cores they made fitting ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from features.compiled import tell_if_compiling

if __name__ == "__main__":
    tell_if_compiling()  # before what follows: some passes are compiled when they are imported

from features.buckets import Buckets, open_buckets, read_buckets, write_buckets
from features.cluster import DEFAULT_MASTER, OneProcess, spark
from features.config import Business, read_config, slug
from features.cutoffs import resolve
from features.errors import ConfigError, MilepostError, ProblemError
from features.sources import REJECTED, Histories, doubts, reach, read_histories
from models.registry import TRACKING_URI, shown_uri, tracking_uri
from training.audit import audit, verdict
from training.audit_report import report
from training.audited import question_of, remember
from training.clock import Clock
from training.engines import Engine, InProcess, OnBuckets
from training.findings import STOP, Finding, StoppedError, tell
from training.judging import summary_lines
from training.preflight import preflight
from training.prepare import ask
from training.registry_commands import add_commands, chosen_problems
from training.result import Result
from training.run import train

BAD_INPUT = 2
"""Exit code when the configuration or the data have to be mended."""

NOT_REGISTERED = 3
"""Exit code when a model is finished and kept, but the tracker could not take it."""


def say(line: str) -> None:
    """Progress, for a person; standard output is kept for results."""
    print(line, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    0 when it worked, 1 when an audit found a leak, 2 when input is bad, 3 when a finished
    model is kept in the workspace because the tracker could not take it.
    """
    chosen = _parser().parse_args(arguments)
    if chosen.tracking is not None:
        os.environ[TRACKING_URI] = chosen.tracking
    try:
        business = read_config(chosen.config)
        return int(chosen.run(business, chosen))
    except MilepostError as error:
        say(f"error: {error}")
        return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training", description="Train and promote models of customer journeys."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("config", type=Path, metavar="CONFIG", help="a journey.toml")
    common.add_argument("--problem", help="one of its problems; all of them unless given")
    common.add_argument(
        "--workspace",
        type=Path,
        default=Path(os.environ.get("MILEPOST_WORKSPACE", "workspace")),
        help="where models and MLflow's database are kept (default: ./workspace)",
    )
    common.add_argument(
        "--tracking",
        metavar="URI",
        help="MLflow's tracking server or database (default: MLFLOW_TRACKING_URI, or a database "
        "in the workspace)",
    )
    held = _histories_option()
    engine = _engine_options()
    build = commands.add_parser(
        "build",
        parents=[common, held, engine],
        help="write the training set as Parquet",
        description=(
            "Write the rows that a model is trained and judged on: customer, cutoff_time, "
            "known_time, label, split, and a column a feature (null where missing). The same "
            "rows and the same bits whichever engine computes them."
        ),
    )
    build.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="a new folder, or one of an older training set; several problems get a folder each",
    )
    build.set_defaults(run=_build)
    fit = commands.add_parser(
        "train", parents=[common, held, engine], help="train, judge and register"
    )
    fit.add_argument("--json", action="store_true", help="end with one JSON object a problem")
    fit.add_argument(
        "--untuned", action="store_true", help="leave aside the parameters that tune found"
    )
    fit.set_defaults(run=_train)
    search = commands.add_parser(
        "tune",
        parents=[common, held, engine],
        help="search for better parameters, which train then uses",
        description=(
            "Search LightGBM's parameters on the periods before the test part. Trials are kept "
            "in the workspace: a search that was stopped goes on where it was. What was found is "
            "used by train if it is better than the default by more than noise."
        ),
    )
    search.add_argument(
        "--minutes", type=_positive, help="how long a problem (default: 10, without --trials)"
    )
    search.add_argument(
        "--trials", type=_positive_whole, help="how many trials in all, earlier ones among them"
    )
    search.add_argument("--json", action="store_true", help="end with one JSON object a problem")
    search.set_defaults(run=_tune)
    look = commands.add_parser(
        "audit", parents=[common, held], help="look for leaks; exit code 1 when there is one"
    )
    look.add_argument("--json", action="store_true", help="end with one JSON object a problem")
    look.set_defaults(run=_audit)
    before = commands.add_parser(
        "preflight", parents=[common, held], help="say whether a model can be fitted and believed"
    )
    before.add_argument("--json", action="store_true", help="end with one JSON object a problem")
    before.set_defaults(run=_preflight)
    add_commands(commands, common)
    return parser


def _histories_option() -> argparse.ArgumentParser:
    """What says that the sources are not to be read."""
    option = argparse.ArgumentParser(add_help=False)
    option.add_argument(
        "--histories",
        type=Path,
        metavar="DIR",
        help="histories that python -m serving export wrote, read in place of the sources",
    )
    return option


def _engine_options() -> argparse.ArgumentParser:
    """What says where the work is done."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument(
        "--engine",
        choices=("local", "spark"),
        default="local",
        help="this process, or a Spark cluster over buckets of customers (default: local)",
    )
    options.add_argument(
        "--master",
        default=DEFAULT_MASTER,
        help=(
            "Spark's master, such as spark://host:7077 (default: %(default)s, on this machine). "
            "All machines must see the workspace, --buckets and --out under the same path, and "
            "have Python with the packages of requirements.lock (PYSPARK_PYTHON names it); "
            "Milepost's own packages are sent to them"
        ),
    )
    options.add_argument(
        "--buckets",
        type=Path,
        metavar="DIR",
        help=(
            "buckets made by python -m features bucket, read in place of the sources; without "
            "it, --engine spark makes them anew in the workspace. With --engine local memory "
            "then grows with a bucket"
        ),
    )
    return options


def _positive(text: str) -> float:
    """A number above zero, for argparse."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number above zero")
    return number


def _positive_whole(text: str) -> int:
    """A whole number above zero, for argparse."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number above zero")
    return int(text)


def _audit(business: Business, chosen: argparse.Namespace) -> int:
    names = chosen_problems(business, chosen)
    histories = _read(business, chosen)
    found = []
    for name in names:
        say(f"{business.name}: {name}")
        found.append(audit(business, name, histories, say=say))
        folder = chosen.workspace / slug(business.name) / slug(name)
        remember(folder, question_of(business, name, histories.digest), found[-1])
        print(json.dumps(found[-1].to_json()) if chosen.json else report(found[-1]), flush=True)
    return verdict(found)


def _preflight(business: Business, chosen: argparse.Namespace) -> int:
    """Every problem's verdict; 2 when one of them can't be fitted."""
    names = chosen_problems(business, chosen)
    histories = _read(business, chosen)
    stopped = False
    for name in names:
        say(f"{business.name}: {name}")
        found = _found(business, name, histories)
        stopped |= any(finding.severity == STOP for finding in found)
        lines = [f"{name}: {len(found) or 'no'} finding{'s' if len(found) != 1 else ''}"]
        lines += [line for finding in found for line in tell(finding)]
        as_json = {"problem": name, "findings": [finding.to_json() for finding in found]}
        print(json.dumps(as_json) if chosen.json else "\n".join(lines), flush=True)
    return BAD_INPUT if stopped else 0


def _found(business: Business, name: str, histories: Histories) -> tuple[Finding, ...]:
    """A problem's findings; one where there are no rows to find others in."""
    problem = resolve(business.problem(name), histories.log, histories.attributes)
    try:
        asked = ask(business, problem, histories, Clock(say))
    except StoppedError as error:
        return (error.finding,)
    return preflight(problem, asked.labelled, asked.split, histories.sources, histories.end)


@contextmanager
def _engine(business: Business, chosen: argparse.Namespace) -> Iterator[Engine]:
    """What the options ask for, with the sources read or the buckets opened."""
    with spark(chosen.master) if chosen.engine == "spark" else nullcontext() as cluster:
        if chosen.buckets is None:
            histories = _read(business, chosen)
            if cluster is None:
                yield InProcess(histories, say)
                return
            folder = (chosen.workspace / slug(business.name) / "buckets").resolve()
            buckets = write_buckets(business, histories, folder)
            del histories
        else:
            buckets = open_buckets(business, chosen.buckets)
        say(f"  {_account(buckets)}")
        yield OnBuckets(buckets, cluster or OneProcess())


def _account(buckets: Buckets) -> str:
    whole = buckets.whole
    return (
        f"{len(buckets):,} buckets in {buckets.folder}, {whole.n_events:,} events of "
        f"{whole.n_customers:,} customers, digest {buckets.digest[:12]}"
    )


def _read(business: Business, chosen: argparse.Namespace) -> Histories:
    """Run the sources' SQL, and say what a person should know of the rows."""
    try:
        chosen.workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The workspace {chosen.workspace} can't be made ({error.strerror}). Name a "
            "folder that you may write to with --workspace."
        ) from error
    if chosen.histories is not None:
        histories = read_buckets(business, chosen.histories)
        say(f"  {reach(histories)}, from {chosen.histories}")
        return histories
    say(f"reading {chosen.config}")
    rejected = chosen.workspace / slug(business.name) / REJECTED
    histories = read_histories(business, rejected, lambda line: say(f"  {line}"))
    say(f"  {reach(histories)}")
    if rejected.exists():
        say(f"  rows set aside are in {rejected}")
    for doubt in doubts(business, histories):
        say(f"  note: {doubt}")
    return histories


def _build(business: Business, chosen: argparse.Namespace) -> int:
    names = chosen_problems(business, chosen)
    with _engine(business, chosen) as engine:
        problems = {name: engine.resolve(business.problem(name)) for name in names}
        for name, problem in problems.items():
            out = (chosen.out if len(names) == 1 else chosen.out / slug(name)).resolve()
            say(f"{business.name}: {name}")
            engine.build(business, problem, out, Clock(say))
            print(f"{name}: {out}")
    return 0


def _train(business: Business, chosen: argparse.Namespace) -> int:
    names = chosen_problems(business, chosen)
    start = perf_counter()
    with _engine(business, chosen) as engine:
        for name in names:  # a fault in the last problem should not cost the training of the first
            engine.resolve(business.problem(name))
        seconds = perf_counter() - start
        kept, stopped = [], []
        for name in names:
            try:
                result = train(
                    business, name, engine, chosen.workspace, say, seconds, chosen.untuned
                )
            except ProblemError as error:
                if len(names) == 1:
                    raise
                stopped.append(name)
                say(f"error: {name}: {error}")
                continue
            seconds = 0.0
            print(json.dumps(result.to_json()) if chosen.json else _summary(result), flush=True)
            if result.logged.kept is not None:
                kept.append(
                    f"{result.logged.why} The finished model is kept in {result.logged.kept}."
                )
    if kept:
        say(
            f"error: {kept[-1]} When the tracking store answers again, register what waits "
            f"({len(kept)} of {len(names)} problems) with: python -m training register "
            f"{chosen.config} --workspace {chosen.workspace}"
        )
        return BAD_INPUT if stopped else NOT_REGISTERED
    if stopped:
        say(f"error: not trained, for the reasons above: {', '.join(stopped)}.")
        return BAD_INPUT
    uri = tracking_uri(chosen.workspace)
    local = f"mlflow ui --backend-store-uri {shown_uri(uri)}"
    say(f"experiments: {shown_uri(uri) if uri.startswith('http') else local}")
    return 0


def _tune(business: Business, chosen: argparse.Namespace) -> int:
    from training.tuning import tune, tuned_json  # Optuna is of no use to the other commands

    names = chosen_problems(business, chosen)
    with _engine(business, chosen) as engine:
        for name in names:
            tuned = tune(
                business, name, engine, chosen.workspace, say, chosen.minutes, chosen.trials
            )
            told = json.dumps(tuned_json(name, tuned)) if chosen.json else f"{name}: {tuned.says()}"
            print(told, flush=True)
    return 0


def _summary(result: Result) -> str:
    """A table of the model beside its baselines, and what a reader has to know."""
    m = result.metrics
    rows = [("model", m.auroc, m.average_precision)]
    rows += [(b.name.replace("_", " "), b.auroc, b.average_precision) for b in result.verdict.found]
    logged = result.logged
    as_what = f"version {logged.version} ({', '.join(logged.aliases)})"
    found = result.ready.tuned
    tuned = "" if found is None else f", tuned in {found.n_trials} trials"
    lines = [f"{result.problem}, {as_what if logged.kept is None else 'not registered'}{tuned}"]
    lines.append(f"  {'':<12}{'AUROC':>7}{'average precision':>20}")
    lines += [f"  {name:<12}{auroc:7.3f}{precision:20.3f}" for name, auroc, precision in rows]
    lines += [f"  best rule: {b.says}" for b in result.verdict.found if b.name == "best_rule"]
    lines.append(
        f"  test part: {m.n:,} rows, base rate {m.base_rate:.1%}, Brier {m.brier:.4f}, log loss "
        f"{m.log_loss:.4f}, calibration error {m.ece:.3f}, lift {m.lift_at_5:.1f} at 5 %, "
        f"{m.lift_at_10:.1f} at 10 %"
    )
    rule = next((b for b in result.verdict.found if b.name == "best_rule"), None)
    if rule is not None and rule.average_precision >= m.average_precision:
        lines.append("  note: the model is not better than the best rule on average precision")
    lines += summary_lines(result.verdict, result.looked)
    lines += result.decision.lines()
    lines.append(f"  report: {result.report}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
