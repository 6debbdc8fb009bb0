"""Outputs that show whole pixels of one image and nothing else, as a crop without a resize: their rows go from
the source to the batch without the canvas between."""

from __future__ import annotations

import numpy as np

from ...plan.kinds import NO_VIEW, NONE
from .aligned import moves_whole_pixels
from .colour import kind_of
from .finish import F32
from .formulas import HALF, ONE, ZERO, f32, inlined, not_inlined, project
from .memory import (
    copy_backwards,
    copy_forwards,
    record_at,
    stream_backwards,
    stream_forwards,
)
from .prepare import LOOK, image_of
from .sample import axis_of
from .tables import AXIS, LAYER, VIEW


@not_inlined
def is_copy(tables, job, steps, out, n):
    """Whether output n is such a copy: planes of float32 whose rows its first layer alone fills. The arguments
    are those of `draw`'s functions."""
    layer = record_at(tables.layers, n * tables.layer_count, LAYER)
    look = record_at(tables.looks, 0, LOOK)
    alone = layer.view_number >= 0 and layer.alpha == ONE and out.kind == F32 and out.stride_x == 1
    if not alone or look.separable == 0 or look.start != 0 or look.stop != job.width:
        return False
    for k in range(1, tables.layer_count):
        other = record_at(tables.layers, n * tables.layer_count + k, LAYER)
        if other.view_number != NO_VIEW:
            return False
    for s in range(steps.count):
        if kind_of(steps, layer.view_number, s) != NONE:
            return False
    view = record_at(tables.views, layer.view_number, VIEW)
    axis_y = axis_of(record_at(tables.axes, 2 * layer.view_number, AXIS))
    axis_x = axis_of(record_at(tables.axes, 2 * layer.view_number + 1, AXIS))
    image = image_of(look, job.item, job.to_unit, job.channels)
    return job.width >= 16 and moves_whole_pixels(image, view.matrix, axis_y, axis_x)


@not_inlined
def copy_row(sample_value, job, tables, n, y, gain, offset, out, target):
    """Row y of output n, a copy, to address `target`. Returns whether the row lies in the clip, and was
    written. gain, offset, out, target: as of `finish_row`."""
    layer = record_at(tables.layers, n * tables.layer_count, LAYER)
    look = record_at(tables.looks, 0, LOOK)
    matrix = record_at(tables.views, layer.view_number, VIEW).matrix
    axis = record_at(tables.axes, 2 * layer.view_number, AXIS)
    point = project(ZERO, f32(y) + HALF, ZERO, matrix[4], matrix[5])
    if y < layer.y0 or y >= layer.y1 or point < axis.low or point > axis.high:
        return False
    step = int(matrix[0])
    column = int(np.floor(project(HALF, ZERO, matrix[0], matrix[1], matrix[2])))
    pixels = look.address + (int(np.floor(point)) * look.stride_y + 3 * column) * job.item
    apart = out.stride_c * out.item
    past = out.past and target % 64 == 0 and apart % 64 == 0
    _copy(sample_value, job, pixels, step, gain, offset, past, target, apart)
    return True


@inlined
def _copy(sample_value, job, pixels, step, gain, offset, past, target, apart):
    """The pixels from the address `pixels` on, in steps of 1 or −1, to rows that lie `apart` bytes apart."""
    for x in range(0, job.width, 16):
        # What does not come out even is written with some that were, and not past the cache.
        begin = min(x, job.width - 16)
        streamed, place = past and begin == x, target + 4 * begin
        if step == 1:
            first = pixels + 3 * begin * job.item
            if streamed:
                stream_forwards(first, place, apart, job.to_unit, gain, offset, sample_value)
            else:
                copy_forwards(first, place, apart, job.to_unit, gain, offset, sample_value)
        else:
            first = pixels - 3 * (begin + 15) * job.item
            if streamed:
                stream_backwards(first, place, apart, job.to_unit, gain, offset, sample_value)
            else:
                copy_backwards(first, place, apart, job.to_unit, gain, offset, sample_value)
