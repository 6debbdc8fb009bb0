"""What the kinds of colour steps mean, on tensors [n, H, W] of values in [0, 1], one for each channel."""

from __future__ import annotations

from itertools import repeat

import numpy as np
import torch

from ...plan.kinds import (
    CURVE,
    CURVE_ROW,
    HUE,
    HUE_TURNS,
    MATRIX,
    MATRIX_OFFSETS,
    NOISE,
    NOISE_KEY,
    NOISE_MEAN,
    NOISE_SIGMA,
    NONE,
    STEP_ARGS,
    TONE,
    TONE_INVERSE_STEP,
    TONE_LOW,
    TONE_SCALE,
    TONE_STEP,
    TONE_THRESHOLD,
)
from ...random_numbers import PHILOX_ROUNDS
from .formulas import px
from .scene import Scene


def apply_step(scene: Scene, views, step: int, channels, number):
    """The channels after one colour step of each view.

    views: [n], their numbers. channels: C tensors [n, H, W]. number: int64 [1, H, W], each pixel's
    number in its output, which keys noise.
    """
    plan, table = scene.plan, scene.table
    kinds = plan.step_kind[views, step]
    arg = _arguments(scene, views, step).T[:, :, None, None]
    after = list(channels)
    for kind in np.unique(kinds):
        if kind == NONE:
            continue
        if kind == MATRIX:
            new = _matrix(channels, arg)
        elif kind == CURVE:
            rows = np.where(kinds == CURVE, plan.step_arg[views, step, CURVE_ROW], 0)
            new = _curve(channels, table.floats(plan.curves[rows.astype(int)]))
        elif kind == TONE:
            new = _tone(channels, arg)
        elif kind == HUE:
            new = _hue(channels, arg)
        elif kind == NOISE:
            new = _noise(channels, arg, number)
        chosen = table.indices(kinds)[:, None, None] == kind
        after = [torch.where(chosen, n, a) for n, a in zip(new, after, strict=True)]
    return after


def _arguments(scene: Scene, views, step: int) -> torch.Tensor:
    """[n, 12]; an offset from a mean that was measured keeps its gradient."""
    arg = scene.table.floats(scene.plan.step_arg[views, step])
    if step not in scene.mean_offsets:
        return arg
    offset = scene.mean_offsets[step][scene.table.indices(views)][:, None]
    is_offset = np.isin(np.arange(STEP_ARGS), MATRIX_OFFSETS)
    measured = ~torch.isnan(offset) & (scene.table.indices(is_offset) == 1)
    return torch.where(measured, offset, arg)


def _matrix(channels, arg):
    if len(channels) != 3:
        return [px.gain_offset(value, arg[0], arg[MATRIX_OFFSETS[0]]) for value in channels]
    return [px.matrix_row(*channels, *arg[4 * c : 4 * c + 4]) for c in range(3)]


def _curve(channels, curves):
    """curves: [n, 3, 256]; other than RGB goes by the first."""
    new = []
    for value, c in zip(channels, _columns(channels)):
        entry = px.curve_entry(value).to(torch.int64)
        new.append(curves[:, c].gather(1, entry.flatten(1)).view(value.shape))
    return new


def _tone(channels, arg):
    new = []
    for value, c in zip(channels, _columns(channels)):
        byte = px.solarized(px.curve_entry(value), arg[TONE_THRESHOLD])
        byte = px.stretched(byte, arg[TONE_LOW + c], arg[TONE_SCALE + c])
        new.append(px.from_byte(px.posterized(byte, arg[TONE_STEP], arg[TONE_INVERSE_STEP])))
    return new


def _hue(channels, arg):
    turned = px.turned_hue(*channels, arg[HUE_TURNS])
    return [of(*channels, turned) for of in (px.red_of_hue, px.green_of_hue, px.blue_of_hue)]


def _noise(channels, arg, number):
    key = (arg[NOISE_KEY].long(), arg[NOISE_KEY + 1].long())
    return [
        px.add_noise(value, arg[NOISE_MEAN], arg[NOISE_SIGMA], deviate)
        for value, deviate in zip(channels, _deviates(number, *key, len(channels)), strict=True)
    ]


def _columns(channels):
    """Which of three arguments each channel goes by: its own in RGB, otherwise the first."""
    return range(3) if len(channels) == 3 else repeat(0)


def _deviates(number, k0, k1, channels: int):
    """Standard normal numbers [n, H, W] for each channel, keyed as every executor keys them."""
    deviates: list[torch.Tensor] = []
    for first in range(0, channels, 4):
        zero = torch.zeros_like(number + k0)
        words = (number + zero, zero + first, zero, zero, k0, k1)
        for _ in range(PHILOX_ROUNDS):
            words = px.philox_round(*words)
        deviates += px.normal_pair(*words[:2])
        deviates += px.normal_pair(*words[2:4])
    return deviates[:channels]
