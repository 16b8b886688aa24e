"""kill -9 under write load, in short; `benchmarks/faults/durability.py` is the long form."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT


def durability() -> ModuleType:
    path = ROOT / "benchmarks" / "faults" / "durability.py"
    spec = importlib.util.spec_from_file_location("durability", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["durability"] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def store(module: ModuleType, kind: str, folder: Path) -> Iterator[tuple[str, object]]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'milepost.db'}", None
        return
    folder = Path(module.tempfile.mkdtemp(prefix="milepost-durability-"))
    server = module.Server(folder)
    try:
        yield server.url, server
    finally:
        server.kill()
        module.shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nothing_acknowledged_is_lost(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at random moments, the store holds every acknowledged event once, batches whole."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    module = durability()
    with store(module, kind, tmp_path) as (url, server):
        account = module.rounds_of(url, 3, server)
    assert (3, 0, 0, 0) == (account.rounds, account.lost, account.doubled, account.torn)
    assert account.acknowledged > 0
