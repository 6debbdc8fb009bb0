"""Filters that come before sampling: Gaussian blur and sharpness, on what a view may see.

Only views that drew one pay: each gets a filtered copy of the part of its source inside its clip, as
one more source, with torch and kornia on the images' device. Bytes are rounded half up in between.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from ..plan import GAUSSIAN, SHARPNESS, Plan
from .sources import Sources


def prefiltered(plan: Plan, sources: Sources) -> tuple[Plan, Sources]:
    """The plan without prefilters, over the sources and the filtered copies; what came, if the plan
    has none."""
    views = np.flatnonzero((plan.prefilter[..., 0] != 0).any(axis=1))
    views = views[(plan.clip[views, :2] < plan.clip[views, 2:]).all(axis=1)]
    if not len(views):
        return plan, sources
    low = np.floor(plan.clip[views, :2]).astype(np.int64)
    high = np.ceil(plan.clip[views, 2:]).astype(np.int64)
    copies = []
    for v, (y0, x0), (y1, x1) in zip(views, low, high, strict=True):
        part = sources.image(plan.source[v])[y0:y1, x0:x1]
        copies.append(_filtered(part, plan.prefilter[v]))
    # The copies begin at their own corner, and so must the views that look at them.
    shift = np.tile(np.eye(3), (len(views), 1, 1))
    shift[:, 0, 2], shift[:, 1, 2] = -low[:, 1], -low[:, 0]
    source, inv_matrix = plan.source.copy(), plan.inv_matrix.copy()
    clip, window = plan.clip.copy(), plan.window.copy()
    source[views] = len(sources) + np.arange(len(views))
    inv_matrix[views] = shift @ inv_matrix[views].astype(np.float64)
    corner = np.concatenate([low, low], axis=1)
    clip[views] -= corner
    extent = np.tile(high - low, 2)[:, None]
    window[views] = np.clip(window[views] - corner[:, None], 0, extent)
    made = dataclasses.replace(
        plan,
        ids=np.concatenate([plan.ids, plan.ids[plan.source[views]]]),
        sizes=np.concatenate([plan.sizes, (high - low).astype(np.int32)]),
        source=source,
        inv_matrix=inv_matrix,
        clip=clip,
        window=window,
        prefilter=plan.prefilter[:, :0],
    )
    images = [sources.image(b) for b in range(len(sources))]
    return made, Sources(None, (*images, *copies), made.sizes)


def _filtered(image: torch.Tensor, filters: np.ndarray) -> torch.Tensor:
    """image: (H, W, C). filters: [P, 4], in order."""
    byte = image.dtype == torch.uint8
    pixels = image.movedim(-1, 0)[None].to(torch.float32)
    for kind, *args in filters.tolist():
        if kind == GAUSSIAN:
            pixels = _gaussian(pixels, *args[:2])
        elif kind == SHARPNESS:
            pixels = _sharpened(pixels, args[0], 255.0 if byte else 1.0)
        if byte:
            pixels = (pixels + 0.5).floor()
    return pixels[0].movedim(0, -1).to(image.dtype)


def _gaussian(pixels: torch.Tensor, sigma_x: float, sigma_y: float) -> torch.Tensor:
    """Sigmas in source pixels; the kernel reaches four of them, or as far as the image can be
    reflected."""
    from kornia.filters import gaussian_blur2d

    sigmas = (sigma_y, sigma_x)
    reach = [min(int(np.ceil(4 * s)), n - 1) for s, n in zip(sigmas, pixels.shape[2:], strict=True)]
    if max(reach) < 1:
        return pixels
    size = (2 * reach[0] + 1, 2 * reach[1] + 1)
    return gaussian_blur2d(pixels, size, (max(sigma_y, 1e-3), max(sigma_x, 1e-3)), "reflect")


def _sharpened(pixels: torch.Tensor, factor: float, most: float) -> torch.Tensor:
    """Blend with the 3×3 smoothing (1,1,1; 1,5,1; 1,1,1)/13, the outermost pixels kept: PIL's and
    torchvision's adjust_sharpness. Factor 0 smooths, 1 changes nothing, 2 sharpens."""
    if min(pixels.shape[2:]) < 3:
        return pixels
    kernel = torch.ones(3, 3, dtype=pixels.dtype, device=pixels.device)
    kernel[1, 1] = 5
    kernel = (kernel / 13).expand(pixels.shape[1], 1, 3, 3)
    smooth = pixels.clone()
    inner = torch.nn.functional.conv2d(pixels, kernel, groups=pixels.shape[1])
    # PIL rounds what it smooths before it blends.
    smooth[..., 1:-1, 1:-1] = (inner + 0.5).floor() if most == 255.0 else inner
    return (smooth + factor * (pixels - smooth)).clamp(0, most)
