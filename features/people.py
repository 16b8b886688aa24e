"""Whose a customer is, as journey.toml says it: `[people] owner` names an attribute.

Takes its name and the kinds of what the histories hold; refuses a name that can't be meant. Knows
nothing about files, stores or who the people are.
"""

from collections.abc import Mapping

from features.errors import ConfigError, nearest
from features.event_log import CATEGORY


def check_owner(name: str | None, stated: Mapping[str, str], happened: Mapping[str, str]) -> None:
    """Refuse an attribute that doesn't say whose a customer is.

    Parameters
    ----------
    stated, happened
        The kinds of customers' attributes and of events' properties.

    Raises
    ------
    ConfigError
    """
    if name is None or stated.get(name) == CATEGORY:
        return
    asked = f"[people] owner is {name!r}, but"
    if name in stated:
        raise ConfigError(
            f"{asked} that attribute is a {stated[name]}. An owner is text; cast it in the SQL: "
            f"{name}::varchar as {name}."
        )
    if name in happened:
        raise ConfigError(
            f"{asked} only events carry it. Yield it with [customers], dated by valid_from if "
            "customers change hands."
        )
    texts = [each for each, kind in stated.items() if kind == CATEGORY]
    raise ConfigError(f"{asked} no attribute of customers is called so.{nearest(name, texts)}")
