"""Curves looked up: of each value of a line the entry that it has, then what the curve says for it.

A machine that picks among 128 bytes by a vector of numbers (AVX-512 VBMI) looks 64 values up at once: the
curve's four bytes each on their own, in planes of 256 bytes. Any other takes the entries one by one.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ...plan.kinds import CURVE_ENTRIES
from .formulas import curve_entry, cut_entry, inlined, not_inlined
from .memory import _lanes, _to_pointer, floats, host_has, ints, values

AT_ONCE = 64
PICKS_BYTES = host_has("avx512vbmi")
# From how many values on the planes are worth it; a line of so many has room for them in three rows.
ENOUGH = 96
_BYTES, _HALVES = ir.VectorType(ir.IntType(8), AT_ONCE), ir.VectorType(ir.IntType(16), 32)
_WORDS = ir.VectorType(ir.IntType(32), 16)


@inlined
def set_entries(line, entries, of_bytes, count):
    """entries ← the entry of a curve that each value of the line has."""
    if of_bytes:
        for x in range(count):
            entries[x] = np.int32(curve_entry(line[x]))
    else:
        for x in range(count):
            entries[x] = np.int32(cut_entry(line[x]))


@not_inlined
def look_up(row, curve, of_bytes, scratch, pitch, count):
    """Which entries, all at once; then what the curve has there: that is three times as fast as both in one
    loop. scratch: four rows, `pitch` bytes apart."""
    line, planes = floats(row, count), scratch + pitch
    if PICKS_BYTES and count >= ENOUGH:
        set_entries(line, values(scratch, count, np.uint8(0)), of_bytes, count)
        _split_curve(curve, planes)
        for x in range(0, count, AT_ONCE):
            first = min(x, count - AT_ONCE)
            _look_up_many(scratch + first, planes, row + 4 * first)
    else:
        entries, table = ints(scratch, count), floats(curve, CURVE_ENTRIES)
        set_entries(line, entries, of_bytes, count)
        for x in range(count):
            line[x] = table[np.uint32(entries[x])]


def _at(builder, address, skip):
    return _to_pointer(builder, builder.add(address, address.type(skip)))


@intrinsic
def _split_curve(typingctx, curve, planes):
    """A curve's first bytes, its second ones and so on, to an address."""

    def codegen(context, builder, signature, args):
        curve, planes = args
        for first in range(0, CURVE_ENTRIES, AT_ONCE):
            loaded = [
                builder.load(_at(builder, curve, 4 * first + 64 * k), align=4, typ=_BYTES)
                for k in range(4)
            ]
            for plane in (0, 2):
                # Two bytes of each entry, the lower of them first.
                order = _lanes([4 * k + plane + p for p in range(2) for k in range(32)])
                pairs = [builder.shuffle_vector(a, b, order) for a, b in (loaded[:2], loaded[2:])]
                for p in range(2):
                    order = _lanes([64 * half + 32 * p + k for half in range(2) for k in range(32)])
                    value = builder.shuffle_vector(*pairs, order)
                    place = _at(builder, planes, CURVE_ENTRIES * (plane + p) + first)
                    builder.store(value, place, align=1)
        return context.get_dummy_value()

    a = types.int64
    return types.void(a, a), codegen


@intrinsic
def _look_up_many(typingctx, entries, planes, target):
    """What a curve, of which the planes are given, has at AT_ONCE entries, bytes, to an address."""

    def codegen(context, builder, signature, args):
        if not PICKS_BYTES:  # then nobody calls it
            return context.get_dummy_value()
        entries, planes, target = args
        # So that `_zipped` twice, which goes by quarters, puts them into their order again.
        order = _lanes([quarter + 4 * k for quarter in range(4) for k in range(4)])
        entries = builder.load(_to_pointer(builder, entries), align=1, typ=_WORDS)
        entries = builder.bitcast(builder.shuffle_vector(entries, entries, order), _BYTES)
        upper = builder.icmp_signed("<", entries, ir.Constant(_BYTES, [0] * AT_ONCE))
        kind = ir.FunctionType(_BYTES, [_BYTES] * 3)
        pick = "llvm.x86.avx512.vpermi2var.qi.512"
        pick = cgutils.get_or_insert_function(builder.module, kind, pick)
        found = []
        for p in range(4):
            places = [CURVE_ENTRIES * p + AT_ONCE * k for k in range(4)]
            a, b, c, d = (
                builder.load(_at(builder, planes, place), align=1, typ=_BYTES) for place in places
            )
            low, high = builder.call(pick, [a, entries, b]), builder.call(pick, [c, entries, d])
            found.append(builder.select(upper, high, low))
        halves = [_zipped(builder, found[p], found[p + 1], _HALVES) for p in (0, 2)]
        numbers = [_zipped(builder, a, b, _WORDS) for a, b in zip(*halves, strict=True)]
        for k, value in enumerate([*numbers[0], *numbers[1]]):
            builder.store(value, _at(builder, target, 64 * k), align=4)
        return context.get_dummy_value()

    a = types.int64
    return types.void(a, a, a), codegen


def _zipped(builder, a, b, vector):
    """The elements of two vectors by turns, the lower and the upper half of each quarter, as vectors of
    elements twice as wide."""
    size = a.type.count // 4
    zipped = []
    for half in (0, size // 2):
        places = [size * quarter + half + k for quarter in range(4) for k in range(size // 2)]
        order = _lanes([place + skip for place in places for skip in (0, 4 * size)])
        zipped.append(builder.bitcast(builder.shuffle_vector(a, b, order), vector))
    return zipped
