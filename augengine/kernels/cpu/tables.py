"""What the CPU kernel reads of a plan and its sources: tables whose columns have names.

A table is a NumPy array of records, of which numba compiles a field to a plain load. The kernel passes
tables on as addresses (`record_at` gives a row), since an array that is passed to a function is counted,
and counting waits for all writes. Whole numbers are int64, as the kernel counts in them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...compiled import twin
from ...plan import Plan
from ...plan.kinds import NO_VIEW
from ..sources import Sources
from ..taps import taps_of

# Where a source image lies. Strides are in values, from one pixel or channel to the next.
IMAGE = np.dtype(
    [
        ("address", np.int64),  # of its first value
        ("stride_y", np.int64),
        ("stride_x", np.int64),
        ("stride_c", np.int64),
        ("limit", np.int64),  # the address behind the last byte that may be read
        ("height", np.int64),  # in pixels
        ("width", np.int64),
    ]
)
VIEW = np.dtype(
    [
        ("source", np.int64),  # its row in the table of images
        ("fill_start", np.int64),  # colour steps from this one on act on the fill
        ("matrix", np.float32, 9),  # inv_matrix, row by row
    ],
    align=True,
)
# A view along one axis of its source, in source pixels.
AXIS = np.dtype(
    [
        ("low", np.float32),  # the clip, as points
        ("high", np.float32),
        ("support", np.float32),  # the filter's half-width
        ("slope", np.float32),  # of a cubic filter; 0: a triangle
        ("border", np.int64),  # what is shown outside the clip: CONSTANT …
        ("first", np.int64),  # what taps may be, as pixels: this one up to, and without, `last`
        ("last", np.int64),
        ("taps", np.int64),  # how many pixels are weighed for an output pixel
    ],
    align=True,
)
LAYER = np.dtype(
    [
        ("view_number", np.int64),  # or NO_VIEW or PLAIN_COLOUR
        ("y0", np.int64),  # its box in output pixels, without row y1 and column x1
        ("x0", np.int64),
        ("y1", np.int64),
        ("x1", np.int64),
        ("alpha", np.float32),  # how much of it is blended in
    ],
    align=True,
)


class Tables(NamedTuple):
    """A plan for the kernel."""

    views: np.ndarray  # VIEW [V]
    axes: np.ndarray  # AXIS [V, 2], along y and along x
    layers: np.ndarray  # LAYER [N, K]


def images_of(sources: Sources) -> np.ndarray:
    """The table of the source images, IMAGE [B]."""
    # All columns are whole numbers of 64 bits, which are fewer to fill where they are neighbours.
    images = np.empty((len(sources), IMAGE.itemsize // 8), np.int64)
    images[:, 0], images[:, 1:4], images[:, 4] = sources.pointers()
    images[:, 5:] = sources.sizes
    return images.view(IMAGE)[:, 0]


@twin
def tables_of(plan: Plan) -> Tables:
    """The plan's views and layers."""
    views = np.empty(len(plan.source), VIEW)
    views["source"], views["fill_start"] = plan.source, plan.fill_start
    views["matrix"] = plan.inv_matrix.reshape(-1, 9)

    axes, taps = np.empty((len(views), 2), AXIS), taps_of(plan)
    axes["low"], axes["high"] = plan.clip[:, :2], plan.clip[:, 2:]
    axes["support"], axes["slope"] = plan.support[:, ::-1], plan.slope[:, None]
    axes["border"] = plan.border[:, None]
    axes["first"], axes["taps"] = taps.least, taps.counts
    axes["last"] = taps.most + taps.counts

    layers = np.empty(plan.view.shape, LAYER)
    # A layer of alpha 0 adds nothing.
    layers["view_number"] = np.where(plan.alpha == 0, NO_VIEW, plan.view)
    layers["alpha"] = plan.alpha
    for side, name in enumerate(("y0", "x0", "y1", "x1")):
        layers[name] = plan.box[..., side]
    return Tables(views, axes, layers)
