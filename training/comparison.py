"""Two versions of a model side by side.

Takes a connected client, a model's name and two versions or aliases; gives what differs and a
table of it. Knows nothing about who ought to be champion.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from features.durations import format_moment
from features.errors import RegistryError
from models.registry import load_version, version_at
from training.versions import FINISHED_TAG, answers, existing

if TYPE_CHECKING:
    from mlflow import MlflowClient

WIDTH = 34
"""Letters of a column that holds words."""


@dataclass(frozen=True)
class Side:
    """One of the two."""

    version: str
    aliases: tuple[str, ...]
    facts: Mapping[str, str]
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    digests: Mapping[str, str]
    """Of the data sets, by part."""
    features: tuple[str, ...]


def side(client: "MlflowClient", name: str, asked: str) -> Side:
    """All that is known of a version, named by its number or an alias.

    Raises
    ------
    RegistryError
        When there is no such version, or its run was deleted.
    ModelFilesError
        When its files are not those that were registered.
    """
    with answers(name):
        number = asked if asked.isdigit() else version_at(client, name, asked)
        if number is None:
            raise RegistryError(f"{name} has no version with the alias {asked!r}.")
        existing(client, name, number)
        version = client.get_model_version(name, number)  # a search leaves the aliases out
        run = client.get_run(version.run_id)
        digests = {
            next((t.value for t in item.tags if t.key == "mlflow.data.context"), item.dataset.name):
            item.dataset.digest
            for item in run.inputs.dataset_inputs
        }  # fmt: skip
        facts = {k: v for k, v in version.tags.items() if not k.startswith("milepost.")}
        if (ended := version.tags.get(FINISHED_TAG)) is not None:
            facts["finished"] = format_moment(int(ended) // 1_000 * 1_000_000)
    model = load_version(client, name, number).model
    return Side(
        number, tuple(version.aliases), facts, run.data.metrics, run.data.params, digests,
        model.contract.names,
    )  # fmt: skip


def compare(a: Side, b: Side) -> str:
    """The two sides as tables: metrics with their difference, and of the rest what differs."""
    lines = [_row("", *(_title(s) for s in (a, b)), "difference")]
    for key in sorted({*a.metrics, *b.metrics}):
        x, y = a.metrics.get(key), b.metrics.get(key)
        change = "" if x is None or y is None else f"{y - x:+.4f}"
        lines.append(_row(key, _number(x), _number(y), change))
    for title, x_texts, y_texts in (
        ("facts", a.facts, b.facts),
        ("parameters", a.params, b.params),
        ("data digests", a.digests, b.digests),
    ):
        lines += ["", *_differences(title, x_texts, y_texts)]
    gone, new = ([n for n in x.features if n not in set(y.features)] for x, y in ((a, b), (b, a)))
    lines += ["", f"features: {len(a.features)} and {len(b.features)}"]
    lines += [f"  + {name}" for name in new] + [f"  - {name}" for name in gone]
    if not gone and not new:
        same = "in the same order" if a.features == b.features else "in another order"
        lines.append(f"  the same columns, {same}")
    return "\n".join(lines)


def _differences(title: str, a: Mapping[str, str], b: Mapping[str, str]) -> list[str]:
    differing = [key for key in sorted({*a, *b}) if a.get(key) != b.get(key)]
    if not differing:
        return [f"{title}: the same"]
    lines = [f"{title} that differ, of {len({*a, *b})}:"]
    for key in differing:
        x, y = a.get(key, "–"), b.get(key, "–")
        if max(len(x), len(y)) > WIDTH:
            lines += [f"  {key}", f"    {x}", f"    {y}"]
        else:
            lines.append(_row(f"  {key}", x, y))
    return lines


def _title(one: Side) -> str:
    aliases = f" ({', '.join(one.aliases)})" if one.aliases else ""
    return f"version {one.version}{aliases}"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == round(value) and abs(value) > 1 else f"{value:.4f}"


def _row(*cells: str) -> str:
    first, *others = cells
    return f"{first:<32}" + "".join(f"{cell:>{WIDTH}}" for cell in others[:2]) + "".join(
        f"{cell:>12}" for cell in others[2:]
    )  # fmt: skip
