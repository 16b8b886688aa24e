"""Promotions under load, and broken versions: what a client of the service sees of them.

    python benchmarks/faults/reloads.py CONFIG WORKSPACE --promotions 100 --requests 50000

WORKSPACE is where CONFIG was trained; the service runs over a copy of its first problem's model
in a registry of its own. Prints counts; exit code 1 when a request failed, an answer mixed
versions, or a broken version answered.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from broken import KINDS
from registering import Registering

from features.config import read_config, slug
from features.sources import read_histories
from models.files import read
from models.registry import model_name
from models.shelf import Shelf

Expected = dict[tuple[str, str], float | None]


class Running:
    """The service over a workspace, and a key for it."""

    def __init__(self, config: Path, workspace: Path) -> None:
        self.config = config
        common = [str(config), "--workspace", str(workspace)]
        brought = [sys.executable, "-m", "serving", "import", *common]
        subprocess.run(brought, capture_output=True, check=True)
        made = subprocess.run(
            [sys.executable, "-m", "serving", "keys", "create", *common],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.key = made.stdout.strip()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.log = (workspace / "service.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "serving", "run", *common, "--port", str(self.port)],
            stdout=self.log, stderr=self.log,
        )  # fmt: skip

    def asker(self) -> "Asker":
        return Asker(self.port, self.key)

    def wait(self, seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.asker().get("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                raise RuntimeError(Path(self.log.name).read_text())
            time.sleep(0.2)
        raise TimeoutError(Path(self.log.name).read_text())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


class Asker:
    """One client with a connection of its own."""

    def __init__(self, port: int, key: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def get(self, path: str) -> tuple[int, dict]:
        return self._ask("GET", path, None)

    def score(self, problem: str, customer: str) -> tuple[int, dict]:
        body = json.dumps({"problem": problem, "customer": customer, "reasons": 1})
        return self._ask("POST", "/v1/scores", body)

    def _ask(self, method: str, path: str, body: str | None) -> tuple[int, dict]:
        self.connection.request(method, path, body, self.headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())


class Load:
    """Clients that ask until they are stopped; every answer is compared with what is expected."""

    def __init__(
        self, running: Running, problem: str, customers: list[str], expected: Expected, clients: int
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self._problem, self._customers, self._expected = problem, customers, expected
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(running.asker(), i)) for i in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, asker: Asker, number: int) -> None:
        while not self._stop.is_set():
            number += 1
            customer = self._customers[number % len(self._customers)]
            try:
                status, found = asker.score(self._problem, customer)
            except (OSError, http.client.HTTPException, ValueError):
                asker.connection.close()
                self.counts["errors"] += 1
                continue
            self.counts["requests"] += 1
            if status != 200:
                self.counts["errors"] += 1
                continue
            version = found["model_version"]
            self.versions[version] += 1
            key = (customer, version)
            if key not in self._expected or self._expected[key] != found["probability"]:
                self.counts["mixed"] += 1


def until_answers(running: Running, problem: str, customer: str, version: str) -> None:
    """Wait until a version answers."""
    asker, deadline = running.asker(), time.monotonic() + 60
    while asker.score(problem, customer)[1].get("model_version") != version:
        if time.monotonic() > deadline:
            raise TimeoutError(f"version {version} does not answer")
        time.sleep(0.05)


def until_refused(shelf: Shelf, version: str) -> str:
    """Wait until the watcher refused a version or could not fetch it; give what it says."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        report = shelf.report()
        if report is not None and f"ersion {version} " in report.refused:
            return report.refused
        pointer = shelf.pointer()
        if pointer is not None and pointer.champion.version == version:
            return ""
        time.sleep(0.05)
    return ""


def tried(
    config: Path,
    trained: Path,
    promotions: int,
    requests: int,
    clients: int,
    kinds: tuple[str, ...],
) -> dict[str, object]:
    """Run it all; give the counts."""
    business = read_config(config)
    problem = next(iter(business.problems))
    contents = read(trained / slug(business.name) / problem / "model")
    customers = sorted(read_histories(business).log.customers)[:40]
    name = model_name(business.name, problem)
    with tempfile.TemporaryDirectory(prefix="milepost-reloads-") as place:
        workspace = Path(place)
        registering = Registering(workspace, name, contents)
        versions = [registering.sound(0.1 * step) for step in range(5)]
        registering.promote(versions[0])
        running = Running(config, workspace)
        try:
            running.wait()
            expected: Expected = {}
            asker = running.asker()
            for version in versions:
                registering.promote(version)
                until_answers(running, problem, customers[0], version)
                for customer in customers:
                    found = asker.score(problem, customer)[1]
                    expected[customer, version] = found["probability"]
            load = Load(running, problem, customers, expected, clients)
            for number in range(promotions):
                version = versions[number % len(versions)]
                registering.promote(version)
                until_answers(running, problem, customers[0], version)
            while load.counts["requests"] < requests:
                time.sleep(0.1)
            last = load.versions.copy()
            refused = {}
            for kind in kinds:
                broken = registering.broken(kind)
                registering.promote(broken)
                refused[kind] = until_refused(Shelf(workspace, name), broken)
            ready = running.asker().get("/readyz")
            load.stop()
        finally:
            running.stop()
    return {
        "promotions": promotions, "requests": load.counts["requests"],
        "errors": load.counts["errors"], "mixed": load.counts["mixed"], "refused": refused,
        "versions": dict(last), "ready": ready,
        "distinct": len({expected[customers[0], version] for version in versions}),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--promotions", type=int, default=100)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--clients", type=int, default=4)
    chosen = parser.parse_args()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    found = tried(
        chosen.config, chosen.workspace, chosen.promotions, chosen.requests, chosen.clients, KINDS
    )
    refused = {kind: why for kind, why in found["refused"].items() if why}
    for kind in KINDS:
        print(f"  {kind}: {refused.get(kind, 'NOT REFUSED')[:110]}")
    print(
        f"{found['promotions']} promotions, {found['requests']:,} requests: {found['errors']} "
        f"errors, {found['mixed']} mixed; {len(refused)} of {len(KINDS)} kinds of broken version "
        f"refused; /readyz says {found['ready'][1].get('status')}"
    )
    return int(bool(found["errors"] or found["mixed"]) or len(refused) < len(KINDS))


if __name__ == "__main__":
    sys.exit(main())
