"""How fast scores are: in process, over HTTP, and beside the usual ways of serving a model.

    make bench-serving [WORKSPACE=folder of a training]

Every ratio is of one run: what is compared takes turns, and the middle one of the turns' ratios is
told. Before a ratio is printed, all are held to the same probabilities. wrk makes the load from
one thread. Read the ratios: machines differ, and this one may be shared.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import load
import numpy as np
from running import ENVIRONMENT, PORT, ROOT, Server, running

from features.config import read_config
from models.files import TREES
from models.files import load as load_model
from models.registry import model_name
from models.shelf import Shelf

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "serving.json"
SAME = 1e-9
"""So near must the probabilities of all be."""
CHECKED, CLIENTS = 50, 16
HEAVY = ("mlflow", "shap", "pandas", "lightgbm", "sklearn")
"""What the serving process must not import; the last two beyond what was asked for."""
PACKAGES = ("fastapi", "uvicorn", "httptools", "uvloop", "numpy", "numba", "pandas", "lightgbm",
            "shap", "mlflow")  # fmt: skip

Row = dict[str, Any]


class Bench:
    """One run: where things lie, and what was found."""

    def __init__(self, chosen: argparse.Namespace, folder: Path) -> None:
        self.chosen, self.folder = chosen, folder
        self.workspace: Path = (
            chosen.workspace or trained(chosen.config, folder / "workspace")
        ).resolve()
        self.place = [
            str(chosen.config), "--workspace", str(self.workspace),
            "--database", f"sqlite:///{folder / 'bench.db'}",
        ]  # fmt: skip
        own("-m", "serving", "import", *self.place)
        self.key = own("-m", "serving", "keys", "create", *self.place).strip()
        self.trees = str(champion(chosen.config, chosen.problem, self.workspace))
        self.rows: list[Row] = []

    def prepare(self) -> None:
        """Answers in process, and what the servers will be asked."""
        config, _, workspace, _, database = self.place
        told = own(
            str(HERE / "in_process.py"), config, workspace, database, self.chosen.problem,
            str(self.folder),
        )  # fmt: skip
        self.in_process = json.loads(told.splitlines()[-1])
        stored = json.loads((self.folder / "stored.json").read_text())
        self.inline = json.loads((self.folder / "inline.json").read_text())
        self.size = round(statistics.mean(one["bytes"] for one in stored))
        problem = self.chosen.problem
        self.stored_file = self.kept(
            "stored", [{"problem": problem, "customer": one["customer"]} for one in stored]
        )
        self.inline_file = self.kept(
            "inline", [{"problem": problem, "features": one["features"]} for one in self.inline]
        )

    def kept(self, name: str, bodies: list[Any], path: str = "/v1/scores") -> Path:
        """A file of requests."""
        requests = [load.request(path, body, self.key) for body in bodies]
        return load.keep(requests, self.folder / f"{name}.requests")

    def add(self, what: str, value: float, target: float, **more: Any) -> None:
        """Note a figure; a target below 0 is a most."""
        met = value >= target if target > 0 else value <= -target
        self.rows.append({"what": what, "value": value, "target": target, "met": met, **more})
        print(line(self.rows[-1]), flush=True)

    def ours(self, *wish: int) -> list[str]:
        """The command of the service; see `launched.py`."""
        return [
            sys.executable, str(HERE / "launched.py"), *self.place, "--port", PORT, "--",
            *map(str, wish),
        ]  # fmt: skip

    def turns(self, works: dict[str, Callable[[], Row]], of: int = 1) -> dict[str, list[Row]]:
        """What each found in its turns, `of` times as many as usual; the first turn warms up."""
        found: dict[str, list[Row]] = {name: [] for name in works}
        for _ in range(of * self.chosen.turns + 1):
            for name, work in works.items():
                found[name].append(work())
        return {name: rows[1:] for name, rows in found.items()}

    def asked(self, server: Server, requests: Path, clients: int) -> Callable[[], Row]:
        """A turn of load."""
        return lambda: load.load(server.port, requests, clients, self.chosen.seconds)


def in_process(bench: Bench) -> None:
    """Features, score and reasons of a stored customer."""
    for name, says in (("read", "read from the store"), ("held", "held since an answer before")):
        found = bench.in_process[name]
        bench.add(f"in process, {says}: median ms", found["median_ms"], -1.5, **found)


def over_http(bench: Bench) -> None:
    """The same over HTTP, beside an endpoint that returns as many bytes."""
    constant = [sys.executable, str(HERE / "constant.py"), PORT, str(bench.size)]
    for says, wish in (("read from the store", (32, 0)), ("held since an answer before", (32,))):
        with running(bench.ours(*wish), "/livez") as service, running(constant, "/") as plain:
            found = bench.turns({
                "ours": bench.asked(service, bench.stored_file, 1),
                "constant": bench.asked(plain, bench.stored_file, 1),
            })  # fmt: skip
        ours = found["ours"]
        bench.add(
            f"one client, {says}: median beside a constant", middle(found, "p50_us"), -2.5, **found
        )
        tail = statistics.median(one["p99_us"] / one["p50_us"] for one in ours)
        bench.add(f"one client, {says}: p99 beside the own median", tail, -4)


def throughput(bench: Bench) -> None:
    """16 clients, features sent inline, one worker each."""
    peers = {
        "FastAPI, DataFrame, predict_proba, shap": (10, recipe), "BentoML": (8, bento),
        "mlflow models serve": (60, mlflow),
    }  # fmt: skip
    for name, (target, peer) in peers.items():
        what = f"{CLIENTS} clients, features inline: requests/s beside {name}"
        refused, command, path, bodies, environment = peer(bench)
        if refused:
            bench.rows.append({"what": what, "target": target, "met": None, "why": refused})
            print(line(bench.rows[-1]), flush=True)
            continue
        requests = bench.kept(name.split(",")[0], bodies, path)
        with (
            running(bench.ours(), "/livez") as service,
            running(command, "/" if peer is recipe else "/livez" if peer is bento else "/ping",
                    **environment) as other,
        ):  # fmt: skip
            apart = same(bench, service, other, bodies, path)
            found = bench.turns({
                "ours": bench.asked(service, bench.inline_file, CLIENTS),
                "theirs": bench.asked(other, requests, CLIENTS),
            })  # fmt: skip
        bench.add(what, middle(found, "per_second"), target, apart=apart, **found)


def recipe(bench: Bench) -> Any:
    """The usual recipe: no reason to refuse, command, path, bodies, environment."""
    command = [sys.executable, str(HERE / "recipe.py"), PORT, bench.trees]
    bodies = [{"features": one["features"]} for one in bench.inline]
    return None, command, "/score", bodies, {}


def bento(bench: Bench) -> Any:
    """The same behind BentoML, in an environment of its own."""
    python: Path = bench.chosen.peers / "bin" / "python"
    if not python.exists():
        return "not installed (make bench-peers)", [], "", [], {}
    command = [
        str(python), "-m", "bentoml", "serve", "bento:Score", "--working-dir", str(HERE),
        "--host", "127.0.0.1", "--port", PORT,
    ]  # fmt: skip
    bodies = [{"features": one["features"]} for one in bench.inline]
    home = {"TREES": bench.trees, "BENTOML_HOME": str(bench.folder / "bentoml"), "PYTHONPATH": ""}
    return None, command, "/score", bodies, home


def mlflow(bench: Bench) -> Any:
    """The same as an MLflow model."""
    model = bench.folder / "pyfunc"
    own(str(HERE / "pyfunc.py"), bench.trees, str(model))
    command = [
        sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager",
        "local", "--host", "127.0.0.1", "--port", PORT, "--workers", "1",
    ]  # fmt: skip
    names = list(bench.inline[0]["features"])
    bodies = [
        {"dataframe_split": {"columns": names, "data": [list(one["features"].values())]}}
        for one in bench.inline
    ]
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return None, command, "/invocations", bodies, path


def same(bench: Bench, ours: Server, theirs: Server, bodies: list[Any], path: str) -> float:
    """How far apart the probabilities of both are at most, once ours are not calibrated."""
    calibration = load_model(Path(bench.trees).parent).calibration
    apart = 0.0
    for one, body in zip(bench.inline[:CHECKED], bodies, strict=False):
        asked = {"problem": bench.chosen.problem, "features": one["features"]}
        mine = post(ours, "/v1/scores", asked, bench.key)["probability"]
        found = post(theirs, path, body)
        found = found.get("predictions", [found])
        (answer,) = found
        assert len(answer["reasons"]) == 5, answer
        p = answer["probability"]
        calibrated = float(calibration.probability(np.log([p / (1 - p)]))[0])
        apart = max(apart, abs(mine - calibrated), abs(mine - one["probability"]))
    if apart > SAME:
        sys.exit(f"the answers of {path} differ from ours by {apart}")
    return apart


def together(bench: Bench) -> None:
    """Waiting requests scored together, beside one at a time."""
    with running(bench.ours(32), "/livez") as many, running(bench.ours(1), "/livez") as one:
        for name, requests in (("features inline", bench.inline_file),
                               ("stored customers", bench.stored_file)):  # fmt: skip
            loaded = bench.turns({
                "ours": bench.asked(many, requests, CLIENTS),
                "alone": bench.asked(one, requests, CLIENTS),
            })  # fmt: skip
            bench.add(
                f"scored together, {CLIENTS} clients, {name}: requests/s beside one at a time",
                middle(loaded, "per_second"), 1.5, **loaded,
            )  # fmt: skip
        # One client's turns differ by a tenth, and a twentieth is to be told.
        single = bench.turns({
            "ours": bench.asked(many, bench.stored_file, 1),
            "alone": bench.asked(one, bench.stored_file, 1),
        }, of=3)  # fmt: skip
    bench.add("scored together, one client: p50 beside one at a time",
              middle(single, "p50_us"), -1.05, **single)  # fmt: skip


def start(bench: Bench) -> None:
    """From the command to the first `/readyz`, beside importing LightGBM."""
    command = [sys.executable, "-m", "serving", "run", *bench.place, "--port", PORT]

    def ready() -> Row:
        server = Server(command, "/readyz")
        server.stop()
        return {"seconds": server.ready}

    def lightgbm() -> Row:
        began = time.perf_counter()
        own("-c", "import lightgbm")
        return {"seconds": time.perf_counter() - began}

    found = bench.turns({"ours": ready, "import lightgbm": lightgbm})
    bench.add("start to ready beside import lightgbm", middle(found, "seconds"), -3, **found)


def imported(bench: Bench) -> None:
    """What a worker has imported once it has answered of both kinds."""
    file = bench.folder / "modules"
    with running(bench.ours(), "/livez", MODULES=str(file)) as service:
        for requests in (bench.stored_file, bench.inline_file):
            load.load(service.port, requests, 1, 1)
        for number in service.processes()[1:]:
            os.kill(number, signal.SIGUSR1)
        deadline = time.monotonic() + 10
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    names = {name.partition(".")[0] for name in file.read_text().split()}
    assert {"serving", "models", "fastapi"} <= names
    heavy = sorted(names & set(HEAVY))
    what = f"heavy packages of {', '.join(HEAVY)} in a worker"
    bench.add(what, len(heavy), -0.5, found=heavy)


def middle(found: dict[str, list[Row]], what: str) -> float:
    """The middle of the turns' ratios of the first to the second."""
    first, second = found.values()
    return statistics.median(
        float(a[what]) / float(b[what]) for a, b in zip(first, second, strict=True)
    )


def post(server: Server, path: str, body: object, key: str = "") -> Any:
    """One answer."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    address = f"http://127.0.0.1:{server.port}{path}"
    return httpx.post(address, json=body, headers=headers, timeout=60).raise_for_status().json()


def own(*arguments: str) -> str:
    """Standard output of a Python of this environment."""
    done = subprocess.run(
        [sys.executable, *arguments], env=ENVIRONMENT, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed: {done.stderr[-2000:]}")
    return done.stdout


def champion(config: Path, problem: str, workspace: Path) -> Path:
    """The trees' file of the version that answers."""
    shelf = Shelf(workspace, model_name(read_config(config).name, problem))
    pointer = shelf.pointer()
    assert pointer is not None, f"{workspace} has no champion; promote one"
    return shelf.folder / pointer.champion.folder / TREES


def trained(config: Path, workspace: Path) -> Path:
    """Train a workspace, and bring its champions to the shelf."""
    print("training a workspace (about two minutes)", file=sys.stderr, flush=True)
    place = [str(config), "--workspace", str(workspace)]
    own("-m", "training", "train", *place)
    own("-m", "training", "promote", *place)
    own("-m", "models", "watch", *place, "--once")
    return workspace


def line(row: Row) -> str:
    """One figure as a line of the table."""
    if row["met"] is None:
        return f"{row['what']:<78}  {row['why']}"
    sign = "≥" if row["target"] > 0 else "≤"
    said = "met" if row["met"] else "missed"
    return f"{row['what']:<78}{row['value']:>9.2f}  {sign} {abs(row['target']):<5g} {said}"


def machine() -> Row:
    """What a reader has to know of the machine."""
    return {
        "cores": len(os.sched_getaffinity(0)), "system": f"{platform.system()} "
        f"{platform.machine()}", "python": platform.python_version(),
        "load": [round(one, 1) for one in os.getloadavg()],
    }  # fmt: skip


def versions(peers: Path) -> dict[str, str]:
    """Versions of what was measured."""
    found = {name: version(name) for name in PACKAGES} | {"wrk": load.version()}
    code = "import importlib.metadata as m; print(m.version('bentoml'))"
    python = peers / "bin" / "python"
    if python.exists():
        said = subprocess.run([python, "-c", code], capture_output=True, text=True).stdout
        found["bentoml"] = said.strip()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=ROOT / "examples/grocery/journey.toml")
    parser.add_argument("--workspace", type=Path, help="of a training; trained if absent")
    parser.add_argument("--problem", default="churn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of one turn of load")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--peers", type=Path, default=ROOT / ".venv-peers-serving")
    parser.add_argument("--json", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    before = {"machine": machine(), "versions": versions(chosen.peers)}
    with tempfile.TemporaryDirectory(prefix="milepost-serving-") as folder:
        bench = Bench(chosen, Path(folder))
        bench.prepare()
        print(f"{bench.in_process['features']} features; stored customers with "
              f"{bench.in_process['events']} events; answers of {bench.size} bytes")  # fmt: skip
        for name in chosen.only:
            PARTS[name](bench)
    after = machine()["load"]
    print(f"\nmachine: {before['machine']}, load at the end {after}")
    print("versions: " + ", ".join(f"{k} {v}" for k, v in before["versions"].items()))
    found = {
        "when": datetime.now(UTC).date().isoformat(), **before, "load_at_end": after,
        "features": bench.in_process["features"], "answer_bytes": bench.size, "rows": bench.rows,
    }  # fmt: skip
    chosen.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


PARTS: dict[str, Callable[[Bench], None]] = {
    "in_process": in_process, "over_http": over_http, "throughput": throughput,
    "together": together, "start": start, "imported": imported,
}  # fmt: skip

if __name__ == "__main__":
    main()
