"""Promotions while the service answers: nothing fails, nothing mixes, nothing broken gets in."""

import sys
from pathlib import Path

import pytest
from conftest import ROOT, free_port, run

from features.config import read_config
from features.errors import ConfigError, ModelFilesError
from models.files import parse, read
from models.registry import models_of
from models.shelf import Shelf, check_name
from models.trial import try_model
from models.watch import SHORT, Watcher
from serving.champions import Champions
from serving.refusals import ModelUnavailableError

sys.path.append(str(ROOT / "benchmarks" / "faults"))

from broken import KINDS, lay, lay_broken
from flips import count
from registering import Registering
from reloads import tried

NAME = "shop-churn"


@pytest.fixture(scope="module")
def saved(shop_run: tuple[Path, object]) -> Path:
    return shop_run[0] / "shop" / "churn" / "model"


@pytest.fixture(scope="module")
def registering(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Registering:
    """A registry of its own, where versions are made quickly."""
    return Registering(tmp_path_factory.mktemp("registering"), NAME, read(saved))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher's own time-outs, where it runs inside a test."""
    for key, value in SHORT.items():
        monkeypatch.setenv(key, value)


def test_promotions_under_load_fail_and_mix_nothing(
    shop: Path, shop_run: tuple[Path, object]
) -> None:
    """Promotions and broken versions while clients ask: no error, no mixed answer, all refused."""
    kinds = ("a bit of model.lgb flipped", "NaN in the calibration")
    found = tried(shop, shop_run[0], promotions=3, requests=300, clients=2, kinds=kinds)
    assert (0, 0, 5) == (found["errors"], found["mixed"], found["distinct"])
    refused, (status, ready) = found["refused"], found["ready"]
    assert isinstance(refused, dict) and all(refused[kind] for kind in kinds)
    assert (200, "degraded") == (status, ready["status"])
    assert any("was refused" in told for told in ready["degraded"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_version_is_refused(kind: str, saved: Path, tmp_path: Path) -> None:
    """Each kind of broken version is an error of ours before anybody is scored by it."""
    digest = lay_broken(tmp_path, kind, read(saved))
    with pytest.raises(ModelFilesError):
        model = parse(read(tmp_path, digest), kind)
        check_name(NAME, model)
        try_model(model)


def test_the_sound_version_that_the_broken_ones_are_made_of_passes(
    saved: Path, tmp_path: Path
) -> None:
    """Refusals are not for another reason."""
    digest = lay(tmp_path, read(saved))
    try_model(parse(read(tmp_path, digest), "sound"))


def test_flipped_bits_are_refused_before_parsing(saved: Path) -> None:
    """A hundred random bit flips: all refused, none of them parsed."""
    assert (100, 100) == count(saved, flips=100, seed=7)


def test_a_refused_version_leaves_the_one_before(registering: Registering, shop: Path) -> None:
    """The pointer stays, the report says why, and a mended alias clears it."""
    workspace = registering.workspace
    watcher, shelf = Watcher(workspace, [NAME]), Shelf(workspace, NAME)
    first = registering.sound(0.0)
    registering.promote(first)
    watcher.round()
    business = read_config(shop)
    champions = Champions(business, workspace)
    champions.look()
    assert first == champions.of("churn").version
    registering.promote(registering.broken("trees cut short"))
    watcher.round()
    champions.look()
    report = shelf.report()
    assert report is not None and "was refused" in report.refused
    assert first == champions.of("churn").version
    assert champions.state().ready and "was refused" in champions.state().degraded[0]
    second = registering.sound(0.5)
    registering.promote(second)
    watcher.round()
    champions.look()
    assert second == champions.of("churn").version
    assert () == champions.state().degraded


def test_files_altered_on_the_shelf_are_fetched_again(registering: Registering, shop: Path) -> None:
    """The service keeps what it has; a new start falls back to the one before, until mended."""
    workspace, business = registering.workspace, read_config(shop)
    shelf = Shelf(workspace, NAME)
    one, two = registering.sound(0.1), registering.sound(0.2)
    for version in (one, two):
        registering.promote(version)
        Watcher(workspace, [NAME]).round()
    running = Champions(business, workspace)
    running.look()
    pointer = shelf.pointer()
    assert pointer is not None
    trees = shelf.folder / pointer.champion.folder / "model.lgb"
    trees.write_bytes(trees.read_bytes()[:-9])
    running.look()
    assert two == running.of("churn").version
    again = Champions(business, workspace)
    again.look()
    assert one == again.of("churn").version
    assert "was altered" in again.state().degraded[0]
    Watcher(workspace, [NAME]).round()
    mended = Champions(business, workspace)
    mended.look()
    assert two == mended.of("churn").version


def test_without_registry_the_shelf_serves(
    registering: Registering, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that is down: the last good model answers, and `degraded` says why."""
    workspace = registering.workspace
    registering.promote(registering.sound(0.3))
    Watcher(workspace, [NAME]).round()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    Watcher(workspace, [NAME]).round()
    champions = Champions(read_config(shop), workspace)
    champions.wait(0)
    condition = champions.state()
    assert condition.ready and "can't be opened" in condition.degraded[0]


def test_with_neither_registry_nor_shelf_it_says_why(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not ready, with a reason that a person can act on; waiting ends with the watcher's answer."""
    business = read_config(shop)
    champions = Champions(business, tmp_path)
    Watcher(tmp_path, [NAME]).round()
    champions.wait(30)
    assert "Train with: python -m training" in champions.state().missing["churn"]
    with pytest.raises(ModelUnavailableError, match="Nothing was trained"):
        champions.of("churn")
    assert not (tmp_path / "mlflow.db").exists()


def test_the_command_looks_once(registering: Registering, shop: Path) -> None:
    """`python -m models watch --once` puts the champion onto the shelf."""
    version = registering.sound(0.4)
    registering.promote(version)
    done = run("models", "watch", str(shop), "--workspace", str(registering.workspace), "--once")
    assert 0 == done.returncode, done.stderr
    assert f"version {version} is the champion" in done.stderr


def test_models_that_would_share_a_name_are_refused(shop: Path) -> None:
    """Businesses whose slugs or registered models collide can't be served side by side."""
    business = read_config(shop)
    problem = business.problems["churn"]

    def named(name: str, *problems: str) -> object:
        return business.model_copy(
            update={"name": name, "problems": dict.fromkeys(problems, problem)}
        )

    assert {NAME: ("shop", "churn")} == models_of([business])
    for others in (
        [named("my shop", "churn"), named("my-shop", "renewal")],
        [named("Shop", "churn"), named("shop", "renewal")],
        [named("shop", "online-churn"), named("shop-online", "churn")],
        [named("shop", "a b", "a-b")],
    ):
        with pytest.raises(ConfigError, match="would share"):
            models_of(others)  # type: ignore[arg-type]
