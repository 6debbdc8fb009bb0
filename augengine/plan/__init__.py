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

from ..checks import whole_number
from . import bounds, checks, file, html, inverse, join, tied, words
from .fields import array, array_fields, fields_of
from .finish import Finish
from .join import concatenate, side_by_side
from .kinds import (
    ADD_BELOW,
    CONSTANT,
    HISTOGRAM,
    MOST_ARGUMENT,
    MOST_DEPTH,
    MOST_ENTRY,
    MOST_SIDE,
    NO_STATISTIC,
    NONE,
    SYMMETRIC,
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
    slope: np.ndarray = array(
        "V",
        np.float32,
        "0: the filter is a triangle; otherwise a cubic, and this its slope halfway to its end",
        (-1, 0),
    )
    clip: np.ndarray = array(
        "V 4", np.float32, "y0, x0, y1, x1 of the source that may be seen", _PIXELS
    )
    sight: np.ndarray = array(
        "V 4",
        np.float32,
        "y0, x0, y1, x1 of the source that the filter may weigh: the clip or more around it",
        _PIXELS,
    )
    border: np.ndarray = array(
        "V", np.int8, "outside the clip: CONSTANT, EDGE, REFLECT, SYMMETRIC", (CONSTANT, SYMMETRIC)
    )
    fill: np.ndarray = array("V C", np.float32, "the colour outside the clip, for CONSTANT", _SHARE)
    fill_start: np.ndarray = array("V", np.int16, "colour steps from this one on act on the fill")
    step_kind: np.ndarray = array(
        "V S",
        np.int8,
        "NONE, MATRIX, CURVE, HUE, NOISE, TONE, GAINS, IMPULSE, GAMMA, ADD_BELOW",
        (NONE, ADD_BELOW),
    )
    step_arg: np.ndarray = array(
        "V S 12",
        np.float32,
        "MATRIX: 3×4, row by row; CURVE, GAINS: row of curves; HUE: turns; NOISE: mean, sigma, two key "
        "words below 2^24; TONE, in bytes: invert from this threshold on, then for each channel "
        "(byte − low) / scale, then whole steps: threshold, step, 1 / step, three lows, three scales; "
        "IMPULSE: share of white pixels, of white and black ones, two key words below 2^24; "
        "GAMMA: exponent, gain; ADD_BELOW, in bytes: threshold, what is added below it",
        _ARGUMENT,
    )
    curves: np.ndarray = array(
        "Q C 256",
        np.float32,
        "for each channel a tone curve, in [0, 1]; or for GAINS a gain and an offset, then zeros",
        _ARGUMENT,
    )
    statistic: np.ndarray = array(
        "V S",
        np.int8,
        "MEAN: the matrix's last column is times the mean grey, of other than RGB each channel's; RANGE: "
        "stretch each channel's range to [0, 1]; HISTOGRAM: equalize each channel",
        (NO_STATISTIC, HISTOGRAM),
    )
    window: np.ndarray = array(
        "V S 4", np.float32, "y0, x0, y1, x1 that a statistic is taken over", _PIXELS
    )
    filter: np.ndarray = array(
        "V 4",
        np.float32,
        "what is done to the view before others look at it: kind, then GAUSSIAN: sigma, reach along "
        "x, y, in pixels; SHARPNESS: factor; MOTION, SMOOTH_MOTION: length in pixels, angle in degrees, "
        "direction; DISC: radius, sigma of its edge, in pixels; SHADE: gain, angle in degrees, offset",
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
    colour: np.ndarray = array(
        "N K C",
        np.float32,
        "of a plain-colour layer; of a view of alpha 0 that a blend has erased, how much of the pixel it "
        "were, relative to the others there",
        _COLOUR,
    )
    extent: np.ndarray = array(
        "N 2",
        np.int32,
        "height and width of what each output shows, from the top left corner; what lies beyond is "
        "padding. Executors ignore it",
        (1, MOST_SIDE),
    )
    # The rest
    log_text: tuple[str, ...] = ()
    seed: int = 0
    epoch: int = 0
    look: int = 0  # which look at the samples this is, the `view` of Policy.sample
    policy: str = ""  # the policy's fingerprint
    after: tuple[str, ...] = ()  # stages on the outputs that may move pixels, by name

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
    def _sampled(cls, neutral, extremes, arrays, **rest) -> Plan:
        """A plan from a draft: neutral fields, as `plan.neutral` gives them, and the arrays that are others,
        whose shapes and dtypes are right. extremes: of the fields of which they are known."""
        plan = cls._trusted(**arrays)
        plan.__dict__.update({**neutral, **plan.__dict__, **rest})
        bounds.check(plan, extremes)
        return plan

    @classmethod
    def _trusted(cls, **fields) -> Plan:
        """A plan from fields that are known to be in bounds, since they were made of such plans'."""
        plan = object.__new__(cls)
        for name, value in fields.items():
            if isinstance(value, np.ndarray):
                fields[name] = value = np.ascontiguousarray(value)
                value.setflags(write=False)
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
        return np.concatenate([self.sizes, self.frame]).take(self.source, axis=0)

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

    def _repr_html_(self) -> str | None:
        """What a notebook shows: the first outputs, drawn on a picture of ours, and the text."""
        return html.html_of(self)

    def __eq__(self, other) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        return file.header(self) == file.header(other) and all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name))
            for f in array_fields(self)
        )

    __hash__ = None  # type: ignore[assignment]

    # Cutting

    def select(self, indices: int | slice | Sequence[int] | np.ndarray) -> Plan:
        """The plan of some of the outputs, over the same sources. Unused views are dropped.

        Args:
            indices: Anything that indexes an array [N] by its first axis; a single int gives N = 1.

        Returns:
            The plan of those outputs.
        """
        return join.select(self, indices)

    # Elsewhere

    def inverse(
        self,
        size: tuple[int, int] | None = None,
        *,
        channels: int | None = None,
        fill: float = 0.0,
    ) -> Plan:
        """The way back: a plan whose sources are this plan's outputs, and whose outputs are the originals.

        What a model says of the outputs (masks, heat maps, boxes, keypoints) is so taken to where it
        lies on the originals, by one resampling through the whole geometry, filters and perspectives
        included; an antialiased one where the way back shrinks. Flips and quarter turns come back to
        the bit (on a GPU, floats along an edge but for a rounding). Colours stay as they are, and so
        does what was erased. What no output shows is fill; a view that shows nothing, such as one of a
        degenerate perspective, gives nothing back. Where a frame on the way was cut obliquely, as by a
        rotation between two blurs, a box bounds what shows.

        Args:
            size: Height and width in pixels of the plan's outputs, at least those of every original.
                None is the size of the originals, or where they differ that of the largest sides:
                each original then lies in the upper left corner, and the rest is fill.
            channels: Number of channels of what is mapped back; None is that of the images.
            fill: Value in [0, 1] of what was not shown.

        Returns:
            The plan, of one output for each of this plan's, float32 and not normalised.

        Raises:
            ValueError: An output shows several views that carry its label, as a mix does; size is
                smaller than an original; or the outputs go through a Stage that may move pixels.

        Example:
            >>> plan = ae.Policy(ae.RandomHorizontalFlip(p=1)).sample([0], [(1, 3)])
            >>> image = torch.tensor([[[[0.1, 0.2, 0.3]]]]).expand(1, 3, 1, 3)
            >>> flipped = ae.execute(plan, image)
            >>> torch.equal(ae.execute(plan.inverse(), flipped), image)
            True
        """
        return inverse.inverse(self, size, channels, fill)

    def resized(self, size: tuple[int, int]) -> Plan:
        """The same geometry drawn at another size: every view, box and filter scaled. Filters of
        pictures (blur, sharpness) keep the size that they are applied at.

        Args:
            size: Height and width in pixels of the outputs.

        Returns:
            The plan, of outputs that show the same at that size.

        Example:
            >>> plan = ae.Policy(ae.RandomResizedCrop(32)).sample([7], [(40, 40)])
            >>> plan.resized((16, 16)).map_to(plan)[0].tolist()
            [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]]
        """
        return tied.resized(self, size)

    def without_colour(self) -> Plan:
        """The same geometry and layers, without colour steps, statistics, noise, blurs and sharpness.
        Mixes and erased boxes stay, those filled with noise too. A crop before a blur stays a crop.

        Returns:
            The plan of the outputs in the images' own colours.

        Example:
            >>> ops = [ae.RandomResizedCrop(32), ae.ColorJitter(0.4)]
            >>> ae.Policy(ops).sample([7], [(40, 40)]).without_colour().step_kind.shape
            (1, 0)
        """
        return tied.without_colour(self)

    def inside(self, outer: Plan) -> Plan:
        """This plan, drawn within the outputs of another one by one resampling of the images.

        Its geometry stands behind the outer plan's; of that the geometry alone is taken, so that colours,
        blurs, mixes and erased boxes are this plan's. Where it shows nothing of the outer frame there
        is fill; a box bounds that frame where the outer plan turned it.

        Args:
            outer: Plan of as many outputs as this plan has sources, of the sources' sizes; one view
                carries each output's label.

        Returns:
            The plan, over the outer plan's sources.

        Raises:
            ValueError: The plans do not fit each other, an outer output is a mix, or a border is
                mirrored or smeared.

        Example:
            >>> outer = ae.Policy(ae.CenterCrop(32)).sample([7], [(40, 40)])
            >>> local = ae.Policy(ae.CenterCrop(16)).sample([7], [(32, 32)]).inside(outer)
            >>> local.box_in(outer).tolist()
            [[8.0, 8.0, 24.0, 24.0]]
        """
        return tied.inside(self, outer)

    def map_to(self, other: Plan) -> np.ndarray:
        """Where the points of this plan's outputs lie in another plan's outputs of the same images.

        Args:
            other: Plan of as many outputs of the same sources; one view carries each output's label,
                in either plan.

        Returns:
            Matrices [N, 3, 3] float64: matrix @ (x, y, 1) is the point in the other's output i, in
            pixels, where its third coordinate, which divides, is above 0. NaN where the other output
            shows no area.

        Raises:
            ValueError: The outputs show different samples, one is a mix, or one goes through a Stage
                that may move pixels.

        Example:
            >>> ops = [ae.CenterCrop(32), ae.RandomHorizontalFlip(p=1)]
            >>> plans = [ae.Policy(some).sample([7], [(40, 40)]) for some in (ops, ops[:1])]
            >>> plans[0].map_to(plans[1])[0].tolist()
            [[-1.0, 0.0, 32.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
        """
        return tied.map_to(self, other)

    def box_in(self, other: Plan) -> np.ndarray:
        """Where this plan's outputs lie in another plan's: offsets and scale of a crop in another.

        Args:
            other: Plan of as many outputs of the same sources, as for `map_to`.

        Returns:
            Boxes [N, 4] float64, y0, x0, y1, x1 in the other outputs' pixels, around the whole
            outputs; infinite where a horizon cuts one, or the other output shows no area.

        Raises:
            ValueError: The outputs show different samples, one is a mix, or one goes through a Stage
                that may move pixels.

        Example:
            >>> plans = [ae.Policy(ae.CenterCrop(n)).sample([7], [(40, 40)]) for n in (16, 32)]
            >>> plans[0].box_in(plans[1]).tolist()
            [[8.0, 8.0, 24.0, 24.0]]
        """
        return tied.box_in(self, other)

    def repeat(self, count: int) -> Plan:
        """The same for each of several frames: every output and every source `count` times, one after
        the other, as the frames of clips (B, T, C, H, W) lie. A mix takes frame t of its partner into
        frame t. Ids repeat; noise is the same in all frames; what is measured (autocontrast,
        equalize, the mean of contrast) is measured in each frame.

        Args:
            count: Number of frames, 1 or more.

        Returns:
            The plan of N · count outputs, over B · count sources.

        Raises:
            ValueError: The number is below 1.

        Example:
            >>> plan = ae.Policy(ae.RandomResizedCrop(32)).sample([7, 8], [(40, 40)] * 2)
            >>> plan.repeat(3).ids.tolist()
            [7, 7, 7, 8, 8, 8]
        """
        return join.repeat(self, whole_number("Plan.repeat: count", count, 1, 2**31 - 1))

    # Saving

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
