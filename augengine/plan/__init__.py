"""The plan: everything random, decided, as data.

A `Plan` is a frozen struct of NumPy arrays. The class below is the table of its fields: each one's
dimensions, dtype, meaning and unit. Colours are in [0, 1]; points are continuous source pixels. The
numbers that stand in it have names in `kinds`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import bounds, checks, file, join, words
from .fields import array, array_fields, fields_of
from .finish import Finish
from .join import concatenate, side_by_side
from .kinds import (
    CONSTANT,
    HISTOGRAM,
    MOST_ARGUMENT,
    MOST_DEPTH,
    MOST_ENTRY,
    MOST_SIDE,
    NO_STATISTIC,
    NONE,
    SYMMETRIC,
    TONE,
)

# Ranges that several fields share.
_PIXELS, _SHARE, _ARGUMENT = (0, MOST_SIDE), (0, 1), (-MOST_ARGUMENT, MOST_ARGUMENT)
# What an output may be normalised to, undone: it need not lie in [0, 1].
_COLOUR = (-(2.0**30), 2.0**30)


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """What will happen to each sample of a batch.

    N outputs, K layers for each; V views, S colour steps for each; B sources; C channels; Q curves;
    T lines of log. A view looks at a source, or at what another view showed, filtered: blur and
    sharpness need a picture to work on. Arrays are read-only. Plans compare equal bit by bit.

    Example:
        >>> plan = ae.Policy([ae.RandomCrop(32, padding=4), ae.RandomInvert()]).sample([7], [(32, 32)])
        >>> print(plan)
        Plan(seed=0, epoch=0, policy=c957842d462ff683)
          1 sources → 1 outputs of 3×32×32, float32 NCHW
          1 views, 0 colour steps, 1 layers
          7: crop 32×32 at (3, 2)
        >>> ae.Plan.from_bytes(plan.to_bytes()) == plan
        True
    """

    finish: Finish
    # The sources
    ids: np.ndarray = array("B", np.int64, "the samples' identities")
    occurrence: np.ndarray = array("B", np.int64, "how often the id came before in the epoch")
    sizes: np.ndarray = array("B 2", np.int32, "height and width of each source", (1, MOST_SIDE))
    strength: np.ndarray = array("B", np.float32, "share of every magnitude that was used", _SHARE)
    # Views: one look at one source
    source: np.ndarray = array("V", np.int32, "which source; B + w: what view w showed, filtered")
    inv_matrix: np.ndarray = array(
        "V 3 3", np.float32, "inv_matrix @ output = source point", (-MOST_ENTRY, MOST_ENTRY)
    )
    support: np.ndarray = array(
        "V 2", np.float32, "filter half-width along x, y, ¾ or more; 0: nearest", _PIXELS
    )
    clip: np.ndarray = array(
        "V 4", np.float32, "y0, x0, y1, x1 of the source that may be seen", _PIXELS
    )
    border: np.ndarray = array(
        "V", np.int8, "outside the clip: CONSTANT, EDGE, REFLECT, SYMMETRIC", (CONSTANT, SYMMETRIC)
    )
    fill: np.ndarray = array("V C", np.float32, "the colour outside the clip, for CONSTANT", _SHARE)
    fill_start: np.ndarray = array("V", np.int16, "colour steps from this one on act on the fill")
    step_kind: np.ndarray = array(
        "V S", np.int8, "NONE, MATRIX, CURVE, HUE, NOISE, TONE", (NONE, TONE)
    )
    step_arg: np.ndarray = array(
        "V S 12",
        np.float32,
        "MATRIX: 3×4, row by row; CURVE: row of curves; HUE: turns; NOISE: mean, sigma, two key "
        "words below 2^24; TONE, in bytes: invert from this threshold on, then for each channel "
        "(byte − low) / scale, then whole steps: threshold, step, 1 / step, three lows, three scales",
        _ARGUMENT,
    )
    curves: np.ndarray = array("Q 3 256", np.float32, "tone curves, for each channel", _SHARE)
    statistic: np.ndarray = array(
        "V S",
        np.int8,
        "MEAN: the matrix's last column is times the mean grey; RANGE: stretch each channel's "
        "range to [0, 1]; HISTOGRAM: equalize each channel",
        (NO_STATISTIC, HISTOGRAM),
    )
    window: np.ndarray = array(
        "V S 4", np.float32, "y0, x0, y1, x1 that a statistic is taken over", _PIXELS
    )
    filter: np.ndarray = array(
        "V 4",
        np.float32,
        "what is done to the view before others look at it: kind, then GAUSSIAN: sigma, reach along "
        "x, y, in pixels; SHARPNESS: factor",
        _ARGUMENT,
    )
    frame: np.ndarray = array(
        "V 2", np.int32, "height and width of a view that is filtered; 0: an output's", _PIXELS
    )
    log_op: np.ndarray = array("V T", np.int16, "line of log_text, −1: none; executors ignore it")
    log_arg: np.ndarray = array("V T 6", np.float32, "the numbers in that line", _ARGUMENT)
    # Layers: where views land in an output, in order
    view: np.ndarray = array("N K", np.int32, "which view; −1: none; −2: plain colour")
    box: np.ndarray = array("N K 4", np.int32, "y0, x0, y1, x1 in output pixels", _PIXELS)
    alpha: np.ndarray = array("N K", np.float32, "out = out + alpha · (view − out)", _SHARE)
    weight: np.ndarray = array("N K", np.float32, "the layer's share of the label", _SHARE)
    colour: np.ndarray = array("N K C", np.float32, "of a plain-colour layer", _COLOUR)
    # The rest
    log_text: tuple[str, ...] = ()
    seed: int = 0
    epoch: int = 0
    look: int = 0  # which look at the samples this is, the `view` of Policy.sample
    policy: str = ""  # the policy's fingerprint

    def __post_init__(self) -> None:
        checks.check(self)
        bounds.check(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """After a pickle or a copy the plan is checked, and its arrays are read-only, again."""
        names = {field.name for field in dataclasses.fields(self)}
        if not isinstance(state, dict) or set(state) != names:
            raise ValueError(
                "Plan: got a state of other fields than a plan's. Make the plan again."
            )
        for value in state.values():
            if isinstance(value, np.ndarray) and value.base is None:  # nobody else has it
                value.flags.writeable = False
        self.__dict__.update(state)
        self.__post_init__()

    @classmethod
    def _sampled(cls, **fields) -> Plan:
        """A plan from a draft's fields, whose shapes and dtypes are right."""
        plan = cls._trusted(**fields)
        bounds.check(plan)
        return plan

    @classmethod
    def _trusted(cls, **fields) -> Plan:
        """A plan from fields that are known to be in bounds, since they were made of such plans'."""
        plan = object.__new__(cls)
        for name, value in fields.items():
            if isinstance(value, np.ndarray) and value.flags.writeable:  # otherwise another plan's
                fields[name] = value = np.ascontiguousarray(value)
                value.flags.writeable = False
        plan.__dict__.update(fields)
        return plan

    # Sizes

    def __len__(self) -> int:
        """N, the number of outputs."""
        return len(self.view)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W) of the batch that the plan makes."""
        return (len(self), self.finish.channels, *self.finish.size)

    def source_sizes(self) -> np.ndarray:
        """[V, 2] height and width of what each view looks at."""
        return np.concatenate([self.sizes, self.frame])[self.source]

    def roots(self) -> np.ndarray:
        """[V] the source that each view shows in the end, also by way of other views."""
        images, root = len(self.ids), self.source
        for _ in range(MOST_DEPTH):
            if root.max(initial=0) < images:
                break
            root = np.where(root < images, root, self.source[np.maximum(root - images, 0)])
        return root

    # Reading

    def explain(self, i: int) -> str:
        """What happens to output `i`, in words and in order.

        Args:
            i: Index of the output; negative ones count from the end.

        Returns:
            One line of text.

        Raises:
            IndexError: There is no such output.
        """
        return words.explain(self, i)

    def __repr__(self) -> str:
        return words.summary(self)

    def __eq__(self, other) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        return file.header(self) == file.header(other) and all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name))
            for f in array_fields(self)
        )

    __hash__ = None  # type: ignore[assignment]

    # Cutting and saving

    def select(self, indices: int | slice | Sequence[int] | np.ndarray) -> Plan:
        """The plan of some of the outputs, over the same sources. Unused views are dropped.

        Args:
            indices: Anything that indexes an array [N] by its first axis; a single int gives N = 1.

        Returns:
            The plan of those outputs.
        """
        return join.select(self, indices)

    def save(self, path: str | Path) -> None:
        """Write a safetensors file: the arrays as they are, the rest as JSON in its header.

        Args:
            path: Path of the file.
        """
        Path(path).write_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """What `save` writes."""
        return file.to_bytes(self)

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read what `save` wrote.

        Args:
            path: Path of the file.

        Returns:
            The plan, equal to the one that was saved.

        Raises:
            ValueError: The file is cut short, damaged or no plan.
        """
        return file.load(cls, path)

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "Plan.from_bytes: the data") -> Plan:
        """Read what `to_bytes` gave.

        Args:
            data: Bytes of a plan.
            where: Words that messages begin with.

        Returns:
            The plan, equal to the one that the bytes are of.

        Raises:
            ValueError: The bytes are cut short, damaged or no plan.
        """
        return file.from_bytes(cls, data, where)


LAYER_FIELDS, VIEW_FIELDS = fields_of(Plan, "N"), fields_of(Plan, "V")

__all__ = ["LAYER_FIELDS", "VIEW_FIELDS", "Finish", "Plan", "concatenate", "side_by_side"]
