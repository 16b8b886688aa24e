"""Whether the compiled passes lie on the disk already, so that who waits is told why.

Looks at files and imports nothing: some passes are compiled when their module is imported.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PASSES = (
    ("features/kernels.py", "fill", ("operations.py", "pointers.py", "sweep.py")),
    ("models/treeshap.py", "_explain_many", ()),
)
"""What takes long to compile: its file, its name, and other files of the folder that are in it."""

NOTICE = "compiling the engine, once: half a minute"


def tell_if_compiling(root: Path = ROOT) -> None:
    """Say on standard error that what follows compiles for a while, if it does."""
    if not is_compiled(root):
        print(NOTICE, file=sys.stderr, flush=True)


def is_compiled(root: Path = ROOT) -> bool:
    """Whether every pass was compiled after its source was last changed.

    True where Numba keeps its files elsewhere: nothing is said then, for nothing is known.
    """
    if "NUMBA_CACHE_DIR" in os.environ or not os.access(root / "features", os.W_OK):
        return True
    return all(_is_kept(root / file, name, more) for file, name, more in PASSES)


def _is_kept(source: Path, name: str, more: tuple[str, ...]) -> bool:
    changed = max((source.parent / each).stat().st_mtime for each in (source.name, *more))
    version = f"py{sys.version_info.major}{sys.version_info.minor}"
    kept = (source.parent / "__pycache__").glob(f"{source.stem}.*{name}-*.{version}.nbi")
    return any(index.stat().st_mtime >= changed for index in kept)
