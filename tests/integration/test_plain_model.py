"""The registered model as any MLflow tool sees it: `models:/NAME@champion`, plain pyfunc."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import pytest
from conftest import free_port

from models.files import load
from models.registry import connect, tracking_uri
from training.logged_model import LOADER, REQUIREMENTS, imported, modules_of

SETTINGS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}


def rows_of(names: tuple[str, ...]) -> pd.DataFrame:
    """Rows with whole numbers, fractions and gaps, the same each time."""
    values = np.random.default_rng(7).gamma(1, 20, (40, len(names))).astype(np.float32)
    values[:, ::3] = np.round(values[:, ::3])
    values[np.random.default_rng(8).random(values.shape) < 0.3] = np.nan
    return pd.DataFrame(values.astype(np.float64), columns=list(names))


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow puts the code that lies beside a model before all else on the path, for good; a
    process that a later test starts would import that part of the project and not the project."""
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture(scope="module")
def served(shop_run: tuple[Path, CompletedProcess[str]], tmp_path_factory) -> Iterator[str]:
    """The address of `mlflow models serve` over the champion, started where no project lies."""
    port, folder = free_port(), tmp_path_factory.mktemp("elsewhere")
    log = (folder / "log").open("wb")
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "PYTHONPATH"))
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri",
         "models:/shop-churn@champion", "--env-manager", "local", "--host", "127.0.0.1",
         "--port", str(port), "--workers", "1"],
        cwd=folder, stdout=log, stderr=log, start_new_session=True,
        env={**environment, **SETTINGS, "MLFLOW_TRACKING_URI": tracking_uri(shop_run[0]),
             "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{address}/ping", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.2)
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
        log.close()


def ask(address: str, body: object) -> tuple[int, object]:
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_pyfunc_gives_the_bits_of_our_own_model(
    shop_run: tuple[Path, CompletedProcess[str]],
) -> None:
    """Loaded by MLflow alone, the champion gives calibrated probabilities bit for bit."""
    import mlflow

    connect(shop_run[0])
    own = load(shop_run[0] / "shop" / "churn" / "model")
    rows = rows_of(own.contract.names)
    model = mlflow.pyfunc.load_model("models:/shop-churn@champion")
    expected = own.probabilities(rows.to_numpy(np.float32))
    assert expected.tolist() == model.predict(rows).tolist()
    assert expected.tolist() == model.predict(rows[rows.columns[::-1]]).tolist()
    assert len(own.trees) == (mlflow.lightgbm.load_model("models:/shop-churn@champion").num_trees())


def test_the_input_example_is_invented(shop_run: tuple[Path, CompletedProcess[str]]) -> None:
    """The example is one row of what is usual, and the model scores it."""
    import mlflow

    connect(shop_run[0])
    model = mlflow.pyfunc.load_model("models:/shop-churn@champion")
    own = load(shop_run[0] / "shop" / "churn" / "model").contract
    example = model.input_example
    usual = [None if np.isnan(v) else v for v in example.iloc[0]]
    assert list(own.usual) == usual
    assert 0 < model.predict(example)[0] < 1


def test_mlflow_models_serve_answers_like_our_own_model(
    served: str, shop_run: tuple[Path, CompletedProcess[str]]
) -> None:
    """A real server, started away from this project, gives the same probabilities for JSON."""
    own = load(shop_run[0] / "shop" / "churn" / "model")
    rows = rows_of(own.contract.names)
    expected = own.probabilities(rows.to_numpy(np.float32)).tolist()
    split = json.loads(rows.to_json(orient="split", double_precision=15))
    assert (200, {"predictions": expected}) == ask(served, {"dataframe_split": split})
    records = json.loads(rows.to_json(orient="records", double_precision=15))
    for row, probability in zip(records[:3], expected[:3], strict=True):
        assert (200, {"predictions": [probability]}) == ask(served, {"dataframe_records": [row]})


def test_a_missing_column_is_named_by_the_server(served: str) -> None:
    """A row without the model's columns is refused with status 400, not scored."""
    status, answer = ask(served, {"dataframe_records": [{"event_count_7d": 1.0}]})
    assert 400 == status
    assert "missing inputs" in str(answer)


def test_no_model_holds_a_pickle(shop_run: tuple[Path, CompletedProcess[str]]) -> None:
    """The logged model is text; no file of it is or names a pickle."""
    folder = shop_run[0] / "artifacts" / "shop-churn" / "models"
    files = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert {"model.lgb", "contract.json", "MLmodel", "plain.py"} <= {p.name for p in files}
    for path in files:
        assert path.suffix not in (".pkl", ".pickle", ".joblib", ".skops", ".npy", ".bin")
        content = path.read_bytes()
        assert not content.startswith((b"\x80", b"PK")), f"{path} is binary"
        content.decode()
    (kept,) = {p.read_text() for p in files if p.name == "MLmodel"}
    assert "cloudpickle" not in kept and "python_model" not in kept
    assert f"loader_module: {LOADER}" in kept


def test_the_code_beside_a_model_is_what_it_imports() -> None:
    """It knows its own packages and those that the model requires, and no others."""
    modules = modules_of(LOADER)
    assert {"models.plain", "models.files", "features.engine"} <= set(modules)
    assert not {"features.simulation", "models.registry"} & set(modules)
    named = {name.partition(".")[0] for path in modules.values() for name in imported(path)}
    others = named - set(sys.stdlib_module_names) - {"features", "models", "__future__"}
    spelled = {"sklearn": "scikit-learn"}
    assert {spelled.get(name, name) for name in others} <= {*REQUIREMENTS, "llvmlite", "scipy"}


def test_a_new_process_loads_no_pickle_for_the_champion(
    shop_run: tuple[Path, CompletedProcess[str]], tmp_path: Path
) -> None:
    """Loading by MLflow works where unpickling is an error, but for what Numba compiled here."""
    code = """
import pickle, sys, types
def refuse(*_, **__): raise RuntimeError("unpickled")
import mlflow, cloudpickle, numba.core.caching
numba.core.caching.pickle = types.SimpleNamespace(**vars(pickle))
pickle.load = pickle.loads = cloudpickle.load = cloudpickle.loads = refuse
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/shop-churn@champion")
print(model.predict(model.input_example)[0])
"""
    (tmp_path / "load_it.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "load_it.py", tracking_uri(shop_run[0])], cwd=tmp_path,
        env={**os.environ, **SETTINGS}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout) < 1
