"""augengine: augmentation decided as data, drawn in one pass over memory.

    Policy ──sample(keys, sizes)──▶ Plan ──execute(images)──▶ Batch

`Policy` says what may happen and how strongly; a `Plan` says what will happen to each sample of a
batch; `execute` draws it. `Engine` and `Collate` do both at once.
"""

from .engine import Batch, Engine
from .kernels import Sources, execute
from .loader import Collate, WithIds
from .ops import *  # noqa: F403
from .ops import __all__ as _ops
from .plan import Finish, Plan, concatenate
from .policy import Policy
from .targets import soft_labels

__version__ = "0.1.0"
__all__ = [
    "Batch",
    "Collate",
    "Engine",
    "Finish",
    "Plan",
    "Policy",
    "Sources",
    "WithIds",
    "concatenate",
    "execute",
    "soft_labels",
    *_ops,
]
