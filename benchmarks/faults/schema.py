"""Requests made from the service's own description: all checks of schemathesis, stateful too.

    python benchmarks/faults/schema.py CONFIG --workspace DIR [--store sqlite|postgresql]

DIR holds a trained model. A copy of it is served on a store of its own, SQLite or a PostgreSQL
that is started for it, and schemathesis' command asks that service. Prints the command's report
and one line of counts; exit code 1 when anything was found or fewer than `--least` cases ran.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from durability import Server
from served import Served, served

PROBLEM, CUSTOMER, URL = "problem", "customer", "url"
HOOKS = """
import schemathesis

schemathesis.serializer.alias("application/x-ndjson", "text/plain")  # lines are sent as they are
"""
SETTINGS = """
hooks = "lines.py"

[generation]
allow-x00 = false  # a body with NUL anywhere is refused; tests/unit/test_bodies.py holds that

[checks.positive_data_acceptance]
# A schema can't say which problems, features and suppositions make sense (422), nor which cursors
# are still good (410).
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 410, 422, 429]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, 431]

[[operations]]  # a row that is wrong is refused alone: 207
include-path = "/v1/events"
checks.negative_data_rejection.expected-statuses = [207, 400, 413, 415, 422]

[[operations]]  # the same with 200, for Segment's libraries send again what is answered otherwise
include-path = ["/v1/scores/batch", "/v1/batch"]
checks.negative_data_rejection.expected-statuses = [200, 400, 413, 415, 422]
"""
"""What is not checked as schemathesis would, and why."""

ANSWERED = re.compile(r'^milepost_requests_total\{.*status="(\d+)"\} (\d+)', re.MULTILINE)
COUNTED = re.compile(r"^  (\d+) generated", re.MULTILINE)


def told(service: Served, path: str) -> str:
    """What the service answers."""
    address = f"http://127.0.0.1:{service.port}{path}"
    headers = {"Authorization": f"Bearer {service.key}"}
    with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
        return str(answer.read().decode())


def asked(service: Served, path: str) -> dict[str, Any]:
    """A document of the service; empty while it has none."""
    try:
        return dict(json.loads(told(service, path)))
    except urllib.error.HTTPError:
        return {}


def statuses(service: Served) -> Counter[int]:
    """How often the service has answered what, as it counts itself."""
    found: Counter[int] = Counter()
    for status, count in ANSWERED.findall(told(service, "/metrics")):
        found[int(status)] += int(count)
    return found


def known(service: Served, seconds: float = 120) -> dict[str, list[str]]:
    """Problems and customers that exist, once the first lists were made; and URLs to subscribe."""
    problems = [one["problem"] for one in asked(service, "/v1/problems")["problems"]]
    customers: list[str] = []
    deadline = time.monotonic() + seconds
    for problem in problems:
        while not (found := asked(service, f"/v1/at-risk?problem={problem}&limit=20")):
            if time.monotonic() > deadline:
                sys.exit(f"no list of {problem} was made")
            time.sleep(0.2)
        customers += [row["customer"] for row in found["customers"]]
    urls = [f"https://crm-{number}.example/hook" for number in range(5)]
    return {PROBLEM: problems, CUSTOMER: customers, URL: urls}


def settings(names: dict[str, list[str]]) -> str:
    """schemathesis.toml: two in three problems, customers and URLs are ones that exist."""
    text = ""
    for name, values in names.items():
        places = [f"body.{name}", *(f"{kind}.{name}" for kind in ("path", "query"))]
        text += f"\n[dictionaries.{name}]\nvalues = {json.dumps(values)}\n"
        for place in places if name != URL else places[:1]:
            text += f'[parameters."{place}"]\ndictionary = "{name}"\nprobability = 0.66\n'
    return SETTINGS + text


def ask(
    service: Served, names: dict[str, list[str]], examples: int, folder: Path
) -> tuple[int, int]:
    """Run schemathesis; its exit code, and how many cases it made."""
    folder.mkdir()
    (folder / "lines.py").write_text(HOOKS)
    (folder / "schemathesis.toml").write_text(settings(names))
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run",
        f"http://127.0.0.1:{service.port}/openapi.json", "--checks", "all", "--header",
        f"Authorization: Bearer {service.key}", "--max-examples", str(examples), "--seed", "5",
        "--no-color", "--continue-on-failure",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    return done.returncode, sum(map(int, COUNTED.findall(done.stdout)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--examples", type=int, default=100, help="for each operation and phase")
    parser.add_argument("--least", type=int, default=2_000, help="cases (default: 2,000)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="milepost-schema-") as name:
        folder = Path(name)
        workspace = folder / "workspace"
        stores = shutil.ignore_patterns("milepost.db*")
        shutil.copytree(chosen.workspace, workspace, ignore=stores)
        (folder / "server").mkdir()
        folder.chmod(0o755)
        server = Server(folder / "server") if chosen.store == "postgresql" else None
        try:
            time.sleep(0.0 if server is None else 1.0)  # it takes connections before it answers
            flags = () if server is None else ("--database", server.url)
            with served(chosen.config.resolve(), workspace, *flags) as service:
                names = known(service)
                before = statuses(service)
                code, count = ask(service, names, chosen.examples, folder / "asked")
                answers = statuses(service) - before
        finally:
            if server is not None:
                server.kill()
    print("; ".join(f"{number:,} × {status}" for status, number in sorted(answers.items())))
    print(f"{chosen.store}: {count:,} cases, {'faults were found' if code else '0 faults'}")
    return int(code != 0 or count < chosen.least or max(answers) >= 500)


if __name__ == "__main__":
    sys.exit(main())
