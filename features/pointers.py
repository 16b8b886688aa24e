"""Addresses as pointers, and four doubles at a time, for compiled functions.

Knows nothing about events or features.
"""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call, call-arg, misc"
# ruff: noqa: ARG001

import operator
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, models, overload, register_model


def _address_as(element: Any):
    """An intrinsic that reads an address as an array of elements."""

    @intrinsic  # Numba calls both functions by position and gives all of these
    def view(typing, address):
        signature = types.CPointer(element)(types.int64)

        def generate(context, builder, signature, arguments):
            kind = context.get_value_type(signature.return_type)
            assert isinstance(kind, ir.PointerType)
            return builder.inttoptr(arguments[0], kind)

        return signature, generate

    return view


@intrinsic
def as_address(typing, pointer):
    """The address that a pointer holds."""
    signature = types.int64(pointer)

    def generate(context, builder, signature, arguments):
        return builder.ptrtoint(arguments[0], ir.IntType(64))

    return signature, generate


as_int64 = _address_as(types.int64)
as_int32 = _address_as(types.int32)
as_double = _address_as(types.float64)
as_float = _address_as(types.float32)


@njit(error_model="numpy")
def after(pointer, n):
    """The pointer to the element `n` of an int64 array."""
    return as_int64(as_address(pointer) + 8 * n)


@njit(error_model="numpy")
def doubles_after(pointer, n):
    """The pointer to the element `n` of an array of doubles."""
    return as_double(as_address(pointer) + 8 * n)


# ---- four doubles at a time ----


class FourType(types.Type):
    """Four doubles that one instruction works on."""

    def __init__(self) -> None:
        super().__init__(name="Four")


FOUR = FourType()
_DOUBLES, _INTEGERS = ir.VectorType(ir.DoubleType(), 4), ir.VectorType(ir.IntType(64), 4)
_NAN = ir.Constant(_DOUBLES, [float("nan")] * 4)
_ZERO = ir.Constant(_DOUBLES, [0.0] * 4)


@register_model(FourType)
class _FourModel(models.PrimitiveModel):
    def __init__(self, manager, kind) -> None:
        super().__init__(manager, kind, _DOUBLES)


def _at(builder, pointer, place, kind):
    return builder.bitcast(builder.gep(pointer, [place]), kind.as_pointer())


def _splat(builder, value, kind):
    """Four times one number."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), 4), [0] * 4)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), mask)


@intrinsic
def take(typing, pointer, place):
    """The four doubles from a place on."""

    def generate(context, builder, signature, arguments):
        return builder.load(_at(builder, *arguments, _DOUBLES), align=8)

    return FOUR(types.CPointer(types.float64), types.int64), generate


@intrinsic
def put(typing, pointer, place, four):
    """Write four doubles from a place on."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[2], _at(builder, *arguments[:2], _DOUBLES), align=8)
        return context.get_dummy_value()

    return types.void(types.CPointer(types.float64), types.int64, FOUR), generate


@intrinsic
def four_times(typing, value):
    """One double, four times."""

    def generate(context, builder, signature, arguments):
        return _splat(builder, arguments[0], _DOUBLES)

    return FOUR(types.float64), generate


@intrinsic
def since(typing, moment, pointer, place):
    """A moment minus each of the four whole numbers from a place on, as doubles."""

    def generate(context, builder, signature, arguments):
        moment, pointer, place = arguments
        four = builder.load(_at(builder, pointer, place, _INTEGERS), align=8)
        return builder.sitofp(builder.sub(_splat(builder, moment, _INTEGERS), four), _DOUBLES)

    return FOUR(types.int64, types.CPointer(types.int64), types.int64), generate


@intrinsic
def where_any(typing, count, four):
    """Each double whose count is above zero, the others NaN."""

    def generate(context, builder, signature, arguments):
        some = builder.fcmp_ordered(">", arguments[0], _ZERO)
        return builder.select(some, arguments[1], _NAN)

    return FOUR(FOUR, FOUR), generate


def _arithmetic(operate: str):
    @intrinsic
    def apply(typing, a, b):
        def generate(context, builder, signature, arguments):
            return getattr(builder, operate)(*arguments)

        return FOUR(FOUR, FOUR), generate

    return apply


_plus, _minus, _over = _arithmetic("fadd"), _arithmetic("fsub"), _arithmetic("fdiv")


@overload(operator.add)
def _add_fours(a, b):
    if isinstance(a, FourType) and isinstance(b, FourType):
        return lambda a, b: _plus(a, b)
    return None


@overload(operator.sub)
def _subtract_fours(a, b):
    if isinstance(a, FourType) and isinstance(b, FourType):
        return lambda a, b: _minus(a, b)
    return None


@overload(operator.truediv)
def _divide_fours(a, b):
    if isinstance(a, FourType) and isinstance(b, FourType):
        return lambda a, b: _over(a, b)
    return None
