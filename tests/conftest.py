"""What tests share: a small shop, a trained workspace, and a real running service."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings
from identity_provider import CLIENT, SECRET, IdentityProvider, identity_provider
from journeys import make_shop, shuffled
from trained import Trained, made_once, shared_by_workers, trained_once

ROOT = Path(__file__).resolve().parent.parent
GROCERY = ROOT / "examples" / "grocery" / "journey.toml"

settings.register_profile("milepost", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("milepost")


LONG_FIRST = (
    "integration/test_service.py", "integration/test_training.py",
    "integration/test_killed_run.py", "integration/test_tune_command.py",
    "integration/test_tracking_server.py", "integration/test_cluster.py",
    "integration/test_reload.py", "behaviour/test_gate_on_noise.py",
    "integration/test_book.py", "integration/test_faults.py", "integration/test_own_groups_text.py",
    "integration/test_webhooks.py", "integration/test_audit_command.py", "unit/test_weekly_risk.py",
)  # fmt: skip
"""The files that take longest, longest first, so that no worker ends alone with one of them.

The first two train what others share, the groceries and the shop, each on a worker of its own.
"""

SLOW_FIRST = ("integration", "behaviour", "browser", "docs")
"""Kinds of the other tests in the order in which they begin."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test states its claim in a docstring; those that take long begin."""
    silent = [
        item.nodeid for item in items if not (getattr(item, "obj", item).__doc__ or "").strip()
    ]
    if silent:
        raise pytest.UsageError(f"tests without a docstring: {silent[:5]}")
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    path = item.path.relative_to(ROOT / "tests")
    if path.as_posix() in LONG_FIRST:
        return LONG_FIRST.index(path.as_posix())
    kind = path.parts[0]
    return len(LONG_FIRST) + (SLOW_FIRST.index(kind) if kind in SLOW_FIRST else len(SLOW_FIRST))


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run one of the project's commands as a person would."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "MILEPOST"))}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd or ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def train(config: Path, workspace: Path) -> subprocess.CompletedProcess[str]:
    """Train every problem of a business, started in the folder that holds the workspace."""
    arguments = (str(config), "--workspace", str(workspace), "--json")
    return run("training", "train", *arguments, cwd=workspace.parent)


def crowned(config: Path, workspace: Path) -> None:
    """Make the challengers of a small shop champions, whatever the gate says of so few rows."""
    why = ("--force", "few rows are enough to be served in a test")
    done = run("training", "promote", str(config), "--workspace", str(workspace), *why)
    assert done.returncode == 0, done.stderr


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def make_key(config: Path, workspace: Path, *more: str) -> str:
    """A new key of a business, made as a person would."""
    done = run("serving", "keys", "create", str(config), "--workspace", str(workspace), *more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Service:
    """A running service, its address and a key that may do everything in it."""

    def __init__(
        self, config: Path, workspace: Path, *more: str, store: tuple[str, ...] = (),
        others: Sequence[Path] = (),
    ) -> None:  # fmt: skip
        self.config, self.workspace = config, workspace
        self.key = make_key(config, workspace, *store)
        self.headers = {"Authorization": f"Bearer {self.key}"}
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        configs = [str(one) for one in (config, *others)]
        command = ["-m", "serving", "run", *configs, "--workspace", str(workspace)]
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that nobody reads would fill
        self.process = subprocess.Popen(
            [sys.executable, *command, "--port", str(port), *store, *more],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=self.log,
            env={"MILEPOST_PUBLIC_URL": self.address, **os.environ},
        )  # fmt: skip

    def client(self, **more: Any) -> httpx.Client:
        """A client that sends the key."""
        return httpx.Client(base_url=self.address, headers=self.headers, timeout=60, **more)

    def wait_until_live(self, seconds: float = 150) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the service ended: {self.logged()}")
            try:
                urllib.request.urlopen(f"{self.address}/livez", timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("the service did not start")

    def wait_until_listed(self, seconds: float = 120) -> None:
        """Wait for the first lists: a process beside the service makes them."""
        deadline = time.monotonic() + seconds
        with self.client() as client:
            asked = client.get("/v1/problems").json()["problems"]
            problems = [one["problem"] for one in asked if one["model"] is not None]
            while problems and time.monotonic() < deadline:
                answer = client.get("/v1/at-risk", params={"problem": problems[0]})
                if answer.is_success or answer.json()["code"] != "book_unavailable":
                    problems.pop(0)
                else:
                    time.sleep(0.2)
        assert not problems, f"no list of {problems}: {self.logged()}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.log.close()

    def logged(self) -> str:
        """What the service has written to standard error."""
        self.log.seek(0)
        return self.log.read().decode()


def serve(
    config: Path, workspace: Path, *more: str, database: str | None = None
) -> Iterator[Service]:
    """Import a business, start a service, and stop it whatever happens.

    `more` are flags of `serving run`, `database` the URL of another store than the workspace's.
    """
    store = () if database is None else ("--database", database)
    done = run("serving", "import", str(config), "--workspace", str(workspace), *store)
    assert done.returncode == 0, done.stderr
    service = Service(config, workspace, *more, store=store)
    try:
        service.wait_until_live()
        service.wait_until_listed()
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this run share."""
    return shared_by_workers(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def shop(shared: Path) -> Path:
    """The journey.toml of a small shop."""
    return made_once(shared, "shop", make_shop)


@pytest.fixture(scope="session")
def smaller_shop(shared: Path) -> Path:
    """A shop that trains in half the time, and whose first model passes the gate all the same."""
    return made_once(shared, "smaller-shop", lambda folder: make_shop(folder, 120, seed=1))


@pytest.fixture(scope="session")
def shop_trained(shop: Path, shared: Path) -> Trained:
    """The training of the shop that all workers share: to be read only."""
    return trained_once(shared, "shop-trained", lambda workspace: train(shop, workspace))


@pytest.fixture(scope="session")
def shop_run(
    shop_trained: Trained, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A workspace in which the shop was trained, and what the command printed."""
    return shop_trained.copied(tmp_path_factory.mktemp("shop-workspace") / "copy")


@pytest.fixture(scope="session")
def second_trained(shop: Path, shop_trained: Trained, shared: Path) -> Trained:
    """The shop trained a second time in a copy of the workspace of the first: to be read only.

    Its files hold the same rows in another order, and the command says what it found to a person.
    """

    def again(workspace: Path) -> subprocess.CompletedProcess[str]:
        shop_trained.copied(workspace)
        shutil.rmtree(workspace / "shop")  # whatever lies there afterwards is of this run
        config = made_once(shared, "shuffled-shop", lambda folder: shuffled(shop, folder))
        return run("training", "train", str(config), "--workspace", str(workspace))

    return trained_once(shared, "second-trained", again)


@pytest.fixture(scope="session")
def shop_service(shop: Path, shop_run: tuple[Path, object]) -> Iterator[Service]:
    """A service over the trained shop."""
    yield from serve(shop, shop_run[0])


@pytest.fixture(scope="session")
def grocery_run(
    shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A workspace in which the grocery example was trained, and what the command printed."""
    trained = trained_once(shared, "grocery-trained", lambda workspace: train(GROCERY, workspace))
    return trained.copied(tmp_path_factory.mktemp("grocery-workspace") / "copy")


@pytest.fixture(scope="session")
def grocery_service(grocery_run: tuple[Path, object]) -> Iterator[Service]:
    """A service over the trained grocery example."""
    yield from serve(GROCERY, grocery_run[0])


@pytest.fixture(scope="session")
def owned_service(
    shop: Path, shop_run: tuple[Path, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The trained shop with owners and people; tests may write to it, but send no events."""
    from owned import owned_shop  # it needs this module

    workspace = tmp_path_factory.mktemp("owned-session-workspace") / "copy"
    folder = tmp_path_factory.mktemp("owned-session-shop")
    yield from owned_shop(shop, shop_run, folder, workspace)


@pytest.fixture(scope="session")
def provider_service(
    shop: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, IdentityProvider]]:
    """A service without models where people sign in at an identity provider, and that provider."""
    with identity_provider() as provider, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILEPOST_OIDC_ISSUER", provider.address)
        patch.setenv("MILEPOST_OIDC_CLIENT", CLIENT)
        patch.setenv("MILEPOST_OIDC_CLIENT_SECRET", SECRET)
        for service in serve(shop, tmp_path_factory.mktemp("provider-workspace")):
            patch.undo()
            yield service, provider
