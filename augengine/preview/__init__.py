"""Policies and plans as pictures: a grid, a sweep, a trace, a mix, targets; nothing here needs a window."""

from .grid import grid
from .mix import mix, mix_sheet
from .overlay import overlay
from .sheets import sheet_of, with_target
from .show import Shown, show
from .sweep import Row, sweep, sweep_sheet
from .tiles import Tile, tiles
from .trace import Step, trace, trace_sheet

__all__ = [
    "Row",
    "Shown",
    "Step",
    "Tile",
    "grid",
    "mix",
    "mix_sheet",
    "overlay",
    "sheet_of",
    "show",
    "sweep",
    "sweep_sheet",
    "tiles",
    "trace",
    "trace_sheet",
    "with_target",
]
