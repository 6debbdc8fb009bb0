"""augengine: augmentation decided as data, drawn in one pass over memory.

    Policy ──sample(keys, sizes)──▶ Plan ──execute(images)──▶ Batch

`Policy` says what may happen and how strongly; a `Plan` says what will happen to each sample of a
batch; `execute` draws it. `Engine` and `Collate` do both at once.
"""

from . import presets
from .batch import Batch, BatchOfViews, PackedBatch
from .device import DeviceLoader
from .engine import Engine
from .from_timm import from_timm
from .from_torchvision import from_torchvision
from .kernels import Sources, execute
from .kernels.compiled import as_tensor, draw
from .loader import Collate, WithIds, pack
from .ops import *  # noqa: F403
from .ops import __all__ as _ops
from .plan import Finish, Plan, concatenate, side_by_side
from .policy import Policy
from .schedule import Ramp
from .targets import boxes, masks, soft_labels
from .views import Views

__version__ = "0.1.0"
__all__ = [
    "Batch",
    "BatchOfViews",
    "Collate",
    "DeviceLoader",
    "Engine",
    "Finish",
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
    "draw",
    "execute",
    "from_timm",
    "from_torchvision",
    "masks",
    "pack",
    "presets",
    "side_by_side",
    "soft_labels",
    *_ops,
]
