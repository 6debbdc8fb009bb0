"""`augengine bench`: from image files to normalised batches, ours beside other libraries."""

from .command import run
from .result import Result, Row, Table

__all__ = ["Result", "Row", "Table", "run"]
