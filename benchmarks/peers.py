"""Which engines are compared, where each lives, and how many times faster ours has to be.

Knows nothing about how an engine does its work: that is its module's.
"""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = "peer_milepost"

FOLDERS = {"peers": ROOT / ".venv-peers", "pandas2": ROOT / ".venv-peers-pandas2"}
"""What `make bench-peers` installs: peers, and those that need a pandas before 3."""


@dataclass(frozen=True)
class Engine:
    """One line of the table."""

    label: str
    module: str
    formulation: str
    environment: str = "main"
    target: int | None = None
    """How many times as long as ours it should take at least."""
    package: str = "numpy"
    """What has to be importable for it to run."""
    one: dict[str, int | None] = field(default_factory=dict)
    """Formulations for one customer, with the ratio of medians that is aimed at."""
    by_the_row: bool = False
    """It computes a share of the rows, and the ratio is a row's."""
    most: int | None = None
    why: str = ""

    @property
    def name(self) -> str:
        return self.label if self.module == OURS else f"{self.label}, {self.formulation}"


ENGINES = [
    Engine("milepost", OURS, "milepost", one={"milepost": None}),
    Engine("pandas", "peer_pandas", "group-by a cutoff", target=60),
    Engine("pandas", "peer_pandas", "group-by a cutoff, one key", target=60),
    Engine(
        "Polars", "peer_polars", "as-of joins", "peers", 12, "polars",
        one={"as-of joins": 200, "a query of its own": 200},
    ),
    Engine("DuckDB", "peer_duckdb", "daily tiles", target=90, package="duckdb"),
    Engine(
        "DuckDB", "peer_duckdb", "buckets", target=90, package="duckdb",
        one={"buckets": 2_000, "a query of its own": 2_000},
    ),
    Engine("getML", "peer_getml", "FastProp, transform", "pandas2", 60, "getml"),
    Engine("PySpark", "peer_spark", "daily tiles", "peers", 60, "pyspark"),
    Engine("PySpark", "peer_spark", "buckets", "peers", 60, "pyspark"),
    Engine(
        "Featuretools", "peer_featuretools", "DFS with cutoff times", "pandas2", 1_000,
        "featuretools", by_the_row=True, most=1_000_000, why="a row costs the same",
    ),
]  # fmt: skip
"""DuckDB's range join and as-of joins were tried too: 5 and 3 times as slow as buckets."""


def environment(name: str) -> Path:
    """The Python of an environment of peers."""
    return FOLDERS[name] / "bin" / "python"


def missing(engine: Engine, python: Path) -> str | None:
    """Why an engine can't run here, or None."""
    if not python.exists():
        return "not installed (make bench-peers)"
    found = subprocess.run([python, "-c", f"import {engine.package}"], capture_output=True)
    return "not installed (make bench-peers)" if found.returncode else None
