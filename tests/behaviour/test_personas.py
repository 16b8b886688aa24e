"""What personas find: planted segments, whatever the labels, and none where none are."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from sklearn.metrics import adjusted_rand_score

from features.config import read_config
from features.cutoffs import resolve
from features.event_log import EventLog
from features.language import events, having
from features.simulation import World, simulate
from features.simulation_model import ATTRIBUTES, MANNERS
from features.simulation_settings import Settings
from features.sources import read_histories
from models.persona import NO_PERSONA, Personas
from training.clock import Clock
from training.personas import customers_of, find_personas, personas_of
from training.prepare import Prepared, ask, prepare

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # such as a division by a scale 0

CHANNELS = ("email", "chat", "phone", "web")
COUNTS = tuple(having("channel", level).count() for level in CHANNELS)
ORDER = events("order")
BASKETS = (ORDER.count(), ORDER.mean("value"), ORDER.gap_mean())


@pytest.fixture(scope="module", params=["renewal", "cancellation"])
def software(
    request: pytest.FixtureRequest, saas: tuple[World, Path]
) -> tuple[World, Prepared, EventLog]:
    """The rows of a problem of a simulated software business, and their log."""
    world, folder = saas
    business = read_config(folder / "journey.toml")
    histories = read_histories(business)
    declared = business.problem(request.param)
    problem = resolve(declared, histories.log, histories.attributes)
    silent = Clock(lambda _: None)
    log = ask(business, problem, histories, silent).log
    return world, prepare(business, problem, histories, silent), log


@pytest.fixture(scope="module")
def saas(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    folder = tmp_path_factory.mktemp("saas")
    shutil.copy(ROOT / "examples" / "saas" / "journey.toml", folder)
    world = simulate(Settings(n_customers=2_000, seed=31))
    (folder / "data").mkdir()
    for name, table in (("events", world.events), ("customers", world.customers)):
        pq.write_table(table, folder / "data" / f"{name}.parquet")
    return world, folder


def test_planted_personas_are_recovered(software: tuple[World, Prepared, EventLog]) -> None:
    """On rows of every part the personas agree with the planted ones, adjusted Rand ≥ .8, and
    over 80 % of the rows get one."""
    world, ready, log = software
    personas = personas_of(ready)
    assert personas is not None
    assert 4 == len(personas.personas)
    for part in ("train", "validation", "test"):
        found = personas.assign(ready.parts[part][0])
        planted = _planted(world, log, ready, part)
        known = found != NO_PERSONA
        assert known.mean() > 0.8, part
        assert adjusted_rand_score(planted[known], found[known]) >= 0.8, part


def test_names_say_what_was_planted(software: tuple[World, Prepared, EventLog]) -> None:
    """Each name and sentence speak of the area that the planted persona uses most."""
    world, ready, log = software
    personas = personas_of(ready)
    assert personas is not None
    assert len(set(personas.names)) == len(personas.names)
    found = personas.assign(ready.parts["train"][0])
    planted = _planted(world, log, ready, "train")
    levels = next(a for a in ATTRIBUTES if a.name == "persona").levels
    for code, persona in enumerate(personas.personas):
        most = levels[np.bincount(planted[found == code]).argmax()]
        area = ("report", "export", "automation", "api", "dashboard")[
            int(np.argmax(MANNERS[most][0]))
        ]
        assert persona.name.startswith(f"Area is mostly {area}")
        assert persona.says.startswith(f"Area is {area} in ")
        assert 0.05 <= persona.share <= 0.7


def test_labels_play_no_part(software: tuple[World, Prepared, EventLog]) -> None:
    """Other labels leave the personas as they are, to the byte."""
    _, ready, _ = software
    other = {name: (matrix, 1 - label) for name, (matrix, label) in ready.parts.items()}
    assert personas_of(ready) == personas_of(replace(ready, parts=other))


def _planted(world: World, log: EventLog, ready: Prepared, part: str) -> np.ndarray:
    """The planted persona of each row."""
    place = {name: i for i, name in enumerate(world.names)}
    rows = ready.labelled.moments.rows.customer[getattr(ready.split, part)]
    names = np.array([place[name] for name in log.customers])
    return np.asarray(world.journeys.population.attributes["persona"][names[rows]], np.int64)


@pytest.mark.parametrize("seed", range(5))
def test_customers_who_are_alike_have_no_personas(seed: int) -> None:
    """Where the mixes of all customers differ by chance alone, nothing is named."""
    rng = np.random.default_rng(seed)
    assert _of_mixes(rng, np.full((600, 4), 0.25)) is None


@pytest.mark.parametrize("seed", range(5))
def test_phases_are_no_personas(seed: int) -> None:
    """Clear segments that customers change between are not named."""
    rng = np.random.default_rng(seed)
    first, then = (np.eye(4)[rng.integers(0, 4, 600)] * 0.8 + 0.05 for _ in range(2))
    assert _of_mixes(rng, first, then) is None
    assert _of_mixes(rng, first) is not None


@pytest.mark.parametrize("n_kinds", [3, 4])
def test_as_many_are_found_as_there_are(n_kinds: int) -> None:
    """The number of personas is that of the planted ones."""
    rng = np.random.default_rng(n_kinds)
    found = _of_mixes(rng, np.eye(4)[np.arange(600) % n_kinds] * 0.7 + 0.075)
    assert found is not None
    assert n_kinds == len(found.personas)


def test_amounts_are_told_in_words() -> None:
    """Rare large baskets, frequent small ones and frequent large ones are named as such."""
    rng = np.random.default_rng(3)
    kind = np.arange(900) % 3
    value = np.array([120.0, 15.0, 120.0])[kind] * rng.lognormal(0, 0.15, 900)
    gap = np.array([30.0, 4.0, 4.0])[kind] * rng.lognormal(0, 0.15, 900)
    rows = np.column_stack([np.full(900, 20.0), value, gap]).astype(np.float32)
    found = find_personas(BASKETS, customers_of(rows, np.arange(900), np.arange(900)), seed=1)
    assert found is not None
    names = {name.lower() for name in found.names}
    assert any("rare order" in name for name in names)
    assert any("low value" in name for name in names)
    assert 3 == len(names)


def test_few_customers_have_no_personas() -> None:
    """Below a hundred customers nothing is named, however clear."""
    rng = np.random.default_rng(1)
    assert _of_mixes(rng, np.eye(4)[np.arange(90) % 4]) is None


def _of_mixes(
    rng: np.random.Generator, first: np.ndarray, then: np.ndarray | None = None
) -> Personas | None:
    """Personas of customers with thirty events, then thirty more, drawn by these shares."""
    early = np.array([rng.multinomial(30, p) for p in first])
    late = np.array([rng.multinomial(30 if then is None else 300, p) for p in first])
    if then is not None:
        late = np.array([rng.multinomial(300, p) for p in then])
    rows = np.concatenate([early, early + late]).astype(np.float32)
    who = np.tile(np.arange(len(first)), 2)
    return find_personas(COUNTS, customers_of(rows, who, np.repeat([1, 2], len(first))), seed=1)
