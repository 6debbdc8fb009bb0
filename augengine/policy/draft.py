"""The draft: a plan while it is being decided.

For each of its n samples the draft holds the frame (the image's height and width as it would be
now), the matrix from that frame to the source, what of the source may be seen, and what has been
asked for so far. An op reads `frame`, draws by key, and calls `warp`, `crop`, `resize`, `step`,
`paste`, `blend` or `erase` for the rows (samples) that it acts on. `plan` closes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..plan import Finish, Plan
from ..plan.kinds import (
    CONSTANT,
    CURVE,
    FILTER_ARGS,
    LOG_ARGS,
    MATRIX,
    MOST_ARGUMENT,
    MOST_ENTRY,
    MOST_SIDE,
    NO_STATISTIC,
    NO_VIEW,
    NOISE,
    NONE,
    PLAIN_COLOUR,
    STEP_ARGS,
)
from . import geometry
from .keyed import Keyed
from .layers import Layers

UNCHANGED = "unchanged"
MOST_FRAME = 2**31 - 1  # pixels of a side, on the way too
# Of one image. A plan then has some 10 MB an image at most; of published policies it has some kB.
MOST_LINES, MOST_STEPS, MOST_CURVES = 1 << 10, 1 << 16, 1 << 10


class _Step(NamedTuple):
    """A colour step of some rows."""

    rows: np.ndarray
    at: np.ndarray  # which of each row's steps it is
    kind: int | np.ndarray
    arg: np.ndarray  # [len(rows), up to 12]
    statistic: int | np.ndarray
    measured: np.ndarray  # indices into rows, of those whose step has a statistic


class _Line(NamedTuple):
    """A line of the log of some rows."""

    rows: np.ndarray
    at: np.ndarray  # which of each row's lines it is
    lines: int | np.ndarray
    numbers: np.ndarray  # [len(rows), 6]


class _Copy(NamedTuple):
    """What rows have so far, copied to new rows; moved: the old rows begin anew."""

    rows: np.ndarray
    new: np.ndarray
    moved: bool = False


# What a draft holds for each of its rows, beside the steps and the log.
_ROW_FIELDS = (
    "source",
    "extent",
    "frame",
    "inv_matrix",
    "footprint",
    "clip",
    "warped",
    "fill_start",
    "step_count",
    "log_count",
    "fill",
    "filter",
    "picture",
    "strength",
)


@dataclass
class Draft:
    """n samples on their way from policy to plan. sizes: [n, 2] height and width of the sources.

    Row i < n is sample i's own view. `fork` adds rows: other looks at the same sample, with its
    draws. pool: how many samples at the end only lend themselves to the others' mixes.
    """

    keyed: Keyed
    sizes: np.ndarray
    channels: int = 3
    strength: np.ndarray | None = None
    pool: int = 0
    layers: Layers = field(init=False)
    partners: Layers | None = None  # what a mix inside a chooser sees of the others
    stratify: bool = False  # draws are spread evenly over the epochs

    def __post_init__(self):
        n = len(self.sizes)
        self.source = np.arange(n)
        self.extent = self.sizes.astype(np.int64)  # of what a row looks at
        self.frame = self.extent.copy()
        self.strength = np.ones(n) if self.strength is None else np.asarray(self.strength, float)
        self.given_strength = self.strength.copy()
        self.inv_matrix = geometry.identity(n)
        # The matrix without its shears: how far apart, along the source's axes, the output's
        # pixels lie. It says how wide the filter must be.
        self.footprint = np.broadcast_to(np.eye(2), (n, 2, 2)).copy()
        self.clip = np.concatenate([np.zeros((n, 2)), self.frame], axis=1).astype(float)
        self.warped = np.zeros(n, bool)
        self.fill_start = np.zeros(n, np.int64)
        self.step_count = np.zeros(n, np.int64)
        self.log_count = np.zeros(n, np.int64)
        self.fill = np.full((n, self.channels), np.nan)  # NaN: the policy's
        self.filter = np.zeros((n, FILTER_ARGS))
        self.picture = np.zeros((n, 2), np.int64)  # the size of a filtered row's picture
        self.layers = Layers.base(n, self.channels)
        self.mean: tuple[float, ...] = ()
        self.std: tuple[float, ...] = ()
        self._steps: list[_Step | _Copy] = []
        # The frames that statistics are taken over: matrix, frame, clip and extent, of each step's rows.
        self._frames: list[tuple] = []
        self._curves: list[np.ndarray] = []
        self._log: list[_Line | _Copy] = []
        self._log_text: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def rows(self) -> np.ndarray:
        return np.arange(len(self))

    def uniform(self, place: int, count: int, rows) -> np.ndarray:
        """[len(rows), count] in (0, 1), drawn by the rows' keys for the op at `place`."""
        return self.keyed.uniform(place, count, rows, self.stratify)

    def timeless(self, place: int, count: int, rows) -> np.ndarray:
        """As `uniform`, the same in every epoch."""
        return (self.keyed.words(place, count, rows, timeless=True) + 0.5) * 2.0**-32

    def fork(self, rows) -> np.ndarray:
        """New rows that stand where `rows` stand now, steps and log included. Returns them."""
        new = len(self.source) + np.arange(len(rows))
        for name in _ROW_FIELDS:
            value = getattr(self, name)
            setattr(self, name, np.concatenate([value, value[rows]]))
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
        self.extent[rows] = self.frame[rows]
        self.inv_matrix[rows] = np.eye(3)
        self.footprint[rows] = np.eye(2)
        self.clip[rows] = np.concatenate([0 * self.frame[rows], self.frame[rows]], axis=1)
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
        self.inv_matrix[rows] = geometry.product(self.inv_matrix[rows], inv_matrix)
        if inv_footprint is not UNCHANGED:
            self.footprint[rows] = geometry.product(self.footprint[rows], inv_footprint)
        if frame is not None:
            if np.max(frame, initial=0) > MOST_FRAME:
                raise ValueError(
                    f"policy: an image grows to {int(np.max(frame)):,} pixels a side on its way, expected "
                    f"{MOST_FRAME:,} at most. Resize it to less, or crop it first."
                )
            self.frame[rows] = frame
        first = rows[~self.warped[rows]]
        self.fill_start[first] = self.step_count[first]
        self.warped[rows] = True

    def crop(self, rows, top, left, height, width, context=None) -> None:
        """Keep a rectangle of the frame (it may reach outside). context="source" lets later ops
        bring back what it left out; otherwise that is gone."""
        if context is None:
            if self.warped[rows].any():
                box = geometry.bounds(self.inv_matrix[rows], top, left, height, width)
            else:
                box = np.stack([top, left, top + height, left + width], axis=1)
            clip = self.clip[rows]
            # A rectangle that misses the source altogether leaves an empty clip: all fill.
            low = np.minimum(np.maximum(clip[:, :2], box[:, :2]), clip[:, 2:])
            high = np.maximum(np.minimum(clip[:, 2:], box[:, 2:]), low)
            self.clip[rows] = np.concatenate([low, high], axis=1)
        frame = np.stack([height, width], axis=1)
        self.warp(rows, geometry.inv_crop(top, left), UNCHANGED, frame)

    def resize(self, rows, height, width, antialias=True) -> None:
        """Scale the frame to height × width, arrays [len(rows)]."""
        new = np.stack(np.broadcast_arrays(height, width), axis=1)
        matrix = geometry.inv_resize(self.frame[rows], new)
        self.warp(rows, matrix, None if antialias else UNCHANGED, new)

    # Colour

    def step(self, rows, kind, arg, statistic=NO_STATISTIC) -> None:
        """Append a colour step; arg: [len(rows), up to 12]. kind, statistic: one, or [len(rows)]."""
        if isinstance(statistic, np.ndarray):
            measured = np.flatnonzero(statistic)
        else:
            measured = np.arange(len(rows) if statistic != NO_STATISTIC else 0)
        if len(measured):
            # The frame as it stands; what of the source that is, is worked out for all at the end.
            some = rows[measured]
            self._frames.append(
                (self.inv_matrix[some], self.frame[some], self.clip[some], self.extent[some])
            )
        step = _Step(rows, self.step_count[rows], kind, arg, statistic, measured)
        self._steps.append(step)
        self.step_count[rows] += 1

    def curve(self, rows, curves, which=None) -> None:
        """Append a tone curve.

        curves: [q, 256] in [0, 1] for all channels, or [q, 3, 256]. which: [len(rows)] says whose
        curve is which; by default all take the first.
        """
        curves = np.asarray(curves, np.float32)
        if curves.ndim == 2:
            curves = np.repeat(curves[:, None], 3, axis=1)
        first = sum(map(len, self._curves))
        number = np.full(len(rows), first) if which is None else first + np.asarray(which)
        self._curves.append(curves)
        self.step(rows, CURVE, number[:, None])

    # Layers

    def output_size(self) -> tuple[int, int]:
        """The one size (height, width) that all frames have by now, or ValueError."""
        frame = self.frame[: len(self)]
        different = np.flatnonzero((frame != frame[0]).any(axis=1))
        if len(different):
            (h, w), (h2, w2) = self.frame[0], self.frame[different[0]]
            raise ValueError(
                f"policy: sample {self.keyed.ids[0]} is {h}×{w} at the end and sample "
                f"{self.keyed.ids[different[0]]} is {h2}×{w2}, expected one size for the batch. Add "
                "an op that sets it, such as RandomResizedCrop(224) or Resize((224, 224)), before "
                "any mix."
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
        self.layers.paste(rows, self._mixed_with(theirs), partner, box, self.output_size())

    def blend(self, rows, partner, amount, theirs: Layers | None = None) -> None:
        """MixUp: own · (1 − amount) + partner · amount; amount [len(rows)]. theirs: as for `paste`."""
        self.layers.blend(rows, self._mixed_with(theirs), partner, amount, self.output_size())

    def overlay(self, rows, views, shares) -> None:
        """AugMix: one's own layers · (1 − Σ shares) + Σ shares · views, all of them full layers.

        views: [len(rows), k] rows of this draft that look at the same sample; shares: [len(rows), k].
        The labels stay as they are.
        """
        height, width = self.output_size()
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
        self.inv_matrix[new], self.footprint[new] = np.eye(3), np.eye(2)
        # Drawn with one deviation for all channels (four of them reach the clamps), then scaled.
        key, n = np.asarray(words).astype(np.int64) >> 8, len(rows)
        deviation = 1 / 8
        self.step(new, NOISE, np.concatenate([np.tile([0, deviation], (n, 1)), key], axis=1))
        gain = np.resize(std, 3) / deviation
        scale = np.zeros((n, 3, 4))
        scale[:, range(3), range(3)] = gain
        scale[:, :, 3] = np.resize(mean, 3) - gain / 2
        self.step(new, MATRIX, scale.reshape(n, 12))
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
        numbers = np.zeros((len(rows), LOG_ARGS))
        for k, values in enumerate(args):
            numbers[:, k] = values
        self.log_lines(rows, self.line(text), numbers)

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
        self._log.append(_Line(rows, self.log_count[rows], lines, numbers))
        self.log_count[rows] += 1

    # Closing

    def plan(
        self, *, fill, border=CONSTANT, nearest=False, finish: Finish, policy: str = ""
    ) -> Plan:
        """Close the draft; all frames must be of finish.size."""
        self._check_extent()
        views = len(self.source)
        self._forget_far_views()
        along_x, along_y = self.footprint[..., 0], self.footprint[..., 1]
        support = np.clip(np.sqrt(along_x * along_x + along_y * along_y), 1, MOST_SIDE)
        if nearest:
            support = np.zeros_like(support)
        boxes = self.layers.box.copy()
        boxes[:, 0] = [0, 0, *finish.size]
        curves = self._curves or [np.zeros((0, 3, 256), np.float32)]
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
            clip=self.clip.astype(np.float32),
            border=np.full(views, border, np.int8),
            fill=np.where(np.isnan(self.fill), fill, self.fill).astype(np.float32),
            fill_start=np.where(self.warped, self.fill_start, self.step_count).astype(np.int16),
            filter=self.filter.astype(np.float32),
            frame=np.minimum(self.picture, MOST_SIDE + 1).astype(np.int32),
            curves=np.concatenate(curves),
            **self._closed_steps(),
            **self._closed_log(),
            view=self.layers.view.astype(np.int32),
            box=boxes.astype(np.int32),
            alpha=self.layers.alpha.astype(np.float32),
            weight=self.layers.weight.astype(np.float32),
            colour=self.layers.colour.astype(np.float32),
            finish=finish,
            log_text=tuple(self._log_text),
            seed=self.keyed.seed,
            epoch=self.keyed.epoch,
            look=self.keyed.look,
            policy=policy,
        )
        return plan.select(slice(len(self) - self.pool)) if self.pool else plan

    def _forget_far_views(self) -> None:
        """A view that looks farther away than a plan can say looks at nothing: all of it is fill."""
        if np.abs(self.inv_matrix).max() <= MOST_ENTRY:  # not so where there is a NaN
            return
        far = ~(np.abs(self.inv_matrix) <= MOST_ENTRY).all(axis=(1, 2))
        self.inv_matrix[far], self.footprint[far], self.clip[far] = np.eye(3), np.eye(2), 0

    def _check_extent(self) -> None:
        """Bound the memory of a plan, which is of so many views times the steps of the longest."""
        entries = max(len(self._steps), len(self._log), 1)
        curves = sum(map(len, self._curves))
        if len(self.source) * entries <= MOST_STEPS and curves <= MOST_CURVES:
            return  # as nearly always: no row has more steps than there are entries
        views = len(self.source) / len(self)
        longest = max(self.step_count.max(initial=0), self.log_count.max(initial=0))
        if views * longest > MOST_STEPS or curves > MOST_CURVES * len(self):
            raise ValueError(
                f"policy: got {views:.0f} views of up to {longest} steps and {curves // len(self)} tone curves "
                f"an image, expected at most {MOST_STEPS:,} steps and {MOST_CURVES:,} curves in all. Take "
                "fewer ops or turns."
            )

    def _closed_steps(self):
        n, count = len(self.source), int(self.step_count.max(initial=0))
        fields: dict[str, np.ndarray] = {
            "step_kind": np.full((n, count), NONE, np.int8),
            "step_arg": np.zeros((n, count, STEP_ARGS), np.float32),
            "statistic": np.zeros((n, count), np.int8),
            "window": np.zeros((n, count, 4), np.float32),
        }
        windows = self._windows()
        for entry in self._steps:
            if isinstance(entry, _Copy):
                for values in fields.values():
                    values[entry.new] = values[entry.rows]
                    if entry.moved:
                        values[entry.rows] = 0
                continue
            rows, at, measured = entry.rows, entry.at, entry.measured
            fields["step_kind"][rows, at] = entry.kind
            fields["step_arg"][rows, at, : entry.arg.shape[1]] = entry.arg
            fields["statistic"][rows, at] = entry.statistic
            if len(measured):
                fields["window"][rows[measured], at[measured]] = next(windows)
        # What is larger is as good as this: a step clamps to [0, 1].
        np.clip(fields["step_arg"], -MOST_ARGUMENT, MOST_ARGUMENT, out=fields["step_arg"])
        return fields

    def _windows(self):
        """For each step with a statistic the part of the source that its frames showed, [n, 4]."""
        if not self._frames:
            return iter(())
        matrix, frame, clip, extent = (
            np.concatenate(part) for part in zip(*self._frames, strict=True)
        )
        zero = np.zeros(len(frame))
        bounds = geometry.bounds(matrix, zero, zero, frame[:, 0], frame[:, 1])
        low = np.minimum(np.maximum(clip[:, :2], bounds[:, :2]), clip[:, 2:])
        # At least one pixel is read, also where a crop has missed the source altogether.
        low = np.minimum(low, extent - 1)
        high = np.maximum(np.minimum(clip[:, 2:], bounds[:, 2:]), low)
        # Not a number where a frame lies infinitely far away: then, too, one pixel is read.
        low, high = np.nan_to_num(low), np.nan_to_num(high)
        ends = np.cumsum([len(part[1]) for part in self._frames])
        return iter(np.split(np.concatenate([low, high], axis=1), ends[:-1]))

    def _closed_log(self):
        n, count = len(self.source), int(self.log_count.max(initial=0))
        op = np.full((n, count), -1, np.int16)
        arg = np.zeros((n, count, LOG_ARGS), np.float32)
        for entry in self._log:
            if isinstance(entry, _Copy):
                op[entry.new], arg[entry.new] = op[entry.rows], arg[entry.rows]
            else:
                op[entry.rows, entry.at] = entry.lines
                arg[entry.rows, entry.at] = entry.numbers
        np.clip(arg, -MOST_ARGUMENT, MOST_ARGUMENT, out=arg)
        return {"log_op": op, "log_arg": arg}
