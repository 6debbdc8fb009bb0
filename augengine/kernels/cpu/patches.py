"""Pixels under a turn, four values at a time as a quad of floats: four channels that lie side by side, or
four neighbours of one channel."""

from __future__ import annotations

from numba import types
from numba.extending import intrinsic

from .memory import (
    _QUAD,
    _mix,
    _multiply_add,
    _pixels,
    _store,
    _weight,
)


@intrinsic
def bilinear_quad(typingctx, quad, top, down, across, bottom_share, right_share, sample_type):
    """Blend two by two pixels of four values into a quad. down, across: bytes to the pixel below and to the
    next."""

    def codegen(context, builder, signature, args):
        quad, top, down, across, bottom_share, right_share, _ = args
        columns = []
        for pixel in (top, builder.add(top, across)):
            upper = _pixels(builder, pixel, sample_type, _QUAD)
            lower = _pixels(builder, builder.add(pixel, down), sample_type, _QUAD)
            columns.append(_mix(builder, upper, lower, bottom_share, sample_type))
        left, right = columns
        _store(builder, _mix(builder, left, right, right_share, sample_type), quad)
        return context.get_dummy_value()

    a, f = types.int64, types.float32
    return types.void(a, a, a, a, f, f, sample_type), codegen


@intrinsic
def mix_down(typingctx, quad, top, down, bottom_share, sample_type):
    """Blend four values with those below them into a quad. down: bytes to those."""

    def codegen(context, builder, signature, args):
        quad, top, down, bottom_share, _ = args
        upper = _pixels(builder, top, sample_type, _QUAD)
        lower = _pixels(builder, builder.add(top, down), sample_type, _QUAD)
        _store(builder, _mix(builder, upper, lower, bottom_share, sample_type), quad)
        return context.get_dummy_value()

    a = types.int64
    return types.void(a, a, a, types.float32, sample_type), codegen


def _column(builder, top, down, weights, sample_type):
    """The sum of four values, one below the other, each times its weight."""
    total = None
    for weight in weights:
        value = _pixels(builder, top, sample_type, _QUAD)
        total = (
            builder.fmul(value, weight)
            if total is None
            else _multiply_add(builder, value, weight, total)
        )
        top = builder.add(top, down)
    return total


def _weights(builder, address, pitch, taps):
    """So many weights, `pitch` bytes apart."""
    weights = []
    for _ in range(taps):
        weights.append(_weight(builder, address, _QUAD))
        address = builder.add(address, pitch)
    return weights


def _weigh_down(taps):
    @intrinsic
    def weigh_down(typingctx, quad, top, down, along_y, pitch, sample_type):
        """`taps` times four values, one below the other, each times its weight, into a quad."""

        def codegen(context, builder, signature, args):
            quad, top, down, along_y, pitch, _ = args
            weights = _weights(builder, along_y, pitch, taps)
            _store(builder, _column(builder, top, down, weights, sample_type), quad)
            return context.get_dummy_value()

        a = types.int64
        return types.void(a, a, a, a, a, sample_type), codegen

    return weigh_down


def _weigh_quad(taps):
    @intrinsic
    def weigh_quad(typingctx, quad, top, down, across, along_y, along_x, pitch, sample_type):
        """`taps` by `taps` pixels of four values, weighed along y and along x, into a quad."""

        def codegen(context, builder, signature, args):
            quad, top, down, across, along_y, along_x, pitch, _ = args
            weights, total = _weights(builder, along_y, pitch, taps), None
            for weight in _weights(builder, along_x, pitch, taps):
                column = _column(builder, top, down, weights, sample_type)
                total = (
                    builder.fmul(column, weight)
                    if total is None
                    else _multiply_add(builder, column, weight, total)
                )
                top = builder.add(top, across)
            _store(builder, total, quad)
            return context.get_dummy_value()

        a = types.int64
        return types.void(a, a, a, a, a, a, a, sample_type), codegen

    return weigh_quad


weigh_down3, weigh_down4 = _weigh_down(3), _weigh_down(4)
weigh_quad3, weigh_quad4 = _weigh_quad(3), _weigh_quad(4)
