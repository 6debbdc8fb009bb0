"""The GPU kernel: one launch a batch, a program for each tile of an output, in Triton.

Which step, which border, how many taps: scalar branches and loops at run time, so that no other
policy, batch or image size compiles anything. RGB is drawn three channels at once; in any other
number channels do not mix, and each is a program of its own.

A name that ends in `_ptr` is a pointer: to a table as a kernel's argument, to a row of it or to a
pixel inside.
"""

from __future__ import annotations

import triton
import triton.language as tl

from ...plan import kinds
from . import tables
from .colour import colour_step
from .formulas import (
    blend,
    clamp,
    constant,
    cubic_weight,
    edge,
    first_tap,
    fold,
    from_byte,
    inside,
    normalise,
    project,
    seen_from,
    tap_weight,
    to_byte,
)

# A kernel reads names of its module only, and only those that are constexprs.
NO_VIEW, PLAIN_COLOUR = constant(kinds.NO_VIEW), constant(kinds.PLAIN_COLOUR)
CONSTANT, EDGE, REFLECT = constant(kinds.CONSTANT), constant(kinds.EDGE), constant(kinds.REFLECT)
NONE = constant(kinds.NONE)
MAX_BYTE, FOREVER = constant(255.0), constant(3e38)

ADDRESS_AT, STRIDE_AT = constant(tables.ADDRESS_AT), constant(tables.STRIDE_AT)
ADDRESS_WORDS = constant(tables.ADDRESS_WORDS)
MATRIX_AT, CLIP_AT = constant(tables.MATRIX_AT), constant(tables.CLIP_AT)
SOURCE_AT, TAPS_AT = constant(tables.SOURCE_AT), constant(tables.TAPS_AT)
SUPPORT_AT, RECIPROCAL_AT = constant(tables.SUPPORT_AT), constant(tables.RECIPROCAL_AT)
LEAST_AT, MOST_AT = constant(tables.LEAST_AT), constant(tables.MOST_AT)
BORDER_AT, PROJECTIVE_AT = constant(tables.BORDER_AT), constant(tables.PROJECTIVE_AT)
FILL_START_AT, FILL_AT = constant(tables.FILL_START_AT), constant(tables.FILL_AT)
FILL_SHOWS_AT, WITHIN_AT = constant(tables.FILL_SHOWS_AT), constant(tables.WITHIN_AT)
SLOPE_AT = constant(tables.SLOPE_AT)
KIND_AT, ARG_AT = constant(tables.KIND_AT), constant(tables.ARG_AT)
STEP_WORDS = constant(tables.STEP_WORDS)
VIEW_AT, BOX_AT = constant(tables.VIEW_AT), constant(tables.BOX_AT)
ALPHA_AT, COLOUR_AT = constant(tables.ALPHA_AT), constant(tables.COLOUR_AT)


@triton.jit
def load_int(address_ptr):
    """The int32 that lies among floats."""
    return tl.load(address_ptr).to(tl.int32, bitcast=True)


@triton.jit
def load_stride(stride_ptr, FAR: tl.constexpr):
    """An image's stride, of 32 bits where no offset into its plane takes more: those that come first in
    memory."""
    if not FAR:
        stride_ptr = stride_ptr.to(tl.pointer_type(tl.int32))
    return tl.load(stride_ptr)


@triton.jit
def index_of(whole, FAR: tl.constexpr):
    """A whole number as an index, which is multiplied by such a stride."""
    index = whole.to(tl.int32)
    if FAR:
        index = index.to(tl.int64)
    return index


@triton.jit
def _offset(whole, stride, FAR: tl.constexpr):
    """So many strides, as an offset of 64 bits: one product of 32 bits by 32, where that holds them."""
    return index_of(whole, FAR).to(tl.int64) * tl.cast(stride, tl.int64)


@triton.jit
def source_of(
    images_ptr, view_ptr, channel,
    SOURCE: tl.constexpr, CHANNELS: tl.constexpr, PACKED: tl.constexpr, FAR: tl.constexpr,
):  # fmt: skip
    """The image that a view looks at: the pointer to its first value, of the channel where it is drawn
    alone, and its strides along y, x and channel."""
    image_ptr = images_ptr + load_int(view_ptr + SOURCE_AT).to(tl.int64) * ADDRESS_WORDS
    source_ptr = tl.load(image_ptr + ADDRESS_AT).to(tl.pointer_type(SOURCE))
    stride_y = load_stride(image_ptr + STRIDE_AT, FAR)
    stride_x = CHANNELS if PACKED else load_stride(image_ptr + (STRIDE_AT + 1), FAR)
    stride_c = 1 if PACKED else load_stride(image_ptr + (STRIDE_AT + 2), FAR)
    if CHANNELS != 3:
        source_ptr += tl.cast(channel, tl.int64) * stride_c
    return source_ptr, stride_y, stride_x, stride_c


@triton.jit
def load_pixel(pixel_ptr, stride_c, RGB: tl.constexpr):
    """One source value for each channel, as floats. Addresses lie in the image, so no masks."""
    r = tl.load(pixel_ptr).to(tl.float32)
    g, b = r, r
    if RGB:
        # Added twice and not doubled, which 32 bits might not hold.
        g = tl.load(pixel_ptr + stride_c).to(tl.float32)
        b = tl.load(pixel_ptr + stride_c + stride_c).to(tl.float32)
    return r, g, b


@triton.jit
def _block(scalar):
    """A scalar as a block of one, since the interpreter combines no truth of a scalar with a block's."""
    return tl.full([1, 1], scalar, scalar.dtype)


@triton.jit
def _border_coordinate(coordinate, low, high, border):
    """Where the border takes a coordinate that may lie outside of the clip."""
    if border == EDGE:
        coordinate = edge(coordinate, low, high)
    elif border == REFLECT:
        coordinate = fold(coordinate, low + 0.5, high - 0.5)
    else:
        coordinate = fold(coordinate, low, high)
    return coordinate


@triton.jit
def _first_taps(view_ptr, source_y, source_x, support_y, support_x):
    """The first source pixel along y and along x of each point's taps, all of which lie in the clip."""
    tap_y = first_tap(source_y, support_y)
    tap_y = tl.minimum(tl.maximum(tap_y, tl.load(view_ptr + LEAST_AT)), tl.load(view_ptr + MOST_AT))
    tap_x = first_tap(source_x, support_x)
    least_x, most_x = tl.load(view_ptr + LEAST_AT + 1), tl.load(view_ptr + MOST_AT + 1)
    return tap_y, tl.minimum(tl.maximum(tap_x, least_x), most_x)


@triton.jit
def _first_of_two(point, view_ptr, axis: tl.constexpr, CUT: tl.constexpr):
    """The first of each point's two taps, and the second's share: `first_tap` and `second_share` of support
    1, exactly, since halves are whole multiples of a point's last bit.

    CUT: whether a point may lie so near the clip's border, or beyond it, that its taps are moved.
    """
    point -= 0.5  # from the centres of pixels
    tap = tl.floor(point)
    if CUT:
        least, most = tl.load(view_ptr + LEAST_AT + axis), tl.load(view_ptr + MOST_AT + axis)
        tap = edge(tap, least, most)
        return tap, clamp(point - tap)
    return tap, point - tap


@triton.jit
def _lerp(a, b, share):
    """The share 0 gives exactly a, and of bytes the share 1 exactly b."""
    return tl.fma(share, b - a, a)


@triton.jit
def _weight(tap, point, reciprocal, slope):
    """Of a tap, not normalised."""
    tap = tap * 1.0
    if slope == 0:
        weight = tap_weight(tap, point, reciprocal)
    else:
        weight = cubic_weight(tap, point, reciprocal, slope)
    return weight


@triton.jit
def _filtered(
    source_ptr, stride_y, stride_x, stride_c, view_ptr, source_y, source_x,
    RGB: tl.constexpr, FAR: tl.constexpr,
):  # fmt: skip
    """The image at source points: any number of taps, cut to the clip and normalised."""
    taps_y, taps_x = load_int(view_ptr + TAPS_AT), load_int(view_ptr + TAPS_AT + 1)
    inverse_y, inverse_x = tl.load(view_ptr + RECIPROCAL_AT), tl.load(view_ptr + RECIPROCAL_AT + 1)
    support_y, support_x = tl.load(view_ptr + SUPPORT_AT), tl.load(view_ptr + SUPPORT_AT + 1)
    slope = tl.load(view_ptr + SLOPE_AT)
    tap_y, tap_x = _first_taps(view_ptr, source_y, source_x, support_y, support_x)
    total_y, total_x = tl.zeros_like(source_x), tl.zeros_like(source_x)
    # From the first tap on: its number is then the same for all pixels, and the distance exact.
    point_y, point_x = source_y - tap_y, source_x - tap_x
    for t in range(taps_y):
        total_y += _weight(t, point_y, inverse_y, slope)
    for t in range(taps_x):
        total_x += _weight(t, point_x, inverse_x, slope)
    # PIL's bicubic goes along x, then along y, and clamps whole numbers after either. So does a view
    # here whose source x goes by output x alone, and y by y; any other is clamped in the end.
    most, most_along = FOREVER, FOREVER
    if source_ptr.dtype.element_ty == tl.uint8:
        turns = (tl.load(view_ptr + MATRIX_AT + 1) != 0) | (tl.load(view_ptr + MATRIX_AT + 3) != 0)
        turns |= load_int(view_ptr + PROJECTIVE_AT) != 0
        most = tl.where(slope != 0, MAX_BYTE, FOREVER)
        most_along = tl.where(turns, FOREVER, most)
    row_ptr = source_ptr + (index_of(tap_y, FAR) * stride_y + index_of(tap_x, FAR) * stride_x)
    r, g, b = tl.zeros_like(source_x), tl.zeros_like(source_x), tl.zeros_like(source_x)
    scale_y = tl.div_rn(1.0, tl.where(total_y > 0, total_y, 1.0))
    scale_x = tl.div_rn(1.0, tl.where(total_x > 0, total_x, 1.0))
    for t_y in range(taps_y):
        red, green, blue = tl.zeros_like(r), tl.zeros_like(r), tl.zeros_like(r)
        pixel_ptr = row_ptr
        for t_x in range(taps_x):
            weight = _weight(t_x, point_x, inverse_x, slope)
            pixel_r, pixel_g, pixel_b = load_pixel(pixel_ptr, stride_c, RGB)
            red = tl.fma(weight, pixel_r, red)
            if RGB:
                green, blue = tl.fma(weight, pixel_g, green), tl.fma(weight, pixel_b, blue)
            pixel_ptr += stride_x
        weight = _weight(t_y, point_y, inverse_y, slope)
        r += weight * _within(red * scale_x, most_along)
        if RGB:
            g += weight * _within(green * scale_x, most_along)
            b += weight * _within(blue * scale_x, most_along)
        row_ptr += stride_y
    r = _within(r * scale_y, most)
    if RGB:
        g, b = _within(g * scale_y, most), _within(b * scale_y, most)
    else:
        g, b = r, r
    return r, g, b


@triton.jit
def _within(value, most):
    """In 0 … most, or as it is where that is FOREVER."""
    return edge(value, tl.where(most == FOREVER, -FOREVER, 0.0), most)


@triton.jit
def _source_points(
    view_ptr, m, centre_y, centre_x, UPRIGHT: tl.constexpr, PROJECTIVE: tl.constexpr,
    BORDERS: tl.constexpr,
):  # fmt: skip
    """Where a view looks at for output points: along y and along x. UPRIGHT: y goes by y alone, and x by
    x, so that each is a column or a row of points only."""
    if UPRIGHT:
        source_y = project(0.0, centre_y, 0.0, m[4], m[5])
        source_x = project(centre_x, 0.0, m[0], 0.0, m[2])
    else:
        source_y = project(centre_x, centre_y, m[3], m[4], m[5])
        source_x = project(centre_x, centre_y, m[0], m[1], m[2])
    if PROJECTIVE:
        if load_int(view_ptr + PROJECTIVE_AT) != 0:
            last_ptr = view_ptr + (MATRIX_AT + 6)
            w = project(
                centre_x, centre_y, tl.load(last_ptr), tl.load(last_ptr + 1), tl.load(last_ptr + 2)
            )
            source_x, source_y = seen_from(source_x, w), seen_from(source_y, w)
    if BORDERS:
        border, clip_ptr = load_int(view_ptr + BORDER_AT), view_ptr + CLIP_AT
        if border != CONSTANT:
            y0, x0 = _block(tl.load(clip_ptr)), _block(tl.load(clip_ptr + 1))
            y1, x1 = _block(tl.load(clip_ptr + 2)), _block(tl.load(clip_ptr + 3))
            source_x = _border_coordinate(source_x, x0, x1, border)
            source_y = _border_coordinate(source_y, y0, y1, border)
    return source_y, source_x


@triton.jit
def _in_clip(view_ptr, source_y, source_x):
    clip_ptr = view_ptr + CLIP_AT
    y0, x0 = _block(tl.load(clip_ptr)), _block(tl.load(clip_ptr + 1))
    y1, x1 = _block(tl.load(clip_ptr + 2)), _block(tl.load(clip_ptr + 3))
    return inside(source_x, source_y, x0, y0, x1, y1)


@triton.jit
def _between(
    view_ptr, m, centre_y, centre_x, all_, channel, images_ptr,
    SOURCE: tl.constexpr, CHANNELS: tl.constexpr, PACKED: tl.constexpr, FAR: tl.constexpr,
    UPRIGHT: tl.constexpr, CUT: tl.constexpr, PROJECTIVE: tl.constexpr, BORDERS: tl.constexpr,
    FILLS: tl.constexpr,
):  # fmt: skip
    """The image between 2×2 pixels at output points, and whether they look into the clip. all_: a block of
    the tile's shape that is true everywhere. CUT: as for `_first_of_two`."""
    RGB: tl.constexpr = CHANNELS == 3
    source_ptr, stride_y, stride_x, stride_c = source_of(
        images_ptr, view_ptr, channel, SOURCE, CHANNELS, PACKED, FAR
    )
    source_y, source_x = _source_points(
        view_ptr, m, centre_y, centre_x, UPRIGHT, PROJECTIVE, BORDERS
    )
    tap_y, share_y = _first_of_two(source_y, view_ptr, 0, CUT)
    tap_x, share_x = _first_of_two(source_x, view_ptr, 1, CUT)
    # Along x first: where all of a thread's pixels are of one column, they share that.
    upper_ptr = source_ptr + _offset(tap_x, stride_x, FAR) + _offset(tap_y, stride_y, FAR)
    lower_ptr = upper_ptr + stride_y
    r0, g0, b0 = load_pixel(upper_ptr, stride_c, RGB)
    r1, g1, b1 = load_pixel(upper_ptr + stride_x, stride_c, RGB)
    r2, g2, b2 = load_pixel(lower_ptr, stride_c, RGB)
    r3, g3, b3 = load_pixel(lower_ptr + stride_x, stride_c, RGB)
    r = _lerp(_lerp(r0, r1, share_x), _lerp(r2, r3, share_x), share_y)
    g, b = r, r
    if RGB:
        g = _lerp(_lerp(g0, g1, share_x), _lerp(g2, g3, share_x), share_y)
        b = _lerp(_lerp(b0, b1, share_x), _lerp(b2, b3, share_x), share_y)
    visible = all_
    if FILLS & CUT:
        visible &= _in_clip(view_ptr, source_y, source_x)
    return r, g, b, visible


@triton.jit
def _draw_view(
    v, top, left, y, x, channel, images_ptr, views_ptr, steps_ptr, curves_ptr, step_count, width,
    SOURCE: tl.constexpr, CHANNELS: tl.constexpr, PACKED: tl.constexpr, FAR: tl.constexpr,
    PROJECTIVE: tl.constexpr, WIDE: tl.constexpr, BORDERS: tl.constexpr, FILLS: tl.constexpr,
    STEPS: tl.constexpr,
):  # fmt: skip
    """What view v shows at the output pixels (y, x), a tile from (top, left) on: r, g, b, or the channel
    thrice."""
    RGB: tl.constexpr = CHANNELS == 3
    view_ptr = views_ptr + v * (FILL_AT + CHANNELS)
    m_ptr = view_ptr + MATRIX_AT
    m = (
        tl.load(m_ptr), tl.load(m_ptr + 1), tl.load(m_ptr + 2),
        tl.load(m_ptr + 3), tl.load(m_ptr + 4), tl.load(m_ptr + 5),
    )  # fmt: skip
    centre_y, centre_x = y.to(tl.float32) + 0.5, x.to(tl.float32) + 0.5
    all_ = (y >= 0) & (x >= 0)
    # Whether the tile may show the fill, or lies in the clip, far enough from its border.
    fills, within = False, False
    if FILLS:
        fills = load_int(view_ptr + FILL_SHOWS_AT) != 0
        if fills:
            within = _within_clip(view_ptr, m, top, left, y.shape[0], x.shape[1])
            fills = ~within
    upright = (m[1] == 0) & (m[3] == 0)
    if PROJECTIVE:
        upright &= load_int(view_ptr + PROJECTIVE_AT) == 0
    two = True
    if WIDE:
        # Two taps along each axis, and no shrink: most views even of a plan that has others.
        widest = tl.maximum(tl.load(view_ptr + SUPPORT_AT), tl.load(view_ptr + SUPPORT_AT + 1))
        least = tl.minimum(tl.load(view_ptr + RECIPROCAL_AT), tl.load(view_ptr + RECIPROCAL_AT + 1))
        fewest = tl.minimum(load_int(view_ptr + TAPS_AT), load_int(view_ptr + TAPS_AT + 1))
        two = (widest == 1) & (least == 1) & (fewest == 2)
    if two:
        if upright:
            r, g, b, visible = _between(
                view_ptr, m, centre_y, centre_x, all_, channel, images_ptr,
                SOURCE, CHANNELS, PACKED, FAR, True, True, False, BORDERS, FILLS,
            )  # fmt: skip
        elif within:
            r, g, b, visible = _between(
                view_ptr, m, centre_y, centre_x, all_, channel, images_ptr,
                SOURCE, CHANNELS, PACKED, FAR, False, False, False, False, FILLS,
            )  # fmt: skip
        else:
            r, g, b, visible = _between(
                view_ptr, m, centre_y, centre_x, all_, channel, images_ptr,
                SOURCE, CHANNELS, PACKED, FAR, False, True, PROJECTIVE, BORDERS, FILLS,
            )  # fmt: skip
    else:
        source_ptr, stride_y, stride_x, stride_c = source_of(
            images_ptr, view_ptr, channel, SOURCE, CHANNELS, PACKED, FAR
        )
        source_y, source_x = _source_points(
            view_ptr, m, centre_y, centre_x, False, PROJECTIVE, BORDERS
        )
        r, g, b = _filtered(
            source_ptr, stride_y, stride_x, stride_c, view_ptr, source_y, source_x, RGB, FAR
        )  # fmt: skip
        visible = all_
        if FILLS:
            visible &= _in_clip(view_ptr, source_y, source_x)
    if SOURCE == tl.uint8:
        r, g, b = from_byte(r), from_byte(g), from_byte(b)
    if FILLS:
        if fills:
            fill_ptr = view_ptr + FILL_AT + channel
            r = tl.where(visible, r, tl.load(fill_ptr))
            if RGB:
                g = tl.where(visible, g, tl.load(fill_ptr + 1))
                b = tl.where(visible, b, tl.load(fill_ptr + 2))
    if STEPS:
        step_ptr = steps_ptr + v * step_count * STEP_WORDS
        for s in range(step_count):
            kind = load_int(step_ptr + KIND_AT)
            if kind != NONE:
                red, green, blue = colour_step(
                    r, g, b, kind, step_ptr + ARG_AT, curves_ptr, y, x, width, channel, CHANNELS,
                    SOURCE == tl.uint8,
                )  # fmt: skip
                if FILLS:
                    if fills:
                        acts = visible | (_block(load_int(view_ptr + FILL_START_AT)) <= s)
                        red = tl.where(acts, red, r)
                        if RGB:
                            green, blue = tl.where(acts, green, g), tl.where(acts, blue, b)
                r, g, b = red, green, blue
            step_ptr += STEP_WORDS
    return r, g, b


@triton.jit
def _within_clip(view_ptr, m, top, left, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr):
    """Whether the source point of a tile's middle lies where all the tile's do, with all their taps, in the
    clip."""
    bounds_ptr = view_ptr + WITHIN_AT
    y, x = top.to(tl.float32) + BLOCK_H / 2, left.to(tl.float32) + BLOCK_W / 2
    source_y, source_x = project(x, y, m[3], m[4], m[5]), project(x, y, m[0], m[1], m[2])
    within = edge(source_y, tl.load(bounds_ptr), tl.load(bounds_ptr + 2)) == source_y
    return within & (edge(source_x, tl.load(bounds_ptr + 1), tl.load(bounds_ptr + 3)) == source_x)


@triton.jit
def _store(value, pixel_ptr, mask, gain, offset):
    """Finish a channel and store it."""
    DTYPE: tl.constexpr = pixel_ptr.dtype.element_ty
    if DTYPE == tl.uint8:
        tl.store(pixel_ptr, to_byte(value).to(tl.uint8), mask)
    else:
        tl.store(pixel_ptr, normalise(value, gain, offset).to(DTYPE), mask)


def _draw(
    out_ptr, images_ptr, views_ptr, steps_ptr, curves_ptr, layers_ptr, finish_ptr,
    first, layer_count, step_count, height, width,
    stride_n, stride_c, stride_y, stride_x,
    SOURCE: tl.constexpr, CHANNELS: tl.constexpr, PACKED: tl.constexpr, FAR: tl.constexpr,
    PROJECTIVE: tl.constexpr, WIDE: tl.constexpr, BORDERS: tl.constexpr, FILLS: tl.constexpr,
    STEPS: tl.constexpr, LAYERS: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_W: tl.constexpr,
):  # fmt: skip
    """Draw the outputs from number `first` on, as many as the grid has.

    A program draws one tile of one output, or of one channel of it where they are not RGB. The grid's
    axes: tiles along x, tiles along y, outputs (times channels).

    out_ptr: outputs (N, C, H, W) of any strides. images_ptr … finish_ptr: the tables of `tables`;
    images [B + P, ADDRESS_WORDS] int64, the others of 32-bit words. layer_count, step_count: layers of
    each output, steps of each view. height, width: of an output, in pixels. stride_*: of the output,
    in values. SOURCE: dtype of the images. PACKED: whether their channels lie side by side, and their
    pixels too. FAR: whether an image's plane or an output spans 2^31 values or more. PROJECTIVE …
    LAYERS: the plan's `Traits`. BLOCK_H, BLOCK_W: height and width of a tile, in pixels.
    """
    RGB: tl.constexpr = CHANNELS == 3
    left, top = tl.program_id(0) * BLOCK_W, tl.program_id(1) * BLOCK_H
    n, channel = tl.program_id(2), 0
    if not RGB:
        n, channel = n // CHANNELS, n % CHANNELS
    n += first
    y = top + tl.arange(0, BLOCK_H)[:, None]
    x = left + tl.arange(0, BLOCK_W)[None, :]
    if LAYERS:
        r = tl.zeros([BLOCK_H, BLOCK_W], tl.float32)
        g, b = r, r
        bottom, right = tl.minimum(top + BLOCK_H, height), tl.minimum(left + BLOCK_W, width)
        # What a later layer covers needs no drawing.
        lowest = 0
        for k in range(1, layer_count):
            layer_ptr = layers_ptr + (n * layer_count + k) * (COLOUR_AT + CHANNELS)
            box_ptr = layer_ptr + BOX_AT
            covers = (load_int(box_ptr) <= top) & (load_int(box_ptr + 2) >= bottom)
            covers &= (load_int(box_ptr + 1) <= left) & (load_int(box_ptr + 3) >= right)
            opaque = (tl.load(layer_ptr + ALPHA_AT) == 1) & (
                load_int(layer_ptr + VIEW_AT) != NO_VIEW
            )
            lowest = tl.where(covers & opaque, k, lowest)
        for k in range(lowest, layer_count):
            layer_ptr = layers_ptr + (n * layer_count + k) * (COLOUR_AT + CHANNELS)
            v, box_ptr = load_int(layer_ptr + VIEW_AT), layer_ptr + BOX_AT
            y0, x0 = load_int(box_ptr), load_int(box_ptr + 1)
            y1, x1 = load_int(box_ptr + 2), load_int(box_ptr + 3)
            touches = (y0 < bottom) & (top < y1) & (x0 < right) & (left < x1)
            if (v != NO_VIEW) & touches:
                if v == PLAIN_COLOUR:
                    colour_ptr = layer_ptr + COLOUR_AT + channel
                    red = tl.zeros_like(r) + tl.load(colour_ptr)
                    green, blue = red, red
                    if RGB:
                        green = tl.zeros_like(r) + tl.load(colour_ptr + 1)
                        blue = tl.zeros_like(r) + tl.load(colour_ptr + 2)
                else:
                    red, green, blue = _draw_view(
                        v, top, left, y, x, channel, images_ptr, views_ptr, steps_ptr, curves_ptr,
                        step_count, width, SOURCE, CHANNELS, PACKED, FAR, PROJECTIVE, WIDE, BORDERS,
                        FILLS, STEPS,
                    )  # fmt: skip
                alpha = tl.load(layer_ptr + ALPHA_AT)
                covers = (y0 <= top) & (bottom <= y1) & (x0 <= left) & (right <= x1)
                if covers & (alpha == 1):
                    r, g, b = red, green, blue
                else:
                    within = (y >= y0) & (y < y1) & (x >= x0) & (x < x1)
                    r = tl.where(within, blend(r, red, alpha), r)
                    if RGB:
                        g = tl.where(within, blend(g, green, alpha), g)
                        b = tl.where(within, blend(b, blue, alpha), b)
    else:
        v = load_int(layers_ptr + n * (COLOUR_AT + CHANNELS) + VIEW_AT)
        r, g, b = _draw_view(
            v, top, left, y, x, channel, images_ptr, views_ptr, steps_ptr, curves_ptr, step_count, width,
            SOURCE, CHANNELS, PACKED, FAR, PROJECTIVE, WIDE, BORDERS, FILLS, STEPS,
        )  # fmt: skip

    if FAR:
        y, x, channel = y.to(tl.int64), x.to(tl.int64), tl.cast(channel, tl.int64)
    # Places in the output are sums of 32 bits, which only then become addresses of 64.
    place = y * stride_y + x * stride_x + channel * stride_c
    out_ptr += n.to(tl.int64) * stride_n
    mask = (y < height) & (x < width)
    gain_ptr, offset_ptr = finish_ptr + channel, finish_ptr + CHANNELS + channel
    _store(r, out_ptr + place, mask, tl.load(gain_ptr), tl.load(offset_ptr))
    if RGB:
        place += stride_c
        _store(g, out_ptr + place, mask, tl.load(gain_ptr + 1), tl.load(offset_ptr + 1))
        place += stride_c
        _store(b, out_ptr + place, mask, tl.load(gain_ptr + 2), tl.load(offset_ptr + 2))


_NOT_SPECIALIZED = ["first", "layer_count", "step_count", "height"]
# Rows that begin at multiples of 16 are stored eight pixels at once, by threads that hold eight in a
# row: what is the same for a tile is worked out by each thread, so the fewer the better. Loops and
# branches around gathers are better off with the pixels dealt out one by one: there the exchange before
# such a store costs 50 instructions a pixel, and barriers; and with four pixels a thread, for registers.
draw_in_eights = triton.jit(do_not_specialize=_NOT_SPECIALIZED)(_draw)
draw_one_by_one = triton.jit(
    do_not_specialize=_NOT_SPECIALIZED,
    do_not_specialize_on_alignment=["width", "stride_n", "stride_c", "stride_y", "stride_x"],
)(_draw)
