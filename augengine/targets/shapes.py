"""Polygons, many at once: cut by lines, their areas and extents, and those of their parts in rectangles.

Polygons are arrays [2, k, n]: x and y of k corners of n polygons, so that sums over corners run along
memory. One of fewer than k corners repeats its last, which adds edges without length; what is cut away
altogether is one point. Rectangles are [4, n]: y0, x0, y1, x1 as in a plan. Extents are [4, n]: x0, y0,
x1, y1 as in a box.
"""

from __future__ import annotations

import numpy as np


def of_boxes(boxes: np.ndarray) -> np.ndarray:
    """[n, 4, 2] the corners (x, y) of boxes [n, 4] of x0, y0, x1, y1, clockwise from the top left."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)


def area(polygons: np.ndarray) -> np.ndarray:
    """[n], of polygons whose edges do not cross."""
    # About the first corner, or far from the origin the digits would go there.
    x, y = polygons - polygons[:, :1]
    return np.abs((x * following(y) - y * following(x)).sum(axis=0)) / 2


def extents(polygons: np.ndarray) -> np.ndarray:
    """[4, n] of the rectangle about each."""
    return np.concatenate([polygons.min(axis=1), polygons.max(axis=1)])


def upright(polygons: np.ndarray) -> np.ndarray:
    """[n] whether all edges are level or plumb; for convex polygons, whether they are rectangles."""
    x, y = polygons
    return ((x == following(x)) | (y == following(y))).all(axis=0)


def cut(polygons: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """The parts of convex polygons where a linear function is 0 or more (Sutherland and Hodgman 1974).
    Of others, parts that belong apart stay joined along the line, which adds no area.

    distance: [k, n], the function at their corners.
    """
    inside = distance >= 0
    which = np.flatnonzero(~inside.all(axis=0))
    if not len(which):
        return polygons
    points, here, kept = polygons[..., which], distance[:, which], inside[:, which]
    crosses = kept != following(kept)
    there = following(here)
    share = np.where(crosses, here, 0) / np.where(crosses, here - there, 1)
    after = np.stack([following(points[0]), following(points[1])])
    crossing = points + share * (after - points)
    corners, n = kept.shape
    # Each corner that is kept, and behind it the point where its edge crosses the line.
    candidates = np.stack([points, crossing], axis=2).reshape(2, 2 * corners, n)
    taken = np.stack([kept, crosses], axis=1).reshape(2 * corners, n)
    count = taken.sum(axis=0)
    most = max(int(count.max()), corners)
    order = np.argsort(~taken, axis=0, kind="stable")
    # Behind the last its repetition; of none at all one point.
    place = np.minimum(np.arange(most)[:, None], np.maximum(count - 1, 0))
    place = np.take_along_axis(order, place, axis=0)
    result = widened(polygons, most).copy()
    result[..., which] = np.take_along_axis(candidates, place[None], axis=1)
    return result


def cut_to(polygons: np.ndarray, rectangles: np.ndarray) -> np.ndarray:
    """The parts of convex polygons inside rectangles."""
    y0, x0, y1, x1 = rectangles
    slanted = np.flatnonzero(~upright(polygons))
    # A rectangle inside a rectangle, as nearly always.
    parts = np.stack([_held(polygons[0], x0, x1), _held(polygons[1], y0, y1)])
    if len(slanted):
        y0, x0, y1, x1 = rectangles[:, slanted]
        part = polygons[..., slanted]
        part = cut(part, part[0] - x0)
        part = cut(part, x1 - part[0])
        part = cut(part, part[1] - y0)
        part = cut(part, y1 - part[1])
        parts = widened(parts, part.shape[1])
        parts[..., slanted] = part
    return parts


def widened(polygons: np.ndarray, corners: int) -> np.ndarray:
    """The same polygons with so many corners, at least."""
    lacking = corners - polygons.shape[1]
    if lacking <= 0:
        return polygons
    return np.concatenate([polygons, np.repeat(polygons[:, -1:], lacking, axis=1)], axis=1)


def area_inside(polygons: np.ndarray, rectangles: np.ndarray) -> np.ndarray:
    """[n] the area of each polygon's part inside its rectangle, without forming it: the sum over its
    edges of the integral of y, held within the rectangle's, over the x that both share (Green)."""
    y0, x0, y1, x1 = rectangles
    x, y = polygons
    next_x, next_y = following(x), following(y)
    begin, end = _held(x, x0, x1), _held(next_x, x0, x1)
    width = next_x - x
    flat = width == 0
    slope = np.where(flat, 0, next_y - y) / np.where(flat, 1, width)
    # The edge's y at both ends of the x that it shares with the rectangle.
    first, last = y - y0 + slope * (begin - x), y - y0 + slope * (end - x)
    return np.abs(((end - begin) * _mean_held(first, last, y1 - y0)).sum(axis=0))


def _mean_held(first: np.ndarray, last: np.ndarray, most: np.ndarray) -> np.ndarray:
    """The mean, over a straight way from first to last, of the number held within [0, most]."""
    way = last - first
    first_held, last_held = _held(first, 0, most), _held(last, 0, most)
    # The integral of the held number, as a function of where the way ends.
    rise = (last_held - first_held) * (last_held + first_held) / 2
    over = most * (np.maximum(last, most) - np.maximum(first, most))
    short = np.abs(way) < 1e-5  # where a quotient of differences has no digits left
    return np.where(short, (first_held + last_held) / 2, (rise + over) / np.where(short, 1, way))


def extents_inside(polygons: np.ndarray, rectangles: np.ndarray) -> np.ndarray:
    """[4, n] of each convex polygon's part inside its rectangle; reversed or without area where there
    is none."""
    y0, x0, y1, x1 = rectangles
    x, y = polygons
    low_x, high_x = _reach(x, y, y0, y1)
    low_y, high_y = _reach(y, x, x0, x1)
    low = np.maximum(low_x, x0), np.maximum(low_y, y0)
    return np.stack([*low, np.minimum(high_x, x1), np.minimum(high_y, y1)])


def _reach(along: np.ndarray, across: np.ndarray, low: np.ndarray, high: np.ndarray):
    """How far polygons reach along one axis [n], least and most, where the other is in [low, high]."""
    next_along, next_across = following(along), following(across)
    way = next_across - across
    flat = way == 0
    way = np.where(flat, 1, way)
    begin = _held(np.where(flat, 0, (low - across) / way), 0, 1)
    end = _held(np.where(flat, 1, (high - across) / way), 0, 1)
    meets = (np.minimum(across, next_across) <= high) & (np.maximum(across, next_across) >= low)
    ends = along + begin * (next_along - along), along + end * (next_along - along)
    least = np.where(meets, np.minimum(*ends), np.inf).min(axis=0)
    most = np.where(meets, np.maximum(*ends), -np.inf).max(axis=0)
    return least, most


def following(corners: np.ndarray) -> np.ndarray:
    """[k, n] of each corner the number of the next one."""
    return np.concatenate([corners[1:], corners[:1]])


def _held(values, low, high):
    """Numbers held within [low, high]; quicker than np.clip."""
    return np.minimum(np.maximum(values, low), high)
