"""Versions of a problem's model and who of them is champion: promote, reject, roll back.

Takes a connected client and a model's name; moves aliases and writes down when and why. The
history of champions is a tag of the registered model, so any tool can read it. Knows nothing
about how versions are made or judged.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from features.durations import format_moment
from features.errors import RegistryError
from models.registry import (
    CHALLENGER,
    CHAMPION,
    FORCED_TAG,
    GATE_TAG,
    REASONS_TAG,
    first_line,
    refusals,
    version_at,
)
from training.clock import now_ms

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENTRY_TAG, FINISHED_TAG = "milepost.entry", "milepost.finished"
"""Which finished run a version is, and when that run ended, milliseconds since 1970."""

REJECTED_TAG, REJECTED_AT_TAG = "milepost.rejected", "milepost.rejected_at"
BESIDE_TAG = "milepost.gate_champion"
"""Beside which champion the gate looked at a version; empty without one."""
PASSED, REFUSED = "passed", "refused"

CHAMPIONS_TAG = "milepost.champions"
MOST_CHAMPIONS = 50
"""How many moves of the champion's alias are remembered: MLflow holds 5,000 letters a tag."""

How = Literal["first", "promoted", "rolled back"]


@dataclass(frozen=True)
class Reign:
    """A version became the champion."""

    version: str
    at: str
    """ISO 8601, UTC."""
    how: How


def version_of(client: "MlflowClient", name: str, tag: str, value: str) -> Any | None:
    """The version that carries a tag, None when there is none."""
    return next(
        iter(client.search_model_versions(f"name = '{name}' and tags.`{tag}` = '{value}'")), None
    )


def point_aliases(client: "MlflowClient", name: str, version: str) -> list[str]:
    """Make a new version the challenger, and the champion where there is none and the gate lets it.

    A version whose run ended before that of today's challenger gets no alias: it comes late.
    """
    aliases = []
    champion, challenger = (version_at(client, name, alias) for alias in (CHAMPION, CHALLENGER))
    if not any(_is_newer(client, name, other, version) for other in (champion, challenger)):
        client.set_registered_model_alias(name, CHALLENGER, version)
        aliases.append(CHALLENGER)
    if champion is None and _gate_of(client, name, version) == PASSED:
        _crown(client, name, version, "first")
        champion = version
    if champion == version:
        aliases.append(CHAMPION)
    return aliases


def promote(
    client: "MlflowClient", name: str, version: str | None = None, because: str = ""
) -> str:
    """Make a version (the challenger unless told) the champion; give its number.

    Parameters
    ----------
    because
        Why the gate is not heeded; kept as a tag of the version.

    Raises
    ------
    RegistryError
        When there is no such version, it was rejected, or the gate refuses it and no reason
        is given.
    """
    with answers(name):
        chosen = version or version_at(client, name, CHALLENGER)
        if chosen is None:
            raise RegistryError(f"{name} has no challenger to promote. Train one first.")
        reason = existing(client, name, chosen).tags.get(REJECTED_TAG)
        if reason is not None:
            raise RegistryError(
                f"{name} version {chosen} was rejected: {reason}. Train another one, or delete "
                f"its tag {REJECTED_TAG} in MLflow."
            )
        if version_at(client, name, CHAMPION) != chosen:
            if because:
                client.set_model_version_tag(name, chosen, FORCED_TAG, because)
            else:
                _heed_gate(client, name, chosen)
            _crown(client, name, chosen, "promoted")
        return chosen


def _heed_gate(client: "MlflowClient", name: str, version: str) -> None:
    """Raise `RegistryError` unless the gate passed a version beside today's champion."""
    tags = existing(client, name, version).tags
    champion = version_at(client, name, CHAMPION) or ""
    mend = (
        "Train a better one, or promote it all the same and say why: --force 'the old one is of "
        "another market'."
    )
    if tags.get(GATE_TAG) != PASSED:
        why = tags.get(REASONS_TAG) or "it was never asked."
        raise RegistryError(f"The gate refuses {name} version {version}: {why} {mend}")
    if champion and tags.get(BESIDE_TAG, "") != champion:
        raise RegistryError(
            f"The gate has not seen {name} version {version} beside today's champion, version "
            f"{champion}. Train again, and the two are compared on the newest labels. {mend}"
        )


def _gate_of(client: "MlflowClient", name: str, version: str) -> str:
    return str(existing(client, name, version).tags.get(GATE_TAG, REFUSED))


def reject(client: "MlflowClient", name: str, reason: str, version: str | None = None) -> str:
    """Take the challenger's alias from a version and write down why; give its number.

    Raises
    ------
    RegistryError
        When there is no such version, or it is the champion.
    """
    with answers(name):
        challenger = version_at(client, name, CHALLENGER)
        chosen = version or challenger
        if chosen is None:
            raise RegistryError(f"{name} has no challenger to reject. Train one first.")
        existing(client, name, chosen)
        if chosen == version_at(client, name, CHAMPION):
            raise RegistryError(
                f"{name} version {chosen} is the champion and is served. Put the one before it "
                "back with rollback, or promote another version; then reject it."
            )
        client.set_model_version_tag(name, chosen, REJECTED_TAG, reason)
        client.set_model_version_tag(name, chosen, REJECTED_AT_TAG, _now())
        if chosen == challenger:
            client.delete_registered_model_alias(name, CHALLENGER)
        return chosen


def rollback(client: "MlflowClient", name: str) -> tuple[str, str]:
    """Put the champion before today's back; give the numbers of the new and the old one.

    Rolling back twice goes back twice. Versions that were rejected or deleted since are
    passed over.

    Raises
    ------
    RegistryError
        When there is no champion, or none before it.
    """
    with answers(name):
        now = version_at(client, name, CHAMPION)
        if now is None:
            raise RegistryError(f"{name} has no champion to roll back. Train it first.")
        for earlier in reversed(_before(champions(client, name), now)):
            if _is_fit(client, name, earlier):
                _crown(client, name, earlier, "rolled back")
                return earlier, now
        raise RegistryError(
            f"{name} has no champion before version {now} to go back to. Name a version with: "
            "python -m training promote CONFIG --version N"
        )


def champions(client: "MlflowClient", name: str) -> list[Reign]:
    """Who was champion since when, oldest first."""
    text = client.get_registered_model(name).tags.get(CHAMPIONS_TAG, "[]")
    try:
        return [Reign(**item) for item in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise RegistryError(
            f"The tag {CHAMPIONS_TAG} of {name} was altered and can't be read ({error}). Delete "
            "it in MLflow; the history of champions then begins anew."
        ) from error


def existing(client: "MlflowClient", name: str, version: str) -> Any:
    """A version, or an error that names those there are."""
    found = {str(v.version): v for v in client.search_model_versions(f"name = '{name}'")}
    if version in found:
        return found[version]
    known = ", ".join(sorted(found, key=int)) or "none; train one first"
    raise RegistryError(f"{name} has no version {version}. Versions: {known}.")


@contextmanager
def answers(name: str) -> Iterator[None]:
    """What MLflow refuses about a model, as an error of ours."""
    try:
        yield
    except refusals() as error:
        raise RegistryError(
            f"The registry refuses what was asked of {name}: {first_line(error)}."
        ) from error


def _crown(client: "MlflowClient", name: str, version: str, how: How) -> None:
    """Write the history down, then move the alias: a crash between leaves an old champion."""
    reigns = champions(client, name)
    now = version_at(client, name, CHAMPION)
    if now is not None and (not reigns or reigns[-1].version != now):
        # Somebody moved the alias in MLflow itself, or a crash kept it from moving.
        reigns.append(Reign(now, _now(), "promoted"))
    reigns = [*reigns, Reign(version, _now(), how)][-MOST_CHAMPIONS:]
    text = json.dumps([vars(reign) for reign in reigns])
    client.set_registered_model_tag(name, CHAMPIONS_TAG, text)
    client.set_registered_model_alias(name, CHAMPION, version)


def _before(reigns: list[Reign], now: str) -> list[str]:
    """The champions before `now`, oldest first, without those that were rolled back."""
    line: list[str] = []
    for reign in reigns:
        if reign.version in line:
            line = line[: line.index(reign.version)] if reign.how == "rolled back" else line
        line = [v for v in line if v != reign.version] + [reign.version]
    if now in line:
        return line[: line.index(now)]
    return line


def _is_fit(client: "MlflowClient", name: str, version: str) -> bool:
    found = client.search_model_versions(f"name = '{name}'")
    return any(str(v.version) == version and REJECTED_TAG not in v.tags for v in found)


def _is_newer(client: "MlflowClient", name: str, other: str | None, version: str) -> bool:
    if other is None or other == version:
        return False
    ended = [
        int(client.get_model_version(name, v).tags.get(FINISHED_TAG, 0)) for v in (other, version)
    ]
    return ended[0] > ended[1]


def _now() -> str:
    return format_moment(now_ms() // 1_000 * 1_000_000)
