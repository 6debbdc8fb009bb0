"""Gaussian blur and sharpness of whole pictures, in torch and kornia: for any device, with gradients.

What the filters mean; `cpu.filter` is the same in numba, `gpu.filter` in Triton. Bytes are rounded
half up at the end.
"""

from __future__ import annotations

import torch

from ...plan.kinds import GAUSSIAN, SHARPNESS


def apply(pictures: torch.Tensor, filters) -> torch.Tensor:
    """pictures: (n, H, W, C), uint8 or float32 in [0, 1]. filters: [n, 4], a plan's. The filtered
    pictures, of the same dtype."""
    made = []
    for picture, (kind, *args) in zip(pictures, filters.tolist(), strict=True):
        byte = picture.dtype == torch.uint8
        planes = picture.movedim(-1, 0)[None].to(torch.float32)
        if kind == GAUSSIAN:
            planes = _blurred(planes, args[0], int(args[1]), int(args[2]))
        elif kind == SHARPNESS:
            planes = _sharpened(planes, args[0], 255.0 if byte else 1.0)
        if byte:
            planes = (planes + 0.5).floor()
        made.append(planes[0].movedim(0, -1).to(picture.dtype))
    return torch.stack(made)


def _blurred(planes: torch.Tensor, sigma: float, reach_x: int, reach_y: int) -> torch.Tensor:
    """By exp(−½ (d / sigma)²) for distances d up to the reach, normalised; borders are reflected.
    What torchvision's gaussian_blur computes with a kernel of 2 · reach + 1 pixels."""
    from kornia.filters import gaussian_blur2d

    # A reflection reaches no further than the picture.
    reach_y, reach_x = min(reach_y, planes.shape[2] - 1), min(reach_x, planes.shape[3] - 1)
    if sigma == 0 or max(reach_x, reach_y) == 0:
        return planes
    size = (2 * reach_y + 1, 2 * reach_x + 1)
    return gaussian_blur2d(planes, size, (sigma, sigma), "reflect")


def _sharpened(planes: torch.Tensor, factor: float, most: float) -> torch.Tensor:
    """Blend with the 3×3 smoothing (1,1,1; 1,5,1; 1,1,1)/13, the outermost pixels kept: PIL's and
    torchvision's adjust_sharpness. Factor 0 smooths, 1 changes nothing, 2 sharpens."""
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
