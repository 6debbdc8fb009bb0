"""Memory for the CPU kernel: addresses seen as arrays, and the few vector loads that LLVM does not
find by itself. RGB pixels, three bytes or floats, are read four, eight or sixteen values at a time and
blended as a `quad`, four floats of which the last is not used."""

from __future__ import annotations

import platform

import numpy as np
from llvmlite import ir
from numba import carray, config, njit, types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

_F32 = ir.FloatType()
_QUAD = ir.VectorType(_F32, 4)
_OCTET = ir.VectorType(_F32, 8)
_SIXTEEN = ir.VectorType(_F32, 16)
_THIRTY_TWO = ir.VectorType(_F32, 32)
_LANES = ir.VectorType(ir.IntType(32), 8)


# Parts of the kernel are called from it only. Without the wrappers that numba compiles for a call from
# Python and from C, the first start takes a fifth less time.
ONLY_CALLED_INSIDE = {"nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
part = njit(**ONLY_CALLED_INSIDE)


def host_has(feature):
    """Whether the machine that numba compiles for has this feature, by LLVM's name for it."""
    features = config.CPU_FEATURES
    if features is None:
        features = get_host_cpu_features()
    return f"+{feature}" in features.split(",")


@intrinsic
def _pointer(typingctx, address, sample_value):
    """The address as a pointer to values of `sample_value`'s type."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(sample_value)(types.int64, sample_value), codegen


@part
def values(address, count, sample_value):
    """`count` values of `sample_value`'s type at an address, as an array that owns nothing: a slice of an
    array that does is counted, at the price of a short loop."""
    return carray(_pointer(address, sample_value), count)


@part
def floats(address, count):
    return carray(_pointer(address, np.float32(0)), count)


@part
def ints(address, count):
    """int32."""
    return carray(_pointer(address, np.int32(0)), count)


@part
def words(address, count):
    """uint32."""
    return carray(_pointer(address, np.uint32(0)), count)


@part
def rgb_rows(rows, pitch, count):
    """Three rows of floats that lie `pitch` bytes apart."""
    return floats(rows, count), floats(rows + pitch, count), floats(rows + 2 * pitch, count)


@intrinsic
def record_at(typingctx, table, number, dtype):
    """Record `number` of a table at an address, whose records have this NumPy dtype."""

    def codegen(context, builder, signature, args):
        table, number, _ = args
        address = builder.add(table, builder.mul(number, number.type(dtype.dtype.size)))
        return builder.inttoptr(address, context.get_value_type(signature.return_type))

    return dtype.dtype(types.int64, types.int64, dtype), codegen


@part
def address_of(array):
    """Signed: numba makes floats of sums of signed and unsigned numbers."""
    return np.int64(array.ctypes.data)


def _to_pointer(builder, address):
    """Of no type: loads and stores say theirs."""
    return builder.inttoptr(address, ir.PointerType())


def _pixels(builder, address, sample_type, vector):
    """Load values of `sample_type`, bytes or floats, from anywhere as floats."""
    if sample_type == types.uint8:
        raw = ir.VectorType(ir.IntType(8), vector.count)
        return builder.uitofp(builder.load(_to_pointer(builder, address), align=1, typ=raw), vector)
    return builder.load(_to_pointer(builder, address), align=4, typ=vector)


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


def _mix(builder, a, b, share, sample_type):
    """(1 − share) · a + share · b: exactly a at 0 and b at 1, so that what is not moved by parts of
    a pixel comes through. For bytes the shorter a + share · (b − a) has that too. share: one number,
    or a vector as long as a's."""
    if share.type == _F32:
        share = _splat(builder, share, a.type)
    if sample_type == types.uint8:
        return _multiply_add(builder, builder.fsub(b, a), share, a)
    ones = ir.Constant(a.type, [1.0] * a.type.count)
    return _multiply_add(builder, b, share, builder.fmul(a, builder.fsub(ones, share)))


def _part(builder, octet, first):
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), 4), [first + k for k in range(4)])
    return builder.shuffle_vector(octet, ir.Constant(octet.type, ir.Undefined), lanes)


def _weight(builder, address, vector):
    """One float from memory, in all lanes."""
    return _splat(builder, builder.load(_to_pointer(builder, address), align=4, typ=_F32), vector)


def _stream(builder, value, address):
    """Write past the cache, to an address that is a multiple of 64."""
    store = builder.store(value, _to_pointer(builder, address), align=64)
    store.set_metadata("nontemporal", builder.module.add_metadata([ir.IntType(32)(1)]))


def _store(builder, quad, address):
    builder.store(quad, _to_pointer(builder, address), align=4)


@intrinsic
def bilinear_rgb(typingctx, quad, top, bottom, right_share, bottom_share, sample_type):
    """Blend two by two RGB pixels into a quad. Reads eight values from `top` and `bottom`."""

    def codegen(context, builder, signature, args):
        quad, top, bottom, right_share, bottom_share, _ = args
        upper, lower = (_pixels(builder, row, sample_type, _OCTET) for row in (top, bottom))
        column = _mix(builder, upper, lower, bottom_share, sample_type)
        left, right = _part(builder, column, 0), _part(builder, column, 3)
        _store(builder, _mix(builder, left, right, right_share, sample_type), quad)
        return context.get_dummy_value()

    f, a = types.float32, types.int64
    return types.void(a, a, a, f, f, sample_type), codegen


@intrinsic
def add_rgb(typingctx, quad, pixel, weight, sample_type):
    """quad += weight · RGB pixel. Reads four values from `pixel`."""

    def codegen(context, builder, signature, args):
        quad, pixel, weight, _ = args
        before = builder.load(_to_pointer(builder, quad), align=4, typ=_QUAD)
        value = _pixels(builder, pixel, sample_type, _QUAD)
        _store(builder, _multiply_add(builder, value, _splat(builder, weight, _QUAD), before), quad)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32, sample_type), codegen


def _lanes(numbers):
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)


def _joined(builder, vectors):
    """Vectors of one length, a power of two of them, one after the other."""
    while len(vectors) > 1:
        order = _lanes(list(range(2 * vectors[0].type.count)))
        vectors = [
            builder.shuffle_vector(a, b, order)
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
    return vectors[0]


def _number(builder, address, index):
    """The int32 at this index of an array, as an int64."""
    where = builder.add(address, address.type(4 * index))
    number = builder.load(_to_pointer(builder, where), align=4, typ=ir.IntType(32))
    return builder.sext(number, ir.IntType(64))


def _each(builder, address, count, times):
    """`count` floats from there, each `times` times."""
    few = builder.load(_to_pointer(builder, address), align=4, typ=ir.VectorType(_F32, count))
    order = _lanes([k for k in range(count) for _ in range(times)])
    return builder.shuffle_vector(few, ir.Constant(few.type, ir.Undefined), order)


@intrinsic
def bilinear_two(typingctx, quads, tops, down, right_shares, bottom_shares, sample_type):
    """`bilinear_rgb` for two pixels, into two quads. tops: the addresses of two upper left pixels, at
    `tops` and behind it; down: bytes to the row below."""

    def codegen(context, builder, signature, args):
        quads, tops, down, right_shares, bottom_shares, _ = args
        count = 8
        raw = ir.VectorType(ir.IntType(8), count) if sample_type == types.uint8 else _OCTET
        align = 1 if sample_type == types.uint8 else 4
        places = []
        for k in range(2):
            where = builder.add(tops, tops.type(8 * k))
            places.append(builder.load(_to_pointer(builder, where), align=8, typ=ir.IntType(64)))
        rows = []
        for skip in (None, down):
            starts = places if skip is None else [builder.add(place, skip) for place in places]
            pixels = _joined(
                builder,
                [builder.load(_to_pointer(builder, p), align=align, typ=raw) for p in starts],
            )
            rows.append(builder.uitofp(pixels, _SIXTEEN) if sample_type == types.uint8 else pixels)
        upper, lower = rows
        column = _mix(builder, upper, lower, _each(builder, bottom_shares, 2, 8), sample_type)
        undefined = ir.Constant(_SIXTEEN, ir.Undefined)
        left, right = (
            builder.shuffle_vector(
                column, undefined, _lanes([8 * k + skip + c for k in range(2) for c in range(4)])
            )
            for skip in (0, 3)
        )
        mixed = _mix(builder, left, right, _each(builder, right_shares, 2, 4), sample_type)
        builder.store(mixed, _to_pointer(builder, quads), align=4)
        return context.get_dummy_value()

    a = types.int64
    return types.void(a, a, a, a, a, sample_type), codegen


@part
def keep(arrays):
    """Keeps a tuple of arrays until here. numba frees an array after the last line that names it,
    and an address does not name it."""


def ask(builder, address):
    """Ask for a cache line; nothing happens if there is no such memory."""
    pointer, word = ir.PointerType(), ir.IntType(32)
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.VoidType(), [pointer, word, word, word]),
        "llvm.prefetch.p0",
    )
    read, keep, data = word(0), word(3), word(1)
    builder.call(function, [_to_pointer(builder, address), read, keep, data])


@intrinsic
def prefetch(typingctx, address):
    """`ask`."""

    def codegen(context, builder, signature, args):
        ask(builder, args[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


def _unpacked(builder, pixels, to_unit, sample_type, backwards):
    """Sixteen RGB pixels, values of `sample_type` one after the other, each times `to_unit`, as three vectors;
    backwards: the last pixel first."""
    element = ir.IntType(8) if sample_type == types.uint8 else _F32
    raw = builder.load(
        _to_pointer(builder, pixels), align=1 if sample_type == types.uint8 else 4,
        typ=ir.VectorType(element, 48),
    )  # fmt: skip
    scale, channels = _splat(builder, to_unit, _SIXTEEN), []
    for channel in range(3):
        order = [channel + 3 * k for k in range(16)]
        lanes = _lanes(order[::-1] if backwards else order)
        value = builder.shuffle_vector(raw, ir.Constant(raw.type, ir.Undefined), lanes)
        if sample_type == types.uint8:
            value = builder.uitofp(value, _SIXTEEN)
        channels.append(builder.fmul(value, scale))
    return channels


def _unpack(backwards):
    """Sixteen pixels, as `_unpacked`, into three rows."""

    @intrinsic
    def unpack_sixteen(typingctx, pixels, red, green, blue, to_unit, sample_type):
        def codegen(context, builder, signature, args):
            pixels, *rows, to_unit, _ = args
            channels = _unpacked(builder, pixels, to_unit, sample_type, backwards)
            for value, row in zip(channels, rows, strict=True):
                builder.store(value, _to_pointer(builder, row), align=4)
            return context.get_dummy_value()

        a = types.int64
        return types.void(a, a, a, a, types.float32, sample_type), codegen

    return unpack_sixteen


unpack_forwards, unpack_backwards = _unpack(False), _unpack(True)


def _copy(backwards, past):
    """Sixteen pixels, as `_unpacked`, each · gain + offset, rounded after either, into three rows that lie
    `apart` bytes apart. gain, offset: addresses of a number for each channel. past: past the cache, to
    addresses that are multiples of 64."""

    @intrinsic
    def copy_sixteen(typingctx, pixels, target, apart, to_unit, gain, offset, sample_type):
        def codegen(context, builder, signature, args):
            pixels, target, apart, to_unit, gain, offset, _ = args
            channels = _unpacked(builder, pixels, to_unit, sample_type, backwards)
            for c, value in enumerate(channels):
                skip = gain.type(4 * c)
                value = builder.fmul(value, _weight(builder, builder.add(gain, skip), _SIXTEEN))
                value = builder.fadd(value, _weight(builder, builder.add(offset, skip), _SIXTEEN))
                if past:
                    _stream(builder, value, target)
                else:
                    builder.store(value, _to_pointer(builder, target), align=4)
                target = builder.add(target, apart)
            return context.get_dummy_value()

        f, a = types.float32, types.int64
        return types.void(a, a, a, f, a, a, sample_type), codegen

    return copy_sixteen


copy_forwards, copy_backwards = _copy(False, False), _copy(True, False)
stream_forwards, stream_backwards = _copy(False, True), _copy(True, True)


@intrinsic
def split_eight(typingctx, quads, red, green, blue, scale):
    """Eight quads, each times its number at `scale`, into three rows."""

    def codegen(context, builder, signature, args):
        quads, *rows, scale = args
        scales = builder.load(_to_pointer(builder, scale), align=4, typ=_OCTET)
        first = builder.load(_to_pointer(builder, quads), align=4, typ=_SIXTEEN)
        second = builder.load(
            _to_pointer(builder, builder.add(quads, quads.type(64))), align=4, typ=_SIXTEEN
        )
        for channel, row in enumerate(rows):
            lanes = ir.Constant(_LANES, [channel + 4 * k for k in range(8)])
            value = builder.shuffle_vector(first, second, lanes)
            value = builder.fmul(value, scales)
            builder.store(value, _to_pointer(builder, row), align=4)
        return context.get_dummy_value()

    a = types.int64
    return types.void(a, a, a, a, a), codegen


@intrinsic
def stream_line(typingctx, source, target):
    """Copy sixteen floats past the cache to an address that is a multiple of 64."""

    def codegen(context, builder, signature, args):
        value = builder.load(_to_pointer(builder, args[0]), align=4, typ=_SIXTEEN)
        _stream(builder, value, args[1])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def stream_normalised(typingctx, source, target, gain, offset):
    """`stream_line` of values · gain + offset, rounded after either."""

    def codegen(context, builder, signature, args):
        value = builder.load(_to_pointer(builder, args[0]), align=4, typ=_SIXTEEN)
        value = builder.fmul(value, _splat(builder, args[2], _SIXTEEN))
        value = builder.fadd(value, _splat(builder, args[3], _SIXTEEN))
        _stream(builder, value, args[1])
        return context.get_dummy_value()

    f, a = types.float32, types.int64
    return types.void(a, a, f, f), codegen


@intrinsic
def fence(typingctx):
    """Whatever was written past the cache is seen by others from here on."""

    def codegen(context, builder, signature, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@part
def patch_reach(taps):
    """How many values of a row the vector loads for so many taps read, at most."""
    return 16 if taps <= 5 else (32 if taps <= 8 else 3 * taps + 16)


@intrinsic
def add_sixteen(typingctx, line, pixels, weight, sample_type):
    """Sixteen floats += weight · sixteen values."""

    def codegen(context, builder, signature, args):
        line, pixels, weight, _ = args
        before = builder.load(_to_pointer(builder, line), align=4, typ=_SIXTEEN)
        value = _pixels(builder, pixels, sample_type, _SIXTEEN)
        sum_ = _multiply_add(builder, value, _splat(builder, weight, _SIXTEEN), before)
        builder.store(sum_, _to_pointer(builder, line), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32, sample_type), codegen


def _patch(taps):
    """Weigh taps × taps RGB pixels into a quad. The weights of tap t lie at along_y + t · pitch and
    along_x + t · pitch. Reads `patch_reach(taps)` values of each row."""
    line = _SIXTEEN if taps <= 5 else _THIRTY_TWO

    @intrinsic
    def patch_rgb(typingctx, quad, pixels, stride_y, along_y, along_x, pitch, sample_type):
        def codegen(context, builder, signature, args):
            quad, pixels, stride_y, along_y, along_x, pitch, _ = args
            column = sum_ = None
            for _ in range(taps):
                row = _pixels(builder, pixels, sample_type, line)
                weight = _weight(builder, along_y, line)
                column = (
                    builder.fmul(row, weight)
                    if column is None
                    else _multiply_add(builder, row, weight, column)
                )
                pixels, along_y = builder.add(pixels, stride_y), builder.add(along_y, pitch)
            for t in range(taps):
                pixel, weight = _part(builder, column, 3 * t), _weight(builder, along_x, _QUAD)
                sum_ = (
                    builder.fmul(pixel, weight)
                    if sum_ is None
                    else _multiply_add(builder, pixel, weight, sum_)
                )
                along_x = builder.add(along_x, pitch)
            _store(builder, sum_, quad)
            return context.get_dummy_value()

        a = types.int64
        return types.void(a, a, a, a, a, a, sample_type), codegen

    return patch_rgb


patch3_rgb, patch4_rgb, patch5_rgb = _patch(3), _patch(4), _patch(5)
patch6_rgb, patch7_rgb, patch8_rgb = _patch(6), _patch(7), _patch(8)


def _halves_in_hardware():
    """Whether the machine that numba compiles for turns float32 into float16 itself. Where it does not,
    LLVM calls a function that is not there, and the process ends."""
    return host_has("f16c") or platform.machine() in ("aarch64", "arm64")


@intrinsic
def half_bits(typingctx, value):
    """float32 → the bits of a float16, rounded to nearest even; beyond the largest an infinity. (A
    finished value is never a NaN.)"""

    def codegen(context, builder, signature, args):
        if _halves_in_hardware():
            half = builder.fptrunc(args[0], ir.HalfType())
            return builder.bitcast(half, ir.IntType(16))
        return _half_bits(builder, args[0])

    return types.uint16(types.float32), codegen


def _half_bits(builder, value):
    """In whole numbers, on any machine. A draw takes a fifth longer with it, and channels last twice as
    long."""
    word = ir.IntType(32)
    bits = builder.bitcast(value, word)
    size = builder.and_(bits, word(0x7FFFFFFF))
    sign = builder.lshr(builder.xor(bits, size), word(16))
    # The exponent counts from 15 instead of 127, and 13 bits of the fraction go. Half of the last
    # place that stays is added first, a little less where that place holds a 0.
    odd = builder.and_(builder.lshr(size, word(13)), word(1))
    rounding = builder.add(odd, word(((15 - 127) << 23) + 0xFFF & 0xFFFFFFFF))
    normal = builder.lshr(builder.add(size, rounding), word(13))
    # Below 2^-14 a float16 counts in steps of 2^-24, as a float32 does from 1/2 on.
    half = builder.fadd(builder.bitcast(size, _F32), ir.Constant(_F32, 0.5))
    small = builder.sub(builder.bitcast(half, word), word(0x3F000000))
    result = builder.select(builder.icmp_unsigned("<", size, word((127 - 14) << 23)), small, normal)
    infinite = builder.icmp_unsigned(">=", size, word((127 + 16) << 23))
    result = builder.or_(builder.select(infinite, word(0x7C00), result), sign)
    return builder.trunc(result, ir.IntType(16))


@intrinsic
def float_bits(typingctx, value):
    """The bits of a float32."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.uint32(types.float32), codegen


@intrinsic
def bits_float(typingctx, bits):
    """The float32 of these bits."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], _F32)

    return types.float32(types.uint32), codegen
