"""What tests share: a small shop, a trained workspace, and a real running service."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings
from identity_provider import CLIENT, SECRET, IdentityProvider, identity_provider
from journeys import make_shop

ROOT = Path(__file__).resolve().parent.parent
GROCERY = ROOT / "examples" / "grocery" / "journey.toml"

settings.register_profile("milepost", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("milepost")


SLOW_FIRST = ("integration", "behaviour", "browser", "docs")
"""Kinds of tests in the order in which they begin, so that no worker ends with the longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test states its claim in a docstring; those that take long begin."""
    silent = [
        item.nodeid for item in items if not (getattr(item, "obj", item).__doc__ or "").strip()
    ]
    if silent:
        raise pytest.UsageError(f"tests without a docstring: {silent[:5]}")
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    kind = item.path.relative_to(ROOT / "tests").parts[0]
    return SLOW_FIRST.index(kind) if kind in SLOW_FIRST else len(SLOW_FIRST)


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

    def __init__(self, config: Path, workspace: Path, *more: str) -> None:
        self.config, self.workspace = config, workspace
        self.key = make_key(config, workspace)
        self.headers = {"Authorization": f"Bearer {self.key}"}
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        command = ["-m", "serving", "run", str(config), "--workspace", str(workspace)]
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that nobody reads would fill
        self.process = subprocess.Popen(
            [sys.executable, *command, "--port", str(port), *more],
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


def serve(config: Path, workspace: Path, *more: str) -> Iterator[Service]:
    """Import a business, start a service, and stop it whatever happens.

    `more` are flags of `serving run`.
    """
    done = run("serving", "import", str(config), "--workspace", str(workspace))
    assert done.returncode == 0, done.stderr
    service = Service(config, workspace, *more)
    try:
        service.wait_until_live()
        service.wait_until_listed()
        yield service
    finally:
        service.stop()


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journey.toml of a small shop."""
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def shop_run(
    shop: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A workspace in which the shop was trained, and what the command printed."""
    workspace = tmp_path_factory.mktemp("shop-workspace")
    done = run("training", "train", str(shop), "--workspace", str(workspace), "--json")
    assert done.returncode == 0, done.stderr
    return workspace, done


@pytest.fixture(scope="session")
def shop_service(shop: Path, shop_run: tuple[Path, object]) -> Iterator[Service]:
    """A service over the trained shop."""
    yield from serve(shop, shop_run[0])


@pytest.fixture(scope="session")
def grocery_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A workspace in which the grocery example was trained, and what the command printed."""
    workspace = tmp_path_factory.mktemp("grocery-workspace")
    done = run("training", "train", str(GROCERY), "--workspace", str(workspace), "--json")
    assert done.returncode == 0, done.stderr
    return workspace, done


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
