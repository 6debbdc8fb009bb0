"""Recipes for classifiers."""

from __future__ import annotations

from ...policy.ops import (
    CenterCrop,
    ColorJitter,
    Cutout,
    MixUpOrCutMix,
    Normalize,
    Op,
    RandAugment,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
    ThreeAugment,
    TrivialAugmentWide,
)
from ...policy.policy import Policy
from .statistics import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD


def imagenet(size: int = 224, *, train: bool = True, auto: Op | None = None) -> Policy:
    """torchvision's ImageNet recipe: crop, flip, an automatic policy, normalise, some erasing.

    The numbers are those of torchvision's references/classification (the recipe of 2021, whose MixUp
    and CutMix are left out), and for evaluation the defaults of its ImageClassification.

    Args:
        size: Pixels a side of the output.
        train: Whether the policy is for training. For evaluation the shorter edge becomes
            size · 256 / 224 pixels, and the middle is cut out and normalised.
        auto: Automatic policy of the training; None is TrivialAugmentWide.

    Returns:
        A Policy.

    Example:
        >>> policy = ae.presets.imagenet(64, auto=ae.RandAugment())
        >>> [type(op).__name__ for op in policy.transforms]
        ['RandomResizedCrop', 'RandomHorizontalFlip', 'RandAugment', 'Normalize', 'RandomErasing']
        >>> ae.presets.imagenet(64, train=False).sample(ids=[0], sizes=[(90, 120)]).explain(0)
        'resized to 73×97, centre crop 64×64'
    """
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
    """DeiT III's recipe: crop, flip, 3-Augment, colour jitter 0.3, MixUp 0.8 or CutMix 1.

    The numbers are those of Touvron et al. 2022, "DeiT III: Revenge of the ViT", and its code. Labels
    are mixed, so that an `Engine` of it needs num_classes.

    Args:
        size: Pixels a side of the output.

    Returns:
        A Policy.

    Example:
        >>> engine = ae.Engine(ae.presets.deit3(64), num_classes=10)
        >>> images = np.zeros((4, 80, 80, 3), np.uint8)
        >>> batch = engine(images, torch.arange(4), ids=range(4))
        >>> batch.images.shape, batch.labels.shape
        (torch.Size([4, 3, 64, 64]), torch.Size([4, 10]))
    """
    return Policy(
        [
            RandomResizedCrop(size, interpolation="bicubic"),
            RandomHorizontalFlip(),
            ThreeAugment(),
            ColorJitter(0.3, 0.3, 0.3),
            Normalize(IMAGENET_MEAN, IMAGENET_STD),
            MixUpOrCutMix(mixup_alpha=0.8, cutmix_alpha=1.0, switch_prob=0.5),
        ]
    )


def cifar(size: int = 32, *, train: bool = True) -> Policy:
    """CIFAR's recipe: a padded crop, a flip, RandAugment(1, 5) and a Cutout of half the side.

    The crop, the flip and the Cutout are those of DeVries and Taylor 2017, RandAugment is that of
    Cubuk et al. 2020.

    Args:
        size: Pixels a side of the output.
        train: Whether the policy is for training. For evaluation it resizes and normalises.

    Returns:
        A Policy.

    Example:
        >>> policy = ae.presets.cifar()
        >>> [type(op).__name__ for op in policy.transforms]
        ['RandomCrop', 'RandomHorizontalFlip', 'RandAugment', 'Normalize', 'Cutout']
        >>> policy.sample(ids=range(8), sizes=[(32, 32)] * 8).shape
        (8, 3, 32, 32)
    """
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


def noisy_student(size: int = 224) -> Policy:
    """Noisy Student's noise on images: RandAugment with two operations at magnitude 27.

    The numbers are those of Xie et al. 2020. The magnitude is in the scale of TensorFlow's
    EfficientNet, which timm's dialect has. Its Cutout is left out; dropout and stochastic depth are
    the model's.

    Args:
        size: Pixels a side of the output.

    Returns:
        A Policy.

    Example:
        >>> policy = ae.presets.noisy_student(64)
        >>> [type(op).__name__ for op in policy.transforms]
        ['RandomResizedCrop', 'RandomHorizontalFlip', 'RandAugment', 'Normalize']
    """
    return Policy(
        [
            RandomResizedCrop(size),
            RandomHorizontalFlip(),
            RandAugment(2, 27, dialect="timm", max_magnitude=30, p=1.0),
            Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
