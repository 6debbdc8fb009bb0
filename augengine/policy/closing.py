"""Closing a draft: what was decided, as the fields of a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..compiled import twin
from ..plan import Finish, Plan
from ..plan.kinds import CONSTANT, LOG_ARGS, MOST_ENTRY, MOST_SIDE, STEP_ARGS
from ..plan.neutral import Extremes, Fields, neutral
from . import geometry
from .entries import limit

if TYPE_CHECKING:
    from .draft import Draft

# Of one image. A plan then has some 10 MB an image at most; of published policies it has some kB.
MOST_STEPS, MOST_CURVES = 1 << 16, 1 << 10
MOST_CURVES_OF_CHANNELS = 1 << 12  # a curve of five channels is five of these
NO_LINE = -1  # of the log
_INTERPOLATION = 0xF0000000  # a place beyond every op's own


def close(
    draft: Draft,
    *,
    fill: float | tuple[float, ...],
    border: int = CONSTANT,
    interpolation: str | tuple[str, ...] = "bilinear",
    finish: Finish,
    policy: str = "",
    after: tuple[str, ...] = (),
) -> Plan:
    """The plan of a draft; all frames must be of finish.size. interpolation: several, of which each sample
    draws one."""
    _check_extent(draft)
    views, samples = len(draft.source), len(draft)
    same, extremes = neutral(views, samples, draft.channels, finish.size, fill, border)
    looks, known = looks_of(draft)
    fields: Fields = {
        "ids": draft.keyed.ids[:samples],
        "sizes": draft.sizes.astype(np.int32),
        **looks,
    }
    if interpolation != "bilinear":
        fields |= _support(draft, interpolation)
        del known["support"]
    fields |= _log(draft)
    if draft.keyed.occurrences is not None:
        fields["occurrence"] = draft.keyed.occurrences[:samples]
    if draft.given_strength is not None:
        fields["strength"] = draft.given_strength.astype(np.float32)
    if draft.forked:
        own = np.where(np.isnan(draft.fill), fill, draft.fill)
        fields["fill"] = own.astype(np.float32)
        fields["source"] = draft.source.astype(np.int32)
        fields["filter"] = _plain(draft.filter)
        fields["frame"] = np.minimum(draft.picture, MOST_SIDE + 1).astype(np.int32)
    if draft.steps:
        start = np.where(draft.warped, draft.fill_start, draft.step_count)
        fields["fill_start"] = start.astype(np.int16)
        fields |= _steps(draft)
    if draft.curves:
        fields["curves"] = _joined(draft.curves)
    if draft.has_layers:
        fields |= _layers(draft, finish.size)
    if draft.shown is not None:
        fields["extent"] = np.where(draft.shown > 0, draft.shown, finish.size).astype(np.int32)
    extremes = dict(extremes)
    for name in fields:
        extremes.pop(name, None)
    plan = Plan._sampled(
        same,
        extremes | known,
        fields,
        finish=finish,
        log_text=tuple(draft.log_text),
        seed=draft.keyed.seed,
        epoch=draft.keyed.epoch,
        look=draft.keyed.look,
        policy=policy,
        after=after,
    )
    return plan.select(slice(samples - draft.pool)) if draft.pool else plan


def _plain(numbers: np.ndarray) -> np.ndarray:
    """As float32, row by row."""
    return numbers.astype(np.float32, order="C")


def _joined(parts: list) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _check_extent(draft: Draft) -> None:
    """Bound the memory of a plan, which is of so many views times the steps of the longest."""
    entries = max(len(draft.steps), len(draft.lines), 1)
    curves = sum(map(len, draft.curves))
    most_curves = min(MOST_CURVES, max(MOST_CURVES_OF_CHANNELS // draft.channels, 2))
    if len(draft.source) * entries <= MOST_STEPS and curves <= most_curves:
        return  # as nearly always: no row has more steps than there are entries
    views = len(draft.source) / len(draft)
    longest = max(draft.step_count.max(initial=0), draft.log_count.max(initial=0))
    if views * longest > MOST_STEPS or curves > most_curves * len(draft):
        raise ValueError(
            f"policy: got {views:.0f} views of up to {longest} steps and {curves // len(draft)} tone curves "
            f"an image, expected at most {MOST_STEPS:,} steps and {most_curves:,} curves in all. Take "
            "fewer ops or turns."
        )


@twin
def looks_of(draft: Draft) -> tuple[Fields, Extremes]:
    """Where views look, bilinearly: the fields of the plan, and the extremes of these."""
    _forget_far_views(draft)
    fields = {name: _plain(getattr(draft, name)) for name in ("inv_matrix", "sight", "clip")}
    fields["support"] = _plain(_widths(draft))
    return fields, {name: (float(of.min()), float(of.max())) for name, of in fields.items()}


def _forget_far_views(draft: Draft) -> None:
    """A view that looks farther away than a plan can say looks at nothing: all of it is fill."""
    if np.abs(draft.inv_matrix).max() <= MOST_ENTRY:  # not so where there is a NaN
        return
    far = ~(np.abs(draft.inv_matrix) <= MOST_ENTRY).all(axis=(1, 2))
    draft.inv_matrix[far], draft.footprint[far] = np.eye(3), np.eye(2)
    draft.clip[far] = draft.sight[far] = 0


def _widths(draft: Draft) -> np.ndarray:
    """How wide bilinear filters are."""
    squares = draft.footprint * draft.footprint
    support = np.sqrt(squares[..., 0] + squares[..., 1])
    return np.minimum(np.maximum(support, 1), MOST_SIDE)


def _support(draft: Draft, interpolation: str | tuple[str, ...]) -> Fields:
    """How wide filters are, and where they are cubic their slope."""
    support, slope = _widths(draft), np.zeros(len(draft.source), np.float32)
    for name, rows in _filters(draft, interpolation):
        if name == "nearest":
            support[rows] = 0
        elif name == "bicubic":
            support[rows] = np.minimum(2 * support[rows], MOST_SIDE)
            slope[rows] = draft.slope[rows]
    return {"support": _plain(support), "slope": slope}


def _filters(
    draft: Draft, interpolation: str | tuple[str, ...]
) -> list[tuple[str, np.ndarray | slice]]:
    """Which rows are sampled by which filter."""
    names = (interpolation,) if isinstance(interpolation, str) else interpolation
    if len(names) == 1:
        return [(names[0], slice(None))]
    every = np.arange(len(draft.source))
    uniform = draft.uniform(_INTERPOLATION, 1, every)[:, 0]
    which = (uniform * len(names)).astype(int)
    lines = np.array([draft.line(name) for name in names])
    draft.log_lines(every, lines[which], np.zeros((len(which), LOG_ARGS)))
    return [(name, which == k) for k, name in enumerate(names)]


def _steps(draft: Draft) -> Fields:
    shape = len(draft.source), int(draft.step_count.max(initial=0))
    kind, statistic = np.zeros((2, *shape), np.int8)
    arg, frame = np.zeros((*shape, STEP_ARGS), np.float32), np.zeros(shape, np.int64)
    draft.steps.write(kind, arg, statistic, frame, nothing=(0, 0, 0, 0))
    # What is larger is as good as this: a step clamps to [0, 1].
    limit(arg)
    window = np.zeros((*shape, 4), np.float32)
    if draft.frames:
        windows = np.zeros((1 + draft.frame_count, 4), np.float32)
        windows[1:] = _windows(draft)
        window = windows.take(frame, axis=0)
    return {"step_kind": kind, "step_arg": arg, "statistic": statistic, "window": window}


def _windows(draft: Draft) -> np.ndarray:
    """For each step with a statistic the part of the source that its frames showed, [n, 4]."""
    matrix, frame, clip, extent = (_joined(list(part)) for part in zip(*draft.frames, strict=True))
    zero = np.zeros(len(frame))
    bounds = geometry.bounds(matrix, zero, zero, frame[:, 0], frame[:, 1])
    low = np.minimum(np.maximum(clip[:, :2], bounds[:, :2]), clip[:, 2:])
    # At least one pixel is read, also where a crop has missed the source altogether.
    low = np.minimum(low, extent - 1)
    high = np.maximum(np.minimum(clip[:, 2:], bounds[:, 2:]), low)
    windows = np.concatenate([low, high], axis=1)
    # Not a number where a frame lies infinitely far away: then, too, one pixel is read.
    windows[np.isnan(windows)] = 0
    return windows


def _log(draft: Draft) -> Fields:
    shape = len(draft.source), int(draft.log_count.max(initial=0))
    op, arg = np.empty(shape, np.int16), np.zeros((*shape, LOG_ARGS), np.float32)
    op[...] = NO_LINE
    draft.lines.write(op, arg, nothing=(NO_LINE, 0))
    if arg.size:
        limit(arg)
    return {"log_op": op, "log_arg": arg}


def _layers(draft: Draft, size: tuple[int, int]) -> Fields:
    layers = draft.layers
    box = layers.box.astype(np.int32)
    box[:, 0] = [0, 0, *size]
    return {
        "view": layers.view.astype(np.int32),
        "box": box,
        "alpha": layers.alpha.astype(np.float32),
        "weight": layers.weight.astype(np.float32),
        "colour": layers.colour.astype(np.float32),
    }
