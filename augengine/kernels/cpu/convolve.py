"""Sums of weighed lines: what is summed up stays in registers over all taps, where a loop over a line in
memory, tap by tap, would load and store every sum once a tap."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .memory import (
    _F32,
    _SIXTEEN,
    _multiply_add,
    _pixels,
    _splat,
    _to_pointer,
    part,
    values,
)

LINES = 4  # that `weigh_lines` makes at a time
ACROSS = 16  # values of each
ALONG = 96  # values that `weigh_line` makes at a time: a seventh of a row of 224 RGB pixels


def _weigh(lines, count):
    """Sum up `count` values, 16 or a multiple, for each of some lines, which lie `pitch` bytes apart from
    `target` on: line number j is the sum of weights[t − j] · (the values at sources[t] + skip), over `taps`
    taps t.

    sources: the address of a table of addresses of values of `sample_type`, bytes or floats. weights:
    the address of float32; lines − 1 before it and behind its last tap are 0.
    """
    blocks = range(count // 16)

    @intrinsic
    def weigh(typingctx, target, pitch, sources, skip, taps, weights, sample_type):
        def codegen(context, builder, signature, args):
            target, pitch, sources, skip, taps, weights, _ = args
            item = 1 if sample_type == types.uint8 else 4
            zero = ir.Constant(_SIXTEEN, [0.0] * 16)
            sums = [
                [cgutils.alloca_once_value(builder, zero) for _ in blocks] for _ in range(lines)
            ]

            def moved(address, step):
                return builder.add(address, address.type(step))

            def weigh_tap(t, which):
                place = builder.add(sources, builder.mul(t, sources.type(8)))
                source = builder.load(_to_pointer(builder, place), align=8, typ=ir.IntType(64))
                source = builder.add(source, skip)
                pixels = [
                    _pixels(builder, moved(source, 16 * item * b), sample_type, _SIXTEEN)
                    for b in blocks
                ]
                place = builder.add(weights, builder.mul(t, weights.type(4)))
                for j in which:
                    at = _to_pointer(builder, moved(place, -4 * j))
                    weight = _splat(builder, builder.load(at, align=4, typ=_F32), _SIXTEEN)
                    for b in blocks:
                        sum_ = _multiply_add(builder, pixels[b], weight, builder.load(sums[j][b]))
                        builder.store(sum_, sums[j][b])

            # The first and the last few taps are not all lines': without them five taps take a quarter less.
            few = taps.type(lines - 1)
            inner = builder.sub(taps, few)
            ramps = builder.icmp_signed(">=", inner, few)
            with builder.if_then(ramps):
                for t in range(lines - 1):
                    weigh_tap(taps.type(t), range(t + 1))
            first = builder.select(ramps, few, taps.type(0))
            last = builder.select(ramps, inner, taps)
            with cgutils.for_range_slice(builder, first, last, taps.type(1)) as (t, _):
                weigh_tap(t, range(lines))
            with builder.if_then(ramps):
                for t in range(lines - 1):
                    weigh_tap(builder.add(inner, taps.type(t)), range(t + 1, lines))
            for j in range(lines):
                for b in blocks:
                    at = _to_pointer(builder, moved(target, 64 * b))
                    builder.store(builder.load(sums[j][b]), at, align=4)
                target = builder.add(target, pitch)
            return context.get_dummy_value()

        a = types.int64
        return types.void(a, a, a, a, a, a, sample_type), codegen

    return weigh


weigh_lines, _weigh_along = _weigh(LINES, ACROSS), _weigh(1, ALONG)


@part
def weigh_line(target, sources, skip, taps, weights, sample_value):
    """ALONG values at `target`: the sum of weights[t] · (the values at sources[t] + skip)."""
    _weigh_along(target, 0, sources, skip, taps, weights, sample_value)


@part
def addresses(table, count):
    """A table of `count` addresses."""
    return values(table, count, np.int64(0))
