"""Recipes, ready: a Policy or Views, to use as they are, to print and to change.

Each names the source of its numbers. It differs from the source where a policy has one interpolation
(bilinear, antialiased), and where mixes are drawn for each sample. `print(presets.deit3())` shows the
ops.
"""

from __future__ import annotations

from collections.abc import Sequence

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
            RandomResizedCrop(size),
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
    crop, jitter = RandomResizedCrop(size), ColorJitter(0.4, 0.4, 0.2, 0.1)
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
    jitter, wide = ColorJitter(0.4, 0.4, 0.2, 0.1), RandomResizedCrop(size, scale=(0.4, 1.0))
    narrow = RandomResizedCrop(local_size, scale=(0.05, 0.4))
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
        ops.append(RandomSolarize(128, p=solarize))
    return Policy([*ops, Normalize(IMAGENET_MEAN, IMAGENET_STD)])


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


def detection(size: int = 640) -> Policy:
    """YOLO's ingredients: flip, scale and shift, colours, Mosaic.

    The ops are those of Bochkovskiy et al. 2020 (YOLOv4), with the ranges of Ultralytics' YOLOv5.
    Each image is warped before the four of a mosaic are put together, not after. Values stay in
    [0, 1]. `ae.boxes(plan, …)` moves the boxes along.

    Args:
        size: Pixels a side of the output.

    Returns:
        A Policy.

    Example:
        >>> plan = ae.presets.detection(64).sample(ids=range(4), sizes=[(48, 64)] * 4)
        >>> moved, origin = ae.boxes(plan, [[[10, 10, 40, 40]]] * 4)[0]
        >>> moved.shape[1], len(moved) == len(origin)
        (4, True)
    """
    return Policy(
        [
            Resize((size, size)),
            RandomHorizontalFlip(),
            RandomAffine(0, translate=(0.1, 0.1), scale=(0.5, 1.5), fill=114),
            ColorJitter(brightness=0.4, saturation=0.7, hue=0.015),
            Mosaic(),
        ]
    )
