"""The vocabulary: small ops, each of which says once what it means."""

from .choosing import Compose, OneOf, RandomApply, SomeOf
from .colour import ColorJitter, Normalize, RandomBrightness, RandomGrayscale
from .geometric import (
    RandomAffine,
    RandomHorizontalFlip,
    RandomPerspective,
    RandomQuarterTurn,
    RandomRotation,
    RandomVerticalFlip,
)
from .mixing import CutMix, MixUp, RandomErasing
from .op import Op
from .sizing import CenterCrop, RandomCrop, RandomResizedCrop, Resize

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "CutMix",
    "MixUp",
    "Normalize",
    "OneOf",
    "Op",
    "RandomAffine",
    "RandomApply",
    "RandomBrightness",
    "RandomCrop",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomPerspective",
    "RandomQuarterTurn",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "SomeOf",
]
