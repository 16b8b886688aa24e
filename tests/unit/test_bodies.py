"""Bodies of requests: what is read and what is refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from serving.bodies import (
    DEEPEST,
    InvalidRequestError,
    UnreadableError,
    described,
    fitted,
    is_longer,
    lines_of,
    strict_json,
)
from serving.schemas_scores import FeatureValue, ScoreRequest

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(['":', '" :', "{[", '\\":', "a: b"])
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", '":', '\\"', "x: y"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([None, 1]), st.sampled_from([":", " : ", "\t:\n"]))
def test_what_json_writes_is_read(value: Any, indent: int | None, colon: str) -> None:
    """Any JSON value is read as it was written, whatever blanks stand in it."""
    raw = json.dumps(value, indent=indent, separators=(",", colon)).encode()
    assert value == strict_json(raw)


@given(VALUES, VALUES, st.sampled_from([":", " :", "\n:", ": "]))
def test_a_key_that_comes_twice_is_refused(one: Any, other: Any, colon: str) -> None:
    """Equal keys in one object are refused wherever they stand and however they are written."""
    pair = f'"k"{colon}{json.dumps(one)},"\\u006b"{colon}{json.dumps(other)}'
    for raw in (f"{{{pair}}}", f'[1,{{"x":[{{{pair}}}]}}]', f'{{"a b: c\\":":1,{pair}}}'):
        with pytest.raises(UnreadableError):
            strict_json(raw.encode())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"NaN",
        b'{"a": Infinity}',
        b"[1e999]",
        b"-1e999",
        b"1" + b"0" * 5000,
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b'"\xed\xa0\x80"',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"a": "\\u0000"}',
        b'{"\\u0000": 1}',
        b"[" * 100_000,
        b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1),
        b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1),
        b"{'a': 1}",
        b"{} {}",
        b"01",
    ],
)
def test_doubtful_bodies_are_refused(raw: bytes) -> None:
    """What readers of JSON understand differently, or can't keep, is refused."""
    with pytest.raises(UnreadableError) as caught:
        strict_json(raw)
    assert len(str(caught.value)) < 80


def test_an_escaped_backslash_is_no_nul() -> None:
    """The text backslash-u0000 is text."""
    assert ["\\u0000"] == strict_json(json.dumps(["\\u0000"]).encode())


class Asked(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    count: int


class Lean(msgspec.Struct, forbid_unknown_fields=True):
    count: int
    names: dict[str, int] = {}


@pytest.mark.parametrize("value", [{"count": True}, {"count": "1"}, {"count": 1.5}, {}, [], None])
def test_nothing_is_coerced(value: Any) -> None:
    """A boolean, text or fraction is no integer, for either kind of model."""
    for model in (Asked, Lean):
        with pytest.raises(InvalidRequestError):
            fitted(value, model)


def test_a_refusal_repeats_no_value() -> None:
    """A refusal names the place and what was expected, not what came."""
    secret = "jane@example.com"
    for model, value in (
        (Asked, {"count": secret}),
        (Asked, {"count": 1, secret: secret}),
        (Lean, {"count": 1, "names": {secret: secret}}),
        (Lean, {"count": 1, secret: 1}),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            fitted(value, model)
        assert secret not in str(caught.value) + str(caught.value.places)
        assert caught.value.places[0]["place"].startswith("body")


def test_a_body_is_described_by_reference() -> None:
    """The description of a body refers to a schema that the app puts into OpenAPI."""
    body = described(Lean, example={"count": 1})["requestBody"]["content"]["application/json"]
    assert {"$ref": "#/components/schemas/Lean"} == body["schema"]


NUMBERS = (
    st.none()
    | st.floats(-1e15, 1e15)
    | st.sampled_from([1e15, -1e15, 1.1e15, -1e300, float("nan"), float("inf"), 1, True, "a", []])
)


@given(st.dictionaries(st.text(max_size=3), NUMBERS, max_size=6))
def test_a_vector_is_checked_alike_in_one_look(values: dict[str, Any]) -> None:
    """A vector of plain numbers, which is not looked at one by one, is taken or refused as each of
    its values is alone."""

    def taken(features: dict[str, Any]) -> bool:
        try:
            found = fitted({"problem": "p", "features": features}, ScoreRequest)
        except InvalidRequestError:
            return False
        assert found.features == features
        return True

    assert taken(values) == all(taken({name: value}) for name, value in values.items())
    alone = all(pydantic_takes(value) for value in values.values())
    assert taken(values) == alone


def pydantic_takes(value: Any) -> bool:
    """Whether a value of a vector is one, as its type says."""
    try:
        TypeAdapter(FeatureValue).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("line", [b"0", b" 0", b'{"a": 1}\r', b"\x0c0"])
def test_lines_are_read_up_to_their_limit(line: bytes) -> None:
    """Lines come as they are, blank ones not at all, and one too many tells that there are more."""
    body = b"\n \n".join([line] * 4)
    assert [line] * 4 == lines_of(body, 4) == lines_of(b"\n\n" + body + b"\n ", 9)
    assert [line] * 3 == lines_of(body, 2)
    assert [] == lines_of(b" \n\r\n\n", 1)


@pytest.mark.parametrize("element", [b"0", b'"a,b"', b'{"a":1,"a":2}', b"[1,2,3]", b"1e999"])
def test_an_array_is_counted_by_its_elements(element: bytes) -> None:
    """Commas inside an element count for nothing, and no element is looked at: a bad one after
    the limit is never reached."""
    arrays = [b"[" + b",".join([element] * n) + b"]" for n in (0, 1, 3, 4, 5)]
    assert [False, False, False, True, True] == [is_longer(each, 3) for each in arrays]
    assert is_longer(arrays[-1][:-1] + b", what is this?", 3)


@pytest.mark.parametrize("raw", [b"", b"1,2,3,4", b'{"a":[1,2,3,4,5]}', b"[1,,2,3,4", b"[" * 5000])
def test_what_is_no_array_is_no_long_one(raw: bytes) -> None:
    """It is left to the reading, which says what is wrong with it."""
    assert not is_longer(raw, 3)
