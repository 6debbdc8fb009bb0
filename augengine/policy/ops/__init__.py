"""The vocabulary: small ops, each of which says once what it means."""

from .auto import (
    AugMix,
    AutoAugment,
    FixMatchAugment,
    RandAugment,
    ThreeAugment,
    TrivialAugmentWide,
    UniformAugment,
)
from .choosing import Compose, OneOf, RandomApply, SomeOf
from .colour import (
    ColorJitter,
    Normalize,
    RandomBrightness,
    RandomChannelPermutation,
    RandomDesaturate,
    RandomGrayscale,
)
from .filters import GaussianBlur, GaussianNoise, RandomAdjustSharpness
from .geometric import (
    RandomAffine,
    RandomHorizontalFlip,
    RandomPerspective,
    RandomQuarterTurn,
    RandomRotation,
    RandomVerticalFlip,
)
from .mixing import CutMix, Cutout, MixUp, MixUpOrCutMix, Mosaic, RandomErasing
from .op import Op
from .sizing import CenterCrop, RandomCrop, RandomResizedCrop, Resize
from .stage import Stage
from .tone import (
    RandomAutocontrast,
    RandomEqualize,
    RandomGamma,
    RandomInvert,
    RandomPosterize,
    RandomSolarize,
    RandomSolarizeAdd,
)

__all__ = [
    "AugMix",
    "AutoAugment",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "CutMix",
    "Cutout",
    "FixMatchAugment",
    "GaussianBlur",
    "GaussianNoise",
    "MixUp",
    "MixUpOrCutMix",
    "Mosaic",
    "Normalize",
    "OneOf",
    "Op",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomBrightness",
    "RandomChannelPermutation",
    "RandomCrop",
    "RandomDesaturate",
    "RandomEqualize",
    "RandomErasing",
    "RandomGamma",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterize",
    "RandomQuarterTurn",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomSolarizeAdd",
    "RandomVerticalFlip",
    "Resize",
    "SomeOf",
    "Stage",
    "ThreeAugment",
    "TrivialAugmentWide",
    "UniformAugment",
]
