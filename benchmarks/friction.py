"""Planted friction: does the journey map find the touchpoints that hurt, and tell by how much?

Simulates the same business again and again with known truth (`features.simulation_friction`),
draws its journey map each time as training does, and counts: how often the three planted
touchpoints are ranks 1 to 3, how often 90 % intervals cover the true effect, how often one
without effect is flagged, and what the unadjusted ranking would have said. Stage flows are
compared with those that were drawn, to the last transition.
"""

import argparse
import json
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from features.config import Business
from features.cutoffs import resolve
from features.simulation_friction import (
    HARM,
    HARMLESS,
    PAGES,
    STAGES,
    FrictionWorld,
    business_said,
    simulate_friction,
)
from features.sources import Histories
from models.journey_map import Map
from training.journey_map import journey_map

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "friction.json"


def main() -> None:
    chosen = _arguments()
    began = time.monotonic()
    with ProcessPoolExecutor(chosen.processes) as pool:
        seeds = range(chosen.first, chosen.first + chosen.runs)
        runs = []
        for run in pool.map(partial(one_run, chosen.customers), seeds):
            runs.append(run)
            print(_line(run), flush=True)
    found = counts(runs) | {
        "customers": chosen.customers, "seconds": round(time.monotonic() - began),
    }  # fmt: skip
    print(json.dumps(found, indent=1))
    chosen.json.parent.mkdir(exist_ok=True)
    chosen.json.write_text(json.dumps(found, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--customers", type=int, default=8_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, default=RESULTS)
    return parser.parse_args()


def map_of(world: FrictionWorld) -> Map:
    """The journey map of a simulated business, as training draws it."""
    business = Business.model_validate({**business_said(), "events": [{"sql": "simulated"}]})
    attributes = world.attributes.aligned(world.log.customers)
    histories = Histories(world.log, attributes, (), world.end, "")
    problem = resolve(business.problem("conversion"), world.log, attributes)
    return journey_map(business, "conversion", problem, histories)


def one_run(n_customers: int, seed: int) -> dict[str, Any]:
    """What the map of one world says, beside the truth."""
    world = simulate_friction(n_customers, seed)
    whole = map_of(world)["parts"][0]
    touchpoints = whole["touchpoints"]
    seen = {one["event"]: one for one in touchpoints}
    return {
        "seed": seed,
        "ranked": [one["event"] for one in touchpoints[: len(HARM)]],
        "unadjusted": [
            one["event"] for one in sorted(touchpoints, key=lambda one: one["unadjusted_rank"])
        ][: len(HARM)],
        "effects": {
            name: {
                "true": round(world.true_effect[name], 4),
                **{key: seen[name][key] for key in ("effect", "low", "high", "unadjusted")},
            }
            for name in (*HARM, *HARMLESS)
        },
        "flagged": sorted(
            name
            for name, one in seen.items()
            if name in (*HARMLESS, *PAGES) and one["surely"] and one["hurts"]
        ),
        "flows_equal": flows_of(world) == told_flows(whole),
    }


def flows_of(world: FrictionWorld) -> Counter[tuple[str, str]]:
    """The transitions between visits that were drawn, counted one by one."""
    found: Counter[tuple[str, str]] = Counter()
    for walk in world.visits:
        for here, there in pairwise(walk):
            if here != there:
                found[STAGES[here], STAGES[there]] += 1
    return found


def told_flows(part: dict[str, Any]) -> Counter[tuple[str, str]]:
    return Counter({(one["source"], one["target"]): one["times"] for one in part["transitions"]})


def counts(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """How often each claim held."""
    return {
        "runs": len(runs),
        "planted_are_ranks_1_to_3": sum(set(run["ranked"]) == set(HARM) for run in runs),
        "unadjusted_ranks_1_to_3": sum(set(run["unadjusted"]) == set(HARM) for run in runs),
        "covered": {
            name: sum(
                run["effects"][name]["low"]
                <= run["effects"][name]["true"]
                <= run["effects"][name]["high"]
                for run in runs
            )
            for name in (*HARM, *HARMLESS)
        },
        "mean_error": {
            name: round(
                float(
                    np.mean(
                        [
                            run["effects"][name]["effect"] - run["effects"][name]["true"]
                            for run in runs
                        ]
                    )
                ),
                4,
            )
            for name in (*HARM, *HARMLESS)
        },
        "runs_that_flag_a_harmless_one": sum(bool(run["flagged"]) for run in runs),
        "flows_equal": sum(run["flows_equal"] for run in runs),
    }


def _line(run: dict[str, Any]) -> str:
    return (
        f"{run['seed']:4d}  {', '.join(run['ranked']):48s}  unadjusted: "
        f"{', '.join(run['unadjusted']):48s}  flagged: {', '.join(run['flagged']) or '-'}"
    )


if __name__ == "__main__":
    main()
