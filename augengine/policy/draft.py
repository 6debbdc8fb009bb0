"""The draft: a plan while it is being decided.

For each of its n samples the draft holds the frame (the image's height and width as it would be
now), the matrix from that frame to the source, what of the source may be seen, and what has been
asked for so far. An op reads `frame`, draws by key, and calls `warp`, `crop`, `resize`, `step`,
`paste`, `blend` or `erase` for the rows (samples) that it acts on. `plan` closes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..checks import all_true, any_true
from ..plan import Finish, Plan
from ..plan.fields import no_curves
from ..plan.kinds import (
    ANTIALIASED_SLOPE,
    CONSTANT,
    CURVE,
    CURVE_ENTRIES,
    FILTER_ARGS,
    GAIN_AT,
    GAINS,
    LOG_ARGS,
    MATRIX,
    MOST_ARGUMENT,
    MOST_ENTRY,
    MOST_SIDE,
    NO_STATISTIC,
    NO_VIEW,
    NOISE,
    OFFSET_AT,
    PLAIN_COLOUR,
    PLAIN_SLOPE,
    STEP_ARGS,
)
from . import geometry
from .boxes import BoxesOfImages
from .keyed import Keyed
from .layers import Layers
from .units import LARGEST, Units, in_bytes, share

UNCHANGED = "unchanged"
MOST_FRAME = 2**31 - 1  # pixels of a side, on the way too
# Of one image. A plan then has some 10 MB an image at most; of published policies it has some kB.
MOST_LINES, MOST_STEPS, MOST_CURVES = 1 << 10, 1 << 16, 1 << 10
MOST_CURVES_OF_CHANNELS = 1 << 12  # a curve of five channels is five of these
_INTERPOLATION = 0xF0000000  # a place beyond every op's own
_SAME = np.eye(3)  # a matrix that leaves all in its place


class _Step(NamedTuple):
    """A colour step of some rows, arrays [len(rows)]."""

    rows: np.ndarray
    at: np.ndarray  # which of each row's steps it is
    kind: np.ndarray
    arg: np.ndarray  # [len(rows), 12]
    statistic: np.ndarray


class _Line(NamedTuple):
    """A line of the log of some rows, arrays [len(rows)]."""

    rows: np.ndarray
    at: np.ndarray  # which of each row's lines it is
    lines: np.ndarray
    numbers: np.ndarray  # [len(rows), 6]


class _Copy(NamedTuple):
    """What rows have so far, copied to new rows; moved: the old rows begin anew."""

    rows: np.ndarray
    new: np.ndarray
    moved: bool = False


@lru_cache(maxsize=8)
def _blank_row(channels: int) -> np.ndarray:
    """[1] what a draft holds for each of its rows, beside the steps and the log, before anything happens."""
    row = np.zeros(
        1,
        np.dtype(
            [
                ("source", np.int64),
                ("seen_size", np.int64, 2),  # of what a row looks at
                ("frame", np.int64, 2),
                ("inv_matrix", np.float64, (3, 3)),
                # The matrix without its shears: how far apart, along the source's axes, the output's
                # pixels lie. It says how wide the filter must be.
                ("footprint", np.float64, (2, 2)),
                ("clip", np.float64, 4),
                # What a filter may weigh: a crop sees beyond its edge what a resize before it saw.
                ("sight", np.float64, 4),
                ("slope", np.float64),  # of a cubic filter, if it is one
                ("warped", np.bool_),
                ("fill_start", np.int64),
                ("step_count", np.int64),
                ("log_count", np.int64),
                ("fill", np.float64, (channels,)),  # NaN: the policy's
                ("filter", np.float64, FILTER_ARGS),
                ("picture", np.int64, 2),  # the size of a filtered row's picture
                ("strength", np.float64),
            ],
            align=True,
        ),
    )
    row["inv_matrix"], row["footprint"] = _SAME, _SAME[:2, :2]
    row["slope"], row["fill"] = ANTIALIASED_SLOPE, np.nan
    return row


def _placed(entries: list, n: int, count: int) -> tuple[np.ndarray, list]:
    """Which entry stands where, and what all entries say, one behind the other: [n, count] numbers from 1
    on, 0 where there is none, and an array for each of an entry's fields behind its rows and places."""
    which, last = np.zeros((n, count), np.int64), 0
    flat, said = which.reshape(-1), []
    for entry in entries:
        if isinstance(entry, _Copy):
            which[entry.new] = which[entry.rows]
            if entry.moved:
                which[entry.rows] = 0
        else:
            first, last = last + 1, last + len(entry.rows)
            flat[entry.rows * count + entry.at] = np.arange(first, last + 1)
            said.append(entry[2:])
    if not said:
        return which, [()] * 3
    return which, [_joined(list(parts)) for parts in zip(*said, strict=True)]


def _limit(numbers: np.ndarray) -> None:
    """Cut to what a plan may hold, in place."""
    np.maximum(numbers, -_MOST_ARGUMENT, out=numbers)
    np.minimum(numbers, _MOST_ARGUMENT, out=numbers)


_MOST_ARGUMENT = np.array(MOST_ARGUMENT, np.float32)


def _joined(parts: list) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


@dataclass
class Draft:
    """n samples on their way from policy to plan. sizes: [n, 2] height and width of the sources.

    Row i < n is sample i's own view. `fork` adds rows: other looks at the same sample, with its
    draws. pool: how many samples at the end only lend themselves to the others' mixes. boxes: the
    samples', for ops that look at them.
    """

    keyed: Keyed
    sizes: np.ndarray
    channels: int = 3
    strength: np.ndarray | None = None
    pool: int = 0
    boxes: BoxesOfImages | None = None
    # Of images, at this point of the policy: the units of fills and thresholds.
    image_dtype: str = "uint8"
    layers: Layers = field(init=False)
    partners: Layers | None = None  # what a mix inside a chooser sees of the others
    stratify: bool = False  # draws are spread evenly over the epochs

    def __post_init__(self):
        n = len(self.sizes)
        self.rows = np.arange(n)  # of the samples
        held = _blank_row(self.channels).repeat(n)
        held["source"] = self.rows
        held["strength"] = 1.0 if self.strength is None else self.strength
        self.given_strength = held["strength"].copy()
        self._hold(held)
        self.seen_size[:] = self.frame[:] = self.clip[:, 2:] = self.sight[:, 2:] = self.sizes
        self.layers = Layers.base(n, self.channels)
        # What of the output each sample shows, from the top left corner, 0: all of it; None: so do all.
        self.shown: np.ndarray | None = None
        self.mean: tuple[float, ...] = ()
        self.std: tuple[float, ...] = ()
        self.normalized = False  # fused, by mean and std, or behind what is not
        self._any_warped = False  # whether it can be that a row is warped
        self.unfused = 0  # how many ops have come that are not fused and may draw
        self.channels_left = self.channels  # of an image, as it would be now
        self._steps: list[_Step | _Copy] = []
        # The frames that statistics are taken over: matrix, frame, clip and extent, of each step's rows.
        self._frames: list[tuple] = []
        self._curves: list[np.ndarray] = []
        self._log: list[_Line | _Copy] = []
        self._log_text: dict[str, int] = {}

    def _hold(self, held: np.ndarray) -> None:
        """Hold these rows, each of whose fields is an array of the draft's, [rows, …]."""
        self._held = held
        self.source, self.seen_size, self.frame = held["source"], held["seen_size"], held["frame"]
        self.inv_matrix, self.footprint = held["inv_matrix"], held["footprint"]
        self.clip, self.sight, self.slope = held["clip"], held["sight"], held["slope"]
        self.warped, self.fill_start = held["warped"], held["fill_start"]
        self.step_count, self.log_count = held["step_count"], held["log_count"]
        self.fill, self.filter, self.picture = held["fill"], held["filter"], held["picture"]
        self.strength = held["strength"]

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
        held = self._held.view(np.dtype((np.void, self._held.dtype.itemsize)))
        self._hold(np.concatenate([held, held.take(rows)]).view(self._held.dtype))
        self.keyed = self.keyed.forked(rows)
        self._steps.append(_Copy(rows, new))
        self._log.append(_Copy(rows, new))
        return new

    def apply_filter(self, rows, args) -> None:
        """Blur or sharpen what the frame shows by now: the rows become looks at that picture.

        args: a plan's filters [len(rows), 4]. What left the frame is gone with it.
        """
        filtered = self.fork(rows)
        self.filter[filtered] = args
        self.picture[filtered] = self.frame[rows]
        self._steps[-1] = _Copy(rows, filtered, moved=True)
        self.source[rows] = len(self.sizes) + filtered
        self.seen_size[rows] = self.frame[rows]
        self.inv_matrix[rows], self.footprint[rows] = _SAME, _SAME[:2, :2]
        clip = np.concatenate([0 * self.seen_size[rows], self.seen_size[rows]], axis=1)
        self.clip[rows] = self.sight[rows] = clip
        self.slope[rows] = ANTIALIASED_SLOPE
        self.warped[rows] = False
        self.fill_start[rows] = self.step_count[rows] = 0

    # Geometry

    def warp(self, rows, inv_matrix, inv_footprint=None, frame=None) -> None:
        """Append a geometric op.

        inv_matrix: [len(rows), 3, 3], new frame → old frame.
        inv_footprint: [len(rows), 2, 2], the part of it that scales and turns; by default all of
        its linear part (right for flips, turns and scales; shears give their own), or UNCHANGED.
        frame: the new height and width, if the op changes them.
        """
        if inv_footprint is None:
            inv_footprint = inv_matrix[:, :2, :2]
        if not len(rows):
            return
        at = self._at(rows)
        self.inv_matrix[at] = geometry.product(self.inv_matrix.take(rows, 0), inv_matrix)
        if inv_footprint is not UNCHANGED:
            self.footprint[at] = geometry.product(self.footprint.take(rows, 0), inv_footprint)
        if frame is not None:
            if np.max(frame, initial=0) > MOST_FRAME:
                raise ValueError(
                    f"policy: an image grows to {int(np.max(frame)):,} pixels a side on its way, expected "
                    f"{MOST_FRAME:,} at most. Resize it to less, or crop it first."
                )
            self.frame[at] = frame
        self.shows_all(rows)
        if self._steps:
            first = rows[~self.warped[rows]]
            self.fill_start[first] = self.step_count[first]
        self.warped[at] = self._any_warped = True

    def _at(self, rows) -> np.ndarray | slice:
        """Where to write what is of `rows`: all samples lie in one piece."""
        return slice(len(rows)) if rows is self.rows else rows

    def crop(self, rows, top, left, height, width, context=None) -> None:
        """Keep a rectangle of the frame (it may reach outside). context="source" lets later ops
        bring back what it left out; otherwise that is gone, but for the rest of the crop's bounding
        box in the source, where a turn came before. What an op before it has resampled is still seen at
        the crop's edge, as it was then."""
        if context is None:
            warped = self.warped[rows, None] if self._any_warped else None
            if warped is not None and any_true(warped):
                box = geometry.bounds(self.inv_matrix[rows], top, left, height, width)
            else:
                box = geometry.columns(top, left, top + height, left + width)
            clip, at = self.clip.take(rows, 0), self._at(rows)
            # A rectangle that misses the source altogether leaves an empty clip: all fill.
            low = np.minimum(np.maximum(clip[:, :2], box[:, :2]), clip[:, 2:])
            high = np.maximum(np.minimum(clip[:, 2:], box[:, 2:]), low)
            self.clip[at] = cut = np.concatenate([low, high], axis=1)
            if warped is not None:
                cut = np.where(warped, self.sight[rows], cut)
            self.sight[at] = cut
        frame = geometry.columns(height, width)
        self.warp(rows, geometry.inv_crop(top, left), UNCHANGED, frame)

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
        at, new = self._at(rows), geometry.columns(height, width)
        matrix = geometry.inv_resize(self.frame.take(rows, 0), new)
        self.sight[at] = self.clip[at]
        self.slope[at] = ANTIALIASED_SLOPE if antialias else PLAIN_SLOPE
        self.warp(rows, matrix, None if antialias else UNCHANGED, new)

    # Colour

    def step(self, rows, kind, arg, statistic=NO_STATISTIC) -> None:
        """Append a colour step; arg: [len(rows), up to 12]. kind, statistic: one, or [len(rows)]."""
        n = len(rows)
        padded = np.zeros((n, STEP_ARGS))
        padded[:, : arg.shape[1]] = arg
        kinds, statistics = np.empty((2, n), np.int8)
        kinds[:], statistics[:] = kind, statistic
        if any_true(statistics):
            # The frame as it stands; what of the source that is, is worked out for all at the end.
            some = rows[statistics.nonzero()[0]]
            self._frames.append(
                (self.inv_matrix[some], self.frame[some], self.clip[some], self.seen_size[some])
            )
        at = self.step_count.take(rows)
        self._steps.append(_Step(rows, at, kinds, padded, statistics))
        self.step_count[self._at(rows)] = at + 1

    def curve(self, rows, curves, which=None) -> None:
        """Append a tone curve.

        curves: [q, 256] in [0, 1] for all channels, or [q, C, 256]. which: [len(rows)] says whose
        curve is which; by default all take the first.
        """
        curves = np.asarray(curves, np.float32)
        if curves.ndim == 2:
            curves = np.repeat(curves[:, None], self.channels, axis=1)
        first = sum(map(len, self._curves))
        number = np.full(len(rows), first) if which is None else first + np.asarray(which)
        self._curves.append(curves)
        self.step(rows, CURVE, number[:, None])

    def gains(self, rows, gain, offset) -> None:
        """Append what makes value · gain + offset of each channel; arrays [C]. Not for three channels,
        for which a MATRIX says it."""
        entries = np.zeros((1, self.channels, CURVE_ENTRIES), np.float32)
        entries[0, :, GAIN_AT], entries[0, :, OFFSET_AT] = gain, offset
        number = sum(map(len, self._curves))
        self._curves.append(entries)
        self.step(rows, GAINS, np.full((len(rows), 1), number))

    # Layers

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

    def _mixed_with(self, theirs: Layers | None = None) -> Layers:
        """The others' layers as a mix may take them: as they stood when its chooser began."""
        if self.partners is not None:
            return self.partners
        return self.layers if theirs is None else theirs

    def paste(self, rows, partner, box, theirs: Layers | None = None) -> None:
        """CutMix: `box` [len(rows), 4] of the partner's output replaces one's own. theirs: the
        layers that partners are taken from, where those have changed since."""
        self.shows_all(rows)
        self.layers.paste(rows, self._mixed_with(theirs), partner, box, self.output_size())

    def blend(self, rows, partner, amount, theirs: Layers | None = None) -> None:
        """MixUp: own · (1 − amount) + partner · amount; amount [len(rows)]. theirs: as for `paste`."""
        self.shows_all(rows)
        self.layers.blend(rows, self._mixed_with(theirs), partner, amount, self.output_size())

    def overlay(self, rows, views, shares) -> None:
        """AugMix: one's own layers · (1 − Σ shares) + Σ shares · views, all of them full layers.

        views: [len(rows), k] rows of this draft that look at the same sample; shares: [len(rows), k].
        The labels stay as they are.
        """
        height, width = self.output_size()
        self.shows_all(rows)
        up_to = np.cumsum(shares, axis=1)
        # A layer's alpha is its share of all that is blended up to it.
        alpha = shares / np.maximum(1 - up_to[:, -1:] + up_to, 1e-12)
        n, k = views.shape
        self.layers.append(
            rows,
            views,
            np.tile(np.array([0, 0, height, width]), (n, k, 1)),
            alpha,
            np.zeros((n, k)),
            np.zeros((n, k, self.channels)),
        )

    def erase(self, rows, box, colour) -> None:
        """A plain-colour layer over `box` [len(rows), 4]; colour [len(rows), C]."""
        self.output_size()
        plain = np.full((len(rows), 1), PLAIN_COLOUR, np.int32)
        ones = np.ones((len(rows), 1))
        self.layers.append(rows, plain, box[:, None], ones, 0 * ones, colour[:, None])

    def cover(self, rows, view, box) -> None:
        """Lay `view` [len(rows)] over `box` [len(rows), 4], without a share of the label."""
        self.output_size()
        ones = np.ones((len(rows), 1))
        empty = np.zeros((len(rows), 1, self.channels))
        self.layers.append(rows, view[:, None], box[:, None], ones, 0 * ones, empty)

    def noise_view(self, rows, mean, std, words) -> np.ndarray:
        """New rows that show nothing but normal noise, mean and std [C], keyed by words
        [len(rows), 2]; within [0, 1]. Returns them."""
        new = self.fork(rows)
        del self._steps[-1], self._log[-1]
        self.step_count[new] = self.log_count[new] = self.fill_start[new] = 0
        self.clip[new], self.warped[new], self.fill[new] = 0, True, 0.5
        self._any_warped = True
        self.sight[new] = 0
        self.inv_matrix[new], self.footprint[new] = _SAME, _SAME[:2, :2]
        # Drawn with one deviation for all channels (four of them reach the clamps), then scaled.
        key, n = np.asarray(words).astype(np.int64) >> 8, len(rows)
        deviation = 1 / 8
        self.step(new, NOISE, np.concatenate([np.tile([0, deviation], (n, 1)), key], axis=1))
        gain = np.asarray(std, float) / deviation
        offset = np.asarray(mean, float) - gain / 2
        if self.channels == 3:
            scale = np.zeros((n, 3, 4))
            scale[:, range(3), range(3)], scale[:, :, 3] = gain, offset
            self.step(new, MATRIX, scale.reshape(n, 12))
        else:
            self.gains(new, gain, offset)
        self.log(new, "noise")
        return new

    def tile(self, rows, partners, centre) -> None:
        """Mosaic: own image and three partners [len(rows), 3] around `centre` [len(rows), 2] (y, x)."""
        height, width = self.output_size()
        if (self._mixed_with().view[:, 1:] != NO_VIEW).any():
            raise ValueError(
                "Mosaic: an image already has a mix or an erased box. Put Mosaic before CutMix, MixUp, "
                "AugMix and RandomErasing."
            )
        self.shows_all(rows)
        y, x = centre.T
        n, zero = len(rows), 0 * y
        corners = [  # of each tile: its rows, how far it moves, its box
            (rows, y - height, x - width, [zero, zero, y, x]),
            (partners[:, 0], y - height, x, [zero, x, y, zero + width]),
            (partners[:, 1], y, x - width, [y, zero, zero + height, x]),
            (partners[:, 2], y, x, [y, x, zero + height, zero + width]),
        ]
        views, boxes = [], []
        for of, down, right, corner in corners:
            tile = self.fork(of)
            self.warp(tile, geometry.inv_translate(right, down), UNCHANGED)
            views.append(tile)
            boxes.append(np.stack(corner, axis=1))
        box = np.stack(boxes, axis=1)
        share = (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) / (height * width)
        self.layers.weight[rows] = 0
        blank = np.zeros((n, 4, self.channels))
        self.layers.append(rows, np.stack(views, axis=1), box, np.ones((n, 4)), share, blank)

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
        return self._log_text.setdefault(text, len(self._log_text))

    def log_lines(self, rows, lines, numbers) -> None:
        """`log` with lines by number, one or [len(rows)], and numbers [len(rows), 6]."""
        # No row has more lines than there are entries, which is quicker to know.
        if len(self._log) >= MOST_LINES and np.max(self.log_count[rows], initial=0) >= MOST_LINES:
            raise ValueError(
                f"policy: more than {MOST_LINES:,} operations happen to one image, expected fewer. Take "
                "fewer ops or turns."
            )
        at, of_rows = self.log_count.take(rows), np.empty(len(rows), np.int64)
        of_rows[:] = lines
        self._log.append(_Line(rows, at, of_rows, numbers))
        self.log_count[self._at(rows)] = at + 1

    # Closing

    def plan(
        self,
        *,
        fill,
        border=CONSTANT,
        interpolation: str | tuple[str, ...] = "bilinear",
        finish: Finish,
        policy: str = "",
        after: tuple[str, ...] = (),
    ) -> Plan:
        """Close the draft; all frames must be of finish.size. interpolation: several, of which each
        sample draws one."""
        self._check_extent()
        self._forget_far_views()
        along_x, along_y = self.footprint[..., 0], self.footprint[..., 1]
        support = np.sqrt(along_x * along_x + along_y * along_y)
        support = np.minimum(np.maximum(support, 1), MOST_SIDE)
        slope = np.zeros(len(support), np.float32)
        for name, rows in self._filters(interpolation):
            if name == "nearest":
                support[rows] = 0
            elif name == "bicubic":
                support[rows] = np.minimum(2 * support[rows], MOST_SIDE)
                slope[rows] = self.slope[rows]
        boxes = self.layers.box.copy()
        boxes[:, 0] = [0, 0, *finish.size]
        extent = np.empty((len(self), 2), np.int32)
        extent[:] = finish.size
        if self.shown is not None:
            extent = np.where(self.shown > 0, self.shown, extent).astype(np.int32)
        curves = self._curves or [no_curves(self.channels)]
        plan = Plan._sampled(
            ids=self.keyed.ids[: len(self)].astype(np.int64),
            occurrence=np.zeros(len(self), np.int64)
            if self.keyed.occurrences is None
            else self.keyed.occurrences[: len(self)],
            sizes=self.sizes.astype(np.int32),
            strength=self.given_strength.astype(np.float32),
            source=self.source.astype(np.int32),
            inv_matrix=self.inv_matrix.astype(np.float32),
            support=support.astype(np.float32),
            slope=slope,
            sight=self.sight.astype(np.float32),
            clip=self.clip.astype(np.float32),
            border=np.full(len(support), border, np.int8),
            fill=np.where(np.isnan(self.fill), fill, self.fill).astype(np.float32),
            fill_start=np.where(self.warped, self.fill_start, self.step_count).astype(np.int16),
            filter=self.filter.astype(np.float32),
            frame=np.minimum(self.picture, MOST_SIDE + 1).astype(np.int32),
            curves=_joined(curves),
            **self._closed_steps(),
            **self._closed_log(),
            view=self.layers.view.astype(np.int32),
            box=boxes.astype(np.int32),
            alpha=self.layers.alpha.astype(np.float32),
            weight=self.layers.weight.astype(np.float32),
            colour=self.layers.colour.astype(np.float32),
            extent=extent,
            finish=finish,
            log_text=tuple(self._log_text),
            seed=self.keyed.seed,
            epoch=self.keyed.epoch,
            look=self.keyed.look,
            policy=policy,
            after=after,
        )
        return plan.select(slice(len(self) - self.pool)) if self.pool else plan

    def _filters(
        self, interpolation: str | tuple[str, ...]
    ) -> list[tuple[str, np.ndarray | slice]]:
        """Which rows are sampled by which filter."""
        names = (interpolation,) if isinstance(interpolation, str) else interpolation
        if len(names) == 1:
            return [(names[0], slice(None))]
        every = np.arange(len(self.source))
        uniform = self.uniform(_INTERPOLATION, 1, every)[:, 0]
        which = (uniform * len(names)).astype(int)
        lines = np.array([self.line(name) for name in names])
        self.log_lines(every, lines[which], np.zeros((len(which), LOG_ARGS)))
        return [(name, which == k) for k, name in enumerate(names)]

    def _forget_far_views(self) -> None:
        """A view that looks farther away than a plan can say looks at nothing: all of it is fill."""
        if np.abs(self.inv_matrix).max() <= MOST_ENTRY:  # not so where there is a NaN
            return
        far = ~(np.abs(self.inv_matrix) <= MOST_ENTRY).all(axis=(1, 2))
        self.inv_matrix[far], self.footprint[far] = np.eye(3), np.eye(2)
        self.clip[far] = self.sight[far] = 0

    def _check_extent(self) -> None:
        """Bound the memory of a plan, which is of so many views times the steps of the longest."""
        entries = max(len(self._steps), len(self._log), 1)
        curves = sum(map(len, self._curves))
        most_curves = min(MOST_CURVES, max(MOST_CURVES_OF_CHANNELS // self.channels, 2))
        if len(self.source) * entries <= MOST_STEPS and curves <= most_curves:
            return  # as nearly always: no row has more steps than there are entries
        views = len(self.source) / len(self)
        longest = max(self.step_count.max(initial=0), self.log_count.max(initial=0))
        if views * longest > MOST_STEPS or curves > most_curves * len(self):
            raise ValueError(
                f"policy: got {views:.0f} views of up to {longest} steps and {curves // len(self)} tone curves "
                f"an image, expected at most {MOST_STEPS:,} steps and {most_curves:,} curves in all. Take "
                "fewer ops or turns."
            )

    def _closed_steps(self):
        n, count = len(self.source), int(self.step_count.max(initial=0)) if self._steps else 0
        which, (kind, arg, statistic) = _placed(self._steps, n, count)
        steps = len(kind)
        # The first is none: of 0 alone.
        step_kind, statistics = np.zeros((2, 1 + steps), np.int8)
        args = np.zeros((1 + steps, STEP_ARGS), np.float32)
        windows = np.zeros((1 + steps, 4), np.float32)
        if steps:
            step_kind[1:], args[1:], statistics[1:] = kind, arg, statistic
            # What is larger is as good as this: a step clamps to [0, 1].
            _limit(args)
        if self._frames:
            windows[statistics.nonzero()[0]] = self._windows()
        return {
            "step_kind": step_kind.take(which),
            "step_arg": args.take(which, axis=0),
            "statistic": statistics.take(which),
            "window": windows.take(which, axis=0),
        }

    def _windows(self) -> np.ndarray:
        """For each step with a statistic the part of the source that its frames showed, [n, 4]."""
        matrix, frame, clip, extent = (
            _joined(list(part)) for part in zip(*self._frames, strict=True)
        )
        zero = np.zeros(len(frame))
        bounds = geometry.bounds(matrix, zero, zero, frame[:, 0], frame[:, 1])
        low = np.minimum(np.maximum(clip[:, :2], bounds[:, :2]), clip[:, 2:])
        # At least one pixel is read, also where a crop has missed the source altogether.
        low = np.minimum(low, extent - 1)
        high = np.maximum(np.minimum(clip[:, 2:], bounds[:, 2:]), low)
        windows = np.concatenate([low, high], axis=1)
        # Not a number where a frame lies infinitely far away: then, too, one pixel is read.
        windows[np.isnan(windows)] = 0
        return windows

    def _closed_log(self):
        n, count = len(self.source), int(self.log_count.max(initial=0))
        which, (line, number, *_) = _placed(self._log, n, count)
        op, arg = np.empty(1 + len(line), np.int16), np.zeros((1 + len(line), LOG_ARGS), np.float32)
        op[0] = -1  # no line
        if len(line):
            op[1:], arg[1:] = line, number
            _limit(arg)
        return {"log_op": op.take(which), "log_arg": arg.take(which, axis=0)}
