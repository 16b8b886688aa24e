"""Events that are acknowledged a second, on disk, at several sizes of batch.

    python benchmarks/event_store.py [--url URL] [--seconds 5]

Eight clients of one process send to the intake of a new SQLite, or of the database named; every
acknowledgement is a commit. Read the ratios: the disk decides.
"""

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

from serving.database import Database
from serving.event_store import EventStore, TenantStore
from serving.intake import CANONICAL, Intake
from serving.migrations import upgrade

CLIENTS = 8
SIZES = (1, 100, 10_000)


def rate(store: TenantStore, size: int, seconds: float) -> float:
    """Events acknowledged a second by all clients together."""
    intake, done, begin = Intake(), [0] * CLIENTS, time.monotonic()

    def send(client: int) -> None:
        batch = 0
        while time.monotonic() - begin < seconds:
            rows = [
                {"customer": f"c{(batch * 7919 + i * 31 + client) % 20_000}", "event": "order",
                 "event_time": f"2024-01-{i % 28 + 1:02d}T00:00:{batch % 60:02d}", "value": i / 7,
                 "channel": "web", "event_id": f"{size}-{client}-{batch}-{i}"}
                for i in range(size)
            ]  # fmt: skip
            intake.take(store, rows, [CANONICAL] * size).result()
            done[client] += size
            batch += 1

    threads = [threading.Thread(target=send, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    intake.close()
    return sum(done) / (time.monotonic() - begin)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url")
    parser.add_argument("--seconds", type=float, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(chosen.url or f"sqlite:///{Path(folder) / 'milepost.db'}")
        upgrade(database)
        for size in SIZES:
            store = EventStore(database).workspace(f"bench {size} {time.time()}")
            print(f"batch {size:>6,}: {rate(store, size, chosen.seconds):>9,.0f} events/s")
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
