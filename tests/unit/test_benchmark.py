"""The benchmark's formulations compute what the engine computes."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

BENCHMARKS = ROOT / "benchmarks"
PEERS = [
    ("peer_pandas", "pandas", "group-by a cutoff"),
    ("peer_pandas", "pandas", "group-by a cutoff, one key"),
    ("peer_duckdb", "duckdb", "daily tiles"),
    ("peer_duckdb", "duckdb", "buckets"),
    ("peer_duckdb", "duckdb", "range join"),
    ("peer_duckdb", "duckdb", "as-of joins"),
    ("peer_polars", "polars", "as-of joins"),
]


@pytest.mark.parametrize(("module", "package", "formulation"), PEERS)
def test_a_peer_agrees_with_the_engine(
    module: str, package: str, formulation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell of a small log is the same: counts exactly, the others to their precision."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is a peer that is not installed here (make bench-peers)")
    monkeypatch.syspath_prepend(BENCHMARKS)
    workload, comparison, engines, ours, peer = (
        importlib.import_module(name)
        for name in ("workload", "comparison", "peers", "peer_milepost", module)
    )
    table = workload.made(3_000)
    engine = next(e for e in engines.ENGINES if not e.by_the_row)
    np.save(tmp_path / "ours.npy", ours.FORMULATIONS["milepost"](table))
    np.save(tmp_path / "theirs.npy", peer.FORMULATIONS[formulation](peer.load(table)))
    found = comparison.differences(tmp_path / "ours.npy", tmp_path / "theirs.npy", engine)
    assert found is None
