"""Bad bodies for every operation that takes one, made from the examples of the service itself.

Takes its OpenAPI document; gives for each operation bodies that are its example with one place,
its end or its bytes damaged so that no reader may take it.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

JSON = "application/json"
INTAKE = (
    "/v1/events", "/v1/batch", "/v1/track", "/v1/identify", "/v1/page", "/v1/screen", "/v1/group",
)  # fmt: skip
"""Routes that may set a bad row aside and say so in the place of refusing the body; Segment's
answer 200 to that, for its senders would try again for ever."""
MANY = "/v1/scores/batch"
"""Answers each of its requests by itself, a line of NDJSON each."""

HERE = "@here@"
UNREADABLE = [
    "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400, '"\\ud800"', '"\\udfff x"',
    '"\\u0000"', "[" * 60 + "]" * 60, "01", "+1", ".5", "0x10", "'a'", "tru", "", "1.5e", "-",
    '"\x01"', '{"a": 1, "a": "%s"}',
]  # fmt: skip
"""In the place of a value no JSON, or what no reader may take for a value."""


@dataclass(frozen=True)
class Operation:
    """What takes a body: its method, its route's template, and a body that fits."""

    method: str
    route: str
    example: Any

    @property
    def path(self) -> str:
        """An address of the route."""
        parts = [("x" if part.startswith("{") else part) for part in self.route.split("/")]
        return "/".join(parts)


def operations(description: dict[str, Any]) -> list[Operation]:
    """All that take a body of JSON."""
    kept = description["components"]["examples"]
    found = []
    for route, methods in description["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get(JSON)
            if content is None:
                continue
            given = [content["example"]] if "example" in content else [
                kept[one["$ref"].rpartition("/")[2]]["value"] if "$ref" in one else one["value"]
                for one in content["examples"].values()
            ]  # fmt: skip
            found += [Operation(method.upper(), route, _single(value)) for value in given]
    return found


def bad_bodies(operation: Operation, mark: str, count: int, rng: random.Random) -> list[bytes]:
    """So many bad bodies of an operation; those that hold a value of their own hold `mark`."""
    whole = json.dumps(operation.example)
    damages: list[Callable[[], bytes]] = [
        lambda: rng.choice(_holes(operation.example)).replace(
            f'"{HERE}"', rng.choice(UNREADABLE).replace("%s", mark)
        ).encode(),
        lambda: whole[: rng.randrange(len(whole))].encode(),
        lambda: not_utf8(whole.encode(), rng),
        lambda: f'{{"k": "{mark}", "k": {whole}}}'.encode(),
        lambda: f'{whole} "{mark}"'.encode(),
        lambda: ("[" * 40 + whole + "]" * 40).encode(),
    ]  # fmt: skip
    return [rng.choice(damages)() for _ in range(count)]


def not_utf8(raw: bytes, rng: random.Random) -> bytes:
    """Damage that no JSON survives: bytes that are not UTF-8 where they can't be overlooked."""
    place = rng.randrange(len(raw) + 1)
    return raw[:place] + rng.choice([b"\xff", b"\xc3\x28", b"\xed\xa0\x80"]) + raw[place:]


def _single(example: Any) -> Any:
    """The example with one row where it has many: a good row beside a bad one is taken."""
    if isinstance(example, list):
        return example[:1]
    if isinstance(example, dict):
        return {k: v[:1] if k in ("batch", "requests") else v for k, v in example.items()}
    return example


def _holes(value: Any) -> list[str]:
    """A body for each of its values, in whose place stands `HERE`."""
    return [json.dumps(one) for one in _each(value)]


def _each(value: Any) -> Iterator[Any]:
    yield HERE
    if isinstance(value, dict):
        for name, inner in value.items():
            for one in _each(inner):
                yield {**value, name: one}
    if isinstance(value, list):
        for i, inner in enumerate(value):
            for one in _each(inner):
                yield [*value[:i], one, *value[i + 1 :]]
