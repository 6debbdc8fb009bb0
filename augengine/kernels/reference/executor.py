"""The torch executor: the readable definition, for any device, and for gradients.

Every output pixel gathers its taps from one table of all source pixels; autograd follows. It
computes in `compute` (float32; float64 as a reference for the others) and casts at the end.
"""

from __future__ import annotations

from itertools import repeat

import numpy as np
import torch

from ...plan import Plan
from ...plan.kinds import (
    CONSTANT,
    CURVE,
    EDGE,
    GREY,
    HISTOGRAM,
    HUE,
    MATRIX,
    MEAN,
    NO_VIEW,
    NOISE,
    NONE,
    PLAIN_COLOUR,
    REFLECT,
    TONE,
)
from ...random_numbers import PHILOX_ROUNDS, WORD
from ..bind import FLOATS, WORDS, bind
from ..passes import with_filtered
from ..sources import Sources
from ..statistics import Measured, completed, window_pixels
from .filter import apply

_CONSTANTS = {name: torch.tensor(value, dtype=torch.float64) for name, value in FLOATS.items()}


def _wide_product(a, b):
    """The high and low words of a 32×32-bit product, in int64 without overflow."""
    high = ((a >> 16) * b + (((a & 0xFFFF) * b) >> 16)) >> 16
    return high, (a * b) & WORD


px = bind(
    {
        **_CONSTANTS,
        **WORDS,
        "floor": torch.floor,
        "where": torch.where,
        "minimum": torch.minimum,
        "maximum": torch.maximum,
        "absolute": torch.abs,
        "divide": torch.divide,
        "sqrt": torch.sqrt,
        "log": torch.log,
        "cos": torch.cos,
        "sin": torch.sin,
        "to_float": lambda word: word.to(torch.float32),
        "wide_product": _wide_product,
        "add_word": lambda a, b: (a + b) & WORD,
        "xor": torch.bitwise_xor,
    }
)


def execute(plan: Plan, sources: Sources, out: torch.Tensor, compute=torch.float32) -> torch.Tensor:
    """Draw the plan. Where a source requires a gradient the result is a new tensor that carries
    it; otherwise `out` is written and returned."""
    plan, sources = with_filtered(plan, sources, execute, apply)
    table = _Table(sources, compute)
    views = _Views(plan, table)
    canvas = torch.zeros(plan.shape, dtype=compute, device=sources.device)
    height, width = plan.finish.size
    y = torch.arange(height, device=sources.device)[None, None, :, None]
    x = torch.arange(width, device=sources.device)[None, None, None, :]
    for k in range(plan.view.shape[1]):
        rows = np.flatnonzero(plan.view[:, k] != NO_VIEW)
        view = plan.view[rows, k]
        over = table.tensor(plan.colour[rows, k])[:, :, None, None].expand(-1, -1, height, width)
        drawn = np.flatnonzero(view != PLAIN_COLOUR)
        if len(drawn):
            over = over.index_put((table.index(drawn),), views.draw(view[drawn]))
        y0, x0, y1, x1 = table.index(plan.box[rows, k]).T[:, :, None, None, None]
        within = (y >= y0) & (y < y1) & (x >= x0) & (x < x1)
        alpha = table.tensor(plan.alpha[rows, k])[:, None, None, None]
        under = canvas[table.index(rows)]
        blended = torch.where(within, px.blend(under, over, alpha), under)
        canvas = canvas.index_put((table.index(rows),), blended)
    gain, offset = (table.tensor(v)[:, None, None] for v in plan.finish.gain_offset())
    if out.dtype == torch.uint8:
        result = px.to_byte(canvas)
    else:
        result = px.normalise(canvas, gain, offset)
    if result.requires_grad:
        layout = torch.channels_last if plan.finish.channels_last else torch.contiguous_format
        return result.to(out.dtype).contiguous(memory_format=layout)
    return out.copy_(result)


class _Table:
    """All source pixels as one table [pixels, C] in [0, 1], and where each image starts in it."""

    def __init__(self, sources: Sources, compute):
        self.compute, self.device = compute, sources.device
        self.byte = sources.dtype == torch.uint8
        unit = 1 / 255 if self.byte else 1.0
        flat = [sources.image(b).reshape(-1, sources.channels) for b in range(len(sources))]
        self.pixels = torch.cat(flat).to(compute) * torch.tensor(unit, dtype=compute)
        counts = sources.sizes.astype(np.int64).prod(axis=1)
        self.start = np.cumsum(counts) - counts
        self.width = sources.sizes[:, 1].astype(np.int64)

    def tensor(self, array):
        return torch.from_numpy(np.array(array)).to(self.device, self.compute)

    def index(self, array):
        return torch.from_numpy(np.asarray(array, np.int64)).to(self.device)


class _Views:
    """Draws the views of a plan."""

    def __init__(self, plan: Plan, table: _Table):
        self.table = table
        self.plan = plan
        # Of a step: its factor and its measured mean, so that gradients pass through.
        self.mean: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.plan = completed(plan, self._measure, table.byte)

    def draw(self, views) -> torch.Tensor:
        """[n, C, H, W] in [0, 1]."""
        plan, table = self.plan, self.table
        height, width = plan.finish.size
        centre = torch.tensor(0.5, dtype=table.compute)
        y = torch.arange(height, device=table.device).to(table.compute)[None, :, None] + centre
        x = torch.arange(width, device=table.device).to(table.compute)[None, None, :] + centre
        m = table.tensor(plan.inv_matrix[views])[:, :, :, None, None]
        at_x = px.project(x, y, m[:, 0, 0], m[:, 0, 1], m[:, 0, 2])
        at_y = px.project(x, y, m[:, 1, 0], m[:, 1, 1], m[:, 1, 2])
        w = px.project(x, y, m[:, 2, 0], m[:, 2, 1], m[:, 2, 2])
        affine = table.index((plan.inv_matrix[views, 2] == [0, 0, 1]).all(axis=1)) == 1
        affine = affine[:, None, None]
        at_x = torch.where(affine, at_x, px.seen_from(at_x, w))
        at_y = torch.where(affine, at_y, px.seen_from(at_y, w))

        clip = table.tensor(plan.clip[views])[:, :, None, None].unbind(1)
        border = table.index(plan.border[views])[:, None, None]
        at_x = _border_point(at_x, clip[1], clip[3], border)
        at_y = _border_point(at_y, clip[0], clip[2], border)
        seen = px.inside(at_x, at_y, clip[1], clip[0], clip[3], clip[2])

        values = self._sample(views, torch.where(seen, at_x, 0), torch.where(seen, at_y, 0))
        fill = table.tensor(plan.fill[views]).T[:, :, None, None]
        channels = [torch.where(seen, v, f) for v, f in zip(values, fill, strict=True)]

        fill_start = table.index(plan.fill_start[views])[:, None, None]
        number = (y - centre) * width + (x - centre)
        for step in range(plan.step_kind.shape[1]):
            acts = seen | (fill_start <= step)
            new = self._step(views, step, channels, number.to(torch.int64))
            channels = [torch.where(acts, n, c) for n, c in zip(new, channels, strict=True)]
        return torch.stack(channels, dim=1)

    def _sample(self, views, at_x, at_y):
        """The filtered source at each point: a list of C tensors [n, H, W]."""
        plan, table = self.plan, self.table
        source = plan.source[views]
        start = table.index(table.start[source])[:, None, None]
        stride = table.index(table.width[source])[:, None, None]
        firsts, counts, weights = [], [], []
        for at, axis in ((at_x, 0), (at_y, 1)):
            support = table.tensor(plan.support[views, axis])[:, None, None]
            low = np.floor(plan.clip[views, 1 - axis])
            high = np.ceil(plan.clip[views, 3 - axis])
            wanted = np.ceil(2 * plan.support[views, axis])
            taps = np.maximum(1, np.minimum(wanted, high - low))
            first = px.first_tap(at, support)
            least = table.tensor(low)[:, None, None]
            most = torch.maximum(table.tensor(high - taps)[:, None, None], torch.zeros(()))
            first = torch.minimum(torch.maximum(first, least), most)
            # An empty clip names no pixels; its points are all fill, and read pixel 0.
            first = torch.where(table.tensor(high - low)[:, None, None] > 0, first, 0)
            reciprocal = torch.where(support > 0, 1 / support, 0)
            weight = [
                px.tap_weight(first + t, at, reciprocal) * (table.tensor(taps)[:, None, None] > t)
                for t in range(int(taps.max()))
            ]
            # One after the other: torch's own sum depends on the size of the batch.
            total = sum(weight[1:], weight[0])
            total = torch.where(total > 0, total, 1)
            firsts.append(first.to(torch.int64))
            counts.append(table.index(taps)[:, None, None])
            weights.append([w / total for w in weight])
        values: torch.Tensor | float = 0.0
        for ty, wy in enumerate(weights[1]):
            row = firsts[1] + torch.minimum(torch.tensor(ty), counts[1] - 1)
            for tx, wx in enumerate(weights[0]):
                column = firsts[0] + torch.minimum(torch.tensor(tx), counts[0] - 1)
                taken = table.pixels[start + row * stride + column]
                values = values + (wy * wx)[..., None] * taken
        return values.unbind(-1)  # type: ignore[union-attr]

    def _step(self, views, step, channels, number):
        """One colour step, on the views that have one there."""
        plan, table = self.plan, self.table
        kinds = table.index(plan.step_kind[views, step])[:, None, None]
        arg = self._step_args(views, step).T[:, :, None, None]
        new = list(channels)
        for kind in np.unique(plan.step_kind[views, step]):
            if kind == NONE:
                continue
            if kind == MATRIX and len(channels) == 3:
                done = [px.matrix_row(*channels, *arg[4 * c : 4 * c + 4]) for c in range(3)]
            elif kind == MATRIX:
                done = [px.gain_offset(v, arg[0], arg[3]) for v in channels]
            elif kind == CURVE:
                which = np.where(
                    plan.step_kind[views, step] == CURVE, plan.step_arg[views, step, 0], 0
                )
                curves = table.tensor(plan.curves[which.astype(int)])
                done = [
                    curves[:, c if len(channels) == 3 else 0]
                    .gather(1, px.curve_entry(v).to(torch.int64).flatten(1))
                    .view(v.shape)
                    for c, v in enumerate(channels)
                ]
            elif kind == TONE:
                done = []
                for v, k in zip(channels, range(3) if len(channels) == 3 else repeat(0)):
                    byte = px.solarized(px.curve_entry(v), arg[0])
                    byte = px.stretched(byte, arg[3 + k], arg[6 + k])
                    done.append(px.from_byte(px.posterized(byte, arg[1], arg[2])))
            elif kind == HUE:
                turned = px.hue_angle(*channels) + 6 * arg[0]
                offsets = (table.tensor(5.0), table.tensor(3.0), table.tensor(1.0))
                done = [px.hue_channel(*channels, turned, offset) for offset in offsets]
            elif kind == NOISE:
                deviates = _deviates(number, arg[2].long(), arg[3].long(), len(channels))
                done = [
                    px.add_noise(v, arg[0], arg[1], d)
                    for v, d in zip(channels, deviates, strict=True)
                ]
            new = [torch.where(kinds == kind, d, n) for d, n in zip(done, new, strict=True)]
        return new

    def _step_args(self, views, step):
        """[n, 12]; a mean that was measured keeps its gradient."""
        arg = self.table.tensor(self.plan.step_arg[views, step])
        if step in self.mean:
            factor, measured = self.mean[step]
            offset = (factor * measured)[self.table.index(views)]
            known = ~torch.isnan(offset)[:, None]
            last = torch.arange(12, device=arg.device) % 4 == 3
            arg = torch.where(known & last, offset[:, None], arg)
        return arg

    def _measure(self, steps, views, step) -> Measured:
        plan = self.plan
        # Earlier steps are looked up in the plan: those that are completed by now.
        kind, arg, curves = (array.copy() for array in steps)
        self.plan = Plan._trusted(
            **{**vars(plan), "step_kind": kind, "step_arg": arg, "curves": curves}
        )
        n, channels = len(views), plan.finish.channels
        limits, counts = np.zeros((n, channels, 2)), np.zeros((n, channels, 256))
        means: dict[int, torch.Tensor] = {}
        for i, v in enumerate(views):
            values = self._window(v, step)
            if plan.statistic[v, step] == MEAN:
                grey = (
                    sum(w * c for w, c in zip(GREY, values, strict=True))
                    if len(values) == 3
                    else values
                )
                means[i] = grey.mean()
            elif plan.statistic[v, step] == HISTOGRAM:
                for c, entries in enumerate(px.curve_entry(values).to(torch.int64)):
                    counts[i, c] = torch.bincount(entries.flatten(), minlength=256).cpu()
            else:
                flat = values.detach().flatten(1)
                limits[i] = torch.stack([flat.amin(dim=1), flat.amax(dim=1)], dim=1).cpu()
        mean = np.zeros(n)
        if means:
            measured = torch.stack([*means.values()])
            mean[[*means]] = measured.detach().cpu().numpy()
            # The last column holds (1 − factor), the same in each row, to be scaled by the mean.
            factor = self.table.tensor(plan.step_arg[:, step, 3])
            all_ = torch.full((len(plan.source),), torch.nan, dtype=self.table.compute)
            where = (self.table.index(views[[*means]]),)
            self.mean[step] = (factor, all_.to(self.table.device).index_put(where, measured))
        return Measured(mean, limits, counts)

    def _window(self, v, step):
        """The values [C, h, w] of a view's window after its steps before `step`."""
        plan, table = self.plan, self.table
        y0, x0, y1, x1 = window_pixels(plan.window[v, step]).tolist()
        source = plan.source[v]
        rows = table.start[source] + np.arange(y0, y1)[:, None] * table.width[source]
        picked = table.pixels[table.index(rows + np.arange(x0, x1))]
        channels = list(picked.movedim(-1, 0)[:, None])
        number = table.index(np.arange((y1 - y0) * (x1 - x0)).reshape(y1 - y0, x1 - x0))
        for earlier in range(step):
            channels = self._step(np.array([v]), earlier, channels, number)
        return torch.cat(channels)


def _border_point(at, low, high, border):
    half = torch.tensor(0.5, dtype=at.dtype)
    edge, symmetric = px.edge(at, low, high), px.fold(at, low, high)
    reflect = px.fold(at, low + half, high - half)
    bordered = torch.where(border == REFLECT, reflect, symmetric)
    return torch.where(border == CONSTANT, at, torch.where(border == EDGE, edge, bordered))


def _deviates(number, k0, k1, channels):
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
