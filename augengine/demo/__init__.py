"""The demo: photographs of different sizes in, an augmented batch out, shown and timed.

command          what `augengine demo` does: `run`
gallery          what `augengine gallery` does: a picture of the published policies
photographs      the photographs that are shipped, and those of a folder
contact_sheet    the picture: originals, augmented versions, and the plans' words
comparison       the table: the engine and other libraries, timed on one batch
peers            a policy in other libraries
measure          rounds by turns, and the memory floor
"""

from .command import run
from .photographs import Photograph, shipped_photographs

__all__ = ["Photograph", "run", "shipped_photographs"]
