"""The draft: a plan while it is being decided.

For each of its n samples the draft holds the frame (the image's height and width as it would be
now), the matrix from that frame to the source, what of the source may be seen, and what has been
asked for so far. An op reads `frame`, draws by key, and calls `warp`, `crop`, `resize`, `step`,
`paste`, `blend` or `erase` for the rows (samples) that it acts on. `plan` closes it.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..checks import all_true, any_true
from ..compiled import twin
from ..plan.kinds import (
    ANTIALIASED_SLOPE,
    CURVE,
    CURVE_ENTRIES,
    GAIN_AT,
    GAINS,
    LOG_ARGS,
    NO_STATISTIC,
    OFFSET_AT,
    PLAIN_SLOPE,
    STEP_ARGS,
)
from . import closing, geometry, mixes
from .boxes import BoxesOfImages
from .entries import Copy, Entries, Entry
from .keyed import Keyed
from .layers import Layers
from .rows import SAME, UNCHANGED, Rows
from .units import LARGEST, Units, in_bytes, share

__all__ = ["UNCHANGED", "Draft"]

MOST_FRAME = 2**31 - 1  # pixels of a side, on the way too
MOST_LINES = 1 << 10  # of one image


class Draft(Rows):
    """n samples on their way from policy to plan. sizes: [n, 2] height and width of the sources.

    Row i < n is sample i's own view. `fork` adds rows: other looks at the same sample, with its
    draws. pool: how many samples at the end only lend themselves to the others' mixes. boxes: the
    samples', for ops that look at them. image_dtype: of images, at this point of the policy: the units of
    fills and thresholds.
    """

    # Closing, and what comes to lie on an output.
    plan = closing.close
    paste, blend, overlay, tile = mixes.paste, mixes.blend, mixes.overlay, mixes.tile
    erase, cover, noise_view = mixes.erase, mixes.cover, mixes.noise_view

    def __init__(
        self,
        keyed: Keyed,
        sizes: np.ndarray,
        channels: int = 3,
        strength: np.ndarray | None = None,
        pool: int = 0,
        boxes: BoxesOfImages | None = None,
        image_dtype: str = "uint8",
    ) -> None:
        self.keyed, self.sizes, self.channels, self.pool = keyed, sizes, channels, pool
        self.boxes, self.image_dtype = boxes, image_dtype
        self.given_strength = strength
        self.rows = np.arange(len(sizes))  # of the samples
        self.begin(len(sizes), channels)
        self.source[:] = self.rows
        if strength is not None:
            self.strength[:] = strength
        self.seen_size[:] = self.frame[:] = self.clip[:, 2:] = self.sight[:, 2:] = sizes
        self.partners: Layers | None = None  # what a mix inside a chooser sees of the others
        self.stratify = False  # draws are spread evenly over the epochs
        # What of the output each sample shows, from the top left corner, 0: all of it; None: so do all.
        self.shown: np.ndarray | None = None
        self.mean: tuple[float, ...] = ()
        self.std: tuple[float, ...] = ()
        self.normalized = False  # fused, by mean and std, or behind what is not
        self.forked = False  # whether there are rows beside the samples' own
        self._any_warped = False  # whether it can be that a row is warped
        self.unfused = 0  # how many ops have come that are not fused and may draw
        self.channels_left = channels  # of an image, as it would be now
        self.steps = Entries()
        # The frames that statistics are taken over: matrix, frame, clip and extent, of each step's rows.
        self.frames: list[tuple] = []
        self.frame_count = 0
        self.curves: list[np.ndarray] = []
        self.lines = Entries()  # of the log
        self.log_text: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def largest(self) -> float:
        """The value of images that means 1, at this point of the policy."""
        return LARGEST[self.image_dtype]

    def share(self, where: str, value: Units, above: float = 0) -> float | tuple[float, ...]:
        """Numbers in the units of images, as shares of the full range. Raises ValueError for what no image
        has; `above` the largest value it is taken."""
        return share(where, value, self.image_dtype, above)

    def in_bytes(self, where: str, value: Units, above: float = 0) -> float | tuple[float, ...]:
        """As `share`, times 255."""
        return in_bytes(where, value, self.image_dtype, above)

    def uniform(self, place: int, count: int, rows) -> np.ndarray:
        """[len(rows), count] in (0, 1), drawn by the rows' keys for the op at `place`."""
        if rows is self.rows:
            rows = slice(len(rows))  # which need not be picked out
        return self.keyed.uniform(place, count, rows, self.stratify)

    def timeless(self, place: int, count: int, rows) -> np.ndarray:
        """As `uniform`, the same in every epoch."""
        return (self.keyed.words(place, count, rows, timeless=True) + 0.5) * 2.0**-32

    def fork(self, rows) -> np.ndarray:
        """New rows that stand where `rows` stand now, steps and log included. Returns them."""
        new = len(self.source) + np.arange(len(rows))
        self.repeat_rows(rows)
        self.forked = True
        self.keyed = self.keyed.forked(rows)
        self.steps.append(Copy(rows, new))
        self.lines.append(Copy(rows, new))
        return new

    def blank(self, rows, fill: float) -> np.ndarray:
        """New rows with the draws of `rows`, that show nothing of an image but a colour. Returns them."""
        new = self.fork(rows)
        del self.steps[-1], self.lines[-1]
        self.step_count[new] = self.log_count[new] = self.fill_start[new] = 0
        self.clip[new], self.warped[new], self.fill[new] = 0, 1, fill
        self._any_warped = True
        self.sight[new] = 0
        self.inv_matrix[new], self.footprint[new] = SAME, SAME[:2, :2]
        return new

    def apply_filter(self, rows, args) -> None:
        """Blur or sharpen what the frame shows by now: the rows become looks at that picture.

        args: a plan's filters [len(rows), 4]. What left the frame is gone with it.
        """
        filtered = self.fork(rows)
        self.filter[filtered] = args
        self.picture[filtered] = self.frame[rows]
        self.steps[-1] = Copy(rows, filtered, moved=True)
        self.source[rows] = len(self.sizes) + filtered
        self.seen_size[rows] = self.frame[rows]
        self.inv_matrix[rows], self.footprint[rows] = SAME, SAME[:2, :2]
        clip = np.concatenate([0 * self.seen_size[rows], self.seen_size[rows]], axis=1)
        self.clip[rows] = self.sight[rows] = clip
        self.slope[rows] = ANTIALIASED_SLOPE
        self.warped[rows] = 0
        self.fill_start[rows] = self.step_count[rows] = 0

    # Geometry

    def warp(self, rows, inv_matrix, inv_footprint=None, frame=None) -> None:
        """Append a geometric op.

        inv_matrix: [len(rows), 3, 3], new frame → old frame.
        inv_footprint: [len(rows), 2, 2], the part of it that scales and turns; by default all of
        its linear part (right for flips, turns and scales; shears give their own), or UNCHANGED.
        frame: the new height and width, if the op changes them.
        """
        if not len(rows):
            return
        if inv_footprint is None:
            inv_footprint = inv_matrix[:, :2, :2]
        turned = None if inv_footprint is UNCHANGED else inv_footprint
        warp_rows(self, rows, inv_matrix, turned, frame, not self._any_warped)
        if frame is not None and self.frame.max() > MOST_FRAME:
            raise ValueError(
                f"policy: an image grows to {int(np.max(frame)):,} pixels a side on its way, expected "
                f"{MOST_FRAME:,} at most. Resize it to less, or crop it first."
            )
        self.shows_all(rows)
        self._any_warped = True

    def _at(self, rows) -> np.ndarray | slice:
        """Where to write what is of `rows`: all samples lie in one piece."""
        return slice(len(rows)) if rows is self.rows else rows

    def crop(self, rows, top, left, height, width, context=None) -> None:
        """Keep a rectangle of the frame (it may reach outside). context="source" lets later ops
        bring back what it left out; otherwise that is gone, but for the rest of the crop's bounding
        box in the source, where a turn came before. What an op before it has resampled is still seen at
        the crop's edge, as it was then."""
        self._keep(rows, top, left, height, width, context)
        frame = geometry.columns(height, width)
        self.warp(rows, geometry.inv_crop(top, left), UNCHANGED, frame)

    def _keep(self, rows, top, left, height, width, context) -> None:
        """What may be seen from a crop on."""
        if context is not None:
            return
        box = np.empty((4, len(rows)))
        box[0], box[1], box[2], box[3] = top, left, height, width
        keep_rows(self, rows, box, not self._any_warped)

    def resized_crop(
        self, rows, top, left, height, width, new_height, new_width, antialias=True, context=None
    ) -> None:
        """`crop`, then `resize`, as one matrix. new_height, new_width: numbers, or arrays too."""
        self._keep(rows, top, left, height, width, context)
        new = np.empty((2, len(rows)), np.int64)
        new[0], new[1] = new_height, new_width
        crop = geometry.inv_resized_crop(top, left, height, width, new[0], new[1])
        self._scale(rows, crop, new.T, antialias)

    def pad_below(self, rows, height: int, width: int) -> None:
        """Lay frames in the top left corner of one size. What was there before is what an output
        shows, until another op moves it."""
        frame, zero = self.frame[rows], np.zeros(len(rows), np.int64)
        self.crop(rows, zero, zero, zero + height, zero + width)
        if self.shown is None:
            self.shown = np.zeros((len(self), 2), np.int64)
        self.shown[rows] = frame

    def shows_all(self, rows) -> None:
        """Rows whose padding is in the picture by now: it was moved, or another sample lies on it."""
        if self.shown is not None:
            self.shown[rows[rows < len(self)]] = 0

    def resize(self, rows, height, width, antialias=True) -> None:
        """Scale the frame to height × width, arrays [len(rows)]."""
        new = geometry.columns(height, width)
        matrix = geometry.inv_resize(self.frame[self._at(rows)], new)
        self._scale(rows, matrix, new, antialias)

    def _scale(self, rows, inv_matrix, frame, antialias) -> None:
        """`warp` to another number of pixels."""
        at = self._at(rows)
        self.sight[at] = self.clip[at]
        self.slope[at] = ANTIALIASED_SLOPE if antialias else PLAIN_SLOPE
        self.warp(rows, inv_matrix, None if antialias else UNCHANGED, frame)

    # Colour

    def step(self, rows, kind, arg, statistic=NO_STATISTIC) -> None:
        """Append a colour step; arg: [len(rows), up to 12]. kind, statistic: one, or [len(rows)]."""
        padded = np.zeros((len(rows), STEP_ARGS))
        frames: np.ndarray = np.array(0)  # whose each step's statistic is taken over; 0: none
        padded[:, : arg.shape[1]] = arg
        if np.count_nonzero(statistic):
            # The frame as it stands; what of the source that is, is worked out for all at the end.
            measured = np.broadcast_to(statistic, len(rows)).nonzero()[0]
            some, frames = rows[measured], np.zeros(len(rows), np.int64)
            frames[measured] = np.arange(1, 1 + len(some)) + self.frame_count
            self.frame_count += len(some)
            self.frames.append(
                (self.inv_matrix[some], self.frame[some], self.clip[some], self.seen_size[some])
            )
        at = self.step_count.take(rows)
        self.steps.append(Entry(rows, at, (kind, padded, statistic, frames)))
        self.step_count[self._at(rows)] = at + 1

    def curve(self, rows, curves, which=None) -> None:
        """Append a tone curve.

        curves: [q, 256] in [0, 1] for all channels, or [q, C, 256]. which: [len(rows)] says whose
        curve is which; by default all take the first.
        """
        curves = np.asarray(curves, np.float32)
        if curves.ndim == 2:
            curves = np.repeat(curves[:, None], self.channels, axis=1)
        first = sum(map(len, self.curves))
        number = np.full(len(rows), first) if which is None else first + np.asarray(which)
        self.curves.append(curves)
        self.step(rows, CURVE, number[:, None])

    def gains(self, rows, gain, offset) -> None:
        """Append what makes value · gain + offset of each channel; arrays [C]. Not for three channels,
        for which a MATRIX says it."""
        entries = np.zeros((1, self.channels, CURVE_ENTRIES), np.float32)
        entries[0, :, GAIN_AT], entries[0, :, OFFSET_AT] = gain, offset
        number = sum(map(len, self.curves))
        self.curves.append(entries)
        self.step(rows, GAINS, np.full((len(rows), 1), number))

    # Layers

    @cached_property
    def layers(self) -> Layers:
        """What lies on each output by now."""
        return Layers.base(len(self), self.channels)

    @property
    def has_layers(self) -> bool:
        """Whether more can lie on an output than its own view."""
        return "layers" in self.__dict__

    def output_size(self) -> tuple[int, int]:
        """The one size (height, width) that all frames have by now, or ValueError."""
        frame = self.frame[: len(self)]
        if not all_true(frame == frame[0]):
            different = np.flatnonzero((frame != frame[0]).any(axis=1))
            (h, w), (h2, w2) = self.frame[0], self.frame[different[0]]
            raise ValueError(
                f"policy: sample {self.keyed.ids[0]} is {h}×{w} at the end and sample "
                f"{self.keyed.ids[different[0]]} is {h2}×{w2}, expected one size for the batch. Add "
                "an op that sets it, such as RandomResizedCrop(224), Resize((224, 224)) or "
                "PadToLargest(), before any mix."
            )
        return int(self.frame[0, 0]), int(self.frame[0, 1])

    # Words

    def log(self, rows, text: str, *args) -> None:
        """Note for `explain` what was done to `rows`: a line with %-fields, and their numbers."""
        line = self.line(text)
        if not len(rows):
            return
        numbers = np.zeros((len(rows), LOG_ARGS))
        for k, values in enumerate(args):
            numbers[:, k] = values
        self.log_lines(rows, line, numbers)

    def line(self, text: str) -> int:
        """The number of a line of log."""
        return self.log_text.setdefault(text, len(self.log_text))

    def log_lines(self, rows, lines, numbers) -> None:
        """`log` with lines by number, one or [len(rows)], and numbers [len(rows), 6]."""
        # No row has more lines than there are entries, which is quicker to know.
        if len(self.lines) >= MOST_LINES and np.max(self.log_count[rows], initial=0) >= MOST_LINES:
            raise ValueError(
                f"policy: more than {MOST_LINES:,} operations happen to one image, expected fewer. Take "
                "fewer ops or turns."
            )
        at = self.log_count.take(rows)
        self.lines.append(Entry(rows, at, (lines, numbers)))
        self.log_count[self._at(rows)] = at + 1


@twin
def warp_rows(draft, rows, inv_matrix, inv_footprint, frame, fresh) -> None:
    """The numbers of `warp`. inv_footprint, frame: None where they stay. fresh: no row is warped yet."""
    at = draft._at(rows)
    for old, new in ((draft.inv_matrix, inv_matrix), (draft.footprint, inv_footprint)):
        if new is not None:
            # Matrices are the identity at first, whose products these are: of sums, which make −0 to 0.
            old[at] = new + 0.0 if fresh else geometry.product(old[at], new)
    if frame is not None:
        draft.frame[at] = frame
    first = rows[draft.warped[rows] == 0]
    draft.fill_start[first] = draft.step_count[first]
    draft.warped[at] = 1


@twin
def keep_rows(draft, rows, box, fresh) -> None:
    """The numbers of a crop: what may be seen of the source. box: top, left, height and width [4, n]."""
    at = draft._at(rows)
    if not fresh and any_true(draft.warped[rows]):
        box = geometry.bounds(draft.inv_matrix[rows], *box).T
    else:
        box = np.concatenate([box[:2], box[:2] + box[2:]])
    clip = draft.clip[at].T
    # A rectangle that misses the source altogether leaves an empty clip: all fill.
    low = np.minimum(np.maximum(clip[:2], box[:2]), clip[2:])
    box[2:] = np.maximum(np.minimum(clip[2:], box[2:]), low)
    box[:2] = low
    draft.clip[at] = box.T
    if not fresh:
        box = np.where(draft.warped[at], draft.sight[at].T, box)
    draft.sight[at] = box.T
