"""What may happen to a sample, and how strongly: policies, sampled by key into plans."""

from .policy import Policy
from .schedule import Ramp
from .views import Views

__all__ = ["Policy", "Ramp", "Views"]
