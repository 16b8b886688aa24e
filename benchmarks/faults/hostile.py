"""Hostile input: generated and hand-written bad requests get 4xx, and nothing is coerced.

`python benchmarks/faults/hostile.py CONFIG --workspace DIR [--cases 100000]` asks every operation
that takes a body; half of the cases, by hand, are of scores. It prints counts by route and status
and ends with 1 when a case got a 5xx, a 2xx or no answer, or one that repeats what was sent, or
when an operation was not asked. Where rows are answered one by one, an answer that takes none is
right.
"""

import argparse
import asyncio
import json
import random
import socket
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from bad_bodies import INTAKE, MANY, Operation, bad_bodies, not_utf8, operations
from served import Connection, Served, served

MARK = "zq7marker"
"""Stands in bad values; no refusal may repeat it."""
CLIENTS = 8
OPENAPI = "/openapi.json"
HEADERS = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"

VALUES = [
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400, "true", '"1"', f'"{MARK}"',
    '"\\ud800"', '"\\udfff x"', '"\\u0000"', "[]", "{}", "[[[[1]]]]", "[" * 60 + "]" * 60, "null",
    "01", "+1", ".5", "0x10", "'a'", "tru", "", '"' + "a" * 20_000 + '"', "1.5e", "-", '"\x01"',
    '"0000-00-00"', '"9999-99-99"', '"2024-13-45T99:99:99Z"', "1704067200", '""',
]  # fmt: skip
"""JSON, nearly JSON and no JSON, to stand where something else belongs."""

FRAMES = [
    '{{"problem": {0}, "customer": "c001"}}',
    '{{"problem": "churn", "customer": {0}}}',
    '{{"problem": "churn", "customer": "c001", "reasons": {0}}}',
    '{{"problem": "churn", "customer": "c001", "as_of": {0}}}',
    '{{"problem": "churn", "customer": "c001", "features": {0}}}',
    '{{"problem": "churn", "customer": "c001", "{1}": {0}}}',
    '{{"problem": "churn", "problem": {0}, "customer": "c001"}}',
    '{{"problem": "churn", "events": {0}}}',
    '{{"problem": "churn", "events": [{0}]}}',
    '{{"problem": "churn", "events": [{{"event": {0}, "event_time": "2024-01-01"}}]}}',
    '{{"problem": "churn", "events": [{{"event": "order", "event_time": {0}}}]}}',
    '{{"problem": "churn", "events": [{{"event": "order", "event_time": "2024-01-01", "a": 1, '
    '"a": {0}}}]}}',
    '{0}',
    '[{0}]',
    '{{"problem": "churn", "customer": "c001"}} {0} x',
    '{{"problem": "churn", "customer": "c001", "events": {0}}}',
]  # fmt: skip
KEYS = ["other", "reason", "Problem", "__proto__", "a" * 500]
TEXT = '{{"problem": "churn", "events": [{{"event": {0}, "event_time": "2024-01-01"}}]}}'
FITTING = {
    ('{{"problem": "churn", "customer": "c001", "features": {0}}}', "true"),
    ('{{"problem": "churn", "customer": "c001", "as_of": {0}}}', "null"),
    ('{{"problem": "churn", "events": {0}}}', "[]"),
    ('{{"problem": "churn", "events": [{0}]}}', ""),
    ('{{"problem": "churn", "customer": "c001", "events": {0}}}', "null"),
    ('{{"problem": "churn", "customer": {0}}}', '"1"'),
    *((TEXT, value) for value in VALUES if value.startswith('"') and 2 < len(value) < 300
      and "\\" not in value and value.isprintable()),
}  # fmt: skip
"""Pairs that are good requests: any short text names an event, and a household is called 1."""


def bodies(count: int) -> list[bytes]:
    """As many bad bodies; the seed is fixed."""
    rng = random.Random(5)  # noqa: S311 - not for secrets
    made = []
    while len(made) < count:
        frame, value = rng.choice(FRAMES), rng.choice(VALUES)
        if (frame, value) in FITTING:
            continue
        body = frame.format(
            value, rng.choice(["other", "reason", "Problem", "__proto__", "a" * 500])
        )
        raw = body.encode()
        if rng.random() < 0.3:
            raw = not_utf8(raw, rng)
        if raw is not None:
            made.append(raw)
    return made


Case = tuple[Operation, bytes]


def cases_of(found: list[Operation], count: int) -> list[Case]:
    """Half of the cases are of scores, the others of all operations by turns; the seed is fixed."""
    scores = Operation("POST", "/v1/scores", None)
    cases = [(scores, body) for body in bodies(count // 2)]
    rng = random.Random(6)  # noqa: S311 - not for secrets
    each = -(-(count - len(cases)) // len(found))
    cases += [(one, body) for one in found for body in bad_bodies(one, MARK, each, rng)]
    rng.shuffle(cases)
    return cases


async def ask_all(
    service: Served, cases: list[Case]
) -> tuple[dict[str, Counter[int]], list[bytes]]:
    """Every case on kept connections; gives counts by route and status, and what was wrong."""
    counts: dict[str, Counter[int]] = {}
    wrong: list[bytes] = []
    waiting = iter(cases)

    async def one() -> None:
        connection = Connection(service.port)
        for operation, case in waiting:
            head = service.request(operation.method, operation.path)[:-2]
            request = head + HEADERS % len(case) + case
            try:
                status, _, body = await connection.ask(request)
            except (OSError, asyncio.IncompleteReadError):
                status, body = 0, b""
            named = f"{operation.method} {operation.route}"
            counts.setdefault(named, Counter())[status] += 1
            if not is_refused(operation, status, body) or MARK.encode() in body:
                wrong.append(f"{status} {named} ".encode() + case[:200])

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    return counts, wrong


def is_refused(operation: Operation, status: int, body: bytes) -> bool:
    """Whether nothing of a body was taken."""
    if operation.route in INTAKE and status in (200, 207):
        said = json.loads(body)
        return bool(said["accepted"] == said["duplicate"] == 0)
    if operation.route == MANY and status == 200:
        return all("error" in json.loads(line) for line in body.splitlines())
    return 400 <= status < 500


def large(service: Served) -> str:
    """A body of 200 MB: the status, before all of it is taken."""
    head = service.request("POST", "/v1/scores")[:-2] + b"Content-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", service.port), 20) as connection:
        connection.sendall(head + b"Content-Length: 200000000\r\n\r\n" + b"[" * 100_000)
        return connection.recv(100)[9:12].decode()


def slow(service: Served, count: int = 50) -> tuple[int, float]:
    """How many of so many connections with endless headers were ended, and after how long."""
    began = time.monotonic()
    connections = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(count)]
    for connection in connections:
        connection.sendall(b"POST /v1/scores HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
    ended = 0
    for connection in connections:
        connection.settimeout(max(0.1, began + 15 - time.monotonic()))
        with suppress(OSError):
            ended += connection.recv(100)[9:12] == b"408"
        connection.close()
    return ended, time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--cases", type=int, default=100_000)
    chosen = parser.parse_args()
    with served(chosen.config, chosen.workspace, MILEPOST_LOG_REQUESTS="0") as service:
        _, _, told = asyncio.run(Connection(service.port).ask(service.request("GET", OPENAPI)))
        found = operations(json.loads(told))
        counts, wrong = asyncio.run(ask_all(service, cases_of(found, chosen.cases)))
        size, (ended, seconds) = large(service), slow(service)
        alive = service.ready()
    for named, statuses in sorted(counts.items()):
        print(f"  {named}: {dict(sorted(statuses.items()))}")
    asked = sum(statuses.total() for statuses in counts.values())
    print(f"{asked:,} bad bodies of {len(counts)} routes; {len(wrong)} wrong")
    print(f"200 MB: {size}; slow headers: {ended} of 50 ended after {seconds:.0f} s; then {alive}")
    for case in wrong[:5]:
        print(f"  wrong: {json.dumps(case.decode(errors='replace'))}")
    missed = {f"{one.method} {one.route}" for one in found} - set(counts)
    return 1 if wrong or missed or size != "413" or ended != 50 or alive != 200 else 0


if __name__ == "__main__":
    sys.exit(main())
