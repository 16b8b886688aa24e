"""A business's own features: a Python file beside its `journey.toml`.

Takes the file; gives the features of its list `FEATURES`. The file is run when a model is
trained and never afterwards: what it defines is written into the model's contract. Knows
nothing about logs.
"""

import runpy
from pathlib import Path

from features.errors import ConfigError
from features.feature import Feature

EXAMPLE = 'FEATURES = [events("login").count(last=days(3))]'


def own_features(path: str | None) -> tuple[Feature, ...]:
    """The features that a business adds; none without a file.

    Raises
    ------
    ConfigError
        When the file is absent, fails, or has no list `FEATURES` of features.
    """
    if path is None:
        return ()
    if not Path(path).is_file():
        raise ConfigError(f"[features] own names {path}, but there is no such file.")
    try:
        defined = runpy.run_path(path)
    except (Exception, SystemExit) as error:  # whatever a business's file does wrong
        raise ConfigError(f"{path} fails: {type(error).__name__}: {error}.") from error
    found = defined.get("FEATURES")
    if not isinstance(found, list | tuple):
        raise ConfigError(f"{path} defines no list FEATURES; write, for example, {EXAMPLE}.")
    for number, feature in enumerate(found, start=1):
        if not isinstance(feature, Feature):
            raise ConfigError(
                f"{path}: item {number} of FEATURES is {feature!r}, not a feature. A choice of "
                f"events becomes one when something is computed of it: {EXAMPLE}."
            )
    return tuple(found)
