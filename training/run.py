"""One training run, from a business's file to a registered challenger: the whole story.

Takes a `journey.toml` and a workspace; gives a result with honest metrics. Every step lives
in the module that its name says.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from features.config import Business, slug
from features.durations import spell_duration
from features.event_log import Ints
from features.own import own_features
from models.files import save
from models.fitted import FittedModel
from models.journey_map import Map
from models.persona import Personas
from models.registry import GATE_TAG, JUDGEMENT_TAG, REASONS_TAG, model_name
from models.spoken import Words
from training.assembly import fit_judged, refit_on_all
from training.audited import Audited, question_of, recall, remember
from training.baselines import rule_score
from training.champion import JUDGED, Champion, champion_of
from training.clock import Clock
from training.engines import Engine
from training.few_positives import is_few
from training.findings import Finding, tell
from training.fitting import constraints, parameters, rounds_of, shape_of
from training.gate import CHAMPION, Decision, decide, write_decision
from training.journey_map import MAP_EVENTS, journey_map
from training.journey_map import account_of as map_account
from training.judgement_file import write_judgement
from training.judging import LookBack, Verdict, judge_test, look_back, within
from training.outbox import REPORT
from training.persona_facts import with_facts
from training.personas import account_of, personas_of
from training.plots import MOST_DOTS, draw_contributions, draw_metrics
from training.preflight import preflight, refuse
from training.prepare import Prepared
from training.ranges import fewest_events
from training.record import Record, complete, tags_of
from training.report import write_told
from training.report_words import Told
from training.result import Result, manifest, numbers, parameters_of, record_series
from training.screening import screened
from training.timing import judge_weekly_risk
from training.tracking import log_run
from training.tuned import usable
from training.versions import BESIDE_TAG, PASSED, REFUSED

TRAINING_SET = "training_set"
"""Where an engine that keeps the training set on disk does so, beside the model."""


def train(
    business: Business,
    name: str,
    engine: Engine,
    workspace: Path,
    say: Callable[[str], None],
    read_seconds: float = 0.0,
    untuned: bool = False,
) -> Result:
    """Train, judge and register a model of one problem.

    With `untuned` the parameters that a search found are left aside.

    Raises
    ------
    MilepostError
        When the problem can't be answered from these histories, or nothing can be logged.
    """
    say(f"{business.name}: {name}")
    clock = Clock(say)
    clock.seconds["read"] = round(read_seconds, 3)
    record = Record(business=business.name, problem=name)
    folder = (workspace / slug(business.name) / slug(name)).resolve()
    whole, checks = _rows(business, name, engine, folder, clock, say)
    ready, personas = _columns(business, whole, engine, clock)
    tuned, why = (None, "") if untuned else usable(folder, business, name)
    if tuned is not None and is_few(ready):
        tuned, why = None, "default parameters: positives are too few for tuned ones"
    ready = replace(ready, tuned=tuned)
    if why:
        say(f"  {why}")
    judged = fit_judged(business, name, ready, personas, engine, clock)
    with clock.stage("judge") as told:
        champion = champion_of(workspace, model_name(business.name, name), whole)
        verdict = _verdict(judged, whole, ready, personas, champion)
        weekly = judge_weekly_risk(judged, ready)
        told.append(f"AUROC {verdict.metrics.auroc:.3f} on {verdict.metrics.n:,} untouched rows")
    with clock.stage("back-test") as told:
        looked = _look_back(ready, judged)
        told.append(f"{len(looked.backtest)} periods, and a random split for comparison")
    with clock.stage("audit") as told:
        audited = _audited(business, name, engine, folder)
        told.append(
            "not run: python -m training audit CONFIG" if audited is None else audited.account
        )
    leaks = None if audited is None else audited.leaks
    decision = decide(verdict, looked.backtest, champion, leaks, ready.problem.gate)
    with clock.stage("plots"):
        _draw(business, name, ready, judged, verdict, folder / "plots")
    with clock.stage("report"):
        all_told = Told(
            business.name, name, ready, judged, tags_of(judged.contract), manifest(engine),
            checks, verdict, looked, audited, decision,
        )  # fmt: skip
        write_told(folder, all_told)
        record.tags[JUDGEMENT_TAG] = write_judgement(folder, all_told)
    drawn = _map(business, name, ready, personas, engine, clock)
    registered = replace(refit_on_all(judged, ready, engine, clock), journey_map=drawn)
    with clock.stage("register") as told:
        record.digest = save(registered, folder / "model")
        save(judged, folder / JUDGED)
        write_decision(decision, folder)
        record_series(record, verdict, looked)
        record.tags |= _tags(decision, champion.version if champion else "")
        complete(
            record, ready, registered, parameters_of(ready, judged),
            numbers(verdict, looked, ready), manifest(engine),
        )  # fmt: skip
        logged = log_run(workspace, record, folder)
        told.append(
            f"version {logged.version}, {' and '.join(logged.aliases)}"
            if logged.kept is None
            else f"not registered: {logged.why}"
        )
    return Result(
        name, logged, ready, verdict, looked, checks, personas, weekly, decision,
        len(registered.trees), folder / REPORT, clock.seconds,
    )  # fmt: skip


def _rows(
    business: Business,
    name: str,
    engine: Engine,
    folder: Path,
    clock: Clock,
    say: Callable[[str], None],
) -> tuple[Prepared, tuple[Finding, ...]]:
    """A problem's rows with every column, and what the check before fitting says of them."""
    declared = business.problem(name)
    problem = engine.resolve(declared)
    if problem.every not in (declared.every, declared.horizon):
        say(f"  a cutoff every {spell_duration(problem.every or 0)}: closer ones are too many rows")
    whole = engine.prepare(business, problem, folder / TRAINING_SET, clock)
    checks = preflight(problem, whole.labelled, whole.split, engine.sources, engine.end)
    for line in chain.from_iterable(map(tell, checks)):
        say(line)
    refuse(checks)
    return whole, checks


def _columns(
    business: Business, whole: Prepared, engine: Engine, clock: Clock
) -> tuple[Prepared, Personas | None]:
    """The rows with the columns that are worth fitting on, and personas found among all."""
    words = Words(business.words, business.units)
    with clock.stage("personas") as told:
        personas = personas_of(whole, words, engine.seen)
        told.append(account_of(personas))
    with clock.stage("screen") as told:
        ready, personas = screened(whole, own_features(business.features.own), personas)
        told.append(f"{len(ready.features)} of {len(whole.features)} columns are worth fitting on")
    if personas is not None:
        personas = with_facts(personas, ready, business.stages, words, engine.seen)
    # Found among all columns: the one that counts every event need not be worth a split.
    fewest = fewest_events(whole.features, whole.parts["train"][0])
    return replace(ready, fewest_events=fewest), personas


def _verdict(
    judged: FittedModel,
    whole: Prepared,
    ready: Prepared,
    personas: Personas | None,
    champion: Champion | None,
) -> Verdict:
    """The judgement of the test part, beside today's champion where it has scores of it."""
    others = {CHAMPION: champion.score} if champion and champion.score is not None else {}
    probability = judged.probabilities(ready.parts["test"][0])
    found = judge_test(whole, probability, others, _told(personas, ready))
    return within(found, whole, ready)


def _told(personas: Personas | None, ready: Prepared) -> tuple[Sequence[str], Ints]:
    """The personas' names, and which of them each row of the test part would be told."""
    if personas is None:
        return (), np.empty(0, np.int64)
    return personas.names, personas.assign(ready.parts["test"][0])


def _map(
    business: Business,
    name: str,
    ready: Prepared,
    personas: Personas | None,
    engine: Engine,
    clock: Clock,
) -> Map:
    """How journeys flow and what hurts, as the model will carry it."""
    with clock.stage("journey map") as told:
        some = engine.some(MAP_EVENTS)
        drawn = journey_map(business, name, ready.problem, some, ready.features, personas)
        told.append(map_account(drawn))
    return drawn


def _audited(business: Business, name: str, engine: Engine, folder: Path) -> Audited | None:
    """What the leakage audit says of these histories; None where it can't be run."""
    question = question_of(business, name, engine.digest)
    known = recall(folder, question)
    if known is not None:
        return known
    audit = engine.audit(business, name)
    return None if audit is None else remember(folder, question, audit)


def _tags(decision: Decision, champion: str) -> dict[str, str]:
    """What the gate said, for whoever promotes a version later."""
    return {
        GATE_TAG: PASSED if decision.passed else REFUSED,
        REASONS_TAG: " ".join(f"{reason.code} {reason.says}" for reason in decision.reasons)[
            :4_900
        ],
        BESIDE_TAG: champion,
    }


def _look_back(ready: Prepared, model: FittedModel) -> LookBack:
    """The model's own parameters and rounds, one fit each, judged on other rows."""
    n_train = len(ready.split.train)
    chosen = parameters(n_train, len(ready.features), ready.problem.seed)
    directions = constraints(ready.features, ready.problem.monotone)
    chosen |= ready.more | shape_of(model.trees.text) | directions
    return look_back(ready, chosen, rounds_of(len(model.trees), chosen, n_train), n_train)


def _draw(
    business: Business,
    name: str,
    ready: Prepared,
    model: FittedModel,
    verdict: Verdict,
    folder: Path,
) -> None:
    """The pictures of a run."""
    matrix, label = ready.parts["test"]
    metrics, rule = verdict.metrics, verdict.rule
    title = f"{business.name}: {name}, {metrics.n:,} rows that nothing was fitted on"
    scores = None if rule is None else rule_score(matrix[:, rule[0]], rule[1])
    draw_metrics(folder, label, model.probabilities(matrix), scores, metrics, title, verdict.found)
    shown = matrix[:: -(-metrics.n // MOST_DOTS)]
    draw_contributions(folder, *model.contributions(shown), shown, model.contract.names)
