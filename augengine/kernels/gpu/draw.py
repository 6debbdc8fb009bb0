"""The GPU kernel: one launch a batch, a program for each tile of an output, in Triton.

Which step, which border, how many taps: scalar branches and loops at run time, so that no other
policy, batch or image size compiles anything. RGB is drawn three channels at once; in any other
number channels do not mix, and each is a program of its own.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...plan import kinds
from ...random_numbers import PHILOX_ROUNDS
from . import tables
from .formulas import (
    add_noise,
    blend,
    constant,
    curve_entry,
    edge,
    first_tap,
    fold,
    from_byte,
    gain_offset,
    hue_angle,
    hue_channel,
    inside,
    matrix_row,
    normal_pair,
    normalise,
    philox_round,
    posterized,
    project,
    second_share,
    seen_from,
    solarized,
    stretched,
    tap_weight,
    to_byte,
)

NO_VIEW, PLAIN_COLOUR = constant(kinds.NO_VIEW), constant(kinds.PLAIN_COLOUR)
CONSTANT, EDGE, REFLECT = constant(kinds.CONSTANT), constant(kinds.EDGE), constant(kinds.REFLECT)
NONE, MATRIX, CURVE = constant(kinds.NONE), constant(kinds.MATRIX), constant(kinds.CURVE)
HUE, NOISE, TONE = constant(kinds.HUE), constant(kinds.NOISE), constant(kinds.TONE)
ROUNDS = constant(PHILOX_ROUNDS)

MATRIX_AT, CLIP_AT = constant(tables.MATRIX_AT), constant(tables.CLIP_AT)
SOURCE_AT, ADDRESS_WORDS = constant(tables.SOURCE_AT), constant(tables.ADDRESS_WORDS)
TAPS_AT, SUPPORT_AT = constant(tables.TAPS_AT), constant(tables.SUPPORT_AT)
RECIPROCAL_AT, LEAST_AT = constant(tables.RECIPROCAL_AT), constant(tables.LEAST_AT)
MOST_AT, BORDER_AT = constant(tables.MOST_AT), constant(tables.BORDER_AT)
FILL_START_AT, FILL_AT = constant(tables.FILL_START_AT), constant(tables.FILL_AT)
PROJECTIVE_AT, STEP_WORDS = constant(tables.PROJECTIVE_AT), constant(tables.STEP_WORDS)
KIND_AT, ARG_AT = constant(tables.KIND_AT), constant(tables.ARG_AT)
VIEW_AT, BOX_AT = constant(tables.VIEW_AT), constant(tables.BOX_AT)
ALPHA_AT, COLOUR_AT = constant(tables.ALPHA_AT), constant(tables.COLOUR_AT)


@triton.jit
def whole_at(address):
    """The int32 that lies among floats."""
    return tl.load(address).to(tl.int32, bitcast=True)


@triton.jit
def image_of(images, view):
    """Where the address of the view's image lies, and its strides."""
    return images + whole_at(view + SOURCE_AT).to(tl.int64) * ADDRESS_WORDS


@triton.jit
def _small(value):
    """A scalar as a block of one, since the interpreter combines no truth of a scalar with a block's."""
    return tl.full([1, 1], value, value.dtype)


@triton.jit
def _border_point(at, low, high, border):
    if border == EDGE:
        at = edge(at, low, high)
    elif border == REFLECT:
        at = fold(at, low + 0.5, high - 0.5)
    else:
        at = fold(at, low, high)
    return at


@triton.jit
def pixel(address, stride_c, RGB: tl.constexpr):
    """One source value for each channel, as floats. Addresses lie in the image, so no masks."""
    r = tl.load(address).to(tl.float32)
    g, b = r, r
    if RGB:
        # Added twice and not doubled, which 32 bits might not hold.
        g = tl.load(address + stride_c).to(tl.float32)
        b = tl.load(address + stride_c + stride_c).to(tl.float32)
    return r, g, b


@triton.jit
def _between(a, b, share):
    """The share 0 gives exactly a, and of bytes the share 1 exactly b."""
    return tl.fma(share, b - a, a)


@triton.jit
def _bilinear(
    base, stride_y, stride_x, stride_c, view, at_y, at_x, RGB: tl.constexpr, FAR: tl.constexpr
):  # fmt: skip
    """Two taps along each axis."""
    y = first_tap(at_y, 1.0)
    y = tl.minimum(tl.maximum(y, tl.load(view + LEAST_AT)), tl.load(view + MOST_AT))
    x = first_tap(at_x, 1.0)
    x = tl.minimum(tl.maximum(x, tl.load(view + LEAST_AT + 1)), tl.load(view + MOST_AT + 1))
    down, across = second_share(y, at_y), second_share(x, at_x)
    upper = base + (index_of(y, FAR) * stride_y + index_of(x, FAR) * stride_x)
    lower = upper + stride_y
    r0, g0, b0 = pixel(upper, stride_c, RGB)
    r1, g1, b1 = pixel(upper + stride_x, stride_c, RGB)
    r2, g2, b2 = pixel(lower, stride_c, RGB)
    r3, g3, b3 = pixel(lower + stride_x, stride_c, RGB)
    r = _between(_between(r0, r1, across), _between(r2, r3, across), down)
    g, b = r, r
    if RGB:
        g = _between(_between(g0, g1, across), _between(g2, g3, across), down)
        b = _between(_between(b0, b1, across), _between(b2, b3, across), down)
    return r, g, b


@triton.jit
def index_of(whole, FAR: tl.constexpr):
    index = whole.to(tl.int32)
    if FAR:
        index = index.to(tl.int64)
    return index


@triton.jit
def stride_of(address, FAR: tl.constexpr):
    stride = tl.load(address)
    if not FAR:
        stride = stride.to(tl.int32)
    return stride


@triton.jit
def _filtered(
    base, stride_y, stride_x, stride_c, view, at_y, at_x, RGB: tl.constexpr, FAR: tl.constexpr
):  # fmt: skip
    """Any number of taps, cut to the clip and normalised."""
    taps_y, taps_x = whole_at(view + TAPS_AT), whole_at(view + TAPS_AT + 1)
    inverse_y, inverse_x = tl.load(view + RECIPROCAL_AT), tl.load(view + RECIPROCAL_AT + 1)
    y = first_tap(at_y, tl.load(view + SUPPORT_AT))
    y = tl.minimum(tl.maximum(y, tl.load(view + LEAST_AT)), tl.load(view + MOST_AT))
    x = first_tap(at_x, tl.load(view + SUPPORT_AT + 1))
    x = tl.minimum(tl.maximum(x, tl.load(view + LEAST_AT + 1)), tl.load(view + MOST_AT + 1))
    total_y, total_x = tl.zeros_like(at_x), tl.zeros_like(at_x)
    for t in range(taps_y):
        total_y += tap_weight(y + t, at_y, inverse_y)
    for t in range(taps_x):
        total_x += tap_weight(x + t, at_x, inverse_x)
    row = base + (index_of(y, FAR) * stride_y + index_of(x, FAR) * stride_x)
    r, g, b = tl.zeros_like(at_x), tl.zeros_like(at_x), tl.zeros_like(at_x)
    for ty in range(taps_y):
        weight_y = tap_weight(y + ty, at_y, inverse_y)
        address = row
        for tx in range(taps_x):
            weight = weight_y * tap_weight(x + tx, at_x, inverse_x)
            red, green, blue = pixel(address, stride_c, RGB)
            r += weight * red
            if RGB:
                g += weight * green
                b += weight * blue
            address += stride_x
        row += stride_y
    total = total_y * total_x
    scale = tl.div_rn(1.0, tl.where(total > 0, total, 1.0))
    return r * scale, g * scale, b * scale


@triton.jit
def _noise(number, channel, k0, k1, RGB: tl.constexpr):
    """Standard normal numbers for three channels, or for the channel, keyed as everywhere."""
    zero = number & 0
    first = channel // 4 * 4
    c0, c1, c2, c3 = number, zero + first.to(tl.uint32), zero, zero
    for _ in tl.static_range(ROUNDS):
        c0, c1, c2, c3, k0, k1 = philox_round(c0, c1, c2, c3, k0, k1)
    r, g = normal_pair(c0, c1)
    b, last = normal_pair(c2, c3)
    if not RGB:
        word = channel - first
        r = tl.where(word < 2, tl.where(word == 0, r, g), tl.where(word == 2, b, last))
    return r, g, b


@triton.jit
def coloured(r, g, b, kind, arg, curves, number, channel, RGB: tl.constexpr):
    """After one colour step. arg: where its twelve numbers lie."""
    if kind == MATRIX:
        if RGB:
            red, green, blue = r, g, b
            r = matrix_row(
                red, green, blue,
                tl.load(arg), tl.load(arg + 1), tl.load(arg + 2), tl.load(arg + 3),
            )  # fmt: skip
            g = matrix_row(
                red, green, blue,
                tl.load(arg + 4), tl.load(arg + 5), tl.load(arg + 6), tl.load(arg + 7),
            )  # fmt: skip
            b = matrix_row(
                red, green, blue,
                tl.load(arg + 8), tl.load(arg + 9), tl.load(arg + 10), tl.load(arg + 11),
            )  # fmt: skip
        else:
            r = gain_offset(r, tl.load(arg), tl.load(arg + 3))
    elif kind == TONE:
        r = _toned(r, arg, 0)
        if RGB:
            g, b = _toned(g, arg, 1), _toned(b, arg, 2)
    elif kind == CURVE:
        curve = curves + tl.load(arg).to(tl.int32) * 768
        r = tl.load(curve + curve_entry(r).to(tl.int32))
        if RGB:
            g = tl.load(curve + 256 + curve_entry(g).to(tl.int32))
            b = tl.load(curve + 512 + curve_entry(b).to(tl.int32))
    elif kind == NOISE:
        mean, sigma = tl.load(arg), tl.load(arg + 1)
        k0, k1 = tl.load(arg + 2).to(tl.uint32), tl.load(arg + 3).to(tl.uint32)
        for_r, for_g, for_b = _noise(number, channel, k0, k1, RGB)
        r = add_noise(r, mean, sigma, for_r)
        if RGB:
            g, b = add_noise(g, mean, sigma, for_g), add_noise(b, mean, sigma, for_b)
    elif kind == HUE:
        if RGB:
            red, green, blue = r, g, b
            turned = hue_angle(red, green, blue) + 6.0 * tl.load(arg)
            r = hue_channel(red, green, blue, turned, 5.0)
            g = hue_channel(red, green, blue, turned, 3.0)
            b = hue_channel(red, green, blue, turned, 1.0)
    return r, g, b


@triton.jit
def _toned(value, arg, c):
    byte = solarized(curve_entry(value), tl.load(arg))
    byte = stretched(byte, tl.load(arg + 3 + c), tl.load(arg + 6 + c))
    return from_byte(posterized(byte, tl.load(arg + 1), tl.load(arg + 2)))


@triton.jit
def _looked(
    v, y, x, channel, images, views, steps, curves, step_count, width,
    SOURCE: tl.constexpr, CHANNELS: tl.constexpr, PACKED: tl.constexpr, FAR: tl.constexpr,
    PROJECTIVE: tl.constexpr, WIDE: tl.constexpr, BORDERS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """What view v shows at the output pixels (y, x): r, g, b, or the channel thrice."""
    RGB: tl.constexpr = CHANNELS == 3
    view = views + v * (FILL_AT + CHANNELS)
    image = image_of(images, view)
    m = view + MATRIX_AT
    to_y, to_x = y.to(tl.float32) + 0.5, x.to(tl.float32) + 0.5
    at_x = project(to_x, to_y, tl.load(m), tl.load(m + 1), tl.load(m + 2))
    at_y = project(to_x, to_y, tl.load(m + 3), tl.load(m + 4), tl.load(m + 5))
    if PROJECTIVE:
        if whole_at(view + PROJECTIVE_AT) != 0:
            w = project(to_x, to_y, tl.load(m + 6), tl.load(m + 7), tl.load(m + 8))
            at_x, at_y = seen_from(at_x, w), seen_from(at_y, w)
    y0, x0 = _small(tl.load(view + CLIP_AT)), _small(tl.load(view + CLIP_AT + 1))
    y1, x1 = _small(tl.load(view + CLIP_AT + 2)), _small(tl.load(view + CLIP_AT + 3))
    if BORDERS:
        border = whole_at(view + BORDER_AT)
        if border != CONSTANT:
            at_x = _border_point(at_x, x0, x1, border)
            at_y = _border_point(at_y, y0, y1, border)
    seen = inside(at_x, at_y, x0, y0, x1, y1)

    base = tl.load(image).to(tl.pointer_type(SOURCE))
    stride_y = stride_of(image + 1, FAR)
    stride_x = CHANNELS if PACKED else stride_of(image + 2, FAR)
    stride_c = 1 if PACKED else stride_of(image + 3, FAR)
    if not RGB:
        base += channel.to(tl.int64) * stride_c
    if WIDE:
        # Two taps along each axis, and no shrink: most views even of a plan that has others.
        widest = tl.maximum(tl.load(view + SUPPORT_AT), tl.load(view + SUPPORT_AT + 1))
        least = tl.minimum(tl.load(view + RECIPROCAL_AT), tl.load(view + RECIPROCAL_AT + 1))
        fewest = tl.minimum(whole_at(view + TAPS_AT), whole_at(view + TAPS_AT + 1))
        if (widest == 1) & (least == 1) & (fewest == 2):
            r, g, b = _bilinear(
                base, stride_y, stride_x, stride_c, view, at_y, at_x, RGB, FAR
            )  # fmt: skip
        else:
            r, g, b = _filtered(
                base, stride_y, stride_x, stride_c, view, at_y, at_x, RGB, FAR
            )  # fmt: skip
    else:
        r, g, b = _bilinear(
            base, stride_y, stride_x, stride_c, view, at_y, at_x, RGB, FAR
        )  # fmt: skip
    fill = view + FILL_AT + channel
    if SOURCE == tl.uint8:
        r, g, b = from_byte(r), from_byte(g), from_byte(b)
    r = tl.where(seen, r, tl.load(fill))
    if RGB:
        g, b = tl.where(seen, g, tl.load(fill + 1)), tl.where(seen, b, tl.load(fill + 2))
    if STEPS:
        number = (y * width + x).to(tl.uint32)
        fill_start = _small(whole_at(view + FILL_START_AT))
        for s in range(step_count):
            step = steps + (v * step_count + s) * STEP_WORDS
            kind = whole_at(step + KIND_AT)
            if kind != NONE:
                acts = seen | (fill_start <= s)
                red, green, blue = coloured(
                    r, g, b, kind, step + ARG_AT, curves, number, channel, RGB
                )
                r = tl.where(acts, red, r)
                if RGB:
                    g, b = tl.where(acts, green, g), tl.where(acts, blue, b)
    return r, g, b


@triton.jit
def _write(value, address, mask, gain, offset):
    """Finish a channel and store it."""
    kind: tl.constexpr = address.dtype.element_ty
    if kind == tl.uint8:
        tl.store(address, to_byte(value).to(tl.uint8), mask)
    else:
        tl.store(address, normalise(value, gain, offset).to(kind), mask)


def _draw(
    out, images, views, steps, curves, layers, finish,
    first, layer_count, step_count, height, width,
    stride_n, stride_c, stride_y, stride_x,
    SOURCE: tl.constexpr, CHANNELS: tl.constexpr, PACKED: tl.constexpr, FAR: tl.constexpr,
    PROJECTIVE: tl.constexpr, WIDE: tl.constexpr, BORDERS: tl.constexpr, STEPS: tl.constexpr,
    LAYERS: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """Draw the outputs from `first` on, as many as the grid has. A program: one tile of one output
    (of one channel, if they are not RGB); tiles along x, along y, outputs.

    images [B + P, ADDRESS_WORDS] … finish: the tables of `tables`. stride_*: of the output, in
    values. SOURCE: the images' dtype. PACKED: their channels lie side by side, and their pixels too.
    FAR: an image's or output's plane spans 2^31 values or more. PROJECTIVE … LAYERS: `Traits`.
    """
    RGB: tl.constexpr = CHANNELS == 3
    left, top = tl.program_id(0) * BLOCK_W, tl.program_id(1) * BLOCK_H
    n, channel = tl.program_id(2), 0
    if not RGB:
        n, channel = n // CHANNELS, n % CHANNELS
    n = (first + n).to(tl.int64)
    y = top + tl.arange(0, BLOCK_H)[:, None]
    x = left + tl.arange(0, BLOCK_W)[None, :]
    if LAYERS:
        r = tl.zeros([BLOCK_H, BLOCK_W], tl.float32)
        g, b = r, r
        for k in range(layer_count):
            layer = layers + (n * layer_count + k) * (COLOUR_AT + CHANNELS)
            v = whole_at(layer + VIEW_AT)
            y0, x0 = whole_at(layer + BOX_AT), whole_at(layer + BOX_AT + 1)
            y1, x1 = whole_at(layer + BOX_AT + 2), whole_at(layer + BOX_AT + 3)
            touches = (y0 < top + BLOCK_H) & (top < y1) & (x0 < left + BLOCK_W) & (left < x1)
            if (v != NO_VIEW) & touches:
                if v == PLAIN_COLOUR:
                    colour = layer + COLOUR_AT + channel
                    red = tl.zeros_like(r) + tl.load(colour)
                    green, blue = red, red
                    if RGB:
                        green = tl.zeros_like(r) + tl.load(colour + 1)
                        blue = tl.zeros_like(r) + tl.load(colour + 2)
                else:
                    red, green, blue = _looked(
                        v.to(tl.int64), y, x, channel, images, views, steps, curves, step_count,
                        width, SOURCE, CHANNELS, PACKED, FAR, PROJECTIVE, WIDE, BORDERS, STEPS,
                    )  # fmt: skip
                alpha = tl.load(layer + ALPHA_AT)
                within = (y >= y0) & (y < y1) & (x >= x0) & (x < x1)
                r = tl.where(within, blend(r, red, alpha), r)
                if RGB:
                    g = tl.where(within, blend(g, green, alpha), g)
                    b = tl.where(within, blend(b, blue, alpha), b)
    else:
        v = whole_at(layers + n * (COLOUR_AT + CHANNELS) + VIEW_AT).to(tl.int64)
        r, g, b = _looked(
            v, y, x, channel, images, views, steps, curves, step_count, width,
            SOURCE, CHANNELS, PACKED, FAR, PROJECTIVE, WIDE, BORDERS, STEPS,
        )  # fmt: skip

    if FAR:
        y, x = y.to(tl.int64), x.to(tl.int64)
    address = out + n * stride_n + (y * stride_y + x * stride_x)
    mask = (y < height) & (x < width)
    gain, offset = finish + channel, finish + CHANNELS + channel
    if RGB:
        _write(r, address, mask, tl.load(gain), tl.load(offset))
        _write(g, address + stride_c, mask, tl.load(gain + 1), tl.load(offset + 1))
        _write(b, address + stride_c + stride_c, mask, tl.load(gain + 2), tl.load(offset + 2))
    else:
        address += tl.cast(channel, tl.int64) * stride_c
        _write(r, address, mask, tl.load(gain), tl.load(offset))


_ANY_VALUE = ["first", "layer_count", "step_count", "height"]
# Rows that begin at multiples of 16 are stored four pixels at once, by threads that hold four in a
# row. Loops and branches around gathers are better off with the pixels dealt out one by one: there
# the exchange before such a store costs 50 instructions a pixel, and barriers.
draw_in_fours = triton.jit(do_not_specialize=_ANY_VALUE)(_draw)
draw_one_by_one = triton.jit(
    do_not_specialize=_ANY_VALUE,
    do_not_specialize_on_alignment=["width", "stride_n", "stride_c", "stride_y", "stride_x"],
)(_draw)
