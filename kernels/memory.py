"""Memory for the CPU kernel: addresses seen as arrays, and the few vector loads that LLVM does not
find by itself. RGB pixels of three bytes are read four or eight bytes at a time and blended as a
`quad`, four floats of which the last is not used."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_F32 = ir.FloatType()
_QUAD = ir.VectorType(_F32, 4)
_OCTET = ir.VectorType(_F32, 8)


@intrinsic
def pointer(typingctx, address, like):
    """The address as a pointer to `like`'s dtype, for `numba.carray`."""

    def codegen(context, builder, signature, args):
        target = context.get_value_type(signature.return_type)
        return builder.inttoptr(args[0], target)

    return types.CPointer(like.dtype)(types.int64, like), codegen


def _at(builder, address):
    return builder.inttoptr(address, ir.PointerType())


def _bytes(builder, address, vector):
    """Load bytes from anywhere as floats."""
    raw = builder.load(
        _at(builder, address), align=1, typ=ir.VectorType(ir.IntType(8), vector.count)
    )
    return builder.uitofp(raw, vector)


def _splat(builder, value, vector):
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


def _multiply_add(builder, a, b, c):
    """a · b + c, fused where the machine can."""
    vector = a.type
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(vector, [vector] * 3),
        f"llvm.fmuladd.v{vector.count}f32",
    )
    return builder.call(function, [a, b, c])


def _part(builder, octet, first):
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), 4), [first + k for k in range(4)])
    return builder.shuffle_vector(octet, ir.Constant(octet.type, ir.Undefined), lanes)


def _store(builder, quad, address):
    builder.store(quad, _at(builder, address), align=4)


@intrinsic
def bilinear_rgb(
    typingctx, quad, top, bottom, left_weight, right_weight, top_weight, bottom_weight
):
    """Blend two by two RGB byte pixels into a quad. Reads eight bytes from `top` and `bottom`."""

    def codegen(context, builder, signature, args):
        quad, top, bottom, left_w, right_w, top_w, bottom_w = args
        upper = builder.fmul(_bytes(builder, top, _OCTET), _splat(builder, top_w, _OCTET))
        column = _multiply_add(
            builder, _bytes(builder, bottom, _OCTET), _splat(builder, bottom_w, _OCTET), upper
        )
        left = builder.fmul(_part(builder, column, 0), _splat(builder, left_w, _QUAD))
        right = _part(builder, column, 3)
        _store(builder, _multiply_add(builder, right, _splat(builder, right_w, _QUAD), left), quad)
        return context.get_dummy_value()

    f, a = types.float32, types.int64
    return types.void(a, a, a, f, f, f, f), codegen


@intrinsic
def add_rgb(typingctx, quad, pixel, weight):
    """quad += weight · RGB byte pixel. Reads four bytes from `pixel`."""

    def codegen(context, builder, signature, args):
        quad, pixel, weight = args
        before = builder.load(_at(builder, quad), align=4, typ=_QUAD)
        value = _bytes(builder, pixel, _QUAD)
        _store(builder, _multiply_add(builder, value, _splat(builder, weight, _QUAD), before), quad)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32), codegen


@intrinsic
def blend_floats(typingctx, quad, first, second, first_weight, second_weight):
    """quad = weighted sum of two float triples. Reads four floats from each."""

    def codegen(context, builder, signature, args):
        quad, first, second, first_w, second_w = args
        a = builder.load(_at(builder, first), align=4, typ=_QUAD)
        b = builder.load(_at(builder, second), align=4, typ=_QUAD)
        sum_ = builder.fmul(a, _splat(builder, first_w, _QUAD))
        _store(builder, _multiply_add(builder, b, _splat(builder, second_w, _QUAD), sum_), quad)
        return context.get_dummy_value()

    f, a = types.float32, types.int64
    return types.void(a, a, a, f, f), codegen


@intrinsic
def add_floats(typingctx, quad, triple, weight):
    """quad += weight · float triple. Reads four floats."""

    def codegen(context, builder, signature, args):
        quad, triple, weight = args
        before = builder.load(_at(builder, quad), align=4, typ=_QUAD)
        value = builder.load(_at(builder, triple), align=4, typ=_QUAD)
        _store(builder, _multiply_add(builder, value, _splat(builder, weight, _QUAD), before), quad)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32), codegen


@intrinsic
def half_bits(typingctx, value):
    """float32 → the bits of a float16, rounded to nearest even."""

    def codegen(context, builder, signature, args):
        half = builder.fptrunc(args[0], ir.HalfType())
        return builder.bitcast(half, ir.IntType(16))

    return types.uint16(types.float32), codegen


@intrinsic
def float_bits(typingctx, value):
    """The bits of a float32."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.uint32(types.float32), codegen
