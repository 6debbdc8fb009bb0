"""A plan drawn by every executor, again and again: what must hold whatever the plan says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

import numpy as np
import torch

import augengine as ae
from augengine.plan.kinds import CURVE, HUE, IMPULSE, NOISE, TONE
from augengine.plan.shrinks import shrunk_first

from . import scratch
from .images import Images
from .outputs import Output

REFUSALS = (ValueError, TypeError)

OVERSHOOT = 0.45
"""By what share of an image's range a cubic goes beyond it: its weights below 0 add up to -3/16 along an axis
at the most, its others to 19/16: together (11/8 · 11/8 - 1) / 2 along two."""


class Failure(Exception):
    """What must not be. kind: one of a few words; text: what was seen."""

    def __init__(self, kind: str, text: str):
        super().__init__(f"{kind}: {text}")
        self.kind, self.text = kind, text


@dataclass
class Refused:
    """An executor's answer to a plan that it does not draw."""

    error: Exception


def check(rng: Random, plan: ae.Plan, images: Images, executors: list[str], valid: bool) -> str:
    """Draw the plan and raise Failure for what is wrong.

    Args:
        rng: Source of outputs and threads.
        plan: Plan to draw.
        images: Images that it is for, or not.
        executors: Names; the first is drawn twice, between other guards and poisons.
        valid: Whether nobody may refuse it.

    Returns:
        A word for what became of it: "drawn", "refused" or "too large".
    """
    values = math.prod(map(int, plan.shape))
    if 2e7 < values < 2**60:  # the memory is theirs who ask for it
        return "too large"
    for block in images.blocks:
        block.protect()
    threads = rng.choice((1, 1, 1, 3))
    torch.set_num_threads(threads)
    try:
        return _check(rng, plan, images, executors, valid)
    finally:
        torch.set_num_threads(1)


def _check(rng, plan, images, executors, valid):
    first = _draw(rng, plan, images, executors[0], at_end=True, poison=0xFF)
    again = _draw(rng, plan, images, executors[0], at_end=False, poison=0x55)
    if isinstance(first, Refused):
        if valid:
            raise Failure("refused", f"{executors[0]} refuses a plan that is right: {first.error}")
        if not isinstance(again, Refused):
            raise Failure(
                "unstable", f"{executors[0]} refused once, and drew the second time: {first.error}"
            )
    elif isinstance(again, Refused):
        raise Failure("unstable", f"{executors[0]} drew, then refused: {again.error}")
    else:
        _same_bits(plan, first, again, executors[0])
        _finite(plan, first, executors[0], valid)
    for executor in executors[1:]:
        other = _draw(rng, plan, images, executor, at_end=rng.random() < 0.5, poison=0xFF)
        if isinstance(other, Refused) != isinstance(first, Refused):
            error = other.error if isinstance(other, Refused) else first.error
            raise Failure("one refuses", f"{executor} or {executors[0]}, not both: {error}")
        if isinstance(other, Refused):
            continue
        _finite(plan, other, executor, valid)
        _agree(plan, first, other, f"{executors[0]} and {executor}", valid)
    return "refused" if isinstance(first, Refused) else "drawn"


def _draw(rng, plan, images, executor, at_end, poison):
    """The batch as contiguous memory, or Refused."""
    scratch.poison(at_end, poison)
    out = None
    if rng.random() < 0.6 and plan_shape_is_small(plan):
        dtype = getattr(torch, plan.finish.dtype)
        out = Output(rng, plan.shape, dtype, at_end, poison)
    try:
        given = None if out is None else out.tensor
        batch = ae.execute(plan, images.value, executor=executor, layout=images.layout, out=given)
    except REFUSALS as error:
        return Refused(error)
    kept = batch.clone(memory_format=torch.contiguous_format)
    if out is not None:
        if batch is not given:
            raise Failure("out", f"{executor} returned another tensor than out")
        if not out.gaps_are_whole():
            raise Failure("outside", f"{executor} wrote beside its output, {out.words}")
    return kept


def plan_shape_is_small(plan: ae.Plan) -> bool:
    """Whether there is memory for its outputs."""
    try:
        return 0 < np.prod([float(n) for n in plan.shape]) < 1e7
    except REFUSALS:
        return False


def _same_bits(plan, first, again, executor):
    if first.dtype.is_floating_point:
        bits = {2: torch.int16, 4: torch.int32}[first.element_size()]
        first, again = first.view(bits), again.view(bits)
    apart = first != again
    if apart.any():
        where = apart.nonzero()[0].tolist()
        raise Failure(
            "unstable",
            f"{executor} drew {int(apart.sum())} of {apart.numel()} values otherwise the second time, the "
            f"first at {where}: what was not written, or what lay in memory before",
        )


def bounds_of(plan: ae.Plan) -> tuple[float, float]:
    """Between which values an output lies: [0, 1], or the plan's own colours beyond it, normalised.

    Floats that a cubic filter draws go beyond: beside an edge it overshoots, as torchvision's does."""
    colours = [
        np.append(field.ravel(), (0, 1))
        for field in (plan.colour, plan.fill, plan.curves.clip(0, 1))
    ]
    low, high = min(field.min() for field in colours), max(field.max() for field in colours)
    if plan.slope.any():
        for _ in range(2 if shrunk_first(plan) else 1):  # how often it resamples
            low, high = low - OVERSHOOT * (high - low), high + OVERSHOOT * (high - low)
    with np.errstate(all="ignore"):
        gain, offset = (values.astype(np.float64) for values in plan.finish.gain_offset())
        ends = np.stack([low * gain + offset, high * gain + offset])
    return float(ends.min()), float(ends.max())


def _finite(plan, batch, executor, valid):
    """NaN is never right, and an infinity only where the dtype has no such number."""
    if plan.finish.dtype == "uint8" or not batch.numel():
        return
    low, high = bounds_of(plan)
    fits = max(-low, high) < 0.9 * torch.finfo(batch.dtype).max
    wrong = ~batch.isfinite() if fits else batch.isnan()
    if wrong.any():
        where = wrong.nonzero()[0].tolist()
        raise Failure(
            "NaN",
            f"{executor} drew {int(wrong.sum())} values that are not finite, the first at {where}",
        )
    if not valid or not fits:
        return
    step = 0 if batch.element_size() == 4 else 0.02
    room = 1e-5 + 1e-4 * (high - low) + step * max(-low, high, high - low)
    least, largest = batch.min().item(), batch.max().item()
    if least < low - room or largest > high + room:
        raise Failure(
            "range", f"{executor} drew {least:g} … {largest:g}, expected {low:g} … {high:g}"
        )


def tolerance_of(plan: ae.Plan) -> float:
    """How far apart two executors may be where no rounding falls on an edge."""
    if plan.finish.dtype == "uint8":
        return 1.0
    low, high = bounds_of(plan)
    step = {"float32": 0, "float16": 2**-10, "bfloat16": 2**-7}[plan.finish.dtype]
    return 1e-4 * (high - low) + step * max(-low, high)


def looks_up(plan: ae.Plan) -> bool:
    """Whether a rounding may change a value by much: where a step has jumps or is measured."""
    jumps = (
        np.isin(plan.step_kind, (CURVE, HUE, IMPULSE, NOISE, TONE)).any() or plan.statistic.any()
    )
    return bool(jumps or plan.filter[:, 0].any() or shrunk_first(plan))


def _agree(plan, first, other, names, valid):
    """Few values may lie on an edge, where a rounding decides; a whole flat image may, before a step with
    jumps, but not by much."""
    if not valid or not first.numel():
        return
    low, high = bounds_of(plan)
    apart = (first.double() - other.double()).abs()
    beyond = apart > tolerance_of(plan)
    if looks_up(plan):
        scale = 255.0 if plan.finish.dtype == "uint8" else high - low
        wrong = (
            apart.mean().item() > (0.2 if plan.statistic.any() else 0.02) * scale
            and int(beyond.sum()) > 6
        )
    else:
        wrong = int(beyond.sum()) > max(3, 0.002 * beyond.numel())
    if wrong:
        where = beyond.nonzero()[0].tolist()
        raise Failure(
            "executors differ",
            f"{names} by up to {apart.max().item():g} in {int(beyond.sum())} of {beyond.numel()} values, the "
            f"first at {where}",
        )
