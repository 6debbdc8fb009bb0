"""augengine: augmentation decided as data, drawn in one pass over memory.

    Policy ──sample(keys, sizes)──▶ Plan ──execute(images)──▶ Batch

`Policy` says what may happen and how strongly; a `Plan` says what will happen to each sample of a
batch; `execute` draws it. `Engine` and `Collate` do both at once.
"""

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
from .policy.ops import __all__ as _op_names
from .policy.policy import Policy
from .policy.schedule import Ramp
from .policy.views import Views
from .recipes import presets
from .recipes.from_timm import from_timm
from .recipes.from_torchvision import from_torchvision

__version__ = "0.1.0"
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
    *_op_names,
]
