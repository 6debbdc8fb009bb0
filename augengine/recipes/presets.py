"""Recipes, ready: a Policy or Views, to use as they are, to print and to change.

Each names its source; numbers are its, but for one interpolation a policy (bilinear, antialiased)
and for mixes drawn for each sample. `print(presets.deit3())` shows the ops.
"""

from __future__ import annotations

from ..policy.ops import (
    CenterCrop,
    ColorJitter,
    Cutout,
    FixMatchAugment,
    GaussianBlur,
    MixUpOrCutMix,
    Mosaic,
    Normalize,
    Op,
    RandAugment,
    RandomAffine,
    RandomApply,
    RandomCrop,
    RandomErasing,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomSolarize,
    Resize,
    ThreeAugment,
    TrivialAugmentWide,
)
from ..policy.policy import Policy
from ..policy.views import Views

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def imagenet(size: int = 224, *, train: bool = True, auto: Op | None = None) -> Policy:
    """torchvision's ImageNet recipe: crop, flip, `auto` (TrivialAugmentWide by default), normalise, some
    erasing. train=False: the shorter edge to size · 256 / 224, the middle, normalise."""
    normalize = Normalize(IMAGENET_MEAN, IMAGENET_STD)
    if not train:
        return Policy([Resize(round(size * 256 / 224)), CenterCrop(size), normalize])
    return Policy(
        [
            RandomResizedCrop(size),
            RandomHorizontalFlip(),
            TrivialAugmentWide() if auto is None else auto,
            normalize,
            RandomErasing(p=0.1),
        ]
    )


def deit3(size: int = 224) -> Policy:
    """DeiT III (Touvron et al. 2022): crop, flip, 3-Augment, colour jitter 0.3, MixUp 0.8 or CutMix 1."""
    return Policy(
        [
            RandomResizedCrop(size),
            RandomHorizontalFlip(),
            ThreeAugment(),
            ColorJitter(0.3, 0.3, 0.3),
            Normalize(IMAGENET_MEAN, IMAGENET_STD),
            MixUpOrCutMix(mixup_alpha=0.8, cutmix_alpha=1.0, switch_prob=0.5),
        ]
    )


def cifar(size: int = 32, *, train: bool = True) -> Policy:
    """CIFAR's padded crop and flip, RandAugment(1, 5) and a Cutout of half the side (DeVries and Taylor
    2017; Cubuk et al. 2020)."""
    normalize = Normalize(CIFAR_MEAN, CIFAR_STD)
    if not train:
        return Policy([Resize((size, size)), normalize])
    return Policy(
        [
            RandomCrop(size, padding=size // 8, pad_if_needed=True),
            RandomHorizontalFlip(),
            RandAugment(1, 5),
            normalize,
            Cutout(size=0.5),
        ]
    )


def fixmatch(size: int = 32, *, mean=CIFAR_MEAN, std=CIFAR_STD) -> Views:
    """FixMatch's pair (Sohn et al. 2020; USB): `weak` is flip and a padded crop, `strong` adds two
    operations at uniform magnitudes and a Cutout of up to half the side."""
    normalize = Normalize(mean, std)

    def weak() -> list[Op]:
        crop = RandomCrop(size, padding=size // 8, padding_mode="reflect", pad_if_needed=True)
        return [crop, RandomHorizontalFlip()]

    return Views(
        weak=[*weak(), normalize], strong=[*weak(), FixMatchAugment(), normalize, Cutout()]
    )


def simclr(size: int = 224, *, views: int = 2, strength: float = 1.0) -> Views:
    """SimCLR's views (Chen et al. 2020), under the name `views`. strength: the paper's s, of the colour
    distortion."""
    s = strength
    return Views(
        views=[
            _distorted(
                RandomResizedCrop(size),
                ColorJitter(0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s),
                blur=0.5,
                kernel=size // 20 * 2 + 1,
            )
        ]
        * views
    )


def byol(size: int = 224) -> Views:
    """BYOL's two views (Grill et al. 2020): `first` is always blurred, `second` seldom, but solarized."""
    crop, jitter = RandomResizedCrop(size), ColorJitter(0.4, 0.4, 0.2, 0.1)
    kernel = size // 20 * 2 + 1
    return Views(
        first=_distorted(crop, jitter, blur=1.0, kernel=kernel),
        second=_distorted(crop, jitter, blur=0.1, kernel=kernel, solarize=0.2),
    )


def dino(size: int = 224, *, local_size: int = 96, local_crops: int = 8) -> Views:
    """DINO's multi-crop (Caron et al. 2021): two `globals` and local_crops small `locals`."""
    jitter, wide = ColorJitter(0.4, 0.4, 0.2, 0.1), RandomResizedCrop(size, scale=(0.4, 1.0))
    narrow = RandomResizedCrop(local_size, scale=(0.05, 0.4))
    return Views(
        globals=[
            _distorted(wide, jitter, blur=1.0),
            _distorted(wide, jitter, blur=0.1, solarize=0.2),
        ],
        locals=[_distorted(narrow, jitter, blur=0.5)] * local_crops,
    )


def _distorted(crop, jitter, *, blur, kernel=None, solarize=0.0) -> Policy:
    """What the self-supervised recipes share: crop, flip, colours, grey, blur, solarize."""
    ops: list[Op] = [
        crop,
        RandomHorizontalFlip(),
        RandomApply([jitter], p=0.8),
        RandomGrayscale(0.2),
        GaussianBlur(kernel, sigma=(0.1, 2.0), p=blur),
    ]
    if solarize:
        ops.append(RandomSolarize(128, p=solarize))
    return Policy([*ops, Normalize(IMAGENET_MEAN, IMAGENET_STD)])


def noisy_student(size: int = 224) -> Policy:
    """The student's noise (Xie et al. 2020): RandAugment with two operations at magnitude 27, in the
    scale of TensorFlow's EfficientNet, which timm's dialect has. (Its Cutout is left out; dropout and
    stochastic depth are the model's.)"""
    return Policy(
        [
            RandomResizedCrop(size),
            RandomHorizontalFlip(),
            RandAugment(2, 27, dialect="timm", max_magnitude=30, p=1.0),
            Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )


def detection(size: int = 640) -> Policy:
    """YOLO's ingredients (Bochkovskiy et al. 2020): flip, scale and shift, colours, Mosaic. Values stay
    in [0, 1]. Each image is warped before the four are put together, not after. `boxes(plan, …)` moves
    the boxes along."""
    return Policy(
        [
            Resize((size, size)),
            RandomHorizontalFlip(),
            RandomAffine(0, translate=(0.1, 0.1), scale=(0.5, 1.5), fill=114),
            ColorJitter(brightness=0.4, saturation=0.7, hue=0.015),
            Mosaic(),
        ]
    )
