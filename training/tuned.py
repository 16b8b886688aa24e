"""The parameters that a search found, between the search that writes them and the fit that reads.

Takes and gives a small JSON file in the workspace. Knows nothing about how a search works.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from features.config import Business
from features.errors import ConfigError

TUNED = "tuned.json"
LOOSE = {"seed", "value", "action"}
"""What of a problem's declaration changes no label and no column."""


@dataclass(frozen=True)
class Tuned:
    """What a search found, and whether it is worth using."""

    definition: str
    """Digest of what is predicted for whom, and of which columns there may be."""
    parameters: dict[str, Any]
    """The best trial's parameters of LightGBM, in place of the default ones."""
    rounds: int
    """Of the best trial; a fit still stops by its own validation part."""
    objective: float
    """Mean log loss over the periods before the test part, of the best trial."""
    default_objective: float
    """The same of the default parameters, with their own best number of rounds."""
    gain: float
    """The default's log loss less the best's, both fitted again with other seeds."""
    gain_error: float
    """Standard error of the gain."""
    gain_by_period: list[float]
    beats_noise: bool
    """Whether training uses the parameters."""
    n_trials: int
    data_digest: str
    """Of the histories that were searched on; newer ones may use the parameters too."""

    def says(self) -> str:
        """The verdict in a line."""
        if not any(self.gain_by_period):
            return f"none of {self.n_trials} trials was better than the default"
        found = f"log loss {self.gain:+.5f} better than the default (standard error "
        found += f"{self.gain_error:.5f}, {len(self.gain_by_period)} periods, "
        found += f"{self.n_trials} trials)"
        return found if self.beats_noise else f"{found}, no more than noise"


def definition_of(business: Business, name: str) -> str:
    """A digest of a problem's definition and of what decides its columns; not of any data."""
    problem = business.problem(name).model_dump(mode="json", by_alias=True, exclude=LOOSE)
    chosen = business.features
    own = "" if chosen.own is None else Path(chosen.own).read_text()
    whole = [problem, chosen.model_dump(mode="json", exclude={"own"}), business.stages, own]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def write_tuned(folder: Path, tuned: Tuned) -> Path:
    """Write the file, whole or not at all."""
    path = folder / TUNED
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(tuned), indent=1, sort_keys=True) + "\n")
    part.replace(path)
    return path


def read_tuned(folder: Path) -> Tuned | None:
    """What the last search of a problem found; None when there was none.

    Raises
    ------
    ConfigError
        When the file can't be read.
    """
    path = folder / TUNED
    try:
        return Tuned(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"The parameters in {path} can't be read ({error}). They were written by another "
            "version of Milepost or altered since; remove the file, or run `python -m training "
            "tune` again, or train with --untuned."
        ) from error


def usable(folder: Path, business: Business, name: str) -> tuple[Tuned | None, str]:
    """The parameters that a fit should use, None for the default ones; and why, in a line.

    The line is empty where nobody ever searched.
    """
    tuned = read_tuned(folder)
    if tuned is None:
        return None, ""
    if tuned.definition != definition_of(business, name):
        return None, (
            "default parameters: the tuned ones were found for another definition of the problem "
            "or its columns; run tune again"
        )
    if not tuned.beats_noise:
        return None, f"default parameters: {tuned.says()}"
    return tuned, f"tuned parameters: {tuned.says()}"


def as_told(tuned: Tuned | None) -> Mapping[str, Any] | None:
    """What the contract and the summary for programs hold."""
    if tuned is None:
        return None
    return {
        "parameters": tuned.parameters,
        "n_trials": tuned.n_trials,
        "gain": tuned.gain,
        "gain_error": tuned.gain_error,
        "data_digest": tuned.data_digest,
    }
