"""What a person does with finished models: register, promote, reject, roll back, compare.

Takes parsed options and a business; prints what was done, one line a model. Knows nothing
about how models are made.
"""

import argparse
from collections.abc import Callable

from features.config import Business
from features.errors import ConfigError, RegistryError
from models.registry import connect, model_name
from training.comparison import compare, side
from training.outbox import waiting
from training.record import is_alive
from training.tracking import log_entry
from training.versions import promote, reject, rollback

Handler = Callable[[Business, argparse.Namespace], int]


def add_commands(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    common: argparse.ArgumentParser,
) -> None:
    """Add the commands and their options."""

    def add(name: str, run: Handler, says: str, one: bool = True) -> argparse.ArgumentParser:
        parser = commands.add_parser(name, parents=[common], help=says, description=says)
        if one:
            parser.add_argument(
                "named", nargs="?", metavar="PROBLEM", help="one of its problems, as --problem"
            )
        parser.set_defaults(run=run)
        return parser

    add("register", _register, "log finished models that the tracker could not take")
    lift = add("promote", _promote, "make the challenger the champion")
    lift.add_argument("--version", help="a version other than the challenger")
    lift.add_argument(
        "--force", metavar="REASON", default="", help="promote what the gate refuses, and say why"
    )
    refuse = add("reject", _reject, "take the challenger's alias away and keep the reason")
    refuse.add_argument("--reason", required=True, help="why, for whoever reads MLflow later")
    refuse.add_argument("--version", help="a version other than the challenger")
    add("rollback", _rollback, "put the champion before today's back")
    beside = add("compare", _compare, "two versions side by side", one=False)
    beside.add_argument("named", metavar="PROBLEM", help="one of its problems")
    beside.add_argument("a", metavar="A", help="a version's number, or champion or challenger")
    beside.add_argument("b", metavar="B", help="another one")


def chosen_problems(business: Business, chosen: argparse.Namespace) -> list[str]:
    """The problems that a command is about: the named one, or all.

    Raises
    ------
    ConfigError
        When it is unknown, named twice, or there is none.
    """
    named = getattr(chosen, "named", None)
    if named and chosen.problem and named != chosen.problem:
        raise ConfigError(f"Name one problem: found {named!r} and --problem {chosen.problem}.")
    only = named or chosen.problem
    if only is not None:
        business.problem(only)
        return [only]
    if not business.problems:
        raise ConfigError(f"{business.name} has no problem to train; add a table [problems.NAME].")
    return list(business.problems)


def _register(business: Business, chosen: argparse.Namespace) -> int:
    found = [
        entry
        for problem in chosen_problems(business, chosen)
        for entry in waiting(chosen.workspace, business.name, problem)
    ]
    for entry in found:
        name = model_name(business.name, entry.record.problem)
        if is_alive(entry.record.process):
            print(f"{name}: left to the process that is logging it, {entry.record.process}")
            continue
        logged = log_entry(chosen.workspace, entry)
        as_what = f" ({', '.join(logged.aliases)})" if logged.aliases else ""
        print(f"{name}: registered as version {logged.version}{as_what}")
    if not found:
        print(f"{business.name}: no finished model waits in {chosen.workspace}")
    return 0


def _promote(business: Business, chosen: argparse.Namespace) -> int:
    client = connect(chosen.workspace)
    for name in _models(business, chosen):
        version = promote(client, name, chosen.version, chosen.force.strip())
        print(f"{name}: version {version} is the champion")
    return 0


def _reject(business: Business, chosen: argparse.Namespace) -> int:
    reason = chosen.reason.strip()
    if not reason:
        raise RegistryError("A rejection needs its reason: --reason 'worse on renewals'.")
    client = connect(chosen.workspace)
    for name in _models(business, chosen):
        print(f"{name}: version {reject(client, name, reason, chosen.version)} is rejected")
    return 0


def _rollback(business: Business, chosen: argparse.Namespace) -> int:
    client = connect(chosen.workspace)
    for name in _models(business, chosen):
        now, before = rollback(client, name)
        print(f"{name}: version {now} is the champion again, in place of version {before}")
    return 0


def _compare(business: Business, chosen: argparse.Namespace) -> int:
    client = connect(chosen.workspace)
    (name,) = _models(business, chosen)
    table = compare(side(client, name, chosen.a), side(client, name, chosen.b))
    print(f"{name}\n{table}")
    return 0


def _models(business: Business, chosen: argparse.Namespace) -> list[str]:
    """The registered models of the chosen problems.

    Several problems are asked one after the other; a service that runs goes on with what it
    has loaded until it is started again.
    """
    return [model_name(business.name, problem) for problem in chosen_problems(business, chosen)]
