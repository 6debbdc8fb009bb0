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
from .canvas import FixedSizeCrop, LetterBox, Pad, PadIfSmaller, PadToLargest, RandomZoomOut
from .channels import RGB, Grayscale
from .choosing import Compose, DuringEpochs, OneOf, RandomApply, SomeOf
from .colour import (
    ColorJitter,
    Normalize,
    RandomBrightness,
    RandomChannelPermutation,
    RandomDesaturate,
    RandomGrayscale,
    RandomPhotometricDistort,
)
from .conversions import (
    ConvertImageDtype,
    PILToTensor,
    ToDtype,
    ToImage,
    ToPureTensor,
    ToTensor,
)
from .elastic import ElasticTransform
from .filters import GaussianBlur, GaussianNoise, RandomAdjustSharpness
from .five_crop import FiveCrop, TenCrop
from .geometric import (
    RandomAffine,
    RandomHorizontalFlip,
    RandomPerspective,
    RandomQuarterTurn,
    RandomRotation,
    RandomVerticalFlip,
)
from .iou import RandomIoUCrop
from .jpeg import JPEG
from .lens import RandomDefocus, RandomMotionBlur
from .mixing import CutMix, Cutout, MixUp, MixUpOrCutMix, Mosaic, RandomErasing
from .op import Op
from .orders import RandomChoice, RandomOrder
from .scaling import RandomResize, RandomShortestSize, ScaleJitter
from .scheduled import Scheduled
from .sensors import RandomPlanckianJitter, RandomSaltAndPepperNoise, RandomShadow
from .sizing import CenterCrop, RandomCrop, RandomResizedCrop, Resize
from .stage import Lambda, Stage
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
    "JPEG",
    "RGB",
    "AugMix",
    "AutoAugment",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "CutMix",
    "Cutout",
    "DuringEpochs",
    "ElasticTransform",
    "FiveCrop",
    "FixMatchAugment",
    "FixedSizeCrop",
    "GaussianBlur",
    "GaussianNoise",
    "Grayscale",
    "Lambda",
    "LetterBox",
    "MixUp",
    "MixUpOrCutMix",
    "Mosaic",
    "Normalize",
    "OneOf",
    "Op",
    "PILToTensor",
    "Pad",
    "PadIfSmaller",
    "PadToLargest",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomBrightness",
    "RandomChannelPermutation",
    "RandomChoice",
    "RandomCrop",
    "RandomDefocus",
    "RandomDesaturate",
    "RandomEqualize",
    "RandomErasing",
    "RandomGamma",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomIoUCrop",
    "RandomMotionBlur",
    "RandomOrder",
    "RandomPerspective",
    "RandomPhotometricDistort",
    "RandomPlanckianJitter",
    "RandomPosterize",
    "RandomQuarterTurn",
    "RandomResize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSaltAndPepperNoise",
    "RandomShadow",
    "RandomShortestSize",
    "RandomSolarize",
    "RandomSolarizeAdd",
    "RandomVerticalFlip",
    "RandomZoomOut",
    "Resize",
    "ScaleJitter",
    "Scheduled",
    "SomeOf",
    "Stage",
    "TenCrop",
    "ThreeAugment",
    "ToDtype",
    "ToImage",
    "ToPureTensor",
    "ToTensor",
    "TrivialAugmentWide",
    "UniformAugment",
]
