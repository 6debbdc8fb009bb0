"""What blurs, sharpens or shades whole pictures, in torch and kornia: for any device, with gradients.

This is what the filters mean; `cpu.filter` does the same in numba, `gpu.filter` in Triton. Bytes are
rounded half up at the end.
"""

from __future__ import annotations

import numpy as np
import torch

from ...plan.kinds import (
    FILTER_FACTOR,
    FILTER_KIND,
    FILTER_REACH_X,
    FILTER_REACH_Y,
    FILTER_SIGMA,
    GAUSSIAN,
    SHADE,
    SHARPNESS,
)
from ..weights import WEIGHED, Edge, Taps, edge_of_shade, taps_of_filter
from .formulas import px


def apply(pictures: torch.Tensor, filters) -> torch.Tensor:
    """The filtered pictures, of the same shape and dtype.

    Args:
        pictures: (n, H, W, C), uint8 or floats in [0, 1].
        filters: [n, 4], a plan's.
    """
    after = []
    for picture, numbers in zip(pictures, filters, strict=True):
        row = numbers.tolist()
        byte = picture.dtype == torch.uint8
        planes = picture.movedim(-1, 0)[None]
        planes = planes.to(torch.float32) if byte else planes
        if row[FILTER_KIND] == GAUSSIAN:
            reach_x, reach_y = int(row[FILTER_REACH_X]), int(row[FILTER_REACH_Y])
            planes = _blurred(planes, row[FILTER_SIGMA], reach_x, reach_y)
        elif row[FILTER_KIND] == SHARPNESS:
            planes = _sharpened(planes, row[FILTER_FACTOR], 255.0 if byte else 1.0)
        elif row[FILTER_KIND] in WEIGHED:
            planes = _weighed(planes, taps_of_filter(numbers)).clamp(0, 255 if byte else 1)
        elif row[FILTER_KIND] == SHADE:
            planes = _shaded(planes, edge_of_shade(numbers))
        if byte:
            planes = (planes + 0.5).floor()
        after.append(planes[0].movedim(0, -1).to(picture.dtype))
    return torch.stack(after)


def _blurred(planes: torch.Tensor, sigma: float, reach_x: int, reach_y: int) -> torch.Tensor:
    """Weighed by exp(−½ (d / sigma)²) for distances d up to the reach, the weights' sum 1; borders are
    reflected. That is torchvision's gaussian_blur with a kernel of 2 · reach + 1 pixels.

    planes: (1, C, H, W). sigma, reach_x, reach_y: in pixels.
    """
    from kornia.filters import gaussian_blur2d

    # A reflection reaches no further than the picture.
    reach_y, reach_x = min(reach_y, planes.shape[2] - 1), min(reach_x, planes.shape[3] - 1)
    if sigma == 0 or max(reach_x, reach_y) == 0:
        return planes
    size = (2 * reach_y + 1, 2 * reach_x + 1)
    return gaussian_blur2d(planes, size, (sigma, sigma), "reflect")


def _sharpened(planes: torch.Tensor, factor: float, most: float) -> torch.Tensor:
    """Blended with the 3×3 smoothing (1, 1, 1; 1, 5, 1; 1, 1, 1) / 13, the outermost pixels kept: PIL's
    and torchvision's adjust_sharpness. Factor 0 smooths, 1 changes nothing, 2 sharpens.

    planes: (1, C, H, W) in [0, most].
    """
    if min(planes.shape[2:]) < 3:
        return planes
    kernel = torch.ones(3, 3, dtype=planes.dtype, device=planes.device)
    kernel[1, 1] = 5
    kernel = (kernel / 13).expand(planes.shape[1], 1, 3, 3)
    smooth = planes.clone()
    inner = torch.nn.functional.conv2d(planes, kernel, groups=planes.shape[1])
    # PIL rounds what it smooths before it blends.
    smooth[..., 1:-1, 1:-1] = (inner + 0.5).floor() if most == 255.0 else inner
    return (smooth + factor * (planes - smooth)).clamp(0, most)


def _weighed(planes: torch.Tensor, taps: Taps) -> torch.Tensor:
    """The sum of weighed neighbours; borders are reflected, as often as the kernel reaches beyond them.

    planes: (1, C, H, W).
    """
    reach = int(max(np.abs(taps.dy).max(), np.abs(taps.dx).max()))
    kernel = torch.zeros(2 * reach + 1, 2 * reach + 1, device=planes.device)
    at = (torch.from_numpy(d.astype(np.int64) + reach).to(planes.device) for d in taps[:2])
    kernel = kernel.index_put(tuple(at), torch.from_numpy(taps.weight).to(planes.device))
    for axis in (2, 3):
        reflected = np.pad(np.arange(planes.shape[axis]), reach, mode="reflect")
        planes = planes.index_select(axis, torch.from_numpy(reflected).to(planes.device))
    channels = planes.shape[1]
    kernels = kernel.expand(channels, 1, *kernel.shape)
    return torch.nn.functional.conv2d(planes, kernels, groups=channels)


def _shaded(planes: torch.Tensor, edge: Edge) -> torch.Tensor:
    """Darker on one side of a straight edge. planes: (1, C, H, W)."""
    y, x = (torch.arange(size, device=planes.device) + 0.5 for size in planes.shape[2:])
    return px.shaded(planes, x, y[:, None], *edge)
