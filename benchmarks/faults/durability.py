"""kill -9 under write load: is everything that was acknowledged there, once and whole?

    python benchmarks/faults/durability.py --rounds 200 [--store sqlite|postgresql]

Each round starts a process that sends batches to the store from four threads and prints the
number of each batch once it is acknowledged; the process is killed at a random moment (every
other round of PostgreSQL the server is killed too), and then the store is counted. Printed are
acknowledged, lost and doubled events, torn batches, and the slowest start to the first
acknowledgement. Exit code 1 when something was lost, doubled or torn, or a start took longer than
`READY_WITHIN`.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from serving.database import Database, StoreUnavailableError
from serving.event_store import EventStore
from serving.intake import CANONICAL, Intake
from serving.migrations import upgrade

BATCH = 20
THREADS = 4
LONGEST = 0.8
"""Seconds after the first acknowledgement within which the kill comes."""
READY_WITHIN = 5.0
"""Seconds from a start to the first acknowledgement, at most."""


@dataclass
class Account:
    """What all rounds found."""

    rounds: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    torn: int = 0
    slowest: float = 0.0

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        return not (self.lost or self.doubled or self.torn) and self.slowest <= READY_WITHIN


class Server:
    """A PostgreSQL on loopback that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("initdb")
        places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        programs = Path(found).parent if found else places[-1].parent
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.prefix: list[str] = []
        self.folder = folder
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            self.prefix = ["runuser", "-u", "postgres", "--"]
            shutil.chown(folder, "postgres")
        self.programs, self.data = programs, folder / "data"
        subprocess.run(
            [*self.prefix, programs / "initdb", "-D", self.data, "-A", "trust", "-U", "postgres"],
            check=True, stdout=subprocess.DEVNULL, cwd=folder,
        )  # fmt: skip
        self.url = f"postgresql://postgres:unused@127.0.0.1:{self.port}/postgres"
        self.start()

    def start(self) -> None:
        """Start, again and again while helpers of a killed server still hold its memory."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            self.process = subprocess.Popen(
                [*self.prefix, self.programs / "postgres", "-D", self.data, "-p", str(self.port),
                 "-h", "127.0.0.1", "-k", self.folder],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder,
                start_new_session=True,
            )  # fmt: skip
            while self.process.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                    return
                time.sleep(0.05)
            time.sleep(0.1)
        raise RuntimeError("PostgreSQL did not start")

    def kill(self) -> None:
        """End the server and all its helpers, without a goodbye."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


def writer(url: str, number: int) -> None:
    """Send batches until killed; print each one's number when it is acknowledged."""
    database = Database(url)
    while True:
        try:
            upgrade(database)
            store = EventStore(database).workspace("faults")
            break
        except StoreUnavailableError:
            time.sleep(0.05)
    intake, turn = Intake(), threading.Lock()

    def send(thread: int) -> None:
        batch = 0
        while True:
            name = f"{number}-{thread}-{batch}"
            rows = [
                {"customer": f"c{(batch * BATCH + i) % 500}", "event": "e", "value": float(i),
                 "event_time": "2024-01-01", "event_id": f"{name}-{i}"}
                for i in range(BATCH)
            ]  # fmt: skip
            try:
                intake.take(store, rows, [CANONICAL] * BATCH).result()
            except StoreUnavailableError:
                time.sleep(0.02)
                continue  # the same batch again: it may be there already, and counts once
            with turn:
                print(name, flush=True)
            batch += 1

    for thread in range(THREADS):
        threading.Thread(target=send, args=(thread,)).start()


def one_round(url: str, number: int, server: Server | None, rng: random.Random) -> list[str]:
    """Start, load, kill; give the batches that were acknowledged, led by the seconds it took."""
    begin = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, __file__, "--writer", url, "--number", str(number)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    ready = time.monotonic() - begin
    time.sleep(rng.uniform(0, LONGEST))
    if server is not None and number % 2:
        server.kill()
    process.kill()
    heard = [first, *process.stdout.readlines()]
    process.wait()
    if server is not None and number % 2:
        server.start()
    return [f"{ready}", *(line.strip() for line in heard if line.endswith("\n"))]


def count(url: str, number: int, acknowledged: list[str], account: Account) -> None:
    """Hold what is stored of a round against what was acknowledged."""
    database = Database(url)
    deadline = time.monotonic() + 30
    while True:
        try:
            with database.reading() as connection:
                asked = text("select event_id from events where event_id like :mine")
                ids = [str(row[0]) for row in connection.execute(asked, {"mine": f"{number}-%"})]
            break
        except StoreUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    database.close()
    found: dict[str, int] = {}
    for event_id in ids:
        batch = event_id.rpartition("-")[0]
        found[batch] = found.get(batch, 0) + 1
    account.rounds += 1
    account.acknowledged += BATCH * len(acknowledged)
    account.doubled += len(ids) - len(set(ids))
    account.lost += sum(BATCH - found.get(batch, 0) for batch in acknowledged)
    account.torn += sum(count != BATCH for count in found.values())


def rounds_of(url: str, rounds: int, server: Server | None, seed: int = 1) -> Account:
    """All rounds on one store."""
    rng, account = random.Random(seed), Account()  # noqa: S311 - moments, not secrets
    for number in range(rounds):
        ready, *acknowledged = one_round(url, number, server, rng)
        account.slowest = max(account.slowest, float(ready))
        count(url, number, acknowledged, account)
    return account


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--writer", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.writer:
        writer(chosen.writer, chosen.number)
        return 0
    folder = Path(tempfile.mkdtemp(prefix="milepost-durability-"))
    server = Server(folder) if chosen.store == "postgresql" else None
    try:
        url = server.url if server else f"sqlite:///{folder / 'milepost.db'}"
        account = rounds_of(url, chosen.rounds, server)
    finally:
        if server is not None:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)
    print(
        f"{chosen.store}: {account.rounds} kills, {account.acknowledged:,} events acknowledged, "
        f"{account.lost} lost, {account.doubled} doubled, {account.torn} batches torn; ready after "
        f"at most {account.slowest:.1f} s (promised: {READY_WITHIN:g})"
    )
    return int(not account.kept)


if __name__ == "__main__":
    sys.exit(main())
