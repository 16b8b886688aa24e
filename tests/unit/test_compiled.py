"""Whether somebody who waits for the compiler is told so."""

import os
import sys
from pathlib import Path

import pytest

from features.compiled import NOTICE, is_compiled, tell_if_compiling

VERSION = f"py{sys.version_info.major}{sys.version_info.minor}"
SOURCES = (
    "features/kernels.py", "features/operations.py", "features/pointers.py", "features/sweep.py",
    "models/treeshap.py",
)  # fmt: skip
INDEXES = (
    f"features/__pycache__/kernels._compiled.locals.fill-1120.{VERSION}.nbi",
    f"models/__pycache__/treeshap._explain_many-305.{VERSION}.nbi",
)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project as it is after the passes were compiled."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    for name in (*SOURCES, *INDEXES):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_of_what_is_compiled_nothing_is_said(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who does not wait reads nothing."""
    tell_if_compiling(copy)
    assert ("", "") == tuple(capsys.readouterr())


@pytest.mark.parametrize("lacking", INDEXES)
def test_who_waits_is_told_on_standard_error(
    lacking: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line where either pass is missing; standard output is kept for results."""
    (copy / lacking).unlink()
    tell_if_compiling(copy)
    assert ("", f"{NOTICE}\n") == tuple(capsys.readouterr())


@pytest.mark.parametrize("changed", SOURCES)
def test_a_pass_that_is_older_than_its_source_is_compiled_again(changed: str, copy: Path) -> None:
    """A new version of any file that is in a pass makes its copy on the disk worthless."""
    later = (copy / changed).stat().st_mtime + 1
    os.utime(copy / changed, (later, later))
    assert not is_compiled(copy)


def test_where_numba_keeps_its_files_elsewhere_nothing_is_claimed(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told that they have to wait where that is not known."""
    (copy / INDEXES[0]).unlink()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(copy))
    assert is_compiled(copy)


def test_the_engine_of_this_process_is_where_it_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Numba names its files as they are looked for, so that a notice ends with the compiling."""
    import models.treeshap  # compiles when it is imported
    from features.engine import warm_up

    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    warm_up()
    assert models.treeshap and is_compiled()
