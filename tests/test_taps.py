"""Which source pixels a view weighs: by hand at the edges, and against the triangle itself."""

import dataclasses

import numpy as np
import pytest

import augengine as ae
from augengine.kernels.taps import taps_of


def along_x(low, high, support, size=12):
    """(count, least, most) along x of a view with this clip [low, high] in a source of `size` columns."""
    plan = ae.Engine([ae.RandomHorizontalFlip()]).plan([(9, size)], [0])
    clip = np.array([[0, low, 9, high]], np.float32)
    supports = np.array([[support, 1]], np.float32)
    counts, least, most = taps_of(
        dataclasses.replace(plan, clip=clip, sight=clip, support=supports)
    )
    assert (counts.dtype, least.dtype, most.dtype) == (np.int32, np.float32, np.float32)
    return int(counts[0, 1]), float(least[0, 1]), float(most[0, 1])


@pytest.mark.parametrize(
    ("low", "high", "support", "expected"),
    [
        (0, 12, 1, (2, 0, 10)),  # bilinear: two of twelve
        (0, 12, 0, (1, 0, 11)),  # nearest
        (0, 12, 0.75, (2, 0, 10)),
        (0, 12, 1.01, (3, 0, 9)),  # a shrink by a little more than one
        (0, 12, 2.5, (5, 0, 7)),
        (0, 12, 6, (12, 0, 0)),  # all there are
        (0, 12, 8e6, (12, 0, 0)),
        (3.2, 5.9, 1, (2, 3, 4)),  # half a pixel belongs to the clip as a whole one
        (3.2, 5.9, 4, (3, 3, 3)),
        (3.2, 3.9, 1, (1, 3, 3)),  # a clip of one pixel
        (11, 12, 1, (1, 11, 11)),
    ],
)
def test_taps_at_the_edges(low, high, support, expected):
    assert along_x(low, high, support) == expected


@pytest.mark.parametrize("share", [0, 0.5, 0.7, 1])
@pytest.mark.parametrize("size", [1, 12])
def test_an_empty_clip_reads_pixels_that_exist(share, size):
    count, least, most = along_x(share * size, share * size, support=1, size=size)
    assert least >= 0
    assert count >= 1
    assert most + count <= size


@pytest.mark.parametrize("support", [0.75, 1, 1.3, 2, 3.7, 5])
@pytest.mark.parametrize("clip", [(0, 12), (2.5, 9), (4, 6.25), (7.1, 7.6)])
def test_every_pixel_that_weighs_anything_is_a_tap(clip, support):
    """Pixels of the clip whose centres lie within the support of a point, for points all over it."""
    count, least, most = along_x(*clip, support)
    clip_pixels = range(int(np.floor(clip[0])), int(np.ceil(clip[1])))
    widest = 0
    for point in np.linspace(*clip, 997):
        weighed = [pixel for pixel in clip_pixels if abs(pixel + 0.5 - point) < support]
        if not weighed:
            continue
        first = min(max(weighed[0], least), most)
        assert weighed[0] >= first
        assert weighed[-1] < first + count
        widest = max(widest, len(weighed))
    assert widest == count, "a tap that never weighs anything costs a load"
