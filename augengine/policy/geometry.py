"""Matrices, written as maths: every `inv_*` maps a point of the new frame to the old one.

    inv_matrix @ (x_new, y_new, 1) = (x_old, y_old, 1)

All take arrays [n] and return [n, 3, 3] float64. They are built as inverses, never inverted.
Points are continuous: a frame of height h and width w spans [0, w] × [0, h], and y points down.
"""

from __future__ import annotations

import numpy as np


def matrix(rows):
    """[n, 3, 3] from three rows of three entries, each a number or an array [n]."""
    entries = [entry for row in rows for entry in row]
    n = [len(entry) for entry in entries if isinstance(entry, np.ndarray) and entry.ndim]
    out = np.empty((*n[:1], 9))
    out[...] = [entry if isinstance(entry, (int, float)) else 0 for entry in entries]
    for k, entry in enumerate(entries):
        if not isinstance(entry, (int, float)):
            out[..., k] = entry
    return out.reshape(*n[:1], 3, 3)


def identity(n: int):
    return np.broadcast_to(np.eye(3), (n, 3, 3)).copy()


def cos_sin(angle_deg):
    """Exact at multiples of 90 degrees, so that a quarter turn moves pixels and blurs none."""
    angle = np.remainder(np.asarray(angle_deg, np.float64), 360)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    exact = np.remainder(angle, 90) == 0
    return np.where(exact, np.round(cos), cos), np.where(exact, np.round(sin), sin)


def inv_translate(dx, dy):
    """The picture moves by (dx, dy) pixels."""
    return matrix([[1, 0, -np.asarray(dx)], [0, 1, -np.asarray(dy)], [0, 0, 1]])


def inv_crop(top, left):
    return matrix([[1, 0, left], [0, 1, top], [0, 0, 1]])


def inv_resize(old, new):
    """old, new: frames [n, 2] (height, width)."""
    kx, ky = old[:, 1] / new[:, 1], old[:, 0] / new[:, 0]
    return matrix([[kx, 0, 0], [0, ky, 0], [0, 0, 1]])


def inv_hflip(frame):
    return matrix([[-1, 0, frame[:, 1]], [0, 1, 0], [0, 0, 1]])


def inv_vflip(frame):
    return matrix([[1, 0, 0], [0, -1, frame[:, 0]], [0, 0, 1]])


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
    out[:, :2, 2] = centre - (inv_linear[:, :2, :2] @ new_centre[:, :, None])[:, :, 0]
    return out


def inv_rotation(angle_deg):
    """Counter-clockwise as seen, about the origin."""
    c, s = cos_sin(angle_deg)
    return matrix([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def inv_scale_shear(scale, shear_x_deg, shear_y_deg):
    """Inverse of scale · shear along y · shear along x (torchvision's affine, without its rotation).

    torchvision's forward shears are [[1, −tan sx], [0, 1]] and [[1, 0], [−tan sy, 1]].
    """
    tx, ty = np.tan(np.radians(shear_x_deg)), np.tan(np.radians(shear_y_deg))
    inv_x = matrix([[1, tx, 0], [0, 1, 0], [0, 0, 1]])
    inv_y = matrix([[1, 0, 0], [ty, 1, 0], [0, 0, 1]])
    k = 1 / np.asarray(scale, np.float64)
    return inv_x @ inv_y @ matrix([[k, 0, 0], [0, k, 0], [0, 0, 1]])


def inv_perspective(new_corners, old_corners):
    """The projective map that takes new_corners to old_corners, both [n, 4, 2] (x, y)."""
    x, y = new_corners[..., 0], new_corners[..., 1]
    u, v = old_corners[..., 0], old_corners[..., 1]
    one, zero = np.ones_like(x), np.zeros_like(x)
    for_u = np.stack([x, y, one, zero, zero, zero, -u * x, -u * y], axis=-1)
    for_v = np.stack([zero, zero, zero, x, y, one, -v * x, -v * y], axis=-1)
    system = np.concatenate([for_u, for_v], axis=1)
    right = np.concatenate([u, v], axis=1)[..., None]
    try:
        solution = np.linalg.solve(system, right)
    except np.linalg.LinAlgError:
        # Corners fell together somewhere; one by one, so that the others keep their bits.
        solution = np.stack([_solved(*pair) for pair in zip(system, right, strict=True)])
    return np.concatenate([solution[..., 0], np.ones((len(x), 1))], axis=1).reshape(-1, 3, 3)


def _solved(system, right):
    """The solution, or the least-squares one where there is none."""
    try:
        return np.linalg.solve(system, right)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(system, right)[0]


def apply(matrices, points):
    """matrices [n, 3, 3], points [n, k, 2] (x, y) → [n, k, 2]."""
    homogeneous = _homogeneous(matrices, points)
    return homogeneous[..., :2] / homogeneous[..., 2:]


def bounds(matrices, top, left, height, width):
    """The bounding box [n, 4] (y0, x0, y1, x1) of a rectangle of the new frame, in the old one.
    Infinite where a perspective takes a part of the rectangle through infinity."""
    x = np.stack([left, left + width, left + width, left], axis=1).astype(np.float64)
    y = np.stack([top, top, top + height, top + height], axis=1).astype(np.float64)
    homogeneous = _homogeneous(matrices, np.stack([x, y], axis=-1))
    in_front = homogeneous[..., 2:] > 0
    corners = homogeneous[..., :2] / np.where(in_front, homogeneous[..., 2:], 1)
    finite = in_front.all(axis=1)
    low = np.where(finite, corners.min(axis=1), -np.inf)
    high = np.where(finite, corners.max(axis=1), np.inf)
    return np.stack([low[:, 1], low[:, 0], high[:, 1], high[:, 0]], axis=1)


def _homogeneous(matrices, points):
    return points @ matrices[:, :, :2].transpose(0, 2, 1) + matrices[:, None, :, 2]
