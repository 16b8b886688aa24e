"""What can be wrong with a business's configuration, histories or models.

Each message is one paragraph for the person who can mend it: what was found, what was
expected, what to do. `code` is stable and meant for machines. Knows nothing about HTTP or
exit codes: whoever shows an error decides that.
"""

import difflib
from collections.abc import Iterable


class MilepostError(Exception):
    """Something a person can mend; the text says where and how."""

    code = "milepost_error"


class ConfigError(MilepostError):
    """A `journey.toml` that cannot be used as it is written."""

    code = "config_invalid"


class SourceError(MilepostError):
    """A source whose SQL fails or whose rows cannot be used."""

    code = "source_unusable"


class ProblemError(MilepostError):
    """A problem that these histories cannot answer, such as an empty cohort."""

    code = "problem_unanswerable"


class ShortHistoryError(ProblemError):
    """A history in which no cutoff has room for its window."""

    def __init__(self, says: str) -> None:
        super().__init__(
            f"The history is too short: {says[0].lower()}{says[1:]} Bring a longer history, or "
            "shorten the horizon or the gap."
        )
        self.says = says
        """How long it is, and how long it would have to be, in one sentence."""


class HistoryError(MilepostError):
    """A history handed in from outside that does not fit the model's columns."""

    code = "history_invalid"


class SimulationError(MilepostError):
    """Settings that can't be simulated, or a question that the simulation can't answer."""

    code = "simulation_invalid"


class ModelFilesError(MilepostError):
    """A model's files are missing, altered or of another format."""

    code = "model_files_invalid"


class RegistryError(MilepostError):
    """The registry is out of reach or has no such model."""

    code = "registry_unavailable"


class BucketError(MilepostError):
    """A folder of bucketed histories that is not there, damaged, or of other histories."""

    code = "buckets_invalid"


class ClusterError(MilepostError):
    """The engine beyond this process is missing, out of reach, or failed."""

    code = "cluster_unavailable"


def nearest(word: str, known: Iterable[str]) -> str:
    """Name the known word nearest to `word`, as a phrase to end a message with.

    Returns ``" Did you mean 'horizon'?"``, or, when nothing is near, the known words.
    """
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    if close:
        return f" Did you mean {close[0]!r}?"
    if not choices:
        return ""
    shown = ", ".join(repr(choice) for choice in choices[:12])
    return f" Known: {shown}{', …' if len(choices) > 12 else ''}."
