"""Vector code of axis-aligned views, which LLVM does not find by itself: rows of a source are weighed into
lines, one for each channel, and outputs are taken from the lines, LANES at a time."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .memory import (
    _F32,
    _joined,
    _lanes,
    _multiply_add,
    _number,
    _pixels,
    _splat,
    _to_pointer,
    ask,
    host_has,
    part,
)

_WORD, _ADDRESS = ir.IntType(32), ir.IntType(64)
LANES = 16 if host_has("avx512f") else 8
# From how many columns in a row LANES outputs are picked by a shuffle, at most; 0: this machine has none
# that goes by numbers from memory.
REACH = 2 * LANES if host_has("avx2") else 0
_FLOATS, _INTS = ir.VectorType(_F32, LANES), ir.VectorType(_WORD, LANES)
BLOCK = 96  # values that are weighed at once: as many as registers hold on any machine


@part
def dot_stride(taps):
    """How many weights an output has in a row for `dot_columns`: a power of two, or a multiple of LANES."""
    if taps > LANES:
        return (taps + LANES - 1) // LANES * LANES
    return 2 if taps <= 2 else 4 if taps <= 4 else 8 if taps <= 8 else LANES


def _load(builder, address, vector):
    return builder.load(_to_pointer(builder, address), align=4, typ=vector)


def _shuffled(builder, vector, order):
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), _lanes(order))


def _weigh(vectors, width=16, channels=1):
    """A run of a source's values, one row under the other, `down` bytes apart, weighed and added up: as many
    `vectors` of that `width`. Channels that lie side by side come into lines, `pitch` bytes apart.

    What lies `ahead` bytes from there is asked for meanwhile.
    """
    vector = ir.VectorType(_F32, width)

    @intrinsic
    def weigh_rows(typingctx, top, down, ahead, weights, taps, lines, pitch, sample_type):
        size = width if sample_type == types.uint8 else 4 * width

        def codegen(context, builder, signature, args):
            top, down, ahead, weights, taps, lines, pitch, _ = args
            sums = [cgutils.alloca_once(builder, vector) for _ in range(vectors)]

            def row(t):
                start = builder.add(top, builder.mul(t, down))
                weight = _load(builder, builder.add(weights, builder.mul(t, t.type(4))), _F32)
                places = [builder.add(start, start.type(size * k)) for k in range(vectors)]
                values = [_pixels(builder, place, sample_type, vector) for place in places]
                for skip in range(0, size * vectors, 64):
                    ask(builder, builder.add(builder.add(start, ahead), start.type(skip)))
                return _splat(builder, weight, vector), values

            weight, values = row(_ADDRESS(0))
            for sum_, value in zip(sums, values, strict=True):
                builder.store(builder.fmul(value, weight), sum_)
            with cgutils.for_range_slice(builder, _ADDRESS(1), taps, _ADDRESS(1)) as (t, _):
                weight, values = row(t)
                for sum_, value in zip(sums, values, strict=True):
                    before = builder.load(sum_, typ=vector)
                    builder.store(_multiply_add(builder, value, weight, before), sum_)
            sums = [builder.load(sum_, typ=vector) for sum_ in sums]
            for k in range(0, vectors, channels):
                pixels = builder.add(lines, lines.type(4 * width * k // channels))
                for c in range(channels):
                    value = _channel(builder, sums[k : k + channels], c)
                    place = builder.add(pixels, builder.mul(pitch, pitch.type(c)))
                    builder.store(value, _to_pointer(builder, place), align=4)
            return context.get_dummy_value()

        a = types.int64
        return types.void(a, a, a, a, a, a, a, sample_type), codegen

    return weigh_rows


def _channel(builder, vectors, c):
    """Channel c of pixels, as many vectors as pixels have channels."""
    value, width = vectors[0], vectors[0].type.count
    places = range(c, len(vectors) * width, len(vectors))
    for k, vector in enumerate(vectors[1:], 1):
        # What lies in this vector, and of those before what has its place already.
        order = [
            place
            if k == 1 and place < width
            else width + place % width
            if place // width == k
            else x
            for x, place in enumerate(places)
        ]
        value = builder.shuffle_vector(value, vector, _lanes(order))
    return value


weigh_block, weigh_sixteen, weigh_one = _weigh(BLOCK // 16), _weigh(1), _weigh(1, 1)
weigh_rgb, weigh_rgb_half, weigh_rgba = _weigh(6, 16, 3), _weigh(3, 16, 3), _weigh(4, 16, 4)


@intrinsic
def split_four(typingctx, pixels, step, lines, pitch):
    """Four channels of sixteen pixels of floats, which lie `step` bytes apart, into lines."""

    def codegen(context, builder, signature, args):
        pixels, step, lines, pitch = args
        quads = [
            _load(
                builder,
                builder.add(pixels, builder.mul(step, step.type(k))),
                ir.VectorType(_F32, 4),
            )
            for k in range(16)
        ]
        quads = _joined(builder, quads)
        for c in range(4):
            place = builder.add(lines, builder.mul(pitch, pitch.type(c)))
            value = _shuffled(builder, quads, list(range(c, 64, 4)))
            builder.store(value, _to_pointer(builder, place), align=4)
        return context.get_dummy_value()

    a = types.int64
    return types.void(a, a, a, a), codegen


def _permuted(builder, tables, numbers):
    """The float of one or two tables, one after the other, for each number."""
    module, count = builder.module, len(tables)
    if LANES == 16:
        name, order = "permvar.sf.512", [tables[0], numbers]
        if count == 2:
            name, order = "vpermi2var.ps.512", [tables[0], numbers, tables[1]]
        kind = ir.FunctionType(_FLOATS, [value.type for value in order])
        return builder.call(
            cgutils.get_or_insert_function(module, kind, f"llvm.x86.avx512.{name}"), order
        )
    kind = ir.FunctionType(_FLOATS, [_FLOATS, _INTS])
    permute = cgutils.get_or_insert_function(module, kind, "llvm.x86.avx2.permps")
    found = [builder.call(permute, [table, numbers]) for table in tables]
    if count == 1:
        return found[0]
    high = builder.icmp_signed(">=", numbers, _splat(builder, _WORD(LANES), _INTS))
    return builder.select(high, found[1], found[0])


def _pick(tables, taps=None):
    """LANES outputs of each channel: their taps, columns of a line, weighed and added up.

    lines: address of column 0 of the first channel's line; line_pitch: bytes to the next. columns: int32,
    one for each output; from the lowest to the highest of them are at most `tables` · LANES columns.
    weights: a row for each tap. pitch: bytes from row to row of weights, and of the outputs.
    """

    @intrinsic
    def pick_columns(
        typingctx, lines, line_pitch, columns, weights, pitch, tap_count, rows, channels
    ):
        def codegen(context, builder, signature, args):
            if not REACH:  # then nobody calls it
                return context.get_dummy_value()
            lines, line_pitch, columns, weights, pitch, tap_count, rows, channels = args
            left, right = (_number(builder, columns, k) for k in (0, LANES - 1))
            least = builder.select(builder.icmp_signed("<", left, right), left, right)
            numbers = builder.sub(
                _load(builder, columns, _INTS), _splat(builder, builder.trunc(least, _WORD), _INTS)
            )
            start = builder.add(lines, builder.mul(least, least.type(4)))
            sum_ = cgutils.alloca_once(builder, _FLOATS)

            def tap(line, t):
                place = builder.add(line, builder.mul(t, t.type(4)))
                values = [
                    _load(builder, builder.add(place, place.type(4 * LANES * k)), _FLOATS)
                    for k in range(tables)
                ]
                weight = _load(builder, builder.add(weights, builder.mul(t, pitch)), _FLOATS)
                return _permuted(builder, values, numbers), weight

            with cgutils.for_range(builder, channels, intp=_ADDRESS) as loop:
                line = builder.add(start, builder.mul(loop.index, line_pitch))
                builder.store(builder.fmul(*tap(line, _ADDRESS(0))), sum_)
                if taps is None:
                    begin, one = _ADDRESS(1), _ADDRESS(1)
                    with cgutils.for_range_slice(builder, begin, tap_count, one) as (t, _):
                        value, weight = tap(line, t)
                        sum_so_far = builder.load(sum_, typ=_FLOATS)
                        builder.store(_multiply_add(builder, value, weight, sum_so_far), sum_)
                else:
                    for t in range(1, taps):
                        value, weight = tap(line, _ADDRESS(t))
                        sum_so_far = builder.load(sum_, typ=_FLOATS)
                        builder.store(_multiply_add(builder, value, weight, sum_so_far), sum_)
                place = builder.add(rows, builder.mul(loop.index, pitch))
                sum_so_far = builder.load(sum_, typ=_FLOATS)
                builder.store(sum_so_far, _to_pointer(builder, place), align=4)
            return context.get_dummy_value()

        a = types.int64
        return types.void(a, a, a, a, a, a, a, a), codegen

    return pick_columns


pick_two_near, pick_near = _pick(1, 2), _pick(1)
pick_two, pick_any = _pick(2, 2), _pick(2)


def _dot(width):
    """LANES outputs of one channel, as `_pick` has them, but each loads its own columns, `width` at a time.

    weights: of each output one after the other, `dot_stride(taps)` of them.
    """
    per_vector = LANES // width

    @intrinsic
    def dot_columns(typingctx, line, columns, weights, taps, row):
        def codegen(context, builder, signature, args):
            line, columns, weights, taps, row = args
            zero = ir.Constant(_FLOATS, [0.0] * LANES)
            starts = [
                builder.add(line, builder.mul(_number(builder, columns, k), _ADDRESS(4)))
                for k in range(LANES)
            ]
            sums = [cgutils.alloca_once(builder, _FLOATS) for _ in range(width)]
            for sum_ in sums:
                builder.store(zero, sum_)
            step = taps.type(width)
            strides = builder.mul(
                builder.sdiv(builder.add(taps, taps.type(width - 1)), step), taps.type(4 * LANES)
            )
            with cgutils.for_range_slice(builder, taps.type(0), taps, step) as (first, _):
                # What lies behind the last tap may be no number, so it is left out, not weighed by 0.
                left = builder.trunc(builder.sub(taps, first), _WORD)
                place_in = _lanes([k % width for k in range(LANES)])
                counts = builder.icmp_signed("<", place_in, _splat(builder, left, _INTS))
                skip = builder.mul(first, first.type(4))
                for k, sum_ in enumerate(sums):
                    few = ir.VectorType(_F32, width)
                    value = _joined(
                        builder,
                        [
                            _load(builder, builder.add(start, skip), few)
                            for start in starts[k * per_vector : (k + 1) * per_vector]
                        ],
                    )
                    # One after the other: `per_vector` outputs to a vector, or one of several vectors.
                    place = builder.add(weights, skip)
                    if width < LANES:
                        place = builder.add(place, place.type(4 * LANES * k))
                    else:
                        place = builder.add(place, builder.mul(strides, strides.type(k)))
                    before = builder.load(sum_, typ=_FLOATS)
                    more = _multiply_add(builder, value, _load(builder, place, _FLOATS), before)
                    builder.store(builder.select(counts, more, before), sum_)
            vectors = [builder.load(sum_, typ=_FLOATS) for sum_ in sums]
            while len(vectors) > 1:
                vectors = [
                    _pairs_added(builder, a, b)
                    for a, b in zip(vectors[::2], vectors[1::2], strict=True)
                ]
            builder.store(vectors[0], _to_pointer(builder, row), align=4)
            return context.get_dummy_value()

        a = types.int64
        return types.void(a, a, a, a, a), codegen

    return dot_columns


def _pairs_added(builder, a, b):
    """Of two vectors the sums of neighbours, in order."""
    even, odd = (_lanes(list(range(k, 2 * LANES, 2))) for k in (0, 1))
    return builder.fadd(builder.shuffle_vector(a, b, even), builder.shuffle_vector(a, b, odd))


dot_two, dot_four, dot_eight, dot_lanes = _dot(2), _dot(4), _dot(8), _dot(LANES)
