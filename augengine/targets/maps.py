"""Maps of what is measured at each pixel, such as depth and optical flow: by the nearest pixel, which
mixes no two of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from ..aliases import Executor
from ..checks import number
from ..plan import Plan
from ..plan.maps import inverses, to_images
from .nearest import Shown, shown_pixels
from .planes import check_size, kind_of, read_tensor
from .read import check_count, sample_name
from .refuse import check_followed

# Maps of all sources: a tensor or an array (B, H, W) or (B, C, H, W), or a list of (H, W) or (C, H, W).
Maps: TypeAlias = torch.Tensor | np.ndarray | Sequence[torch.Tensor | np.ndarray]


def maps(
    plan: Plan, maps: Maps, *, fill: float = 0.0, executor: Executor | None = None
) -> torch.Tensor:
    """Maps of what is measured at each pixel, such as depth, as they lie in the outputs.

    Each value is that of the nearest pixel, and the geometry does not change it: a depth is never between
    two objects. As for `masks`, colours, filters and erased boxes leave a map as it is, and in a blend a
    pixel belongs to the sample with the greatest share of it. `resample` interpolates instead. Gradients
    flow where maps require them.

    Args:
        plan: Plan of the batch.
        maps: Floats of the plan's B sources, of any range, NaN included: a batch (B, H, W) or (B, C, H, W),
            or a list of (H, W) or (C, H, W) of their images' sizes; tensors, arrays, or torchvision's Mask.
        fill: Value outside the image, any float.
        executor: Name of the executor, 'cpu', 'gpu' or 'torch'; None takes the fastest that fits.

    Returns:
        The maps [N, H, W] of the outputs, or [N, C, H, W], of the dtype and on the device of those that
        came; a Mask, where all that came are.

    Raises:
        TypeError: A map is of another type, or of whole numbers.
        ValueError: A map is not of its image's size, or they are not alike.

    Example:
        >>> plan = ae.Policy(ae.RandomHorizontalFlip(p=1)).sample([0], [(1, 3)])
        >>> ae.maps(plan, torch.tensor([[[0.5, 20.0, torch.nan]]]))
        tensor([[[    nan, 20.0000,  0.5000]]])
    """
    return _drawn("maps", plan, maps, fill, executor).values


def flow(
    plan: Plan, flow: Maps, *, fill: float = 0.0, executor: Executor | None = None
) -> torch.Tensor:
    """Optical flow as it lies in the outputs, where the plan is drawn of both frames.

    Each vector is that of the nearest pixel, and what the geometry makes of it: turned, scaled and, by a
    flip, mirrored. It leads from where the pixel lies in the one output to where the pixel that it means
    lies in the other, by perspectives too.

    Args:
        plan: Plan of the batch.
        flow: Floats (B, 2, H, W), or a list of (2, H, W) of their images' sizes: along x, then along y, in
            pixels of the images. `executor` and the rest are as for `maps`.
        fill: Value outside the image, and where the end of a vector lies behind the horizon; any float.
        executor: Name of the executor, 'cpu', 'gpu' or 'torch'; None takes the fastest that fits.

    Returns:
        The flow [N, 2, H, W], in pixels of the outputs, of the dtype and on the device of that which came.

    Raises:
        TypeError: A map is of another type, or of whole numbers.
        ValueError: A map is not of its image's size, or has no two channels.

    Example:
        >>> plan = ae.Policy(ae.Resize((2, 4))).sample([0], [(1, 2)])
        >>> ae.flow(plan, torch.tensor([[[[3.0, 3.0]], [[1.0, -1.0]]]]))[0, :, 0]
        tensor([[ 6.,  6.,  6.,  6.],
                [ 2.,  2., -2., -2.]])
    """
    drawn = _drawn("flow", plan, flow, fill, executor, channels=2)
    values = drawn.values.as_subclass(torch.Tensor)
    moved = torch.full_like(values, fill)
    to_image = to_images(plan, np.arange(len(plan.source)))
    forward, there = inverses(to_image)
    height, width = plan.finish.size
    y = torch.arange(height, device=values.device, dtype=torch.float64)[:, None] + 0.5
    x = torch.arange(width, device=values.device, dtype=torch.float64) + 0.5
    for i in range(len(plan)):
        for v in drawn.shown.views[i]:
            if not there[v]:
                continue
            (a, b, _), (c, d, _), (e, f, _) = forward[v].tolist()
            g, h, k = to_image[v, 2].tolist()
            vx, vy = values[i]
            end = torch.stack([a * vx + b * vy, c * vx + d * vy])
            where = drawn.shown.where(i, int(v))
            if e or f:
                # The end is (a vx + b vy + X, …) / (e vx + f vy + W), the beginning (X, …) / W = (x, …),
                # and W is the inverse of the way back's third coordinate.
                over = e * vx.double() + f * vy.double()
                third = over + 1 / (g * x + h * y + k)
                end = (end - torch.stack([x * over, y * over])) / third
                where &= third > 0
            moved[i] = torch.where(where, end.to(values.dtype), moved[i])
    return moved.as_subclass(type(drawn.values))


class Drawn(NamedTuple):
    """Values (N, …, H, W) of outputs, and what shows there."""

    values: torch.Tensor
    shown: Shown


def _drawn(
    where: str,
    plan: Plan,
    given: Maps,
    fill: float,
    executor: Executor | None,
    channels: int | None = None,
) -> Drawn:
    """Maps, read and drawn."""
    check_followed(where, plan, borders=False)
    parts, kind = _read(where, plan, given, channels)
    shape = parts[0].shape[:-2] if parts else torch.Size([channels] if channels else [])
    like = parts[0] if parts else torch.zeros(0)
    fill = _float_fill(f"{where}.fill", fill, like.dtype)
    shown = shown_pixels(plan, like.device, executor)
    flat = [part.reshape(-1, part.shape[-2] * part.shape[-1]) for part in parts]
    drawn = like.new_full((0, *shape, *plan.finish.size), fill)
    if len(plan):
        each = [_gathered(plan, flat, shown, i, fill) for i in range(len(plan))]
        drawn = torch.stack(each).view(-1, *shape, *plan.finish.size)
    return Drawn(drawn.as_subclass(kind), shown)


def _gathered(
    plan: Plan, flat: list[torch.Tensor], shown: Shown, i: int, fill: float
) -> torch.Tensor:
    """(C, H, W) what output i shows of maps (C, pixels)."""
    roots, index = plan.roots(), shown.pixel[i].clamp(min=0).flatten().long()
    drawn = flat[0].new_full((len(flat[0]), *plan.finish.size), fill)
    for v in shown.views[i]:
        values = flat[roots[v]]
        # Of an image that is smaller than another one, its last pixel stands where it does not show.
        at = index.clamp(max=values.shape[1] - 1) if len(shown.views[i]) > 1 else index
        shows = values.gather(1, at.expand(len(values), -1)).view(drawn.shape)
        drawn = torch.where(shown.where(i, int(v)), shows, drawn)
    return drawn


def _read(
    where: str, plan: Plan, given: Maps, channels: int | None
) -> tuple[list[torch.Tensor], type[torch.Tensor]]:
    """The maps of all sources, alike; and what they are, tensors or torchvision's Mask."""
    if not isinstance(given, (torch.Tensor, np.ndarray, Sequence)) or isinstance(
        given, (str, bytes)
    ):
        raise TypeError(
            f"{where}: got {type(given).__name__}, expected a map for each source. Pass a tensor, an array or "
            "a list of them."
        )
    check_count(where, plan, given)
    kind = kind_of([given] if isinstance(given, (torch.Tensor, np.ndarray)) else given)
    parts: list[torch.Tensor] = []
    for b, one in enumerate(_each(where, given)):
        name = sample_name(plan, b)
        part = (
            one.as_subclass(torch.Tensor)
            if isinstance(one, torch.Tensor)
            else read_tensor(where, name, one)
        )
        if not part.is_floating_point():
            raise TypeError(
                f"{where}: got {part.dtype} for {name}, expected floats. Class numbers go through masks; "
                "what was measured in whole numbers is passed as map.float()."
            )
        wrong = (
            part.ndim not in (2, 3)
            if channels is None
            else (part.ndim != 3 or len(part) != channels)
        )
        if wrong:
            expected = "(H, W) or (C, H, W)" if channels is None else f"({channels}, H, W)"
            raise ValueError(
                f"{where}: got shape {tuple(part.shape)} for {name}, expected {expected}. Bring the channels "
                "to the front, such as map.permute(2, 0, 1)."
            )
        check_size(where, plan, b, part.shape[-2:])
        first = parts[0] if parts else part
        got, wanted = ((p.shape[:-2], p.dtype, p.device) for p in (part, first))
        if got != wanted:
            raise ValueError(
                f"{where}: got {part.dtype} {tuple(part.shape)} on {part.device} for {name}, and {first.dtype} "
                f"{tuple(first.shape)} on {first.device} for {sample_name(plan, 0)}, expected one dtype, "
                "device and number of channels for all. Convert them first."
            )
        parts.append(part)
    return parts, kind


def _each(where: str, given: Maps) -> Sequence[torch.Tensor | np.ndarray]:
    if isinstance(given, np.ndarray):
        return list(read_tensor(where, "the batch", given))
    return given if isinstance(given, Sequence) else list(given.as_subclass(torch.Tensor))


def _float_fill(where: str, fill: object, dtype: torch.dtype) -> float:
    """The fill, if the dtype has it."""
    if isinstance(fill, float) and not math.isfinite(fill):
        return fill
    most = torch.finfo(dtype).max
    return number(where, fill, -most, most)
