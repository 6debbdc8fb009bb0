"""How strength acts on an op: magnitudes are pulled towards neutral, probabilities towards 0."""

from __future__ import annotations


def pulled(value, neutral, strength):
    """A magnitude, pulled towards the neutral one; strength in [0, 1], 1 leaves it. Arrays broadcast."""
    return neutral + strength * (value - neutral)


def magnitude(uniform, limits, neutral, strength):
    """A magnitude from limits (lowest, highest) by a uniform number, then `pulled`."""
    low, high = limits
    return pulled(low + uniform * (high - low), neutral, strength)


def chosen(draft, rows, place: int, p: float):
    """The rows that an op without a magnitude happens to: strength pulls its probability."""
    return rows[draft.uniform(place, 1, rows)[:, 0] < p * draft.strength[rows]]


def acting(draft, rows, place: int, p: float, count: int):
    """The rows that an op happens to, with probability p, and `count` uniform numbers for each."""
    uniform = draft.uniform(place, 1 + count, rows)
    acts = uniform[:, 0] < p
    return rows[acts], uniform[acts, 1:]
