"""The public names: what `augengine.Policy` and the like are, in one list."""

from .decoding import DecodeError, DecodeOptions, decode
from .kernels import Sources, execute
from .kernels.operator import as_tensor, execute_compiled
from .loading import at_once  # noqa: F401  (calls of ops and policies draw by it)
from .loading.batch import Batch, BatchOfViews
from .loading.collate import Collate, pack
from .loading.device_loader import DeviceLoader
from .loading.engine import Engine
from .loading.keys import Key, Keys, WithIds
from .loading.labels import soft_labels
from .loading.packed import PackedBatch
from .loading.sampler import KeyedSampler, keyed
from .plan import Finish, Plan, concatenate, side_by_side
from .policy import ops
from .policy.ops import *  # noqa: F403
from .policy.policy import Policy
from .policy.schedule import Ramp
from .policy.strengths import Uniform
from .policy.views import Inside, Tied, Views
from .preview.show import show
from .recipes import presets
from .recipes.from_albumentations import from_albumentations
from .recipes.from_kornia import from_kornia
from .recipes.from_timm import from_timm
from .recipes.from_torchvision import from_torchvision
from .recipes.tta import tta
from .targets.boxes import boxes
from .targets.follow import follow
from .targets.instances import instance_masks
from .targets.keypoints import COCO_FLIP_PAIRS, keypoints
from .targets.maps import flow, maps
from .targets.masks import masks
from .targets.options import TargetOptions
from .targets.outlines import polygons
from .targets.padded import pad_targets
from .targets.resample import resample
from .tuning.tune import tune

# isort: split
# Behind the rooms that they enter in the middle: threads that import those at once would wait for each other.
from .datasets.cache import cache
from .datasets.check import check_images
from .datasets.folder import Folder
from .datasets.report import ImageReport

__all__ = [
    "COCO_FLIP_PAIRS",
    "Batch",
    "BatchOfViews",
    "Collate",
    "DecodeError",
    "DecodeOptions",
    "DeviceLoader",
    "Engine",
    "Finish",
    "Folder",
    "ImageReport",
    "Inside",
    "Key",
    "KeyedSampler",
    "Keys",
    "PackedBatch",
    "Plan",
    "Policy",
    "Ramp",
    "Sources",
    "TargetOptions",
    "Tied",
    "Uniform",
    "Views",
    "WithIds",
    "as_tensor",
    "boxes",
    "cache",
    "check_images",
    "concatenate",
    "decode",
    "execute",
    "execute_compiled",
    "flow",
    "follow",
    "from_albumentations",
    "from_kornia",
    "from_timm",
    "from_torchvision",
    "instance_masks",
    "keyed",
    "keypoints",
    "maps",
    "masks",
    "ops",
    "pack",
    "pad_targets",
    "polygons",
    "presets",
    "resample",
    "show",
    "side_by_side",
    "soft_labels",
    "tta",
    "tune",
]
__all__ += ops.__all__
