"""The invariance check: which operations of a policy break labels.

check_labels   data and a policy in, a `LabelReport` out
command        what `augengine check --data` does
policies       the policy, by name; apart: its operations, each alone among the steps that all images need
images         the held-out part of the training images, and the part that is learned
nets           nets that learn, and what they answer
judge          from answers to a verdict; intervals: of shares and their differences
report         what is said of it all; table: as text, plot: as pictures
"""

from .check import check_labels
from .report import Finding, LabelReport, Learned, Worst

__all__ = ["Finding", "LabelReport", "Learned", "Worst", "check_labels"]
