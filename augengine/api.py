"""The public names: what `augengine.Policy` and the like are, in one list."""

from .kernels import Sources, execute
from .kernels.operator import as_tensor, execute_compiled
from .loading.batch import Batch, BatchOfViews, PackedBatch
from .loading.collate import Collate, pack
from .loading.device_loader import DeviceLoader
from .loading.engine import Engine
from .loading.keys import Key, Keys, WithIds
from .loading.labels import soft_labels
from .loading.sampler import KeyedSampler, keyed
from .loading.targets import boxes, masks
from .plan import Finish, Plan, concatenate, side_by_side
from .policy import ops
from .policy.ops import *  # noqa: F403
from .policy.policy import Policy
from .policy.schedule import Ramp
from .policy.views import Views
from .recipes import presets
from .recipes.from_timm import from_timm
from .recipes.from_torchvision import from_torchvision

__all__ = [
    "Batch",
    "BatchOfViews",
    "Collate",
    "DeviceLoader",
    "Engine",
    "Finish",
    "Key",
    "KeyedSampler",
    "Keys",
    "PackedBatch",
    "Plan",
    "Policy",
    "Ramp",
    "Sources",
    "Views",
    "WithIds",
    "as_tensor",
    "boxes",
    "concatenate",
    "execute",
    "execute_compiled",
    "from_timm",
    "from_torchvision",
    "keyed",
    "masks",
    "ops",
    "pack",
    "presets",
    "side_by_side",
    "soft_labels",
]
__all__ += ops.__all__
