"""Which augmentation, and how strong: chosen on the user's own data, by training on parts of it."""

from .result import TuneResult
from .tune import tune

__all__ = ["TuneResult", "tune"]
