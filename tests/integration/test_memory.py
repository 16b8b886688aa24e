"""What the engine takes beside its input and its output, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

PEAK = Path("/proc/self/clear_refs")
"""Linux's way of beginning anew with a process's highest use of memory."""

CUSTOMERS = 4_000

MEASURE = '''
import json, sys
from pathlib import Path
import numpy as np
import pyarrow as pa
from features.durations import DAY, days
from features.engine import Rows, compute, warm_up
from features.event_log import build_log, empty_log
from features.language import events

def used(what):
    """Bytes: VmRSS now, VmHWM at most so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))

n, threads = int(sys.argv[1]), int(sys.argv[2])
rng, size = np.random.default_rng(1), 100 * n
ids = pa.array([f"c{number:07}" for number in range(n)])
who = pa.DictionaryArray.from_arrays(np.repeat(np.arange(n, dtype=np.int32), 100), ids)
event = pa.array(np.array(["a", "b"])[rng.integers(0, 2, size)]).dictionary_encode()
log = build_log(who, rng.integers(0, 300 * DAY, size), event, None, {"value": rng.random(size)})
features = [
    made
    for some in (events(), events("a"), events("b"))
    for last in map(days, range(3, 33))
    for made in (some.count(last), some.sum("value", last), some.max("value", last),
                 some.gap_mean(last))
]
cutoff = np.tile(np.arange(100, 300, 50) * DAY, n)
rows, nobody = Rows(np.repeat(np.arange(n), 4), cutoff, cutoff), empty_log(log.customers)
warm_up()
compute(features, log, nobody, rows.take(np.arange(4_000)), threads=threads)
Path("/proc/self/clear_refs").write_text("5")
before = used("VmRSS")
matrix = compute(features, log, nobody, rows, threads=threads)
given = log.n_events * (8 + 4 + 8) + len(rows) * 3 * 8
print(json.dumps([used("VmHWM") - before - matrix.nbytes, matrix.nbytes + given]))
'''


@pytest.mark.skipif(not PEAK.exists(), reason="only Linux tells a process's peak anew")
@pytest.mark.parametrize("threads", [1, 2])
def test_memory_grows_with_the_input_and_the_output_alone(threads: int) -> None:
    """Four times the customers, of the same length, add no copy of a log or a matrix: what is
    used beside these grows by less than a twentieth of what they grow by."""
    beside, both = [], []
    for n in (CUSTOMERS, 4 * CUSTOMERS):
        command = [sys.executable, "-c", MEASURE, str(n), str(threads)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stderr
        peak, size = json.loads(done.stdout)
        beside.append(peak)
        both.append(size)
    assert both[1] > 100_000_000
    assert beside[1] - beside[0] < (both[1] - both[0]) / 20, (beside, both)
