"""What the kinds of colour steps mean, on tensors [n, H, W] of values in [0, 1], one for each channel."""

from __future__ import annotations

from itertools import repeat

import numpy as np
import torch

from ...plan.kinds import (
    ADD_AMOUNT,
    ADD_BELOW,
    ADD_THRESHOLD,
    CURVE,
    CURVE_ROW,
    GAIN_AT,
    GAINS,
    GAMMA,
    GAMMA_EXPONENT,
    GAMMA_GAIN,
    HUE,
    HUE_TURNS,
    IMPULSE,
    IMPULSE_AMOUNT,
    IMPULSE_KEY,
    IMPULSE_SALT,
    MATRIX,
    MATRIX_OFFSETS,
    NEUTRAL_TONE,
    NOISE,
    NOISE_KEY,
    NOISE_MEAN,
    NOISE_SIGMA,
    NONE,
    OFFSET_AT,
    STEP_ARGS,
    TONE,
    TONE_INVERSE_STEP,
    TONE_LOW,
    TONE_SCALE,
    TONE_STEP,
    TONE_THRESHOLD,
)
from ...random_numbers import PHILOX_ROUNDS
from ..bind import FLOATS
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
        chosen = table.indices(kinds)[:, None, None] == kind
        if kind == MATRIX:
            new = _matrix(channels, arg)
        elif kind in (CURVE, GAINS):
            rows = np.where(kinds == kind, plan.step_arg[views, step, CURVE_ROW], 0)
            curves = table.floats(plan.curves[rows.astype(int)])
            if kind == CURVE:
                new = _curve(channels, curves, table.byte)
            else:
                new = _gains(channels, curves, _measured_offsets(scene, views, step))
        elif kind == TONE:
            new = _tone(channels, _only_for(chosen, arg, NEUTRAL_TONE), table.byte)
        elif kind == GAMMA:
            new = _gamma(channels, _only_for(chosen, arg, [1.0] * STEP_ARGS), table.byte)
        elif kind == ADD_BELOW:
            new = _add_below(channels, arg, table.byte)
        elif kind == HUE:
            new = _hue(channels, arg)
        elif kind == NOISE:
            new = _noise(channels, arg, number)
        elif kind == IMPULSE:
            new = _impulse(channels, arg, number)
        after = [torch.where(chosen, n, a) for n, a in zip(new, after, strict=True)]
    if step in scene.limits:
        after = _stretched(channels, after, scene.limits[step][table.indices(views)])
    return after


def entries_of(values: torch.Tensor, byte: bool) -> torch.Tensor:
    """The entry of a curve that each value has, int64. byte: whether sources are bytes."""
    return (px.curve_entry(values) if byte else px.cut_entry(values)).to(torch.int64)


def _only_for(chosen, arg, neutral):
    """The arguments, neutral ones for other views: what those would give may have no derivative, and a
    mask does not hide that."""
    other = arg.new_tensor(neutral)[:, None, None, None]
    return torch.where(chosen, arg, other)


def _stretched(channels, after, limits):
    """What a range that was measured does, with its gradient; the numbers are the plan's but for
    roundings. limits: [n, C, 2], NaN for views of which it was not measured."""
    measured = ~torch.isnan(limits)
    low, high = torch.where(measured, limits, 0)[..., None, None].unbind(2)
    flat = high - low <= FLOATS["LEAST_SPREAD"]
    low, spread = torch.where(flat, 0, low), torch.where(flat, 1, high - low)
    chosen = measured[:, 0, 0, None, None]
    return [
        torch.where(chosen, px.clamp((value - low[:, c]) / spread[:, c]), other)
        for c, (value, other) in enumerate(zip(channels, after, strict=True))
    ]


def _arguments(scene: Scene, views, step: int) -> torch.Tensor:
    """[n, 12]; an offset from a mean that was measured keeps its gradient."""
    arg = scene.table.floats(scene.plan.step_arg[views, step])
    if step not in scene.mean_offsets or scene.plan.finish.channels != 3:
        return arg
    offset = scene.mean_offsets[step][scene.table.indices(views)][:, None]
    is_offset = np.isin(np.arange(STEP_ARGS), MATRIX_OFFSETS)
    measured = ~torch.isnan(offset) & (scene.table.indices(is_offset) == 1)
    return torch.where(measured, offset, arg)


def _measured_offsets(scene: Scene, views, step: int) -> torch.Tensor | None:
    """[n, C], of a step whose offsets are from means that were measured, with their gradient."""
    offsets = scene.mean_offsets.get(step)
    return None if offsets is None else offsets[scene.table.indices(views)]


def _matrix(channels, arg):
    if len(channels) != 3:
        return [px.gain_offset(value, arg[0], arg[MATRIX_OFFSETS[0]]) for value in channels]
    return [px.matrix_row(*channels, *arg[4 * c : 4 * c + 4]) for c in range(3)]


def _curve(channels, curves, byte):
    """curves: [n, C, 256]."""
    new = []
    for c, value in enumerate(channels):
        entry = entries_of(value, byte)
        new.append(curves[:, c].gather(1, entry.flatten(1)).view(value.shape))
    return new


def _gains(channels, curves, measured):
    """curves: [n, C, 256], of which the first entries are the gain and the offset. measured: offsets
    [n, C] with their gradient, NaN where there is none; or None."""
    gains, offsets = curves[:, :, GAIN_AT], curves[:, :, OFFSET_AT]
    if measured is not None:
        offsets = torch.where(torch.isnan(measured), offsets, measured)
    return [
        px.gain_offset(value, gains[:, c, None, None], offsets[:, c, None, None])
        for c, value in enumerate(channels)
    ]


def _tone(channels, arg, byte):
    threshold, step, inverse_step = arg[TONE_THRESHOLD], arg[TONE_STEP], arg[TONE_INVERSE_STEP]
    new = []
    for value, c in zip(channels, _columns(channels)):
        low, scale = arg[TONE_LOW + c], arg[TONE_SCALE + c]
        if byte:
            entry = px.stretched(px.solarized(px.curve_entry(value), threshold), low, scale)
            new.append(px.from_byte(px.posterized(entry, step, inverse_step)))
        else:
            value = px.stretched_value(px.solarized_value(px.clamp(value), threshold), low, scale)
            new.append(px.posterized_value(value, step, inverse_step))
    return new


def _gamma(channels, arg, byte):
    values = [px.from_byte(px.curve_entry(value)) for value in channels] if byte else channels
    return [px.gamma(value, arg[GAMMA_EXPONENT], arg[GAMMA_GAIN]) for value in values]


def _add_below(channels, arg, byte):
    threshold, amount = arg[ADD_THRESHOLD], arg[ADD_AMOUNT]
    if not byte:
        return [px.added_below_value(px.clamp(value), threshold, amount) for value in channels]
    entries = [px.curve_entry(value) for value in channels]
    return [px.from_byte(px.added_below(entry, threshold, amount)) for entry in entries]


def _hue(channels, arg):
    return list(px.turned_colour(*channels, arg[HUE_TURNS]))


def _noise(channels, arg, number):
    key = (arg[NOISE_KEY].long(), arg[NOISE_KEY + 1].long())
    return [
        px.add_noise(value, arg[NOISE_MEAN], arg[NOISE_SIGMA], deviate)
        for value, deviate in zip(channels, _deviates(number, *key, len(channels)), strict=True)
    ]


def _impulse(channels, arg, number):
    """White or black by one word for all channels of a pixel."""
    uniform = px.uniform_of(
        _words(number, 0, arg[IMPULSE_KEY].long(), arg[IMPULSE_KEY + 1].long())[0]
    )
    salt, amount = arg[IMPULSE_SALT], arg[IMPULSE_AMOUNT]
    return [px.impulse(value, uniform, salt, amount) for value in channels]


def _columns(channels):
    """Which of three arguments each channel goes by: its own in RGB, otherwise the first."""
    return range(3) if len(channels) == 3 else repeat(0)


def _deviates(number, k0, k1, channels: int):
    """Standard normal numbers [n, H, W] for each channel, keyed as every executor keys them."""
    deviates: list[torch.Tensor] = []
    for first in range(0, channels, 4):
        words = _words(number, first, k0, k1)
        deviates += px.normal_pair(*words[:2])
        deviates += px.normal_pair(*words[2:4])
    return deviates[:channels]


def _words(number, first: int, k0, k1):
    """Four random words [n, H, W] for each pixel, for the channels from `first` on."""
    zero = torch.zeros_like(number + k0)
    words = (number + zero, zero + first, zero, zero, k0, k1)
    for _ in range(PHILOX_ROUNDS):
        words = px.philox_round(*words)
    return words[:4]
