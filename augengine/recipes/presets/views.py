"""Recipes of several views of a sample, for self-supervised and semi-supervised training."""

from __future__ import annotations

from collections.abc import Sequence

from ...policy.ops import (
    ColorJitter,
    Cutout,
    FixMatchAugment,
    GaussianBlur,
    Normalize,
    Op,
    RandomApply,
    RandomCrop,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomSolarize,
)
from ...policy.policy import Policy
from ...policy.views import Views
from .statistics import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD


def fixmatch(
    size: int = 32, *, mean: Sequence[float] = CIFAR_MEAN, std: Sequence[float] = CIFAR_STD
) -> Views:
    """FixMatch's pair of views: `weak` is a flip and a padded crop, `strong` distorts in addition.

    `strong` has two operations at uniform magnitudes, and a Cutout of up to half the side. The method
    is that of Sohn et al. 2020, the operations' ranges are those of USB (Wang et al. 2022).

    Args:
        size: Pixels a side of the outputs.
        mean: Mean of each channel, of values in [0, 1].
        std: Standard deviation of each channel.

    Returns:
        Views with the names `weak` and `strong`.

    Example:
        >>> batch = ae.Engine(ae.presets.fixmatch())(np.zeros((4, 32, 32, 3), np.uint8), ids=range(4))
        >>> {name: tuple(view.images.shape) for name, view in batch.items()}
        {'weak': (4, 3, 32, 32), 'strong': (4, 3, 32, 32)}
    """
    normalize = Normalize(mean, std)

    def weak() -> list[Op]:
        crop = RandomCrop(size, padding=size // 8, padding_mode="reflect", pad_if_needed=True)
        return [crop, RandomHorizontalFlip()]

    return Views(
        weak=[*weak(), normalize], strong=[*weak(), FixMatchAugment(), normalize, Cutout()]
    )


def simclr(size: int = 224, *, views: int = 2, strength: float = 1.0) -> Views:
    """SimCLR's views: crop, flip, colour distortion, grey, blur.

    The numbers are those of Chen et al. 2020, appendix A.

    Args:
        size: Pixels a side of the outputs.
        views: Number of views.
        strength: Factor s of the paper, which the ranges of the colour distortion are multiplied with.

    Returns:
        Views with the name `views`.

    Example:
        >>> engine = ae.Engine(ae.presets.simclr(32, views=3))
        >>> batch = engine(np.zeros((4, 40, 40, 3), np.uint8), ids=range(4))
        >>> [tuple(view.images.shape) for view in batch["views"]]
        [(4, 3, 32, 32), (4, 3, 32, 32), (4, 3, 32, 32)]
    """
    s = strength
    view = _self_supervised(
        RandomResizedCrop(size),
        ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s),
        blur=0.5,
        kernel=_tenth(size),
    )
    return Views(views=[view] * views)


def byol(size: int = 224) -> Views:
    """BYOL's two views: `first` is always blurred, `second` seldom, but solarized at times.

    The numbers are those of Grill et al. 2020, appendix B.

    Args:
        size: Pixels a side of the outputs.

    Returns:
        Views with the names `first` and `second`.

    Example:
        >>> batch = ae.Engine(ae.presets.byol(32))(np.zeros((4, 40, 40, 3), np.uint8), ids=range(4))
        >>> {name: tuple(view.images.shape) for name, view in batch.items()}
        {'first': (4, 3, 32, 32), 'second': (4, 3, 32, 32)}
    """
    crop = RandomResizedCrop(size, interpolation="bicubic")
    jitter = ColorJitter(0.4, 0.4, 0.2, 0.1)
    kernel = _tenth(size)
    return Views(
        first=_self_supervised(crop, jitter, blur=1.0, kernel=kernel),
        second=_self_supervised(crop, jitter, blur=0.1, kernel=kernel, solarize=0.2),
    )


def dino(size: int = 224, *, local_size: int = 96, local_crops: int = 8) -> Views:
    """DINO's multi-crop: two `globals`, and several small `locals`.

    The numbers are those of Caron et al. 2021 and its code.

    Args:
        size: Pixels a side of the global views.
        local_size: Pixels a side of the local views.
        local_crops: Number of local views.

    Returns:
        Views with the names `globals` and `locals`.

    Example:
        >>> engine = ae.Engine(ae.presets.dino(32, local_size=16, local_crops=3))
        >>> batch = engine(np.zeros((4, 40, 40, 3), np.uint8), ids=range(4))
        >>> len(batch["globals"]), len(batch["locals"])
        (2, 3)
        >>> batch["locals"][0].images.shape
        torch.Size([4, 3, 16, 16])
    """
    jitter = ColorJitter(0.4, 0.4, 0.2, 0.1)
    wide = RandomResizedCrop(size, scale=(0.4, 1.0), interpolation="bicubic")
    narrow = RandomResizedCrop(local_size, scale=(0.05, 0.4), interpolation="bicubic")
    return Views(
        globals=[
            _self_supervised(wide, jitter, blur=1.0),
            _self_supervised(wide, jitter, blur=0.1, solarize=0.2),
        ],
        locals=[_self_supervised(narrow, jitter, blur=0.5)] * local_crops,
    )


def _tenth(size: int) -> int:
    """An odd kernel size of about a tenth of the side."""
    return size // 20 * 2 + 1


def _self_supervised(
    crop: Op, jitter: Op, *, blur: float, kernel: int | None = None, solarize: float = 0.0
) -> Policy:
    """What the self-supervised recipes share: crop, flip, colours, grey, blur, solarize.

    blur, solarize: probabilities. kernel: the blur's taps a side; None: as many as sigma needs.
    """
    ops: list[Op] = [
        crop,
        RandomHorizontalFlip(),
        RandomApply([jitter], p=0.8),
        RandomGrayscale(0.2),
        GaussianBlur(kernel, sigma=(0.1, 2.0), p=blur),
    ]
    if solarize:
        ops.append(RandomSolarize("#80", p=solarize))
    return Policy([*ops, Normalize(IMAGENET_MEAN, IMAGENET_STD)])
