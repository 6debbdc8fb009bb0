"""Masks: where the plan puts them."""

from __future__ import annotations

import torch

from ..aliases import DecodedImages, Executor
from ..plan import Plan
from .planes import drawn_planes, numbers_of, planes_of, read_pictures, whole_fill
from .refuse import check_followed


def masks(
    plan: Plan, masks: DecodedImages, *, fill: int = 0, executor: Executor | None = None
) -> torch.Tensor:
    """Segmentation masks under the plan's geometry, by the nearest pixel.

    Colours, filters and erased boxes leave a mask as it is. A pasted box brings its own. In a blend a
    pixel belongs to the sample with the greatest share of it, all its layers added up.

    Args:
        plan: Plan of the batch.
        masks: Masks of the plan's B sources, class numbers in uint8, int8 … int64, uint16 or bool: a
            batch (B, H, W) or (B, 1, H, W), or a list of (H, W) or (1, H, W) of their images' sizes;
            tensors, arrays, torchvision's Mask, or PIL images of mode 'L', 'P', '1', 'I' or 'I;16',
            of which a palette's numbers are the class numbers.
        fill: Class outside the image, a whole number that the masks' dtype has.
        executor: Name of the executor, 'cpu', 'gpu' or 'torch'; None takes the fastest that fits.

    Returns:
        The masks [N, H, W] of the outputs, or [N, 1, H, W], of the dtype and on the device of those that
        came; a Mask, where all that came are.

    Raises:
        TypeError: A mask is of another type or dtype, or the fill no whole number.
        ValueError: A mask is not of its image's size, or the fill outside of the dtype.

    Example:
        >>> plan = ae.Policy(ae.RandomHorizontalFlip(p=1)).sample([0], [(1, 3)])
        >>> ae.masks(plan, torch.tensor([[[1, 2, 3]]]))
        tensor([[[3, 2, 1]]])
    """
    check_followed("masks", plan, borders=False)
    pictures = read_pictures("masks", plan, masks)
    outside = whole_fill("masks", fill, pictures.dtype)
    planes = planes_of(pictures, plan.sizes, outside)
    drawn = numbers_of(drawn_planes(plan, planes, executor), planes.low, pictures.dtype)
    result = drawn[:, None] if pictures.channel else drawn
    return result.as_subclass(pictures.like)
