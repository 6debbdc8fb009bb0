"""An op or a policy called with an image, as torchvision's transforms are: decided and drawn at once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch

from ..aliases import Layout
from ..checks import shown
from ..kernels import Sources, execute
from ..plan.kinds import DTYPES
from ..policy import calls
from ..policy.ops.op import Op
from ..policy.ops.unfused import run_all
from ..policy.policy import DType, Policy
from ..policy.units import is_float

PICTURES = ("L", "RGB")  # the modes of PIL whose bytes are shades or red, green and blue
IMAGES = ("Image", "Tensor", "Parameter")


def draw(called: Op | Policy, image: Any, beside: tuple[object, ...]) -> Any:
    """What `Op.__call__` and `Policy.__call__` say."""
    where = type(called).__name__
    if beside or isinstance(image, (dict, list, tuple)):
        came = f"{len(beside)} more beside the image" if beside else type(image).__name__
        raise TypeError(
            f"{where}: got {came}, expected one image, or one batch, alone, since a call draws at once. For "
            "labels and targets make an engine: ae.Engine(policy)(images, labels, targets=…)."
        )
    policy = called if isinstance(called, Policy) else _policy_of(called)
    if policy.needs_epoch or policy.needs_boxes:
        what = "boxes" if policy.needs_boxes else "the epoch"
        raise ValueError(
            f"{where}: was called with an image, and depends on {what} as well. Make an engine, which is told: "
            "ae.Engine(policy)(images, targets=…, epoch=…)."
        )
    single, layout, dtype = _kind(where, image)
    sources = Sources.of([image] if single else image, layout)
    keep = _kept(where, policy, dtype)
    plan = policy.sample(
        np.arange(len(sources)),
        sources.sizes,
        # Of torch's generator, so that its seed says what comes; what leaves nothing to chance takes none.
        seed=int(torch.randint(2**63 - 1, ())) if policy.draws else 0,
        channels=sources.channels,
        image_dtype=sources.image_dtype,
        dtype=_drawn_as(keep),
    )
    images = run_all(policy.after, execute(plan, sources), plan)
    if images.dtype == torch.float32:
        images = images.to(keep)
    return _like(image, images[0] if single else images)


@lru_cache(maxsize=256)
def _policy_of(op: Op) -> Policy:
    return Policy(op)


def _kind(where: str, image: Any) -> tuple[bool, Layout, torch.dtype]:
    """(whether it is one image, how it lies, its dtype), or TypeError or ValueError."""
    if isinstance(image, torch.Tensor):
        if type(image).__name__ not in IMAGES:
            raise TypeError(
                f"{where}: got {type(image).__name__}, expected an image. For what moves with one make an "
                "engine: ae.Engine(policy)(images, targets=…)."
            )
        fits, expected, layout = image.ndim in (3, 4), "(C, H, W) or (B, C, H, W)", "NCHW"
        single, shape, dtype = image.ndim == 3, tuple(image.shape), image.dtype
    elif isinstance(image, np.ndarray):
        fits, expected, layout = (
            image.ndim in (2, 3, 4),
            "(H, W), (H, W, C) or (B, H, W, C)",
            "NHWC",
        )
        single, shape = image.ndim < 4, image.shape
        dtype = getattr(torch, image.dtype.name, torch.complex64)  # which is none that is drawn
    elif hasattr(image, "mode") and hasattr(image, "getbands"):
        if image.mode not in PICTURES:
            raise ValueError(
                f"{where}: got a PIL image of mode {image.mode!r}, expected one of {', '.join(PICTURES)}. Call "
                "image.convert('RGB')."
            )
        return True, "NHWC", torch.uint8
    else:
        raise TypeError(
            f"{where}: got {shown(image)}, expected an image or a batch, as a tensor, an array or a PIL "
            "image. Pass one."
        )
    if str(dtype).removeprefix("torch.") not in DTYPES and not dtype.is_floating_point:
        raise TypeError(
            f"{where}: got an image of {image.dtype}, expected uint8 or floats in [0, 1], since the same comes "
            "back. Make an engine for it, whose output is of the dtype that you name."
        )
    if not fits:
        raise ValueError(
            f"{where}: got an image of shape {shape}, expected {expected}. Add or drop dimensions."
        )
    return single, cast(Layout, layout), dtype


def _kept(where: str, policy: Policy, dtype: torch.dtype) -> torch.dtype:
    """The dtype of the result: the image's, that of a conversion, or float32 of what is normalised."""
    name = policy.converts_to
    if name is not None and name not in DTYPES and not is_float(name):
        raise ValueError(
            f"{where}: got a conversion to {name}, expected one to uint8 or floats, which can be drawn. Leave "
            "it out, and convert what comes."
        )
    if name is not None:
        return cast(torch.dtype, getattr(torch, name))
    return torch.float32 if policy.normalizes else dtype


def _drawn_as(dtype: torch.dtype) -> DType:
    """The dtype of the output that is drawn; others are made of float32."""
    name = str(dtype).removeprefix("torch.")
    return cast(DType, name if name in DTYPES else "float32")


def _like(image: Any, result: torch.Tensor) -> Any:
    """A result (C, H, W) or (B, C, H, W) as what came: tensor, array or PIL image."""
    if isinstance(image, torch.Tensor):
        return result.as_subclass(type(image)) if type(image).__name__ == "Image" else result
    if not isinstance(image, np.ndarray) and result.dtype != torch.uint8:
        return result  # a PIL image that became floats: as ToTensor makes it
    array = np.ascontiguousarray(result.movedim(-3, -1).cpu().numpy())
    if isinstance(image, np.ndarray):
        return array[..., 0] if image.ndim == 2 else array
    from PIL import Image

    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


calls.draw_by(draw)
