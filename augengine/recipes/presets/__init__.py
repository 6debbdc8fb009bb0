"""Recipes, ready: a Policy or Views, to use as they are, to print and to change.

Each names the source of its numbers. It differs from the source where a policy has one interpolation
(bilinear, antialiased), and where mixes are drawn for each sample. `print(presets.deit3())` shows the
ops.
"""

from .classification import cifar, deit3, imagenet, noisy_student
from .dense import (
    detection_hflip,
    detection_lsj,
    detection_multiscale,
    detection_ssd,
    detection_ssdlite,
    detection_yolo,
    segmentation,
)
from .statistics import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD
from .views import byol, dino, fixmatch, simclr

__all__ = [
    "CIFAR_MEAN",
    "CIFAR_STD",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "byol",
    "cifar",
    "deit3",
    "detection_hflip",
    "detection_lsj",
    "detection_multiscale",
    "detection_ssd",
    "detection_ssdlite",
    "detection_yolo",
    "dino",
    "fixmatch",
    "imagenet",
    "noisy_student",
    "segmentation",
    "simclr",
]
