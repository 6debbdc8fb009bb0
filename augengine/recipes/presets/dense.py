"""Recipes for detectors and for segmentation: what lies in a picture follows it.

The detectors' normalise nothing: torchvision's and Ultralytics' models do that themselves, or take
values in [0, 1]. Boxes follow a plan by `ae.boxes`, masks by `ae.masks`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...checks import whole_number
from ...policy.ops import (
    ColorJitter,
    DuringEpochs,
    FixedSizeCrop,
    LetterBox,
    Mosaic,
    Normalize,
    Op,
    PadToLargest,
    RandomAffine,
    RandomHorizontalFlip,
    RandomIoUCrop,
    RandomPhotometricDistort,
    RandomResize,
    RandomShortestSize,
    RandomZoomOut,
    Resize,
    ScaleJitter,
)
from ...policy.ops.arguments import BOUNDLESS
from ...policy.policy import Policy
from .statistics import IMAGENET_MEAN, IMAGENET_STD

# Bytes, whatever images hold: torchvision's fill (123, 117, 104), which is about 0 once it is normalised;
# and Ultralytics', 114.
MEAN_COLOUR, GREY = "#7b7568", "#72"
MOST_EPOCHS = int(BOUNDLESS)


def detection_hflip(*, divisor: int = 32) -> Policy:
    """torchvision's plainest recipe for detectors: a flip. Images keep their sizes, and are padded to the
    largest of the batch.

    It is `hflip` of torchvision's references/detection. There the model pads; `plan.extent` says how
    much of each output is image.

    Args:
        divisor: Number of which height and width of the outputs are made multiples.

    Returns:
        A Policy.

    Example:
        >>> plan = ae.presets.detection_hflip().sample([0, 1], [(60, 40), (50, 80)])
        >>> plan.shape, plan.extent.tolist()
        ((2, 3, 64, 96), [[60, 40], [50, 80]])
    """
    return Policy([RandomHorizontalFlip(), PadToLargest(divisor, MEAN_COLOUR)])


def detection_multiscale(
    min_size: int | Sequence[int] = tuple(range(480, 801, 32)),
    max_size: int = 1333,
    *,
    divisor: int = 32,
) -> Policy:
    """torchvision's recipe of many sizes: resized to one of some sizes, a flip, padded to the largest of
    the batch.

    The numbers are those of `multiscale` of torchvision's references/detection, which are DETR's
    (Carion et al. 2020). There the model pads.

    Args:
        min_size: Pixels of the shorter edge, several to choose from.
        max_size: Pixels that the longer edge has at most.
        divisor: Number of which height and width of the outputs are made multiples.

    Returns:
        A Policy.

    Example:
        >>> policy = ae.presets.detection_multiscale([48, 64], 100)
        >>> plan = policy.sample([0, 1], [(60, 40), (50, 80)])
        >>> plan.shape, plan.extent.tolist()
        ((2, 3, 96, 128), [[96, 64], [62, 100]])
    """
    return Policy(
        [
            RandomShortestSize(min_size, max_size),
            RandomHorizontalFlip(),
            PadToLargest(divisor, MEAN_COLOUR),
        ]
    )


def detection_lsj(size: int = 1024) -> Policy:
    """Large-scale jitter: resized by a factor of 0.1 to 2, cropped or padded to one size, a flip.

    The method is that of Ghiasi et al. 2021, the numbers are those of `lsj` of torchvision's
    references/detection.

    Args:
        size: Pixels a side of the output.

    Returns:
        A Policy.

    Example:
        >>> ae.presets.detection_lsj(64).sample([0], [(60, 80)]).explain(0)
        'resized to 80×107, crop 64×64 at (9, 9), flipped'
    """
    return Policy(
        [
            ScaleJitter((size, size)),
            FixedSizeCrop((size, size), MEAN_COLOUR),
            RandomHorizontalFlip(),
        ]
    )


def detection_ssd(size: int = 300) -> Policy:
    """SSD's recipe: colours, zooming out, a crop that keeps an object in sight, a flip.

    The method is that of Liu et al. 2016, the numbers are those of `ssd` of torchvision's
    references/detection. There the model resizes. It is sampled with the boxes.

    Args:
        size: Pixels a side of the output.

    Returns:
        A Policy.

    Example:
        >>> policy = ae.presets.detection_ssd(64)
        >>> policy.sample([0], [(60, 80)], boxes=[[[10, 20, 40, 50]]]).explain(0)
        'saturation ×1.37, hue -0.04, channels 1, 0, 2, crop 39×42 at (18, 8), overlap 0.5 or more,
        flipped, resized to 64×64'
    """
    return Policy(
        [
            RandomPhotometricDistort(),
            RandomZoomOut(MEAN_COLOUR),
            *_seen(size),
        ]
    )


def detection_ssdlite(size: int = 320) -> Policy:
    """SSDlite's recipe: a crop that keeps an object in sight, a flip.

    It is `ssdlite` of torchvision's references/detection. There the model resizes. It is sampled with
    the boxes.

    Args:
        size: Pixels a side of the output.

    Returns:
        A Policy.

    Example:
        >>> policy = ae.presets.detection_ssdlite(64)
        >>> policy.sample([0], [(60, 80)], boxes=[[[10, 20, 40, 50]]]).explain(0)
        'crop 33×40 at (24, 0), overlap 0.5 or more, resized to 64×64'
    """
    return Policy(_seen(size))


def _seen(size: int) -> list[Op]:
    """What SSD and SSDlite end with."""
    return [RandomIoUCrop(), RandomHorizontalFlip(), Resize((size, size))]


def detection_yolo(size: int = 640, *, epochs: int | None = None, close_mosaic: int = 10) -> Policy:
    """YOLO's recipe: fitted into a square, a flip, scale and shift, colours, Mosaic but in the last epochs.

    The ops are those of Bochkovskiy et al. 2020 (YOLOv4), with the ranges of Ultralytics. Each image is
    warped before the four of a mosaic are put together, not after. The colours are factors of brightness
    and saturation and a turn of the hue, in a random order, in place of factors in HSV.

    Args:
        size: Pixels a side of the output.
        epochs: Number of epochs of the whole training; None has Mosaic in all of them.
        close_mosaic: Number of epochs at the end without Mosaic.

    Returns:
        A Policy.

    Raises:
        TypeError: A number of epochs is not whole.
        ValueError: It is negative.

    Example:
        >>> policy = ae.presets.detection_yolo(64, epochs=100)
        >>> [policy.sample(range(4), [(48, 64)] * 4, epoch=e).view.shape[1] for e in (89, 90)]
        [5, 1]
    """
    mosaic: list[Op] = [Mosaic()]
    closed = whole_number("detection_yolo: close_mosaic", close_mosaic, 0, MOST_EPOCHS)
    if epochs is not None:
        stop = whole_number("detection_yolo: epochs", epochs, 0, MOST_EPOCHS) - closed
        mosaic = [DuringEpochs(mosaic, stop=stop)] if stop > 0 else []
    return Policy(
        [
            LetterBox(size, GREY),
            RandomHorizontalFlip(),
            RandomAffine(0, translate=(0.1, 0.1), scale=(0.5, 1.5), fill=GREY),
            ColorJitter(brightness=0.4, saturation=0.7, hue=0.015),
            *mosaic,
        ]
    )


def segmentation(size: int = 480, *, base_size: int = 520, train: bool = True) -> Policy:
    """torchvision's recipe for segmentation: a random size, a flip, a crop, normalised.

    The numbers are those of torchvision's references/segmentation. An image smaller than the crop is
    padded with black at the right and at the bottom, its mask with the fill of `ae.masks`.

    Args:
        size: Pixels a side of the output of training.
        base_size: Pixels of the shorter edge. In training it is between half of that and twice that.
        train: Whether the policy is for training. For evaluation the shorter edge becomes base_size
            pixels, and images are padded to the largest of the batch.

    Returns:
        A Policy.

    Example:
        >>> policy = ae.presets.segmentation(64, base_size=70)
        >>> policy.sample([0], [(60, 80)]).explain(0)
        'resized to 122×162, crop 64×64 at (28, 70)'
        >>> ae.presets.segmentation(base_size=70, train=False).sample([0], [(60, 80)]).shape
        (1, 3, 70, 93)
    """
    normalize = Normalize(IMAGENET_MEAN, IMAGENET_STD)
    if not train:
        return Policy([Resize(base_size), PadToLargest(), normalize])
    return Policy(
        [
            RandomResize(base_size // 2, base_size * 2),
            RandomHorizontalFlip(),
            FixedSizeCrop(size),
            normalize,
        ]
    )
