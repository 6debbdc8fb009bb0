"""Matrices, written as maths: every `inv_*` maps a point of the new frame to the old one.

    inv_matrix @ (x_new, y_new, 1) = (x_old, y_old, 1)

All take arrays [n] and return [n, 3, 3] float64. They are built as inverses, never inverted; in plain
sums and products, so that their bits are the same on every machine.
Points are continuous: a frame of height h and width w spans [0, w] × [0, h], and y points down.
"""

from __future__ import annotations

import numpy as np

from .. import elementary
from ..checks import all_true, any_true


def matrix(rows):
    """[n, 3, 3] from three rows of three entries, each a number or an array [n]."""
    entries = [entry for row in rows for entry in row]
    n = [len(entry) for entry in entries if isinstance(entry, np.ndarray) and entry.ndim]
    # Entry by entry, each of n numbers that lie together, as NumPy is fast with them.
    out = np.zeros((9, *n[:1]))
    for k, entry in enumerate(entries):
        if type(entry) is not int or entry:
            out[k] = entry
    out = out.reshape(3, 3, *n[:1])
    return out.transpose(2, 0, 1) if n else out


def upright(kx, x, ky, y, n: int):
    """[n, 3, 3] that scale by kx and ky, then move by x and y; numbers, or arrays [n]."""
    out = np.zeros((9, n))
    out[0], out[2], out[4], out[5], out[8] = kx, x, ky, y, 1
    return out.reshape(3, 3, n).transpose(2, 0, 1)


def columns(*parts):
    """[n, k] from k arrays [n]; all but the first may be numbers."""
    out = np.empty((len(parts), len(parts[0])), np.result_type(*parts))
    for k, part in enumerate(parts):
        out[k] = part
    return out.T


def identity(n: int):
    return np.broadcast_to(np.eye(3), (n, 3, 3)).copy()


def cos_sin(angle_deg):
    """Exact at multiples of 90 degrees, so that a quarter turn moves pixels and blurs none."""
    return elementary.cos_sin(np.fmod(angle_deg, 360.0), 90.0)


def product(a, b):
    """a @ b of matrices [n, k, m] and [n, m, l]. (NumPy's own goes to a library that fuses sums and
    products where a processor can.)"""
    a, b = (np.ascontiguousarray(part.transpose(1, 2, 0)) for part in (a, b))
    parts = a[:, :, None] * b
    total = parts[:, 0]
    for k in range(1, len(b)):
        total = total + parts[:, k]
    return total.transpose(2, 0, 1)


def inv_translate(dx, dy):
    """The picture moves by (dx, dy) pixels."""
    return matrix([[1, 0, -np.asarray(dx)], [0, 1, -np.asarray(dy)], [0, 0, 1]])


def inv_crop(top, left):
    return matrix([[1, 0, left], [0, 1, top], [0, 0, 1]])


def inv_resize(old, new):
    """old, new: frames [n, 2] (height, width)."""
    kx, ky = old[:, 1] / new[:, 1], old[:, 0] / new[:, 0]
    return upright(kx, 0, ky, 0, len(kx))


def inv_resized_crop(top, left, height, width, new_height, new_width):
    """`inv_crop`, then `inv_resize` of what is kept: their product, to the bit."""
    kx, ky = width / new_width, height / new_height
    return upright(kx, left, ky, top, len(kx))


def inv_hflip(frame):
    return upright(-1, frame[:, 1], 1, 0, len(frame))


def inv_vflip(frame):
    return upright(1, 0, -1, frame[:, 0], len(frame))


def inv_quarter_turns(turns, frame):
    """`turns` quarter turns counter-clockwise as seen (as `numpy.rot90`); frame: before the turn."""
    h, w = frame[:, 0], frame[:, 1]
    choices = [
        matrix([[1, 0, 0], [0, 1, 0], [0, 0, 1]]) + np.zeros((len(frame), 1, 1)),
        matrix([[0, -1, w], [1, 0, 0], [0, 0, 1]]),
        matrix([[-1, 0, w], [0, -1, h], [0, 0, 1]]),
        matrix([[0, 1, 0], [-1, 0, h], [0, 0, 1]]),
    ]
    return np.stack(choices)[np.asarray(turns) % 4, np.arange(len(frame))]


def about(centre, inv_linear, new_centre=None):
    """Apply `inv_linear` [n, 3, 3], which is affine and fixes the origin, about `centre` [n, 2] (x, y),
    which lands on `new_centre`."""
    new_centre = centre if new_centre is None else new_centre
    out = inv_linear.copy()
    out[:, :2, 2] = centre - product(inv_linear[:, :2, :2], new_centre[:, :, None])[:, :, 0]
    return out


def inv_rotation(angle_deg):
    """Counter-clockwise as seen, about the origin."""
    c, s = cos_sin(angle_deg)
    return matrix([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def inv_scale_shear(scale, shear_x_deg, shear_y_deg):
    """Inverse of scale · shear along y · shear along x (torchvision's affine, without its rotation).

    torchvision's forward shears are [[1, −tan sx], [0, 1]] and [[1, 0], [−tan sy, 1]].
    """
    tx, ty = (sin / cos for cos, sin in map(cos_sin, (shear_x_deg, shear_y_deg)))
    k = 1 / np.asarray(scale, np.float64)
    return matrix([[k * (1 + tx * ty), k * tx, 0], [k * ty, k, 0], [0, 0, 1]])


def inv_perspective(new_corners, old_corners):
    """The projective map that takes new_corners to old_corners, both [n, 4, 2] (x, y), in order around.

    Its denominator is positive at the first new corner: what lies on that side of the horizon is seen.
    At the origin it is 1, −1 or 0. The identity where three corners lie in a line, since no map takes
    those to others.
    """
    inverse = product(_from_unit_square(old_corners), _adjugate(_from_unit_square(new_corners)))
    sign = np.sign(_homogeneous(inverse, new_corners[:, :1])[..., 2:])
    at_origin = np.abs(inverse[:, 2:, 2:])
    none = (_three_in_a_line(new_corners) | _three_in_a_line(old_corners))[:, None, None]
    scale = np.where(none, 1, sign * np.where(at_origin > 0, at_origin, 1))
    return np.where(none, np.eye(3), inverse / scale)


def _from_unit_square(corners):
    """The projective map that takes (0, 0), (1, 0), (1, 1), (0, 1) to corners (Heckbert 1989)."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners.transpose(1, 2, 0)
    up_x, up_y, left_x, left_y = x1 - x2, y1 - y2, x3 - x2, y3 - y2
    rest_x, rest_y = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3  # 0 for a parallelogram
    area = up_x * left_y - left_x * up_y
    area = np.where(area == 0, 1, area)  # three in a line
    g = (rest_x * left_y - left_x * rest_y) / area
    h = (up_x * rest_y - rest_x * up_y) / area
    return matrix(
        [
            [x1 - x0 + g * x1, x3 - x0 + h * x3, x0],
            [y1 - y0 + g * y1, y3 - y0 + h * y3, y0],
            [g, h, 1],
        ]
    )


def _adjugate(matrices):
    """The inverse but for a factor."""
    a, b, c, d, e, f, g, h, i = matrices.reshape(-1, 9).T
    return matrix(
        [
            [e * i - f * h, c * h - b * i, b * f - c * e],
            [f * g - d * i, a * i - c * g, c * d - a * f],
            [d * h - e * g, b * g - a * h, a * e - b * d],
        ]
    )


def _three_in_a_line(corners):
    """[n] bool."""
    edges = np.roll(corners, -1, axis=1) - corners
    following = np.roll(edges, -1, axis=1)
    return (edges[..., 0] * following[..., 1] == edges[..., 1] * following[..., 0]).any(axis=1)


def apply(matrices, points):
    """matrices [n, 3, 3], points [n, k, 2] (x, y) → [n, k, 2]."""
    homogeneous = _homogeneous(matrices, points)
    return homogeneous[..., :2] / homogeneous[..., 2:]


def bounds(matrices, top, left, height, width):
    """The bounding box [n, 4] (y0, x0, y1, x1) of a rectangle of the new frame, in the old one.
    Infinite where a perspective takes a part of the rectangle through infinity."""
    x, y = np.empty((2, 4, len(matrices)))  # four corners
    x[0], x[1], x[2], x[3] = left, left + width, left + width, left
    y[0], y[1], y[2], y[3] = top, top, top + height, top + height
    m = np.ascontiguousarray(matrices.transpose(1, 2, 0))
    across, down = (x * row[0] + y * row[1] + row[2] for row in m[:2])
    if not any_true(m[2, :2]) and all_true(m[2, 2] == 1):  # affine
        return columns(down.min(axis=0), across.min(axis=0), down.max(axis=0), across.max(axis=0))
    ahead = x * m[2, 0] + y * m[2, 1] + m[2, 2]
    in_front = ahead > 0
    ahead = np.where(in_front, ahead, 1)
    across, down, finite = across / ahead, down / ahead, in_front.all(axis=0)
    low = (np.where(finite, part.min(axis=0), -np.inf) for part in (down, across))
    high = (np.where(finite, part.max(axis=0), np.inf) for part in (down, across))
    return columns(*low, *high)


def _homogeneous(matrices, points):
    """[n, k, 3]"""
    x, y = points[..., :1], points[..., 1:]
    return x * matrices[:, None, :, 0] + y * matrices[:, None, :, 1] + matrices[:, None, :, 2]
