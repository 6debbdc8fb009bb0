"""The doctor: it measures the parts of a training's input pipeline, and says what follows.

examine        one's own loader, model and policy in, a `Report` out
command        what `augengine doctor` does
data, models   what is measured where the user brings nothing: a folder or our photographs, a model by name
measure        the costs, part by part; timing: rounds, warm-up and spread
figures        what was measured, as data
ways           from figures to images per second: where augmentation may run, with how many workers
advice         from figures to sentences
loaders        what in a loader is wrong
report, plot   what is said of it all: a table, sentences, JSON, a picture
"""

from .advice import Advice, advise
from .examine import examine
from .figures import Cost, Figures, Machine
from .loaders import Problem, find_problems
from .report import Report
from .ways import Way, best_way, way

__all__ = [
    "Advice",
    "Cost",
    "Figures",
    "Machine",
    "Problem",
    "Report",
    "Way",
    "advise",
    "best_way",
    "examine",
    "find_problems",
    "way",
]
