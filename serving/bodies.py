"""Bodies of requests, read strictly: what is doubtful is refused, and nothing is coerced.

Takes a request; gives JSON values, models or lines. Equal keys, NaN, numbers beyond floats, lone
surrogates, the character NUL and deep nesting are refused, and a refusal repeats no value. In a
route, after `tenant_of`:

    value = await read_json(request)                  # any JSON value
    asked = await read_model(request, ScoreRequest)   # pydantic model or msgspec Struct
    lines = await read_lines(request, 1000)           # NDJSON, each line still bytes
    value = strict_json(line)                         # one line; raises UnreadableError

and `openapi_extra=described(ScoreRequest, example={...})` documents the body of the route.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from itertools import chain, islice
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from features.errors import MilepostError

JSON = ("application/json",)
NDJSON = ("application/x-ndjson", "application/jsonl", "application/ndjson")
DEEPEST = 32
"""Levels of lists and objects; a request needs four."""
MOST_FAULTS = 20
"""So many places of a body that does not fit are named."""
DEFINITIONS: dict[str, Any] = {}
"""JSON schemas of bodies, by name; the app puts them into its OpenAPI document."""

Model = TypeVar("Model")


class UnreadableError(MilepostError):
    """A body that is not JSON as this service reads it."""

    code = "request_unreadable"


class MediaTypeError(MilepostError):
    """A body of a kind that the route does not read."""

    code = "media_type_unsupported"


class InvalidRequestError(MilepostError):
    """A body that is JSON and does not fit; `places` says where and why, without its values."""

    code = "request_invalid"

    def __init__(self, places: list[dict[str, str]]) -> None:
        super().__init__(f"The request does not fit. {places[0]['place']}: {places[0]['reason']}.")
        self.places = places


async def read_bytes(request: Request, kinds: Collection[str] = JSON) -> bytes:
    """The whole body, which must say that it is of one of these media types in UTF-8."""
    given = _media_type(request)
    if given not in kinds:
        kind, _, more = given.partition(";")
        charset = re.fullmatch(r'\s*(charset="?utf-8"?\s*)?', more, re.IGNORECASE)
        if kind.strip().lower() not in kinds or charset is None:
            raise MediaTypeError(f"Send the body as Content-Type: {' or '.join(kinds)}, in UTF-8.")
    return await request.body()


def _media_type(request: Request) -> str:
    """What a request says that its body is; Starlette's own look takes longer."""
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            return str(value, "latin-1")
    return ""


async def read_json(request: Request) -> Any:
    """The body as a JSON value."""
    return strict_json(await read_bytes(request))


async def read_model(request: Request, model: type[Model]) -> Model:
    """The body as a pydantic model or a msgspec Struct, strictly.

    Raises
    ------
    MediaTypeError, UnreadableError, InvalidRequestError
    """
    return fitted(await read_json(request), model)


async def read_lines(request: Request, most: int) -> list[bytes]:
    """The lines of an NDJSON body that hold anything; each is for `strict_json`.

    Of a body with more than `most` one more is given, and the others are not looked at.
    """
    return lines_of(await read_bytes(request, NDJSON), most)


def lines_of(body: bytes, most: int) -> list[bytes]:
    """The first lines that hold anything: all, or `most` and one more."""
    lines, end = [], 0
    for found in islice(re.finditer(rb"\S[^\n]*", body), most + 1):
        begin = body.rfind(b"\n", end, found.start()) + 1  # blanks before it belong to the line
        lines.append(body[begin or end : found.end()])
        end = found.end()
    return lines


@lru_cache
def _array_of(most: int) -> msgspec.json.Decoder[Any]:
    """Decodes an array of at most so many elements, of which it looks at none.

    It is a record, whose fields are the elements: unlike for lists, msgspec stops at the first
    that is too many.
    """
    elements = [(f"e{i}", msgspec.Raw, msgspec.UNSET) for i in range(most)]
    record = msgspec.defstruct("Array", elements, array_like=True, forbid_unknown_fields=True)
    return msgspec.json.Decoder(record)


def is_longer(raw: bytes, most: int) -> bool:
    """Whether JSON is an array of more elements; it is read no further than to the first of them.

    What is no JSON, or no array, is not longer.
    """
    if raw.count(b",") < most:
        return False
    try:
        _array_of(most).decode(raw)
    except (msgspec.ValidationError, RecursionError) as error:
        return "at most length" in str(error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return False


def is_lines(request: Request) -> bool:
    """Whether a request says that its body is NDJSON."""
    kind = _media_type(request).partition(";")[0]
    return kind.strip().lower() in NDJSON


def fitted(value: Any, model: type[Model]) -> Model:
    """A JSON value as a model; raises InvalidRequestError."""
    try:
        if issubclass(model, BaseModel):
            return model.model_validate(value)
        return msgspec.convert(value, model, strict=True)
    except ValidationError as error:
        raise InvalidRequestError(places_of(error.errors(), "body")) from None
    except msgspec.ValidationError as error:
        raise InvalidRequestError([_place(error)]) from None


def strict_json(raw: bytes) -> Any:
    """Decode JSON and refuse whatever two readers might understand differently.

    Raises
    ------
    UnreadableError
        When it is no JSON, a key comes twice, a number is beyond floats, or it is too deep.
    """
    try:
        value = msgspec.json.decode(raw)
    except RecursionError:
        raise UnreadableError(_TOO_DEEP) from None
    except msgspec.ValidationError:
        raise UnreadableError("A number of the body is too large.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UnreadableError("The body is not valid JSON in UTF-8.") from None
    n_keys = _keys(value, raw.count(b"{") + raw.count(b"["))
    if n_keys != raw.count(b":") and n_keys != raw.translate(None, b" \t\r\n").count(b'":'):
        _refuse_doubles(raw)
    if b"\\u0000" in raw and _holds_nul(value):
        raise UnreadableError("Text of the body holds the character NUL.")
    return value


def places_of(faults: Iterable[Mapping[str, Any]], prefix: str = "") -> list[dict[str, str]]:
    """Where pydantic says a request does not fit and why, without its values."""
    places = []
    for fault in islice(faults, MOST_FAULTS):
        steps = [str(step) for step in (*((prefix,) if prefix else ()), *fault["loc"])]
        reason = str(fault["msg"]).removeprefix("Value error, ")
        places.append({"place": ".".join(map(_shown, steps)), "reason": _printable(reason)})
    return places


def described(model: type[Any], example: Any = None, lines: str | None = None) -> dict[str, Any]:
    """`openapi_extra` of a route whose body is this model; its schema goes to DEFINITIONS.

    With `lines`, an example of them, the route reads NDJSON too.
    """
    prefix = "#/components/schemas/"
    if issubclass(model, BaseModel):
        schema = model.model_json_schema(ref_template=prefix + "{model}")
        DEFINITIONS.update(schema.pop("$defs", {}))
        DEFINITIONS[model.__name__] = schema
    else:
        _, found = msgspec.json.schema_components((model,), ref_template=prefix + "{name}")
        DEFINITIONS.update(found)
    content: dict[str, Any] = {"schema": {"$ref": prefix + model.__name__}}
    if example is not None:
        content["example"] = example
    kinds = {JSON[0]: content}
    if lines is not None:
        kinds[NDJSON[0]] = {"schema": {"type": "string"}, "example": lines}
    return {"requestBody": {"required": True, "content": kinds}}


_TOO_DEEP = f"The body is nested deeper than {DEEPEST} levels."
_CONTAINERS = frozenset((dict, list))


def _keys(value: Any, most: int) -> int:
    """How many keys all objects of a value have; `most` is how many containers it can hold.

    Every key of a text is followed by a colon, and by `":` where there are no blanks. So if the
    text has no more of them than the value has keys, no key came twice; text that holds them
    within a string only makes a closer look necessary. This is several times faster than a hook
    for each object.
    """
    count = depth = seen = 0
    level = [value] if type(value) in _CONTAINERS else []
    while level:
        depth, seen = depth + 1, seen + len(level)
        if depth > DEEPEST:
            raise UnreadableError(_TOO_DEEP)
        objects = [each for each in level if type(each) is dict]
        count += sum(map(len, objects))
        if seen == most:
            break
        lists = [each for each in level if type(each) is list]
        inside = chain(chain.from_iterable(map(dict.values, objects)), chain.from_iterable(lists))
        level = [each for each in inside if type(each) in _CONTAINERS]
    return count


def _refuse_doubles(raw: bytes) -> None:
    """Read the text again, slowly, object by object; msgspec has accepted it already."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise UnreadableError("A key of the body comes twice in one object.")
        return found

    try:
        json.loads(raw, object_pairs_hook=once)
    except ValueError:
        raise UnreadableError("The body is not valid JSON in UTF-8.") from None


def _holds_nul(value: Any) -> bool:
    """Whether any text of a value holds the character that PostgreSQL can't keep."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(map(_holds_nul, (*value, *value.values())))
    return isinstance(value, list) and any(map(_holds_nul, value))


def _place(error: msgspec.ValidationError) -> dict[str, str]:
    reason, _, path = str(error).rpartition(" - at ")
    reason = re.sub(r"(unknown field|nvalid enum value) .*", r"\1", reason or path)
    path = path if path.startswith("`$") else "body"
    place = path.strip("`").replace("$", "body").replace("[", ".").replace("]", "")
    return {"place": place or "body", "reason": _printable(reason)}


def _shown(step: str) -> str:
    """A step of a place; a key that was made to be shown is not."""
    return step if re.fullmatch(r"[\w-]{1,64}", step) else "…"


def _printable(text: str) -> str:
    """Text that can be encoded; a request's own keys may hold lone surrogates."""
    return text.encode(errors="replace").decode()[:300]
