"""Several doubles at once, for compiled passes: a vector type that Numba's functions can use.

Arithmetic on `WIDTH` numbers side by side becomes one instruction of the processor, without
hoping that a compiler finds out. Every lane is rounded as IEEE 754 says, a product and sum in
`fused` once, so an answer has the same bits in any lane and on any machine. Knows nothing about
what is computed. Numba does not notice when this file changes: touch the files that use it.
"""
# mypy: disable-error-code="untyped-decorator, no-untyped-def, no-untyped-call, misc"

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

WIDTH = 4
"""Doubles of one vector; a register of AVX2, two of ARM's."""

VECTOR = ir.VectorType(ir.DoubleType(), WIDTH)


class LanesType(types.Type):
    """Numba's name for the vector."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


LANES = LanesType()


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    """How LLVM holds it."""

    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, VECTOR)


def _place(context, builder, array_type, array, index):
    """Where a vector begins in a contiguous array of doubles."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), VECTOR.as_pointer())


def _splat(builder, number):
    """One number in every lane."""
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), zeros)


@intrinsic
def load(typing, array, index):  # noqa: ARG001
    """`array[index : index + WIDTH]`."""

    def generate(context, builder, signature, arguments):
        place = _place(context, builder, signature.args[0], *arguments)
        return builder.load(place, align=8)

    return LANES(array, types.intp), generate


@intrinsic
def store(typing, array, index, lanes):  # noqa: ARG001
    """`array[index : index + WIDTH] = lanes`."""

    def generate(context, builder, signature, arguments):
        array, index, lanes = arguments
        place = _place(context, builder, signature.args[0], array, index)
        builder.store(lanes, place, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, LANES), generate


@intrinsic
def splat(typing, number):  # noqa: ARG001
    """One number in every lane."""

    def generate(context, builder, signature, arguments):  # noqa: ARG001
        return _splat(builder, arguments[0])

    return LANES(types.float64), generate


@intrinsic
def spread(typing, array, index):  # noqa: ARG001
    """`array[index]` in every lane; the index must lie in the array."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return _splat(builder, builder.load(builder.gep(data, [arguments[1]])))

    return LANES(array, types.intp), generate


@intrinsic
def plus(typing, a, b):  # noqa: ARG001
    """a + b."""

    def generate(context, builder, signature, arguments):  # noqa: ARG001
        return builder.fadd(*arguments)

    return LANES(LANES, LANES), generate


@intrinsic
def minus(typing, a, b):  # noqa: ARG001
    """a - b."""

    def generate(context, builder, signature, arguments):  # noqa: ARG001
        return builder.fsub(*arguments)

    return LANES(LANES, LANES), generate


@intrinsic
def times(typing, a, b):  # noqa: ARG001
    """a × b."""

    def generate(context, builder, signature, arguments):  # noqa: ARG001
        return builder.fmul(*arguments)

    return LANES(LANES, LANES), generate


@intrinsic
def fused(typing, a, b, c):  # noqa: ARG001
    """a × b + c, rounded once."""

    def generate(context, builder, signature, arguments):  # noqa: ARG001
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        name = f"llvm.fma.v{WIDTH}f64"
        return builder.call(builder.module.declare_intrinsic(name, (), kind), arguments)

    return LANES(LANES, LANES, LANES), generate


@intrinsic
def at_most(typing, a, b):  # noqa: ARG001
    """1 where a <= b, else 0."""

    def generate(context, builder, signature, arguments):  # noqa: ARG001
        return builder.uitofp(builder.fcmp_ordered("<=", *arguments), VECTOR)

    return LANES(LANES, LANES), generate


@intrinsic
def choose(typing, which, a, b):  # noqa: ARG001
    """a where `which` is not 0, else b."""

    def generate(context, builder, signature, arguments):  # noqa: ARG001
        which, a, b = arguments
        chosen = builder.fcmp_ordered("!=", which, ir.Constant(VECTOR, [0.0] * WIDTH))
        return builder.select(chosen, a, b)

    return LANES(LANES, LANES, LANES), generate


@intrinsic
def added(typing, total, lanes):  # noqa: ARG001
    """A number and then each lane, added in turn."""

    def generate(context, builder, signature, arguments):  # noqa: ARG001
        total, lanes = arguments
        for lane in range(WIDTH):
            one = builder.extract_element(lanes, ir.IntType(32)(lane))
            total = builder.fadd(total, one)
        return total

    return types.float64(types.float64, LANES), generate
