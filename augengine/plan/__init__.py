"""The plan: everything random, decided, as data.

A `Plan` is a frozen struct of NumPy arrays. The class below is the table of its fields: each one's
dimensions, dtype, meaning and unit. Colours are in [0, 1]; points are continuous source pixels.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NONE, MATRIX, CURVE, HUE, NOISE, TONE = range(6)  # step_kind
NO_STATISTIC, MEAN, RANGE, HISTOGRAM = range(4)  # statistic
CONSTANT, EDGE, REFLECT, SYMMETRIC = range(4)  # border
NO_FILTER, GAUSSIAN, SHARPNESS = range(3)  # filter[:, 0]
NO_VIEW, PLAIN_COLOUR = -1, -2  # view, where it is not a view's number

# The weights of grey: ITU-R 601 luma to four digits, as torchvision has it (PIL: 0.299, 0.587, 0.114).
GREY = (0.2989, 0.587, 0.114)
STEP_ARGS, LOG_ARGS, FILTER_ARGS = 12, 6, 4
FORMAT_VERSION = 2
DTYPES = ("float32", "float16", "bfloat16", "uint8")

_FIX = "Take plans from Policy.sample, Plan.load, select and concatenate."

# What a log line may hold: %-fields of a number, so that a plan from a stranger is only read.
_LOG_FIELD = re.compile(r"%[+]?(?:\.\d)?[dfg]")


@dataclass(frozen=True)
class Finish:
    """What is done to every output last: size, (x − mean) / std, dtype, layout.

    size: (height, width). mean, std: one number a channel, or empty for no normalisation.
    dtype: one of DTYPES. channels_last: memory order NHWC, behind the shape (N, C, H, W).
    """

    size: tuple[int, int]
    channels: int = 3
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    dtype: str = "float32"
    channels_last: bool = False

    def __post_init__(self):
        if not all(isinstance(n, int) and n >= 1 for n in (*self.size, self.channels)):
            raise ValueError(
                f"Finish: got size {self.size} and {self.channels!r} channels, expected whole numbers, "
                "1 or more. Pass size=(height, width)."
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            fits = len(values) in (0, self.channels) and np.isfinite(values).all()
            if not fits or (name == "std" and min(values, default=1) <= 0):
                raise ValueError(
                    f"Finish.{name}: got {values}, expected {self.channels} finite numbers (std above "
                    "0), or none. Pass one for each channel."
                )
        if self.dtype not in DTYPES or (self.dtype == "uint8" and (self.mean or self.std)):
            raise ValueError(
                f"Finish: got dtype {self.dtype!r}, expected one of {', '.join(DTYPES)}, and no mean "
                "and std with uint8. Pass dtype='float32'."
            )

    def gain_offset(self):
        """float32 [C] each: normalised = value · gain + offset, formed in float64."""
        mean = np.asarray(self.mean or [0.0] * self.channels, np.float64)
        std = np.asarray(self.std or [1.0] * self.channels, np.float64)
        return (1 / std).astype(np.float32), (-mean / std).astype(np.float32)


def _array(dims: str, dtype, meaning: str) -> Any:
    return dataclasses.field(metadata={"dims": dims.split(), "dtype": dtype, "meaning": meaning})


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """What will happen to each sample of a batch.

    N outputs, K layers for each; V views, S colour steps for each; B sources; C channels; Q curves;
    T lines of log. A view looks at a source, or at what another view showed, filtered: blur and
    sharpness need a picture to work on. Arrays are read-only. Plans compare equal bit by bit.
    """

    finish: Finish
    # The sources
    ids: np.ndarray = _array("B", np.int64, "the samples' identities")
    sizes: np.ndarray = _array("B 2", np.int32, "height and width of each source")
    strength: np.ndarray = _array("B", np.float32, "share of every magnitude that was used")
    # Views: one look at one source
    source: np.ndarray = _array("V", np.int32, "which source; B + w: what view w showed, filtered")
    inv_matrix: np.ndarray = _array("V 3 3", np.float32, "inv_matrix @ output = source point")
    support: np.ndarray = _array("V 2", np.float32, "filter half-width along x, y; 0: nearest")
    clip: np.ndarray = _array("V 4", np.float32, "y0, x0, y1, x1 of the source that may be seen")
    border: np.ndarray = _array(
        "V", np.int8, "outside the clip: CONSTANT, EDGE, REFLECT, SYMMETRIC"
    )
    fill: np.ndarray = _array("V C", np.float32, "the colour outside the clip, for CONSTANT")
    fill_start: np.ndarray = _array("V", np.int16, "colour steps from this one on act on the fill")
    step_kind: np.ndarray = _array("V S", np.int8, "NONE, MATRIX, CURVE, HUE, NOISE, TONE")
    step_arg: np.ndarray = _array(
        "V S 12",
        np.float32,
        "MATRIX: 3×4, row by row; CURVE: row of curves; HUE: turns; NOISE: mean, sigma, two key "
        "words below 2^24; TONE, in bytes: invert from this threshold on, then for each channel "
        "(byte − low) / scale, then whole steps: threshold, step, 1 / step, three lows, three scales",
    )
    curves: np.ndarray = _array("Q 3 256", np.float32, "tone curves, for each channel")
    statistic: np.ndarray = _array(
        "V S",
        np.int8,
        "MEAN: the matrix's last column is times the mean grey; RANGE: stretch each channel's "
        "range to [0, 1]; HISTOGRAM: equalize each channel",
    )
    window: np.ndarray = _array(
        "V S 4", np.float32, "y0, x0, y1, x1 that a statistic is taken over"
    )
    filter: np.ndarray = _array(
        "V 4",
        np.float32,
        "what is done to the view before others look at it: kind, then GAUSSIAN: sigma, reach along "
        "x, y, in pixels; SHARPNESS: factor",
    )
    frame: np.ndarray = _array(
        "V 2", np.int32, "height and width of a view that is filtered; 0: an output's"
    )
    log_op: np.ndarray = _array("V T", np.int16, "line of log_text, −1: none; executors ignore it")
    log_arg: np.ndarray = _array("V T 6", np.float32, "the numbers in that line")
    # Layers: where views land in an output, in order
    view: np.ndarray = _array("N K", np.int32, "which view; −1: none; −2: plain colour")
    box: np.ndarray = _array("N K 4", np.int32, "y0, x0, y1, x1 in output pixels")
    alpha: np.ndarray = _array("N K", np.float32, "out = out + alpha · (view − out)")
    weight: np.ndarray = _array("N K", np.float32, "the layer's share of the label")
    colour: np.ndarray = _array("N K C", np.float32, "of a plain-colour layer")
    # The rest
    log_text: tuple[str, ...] = ()
    seed: int = 0
    epoch: int = 0
    look: int = 0  # which look at the samples this is, the `view` of Policy.sample
    policy: str = ""  # the policy's fingerprint

    def __post_init__(self):
        extent = {"C": self.finish.channels}
        for field in array_fields():
            value = np.ascontiguousarray(getattr(self, field.name))
            dims, dtype = field.metadata["dims"], field.metadata["dtype"]
            if value.dtype != dtype or value.ndim != len(dims):
                raise ValueError(
                    f"Plan.{field.name}: got {value.dtype} {list(value.shape)}, expected "
                    f"{np.dtype(dtype)} [{', '.join(dims)}]. {_FIX}"
                )
            for dim, size in zip(dims, value.shape, strict=True):
                expected = int(dim) if dim.isdigit() else extent.setdefault(dim, size)
                if size != expected:
                    raise ValueError(
                        f"Plan.{field.name}: {dim} is {size} here and {expected} in earlier "
                        f"fields; it is [{', '.join(dims)}]. {_FIX}"
                    )
            if value.flags.writeable:
                value = value.view()
                value.flags.writeable = False
            object.__setattr__(self, field.name, value)
        self._check_indices()

    def __setstate__(self, state):
        """After a pickle or a copy the arrays are read-only again."""
        self.__dict__.update(state)
        for field in array_fields():
            getattr(self, field.name).flags.writeable = False

    @classmethod
    def made(cls, **fields) -> Plan:
        """A plan from fields that are known to be right, the draft's: the checks cost as much as a
        quarter of all the sampling. (`dataclasses.replace(plan)` runs them.)"""
        plan = object.__new__(cls)
        for name, value in fields.items():
            if isinstance(value, np.ndarray) and value.flags.writeable:  # otherwise another plan's
                fields[name] = value = np.ascontiguousarray(value)
                value.flags.writeable = False
        plan.__dict__.update(fields)
        return plan

    def _check_indices(self):
        """An executor follows these without looking: a plan that lies never reaches one."""
        for name, least, end in [
            ("source", 0, len(self.ids) + len(self.source)),
            ("view", PLAIN_COLOUR, len(self.source)),
            ("log_op", -1, len(self.log_text)),
            ("step_kind", NONE, TONE + 1),
            ("statistic", NO_STATISTIC, HISTOGRAM + 1),
            ("border", CONSTANT, SYMMETRIC + 1),
        ]:
            value = getattr(self, name)
            if value.size and not (least <= value.min() and value.max() < end):
                raise ValueError(f"Plan.{name}: holds a value outside [{least}, {end}). {_FIX}")
        for field in array_fields():
            value = getattr(self, field.name)
            if value.dtype == np.float32 and not np.isfinite(value).all():
                raise ValueError(
                    f"Plan.{field.name}: holds a NaN or an infinity, expected finite numbers. {_FIX}"
                )
        height, width = self.finish.size
        y0, x0, y1, x1 = np.moveaxis(self.box, -1, 0)
        if (
            not ((0 <= y0) & (y0 <= y1) & (y1 <= height)).all()
            or not ((0 <= x0) & (x0 <= x1) & (x1 <= width)).all()
        ):
            raise ValueError(
                f"Plan.box: is reversed or reaches outside the output of {height}×{width}. {_FIX}"
            )
        curve = self.step_arg[..., 0][(self.step_kind == CURVE) & (self.statistic == NO_STATISTIC)]
        if curve.size and not (0 <= curve.min() and curve.max() < len(self.curves)):
            raise ValueError(
                f"Plan.step_arg: names a curve outside [0, {len(self.curves)}). {_FIX}"
            )
        if self.sizes.size and self.sizes.min() < 1:
            raise ValueError(f"Plan.sizes: has an image without pixels. {_FIX}")
        if (self.frame < 0).any() or (self.source_sizes() < 1).any():
            raise ValueError(f"Plan.frame: a view looks at one that shows no pixels. {_FIX}")
        if not np.isin(self.filter[:, 0], (NO_FILTER, GAUSSIAN, SHARPNESS)).all():
            raise ValueError(f"Plan.filter: holds an unknown kind. {_FIX}")
        if (self.filter[:, 1:] < 0).any():
            raise ValueError(f"Plan.filter: holds a number below 0. {_FIX}")
        if (self.roots() >= len(self.ids)).any():
            raise ValueError(f"Plan.source: views look at each other in a circle. {_FIX}")
        if self.support.size and self.support.min() < 0:
            raise ValueError(f"Plan.support: is negative somewhere. {_FIX}")
        size = self.source_sizes()
        low, high = self.clip[:, :2], self.clip[:, 2:]
        beyond = ((low < 0) | (high > size)).any(axis=1)
        if (beyond & (low < high).all(axis=1)).any():
            raise ValueError(f"Plan.clip: reaches outside its source. {_FIX}")
        # A statistic reads at least one pixel of its window, so the window must start on one.
        low, high = self.window[..., :2], self.window[..., 2:]
        lies = (low < 0) | (low >= size[:, None]) | (high < low) | (high > size[:, None])
        if (lies.any(axis=-1) & (self.statistic != NO_STATISTIC)).any():
            raise ValueError(f"Plan.window: reaches outside its source. {_FIX}")

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
        for _ in range(len(self.source)):
            if root.max(initial=0) < images:
                break
            root = np.where(root < images, root, self.source[np.maximum(root - images, 0)])
        return root

    # Reading

    def explain(self, i: int) -> str:
        """What happens to output `i`, in words and in order."""
        if not -len(self) <= i < len(self):
            raise IndexError(
                f"explain: got output {i}, expected 0 … {len(self) - 1}. Pass one of those."
            )
        said: list[str] = []
        root, first, own = self.roots(), None, []
        area = self.finish.size[0] * self.finish.size[1]
        layers = zip(self.view[i], self.box[i], self.alpha[i], self.weight[i], strict=True)
        for k, (view, (y0, x0, y1, x1), alpha, weight) in enumerate(layers):
            share = 100 * (y1 - y0) * (x1 - x0) / area
            if view == NO_VIEW or share == 0:
                continue
            if view == PLAIN_COLOUR:
                said.append(f"{share:.0f} % erased at ({y0}, {x0})")
                continue
            name, lines = self.ids[root[view]], self._log_lines(view)
            if k == 0:
                first, own = name, lines
                said += lines
            elif name == first:
                # Of the same sample: a chain of AugMix, a tile of a mosaic, noise in an erased box.
                shared = sum(1 for a, b in zip(own, lines, strict=False) if a == b)
                how = ", ".join(lines[shared:]) or "as it was"
                said.append(
                    f"{how} at ({y0}, {x0})"
                    if alpha == 1
                    else f"{100 * alpha:.0f} % over it: {how}"
                )
            elif alpha == 1:
                said.append(f"{share:.0f} % of sample {name} pasted at ({y0}, {x0})")
            else:
                said.append(f"{100 * weight:.0f} % of sample {name} blended in")
        return ", ".join(said) or "unchanged"

    def _log_lines(self, view) -> list[str]:
        lines = []
        for op, args in zip(self.log_op[view], self.log_arg[view], strict=True):
            if op >= 0:
                text = self.log_text[op]
                fields = len(_LOG_FIELD.findall(text.replace("%%", "")))
                lines.append(text % tuple(float(a) for a in args[:fields]))
        return lines

    def __repr__(self) -> str:
        finish = self.finish
        normalise = ", normalised" if finish.mean or finish.std else ""
        layout = "channels_last" if finish.channels_last else "NCHW"
        lines = [
            f"Plan(seed={self.seed}, epoch={self.epoch}, policy={self.policy or None})",
            f"  {len(self.ids)} sources → {len(self)} outputs of {finish.channels}×"
            f"{finish.size[0]}×{finish.size[1]}, {finish.dtype} {layout}{normalise}",
            f"  {len(self.source)} views, {self.step_kind.shape[1]} colour steps, "
            f"{self.view.shape[1]} layers",
        ]
        lines += [
            f"  {self.ids[self._first_source(i)]}: {self.explain(i)}"
            for i in range(min(3, len(self)))
        ]
        if len(self) > 3:
            lines.append(f"  … and {len(self) - 3} more; explain(i) says what happens to output i")
        return "\n".join(lines)

    def _first_source(self, i):
        return self.roots()[self.view[i, 0]] if self.view[i, 0] >= 0 else 0

    def __eq__(self, other) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        return self._header() == other._header() and all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in array_fields()
        )

    __hash__ = None  # type: ignore[assignment]

    # Cutting and joining

    def select(self, indices) -> Plan:
        """The plan of some of the outputs, over the same sources. Unused views are dropped.

        indices: anything that indexes an array [N] by its first axis; a single int gives N = 1.
        """
        rows = np.atleast_1d(np.arange(len(self))[indices])
        layers = {name: getattr(self, name)[rows] for name in LAYER_FIELDS}
        images = len(self.ids)
        used = np.zeros(len(self.source) + 1, bool)
        used[layers["view"][layers["view"] >= 0]] = True
        while True:  # and the views that those look at
            seen = self.source[np.flatnonzero(used[:-1])] - images
            if used[seen[seen >= 0]].all():
                break
            used[seen[seen >= 0]] = True
        kept = np.flatnonzero(used)
        new = np.cumsum(used) - 1
        layers["view"] = np.where(layers["view"] < 0, layers["view"], new[layers["view"]])
        layers["view"] = layers["view"].astype(np.int32)
        views = {name: getattr(self, name)[kept] for name in VIEW_FIELDS}
        source = views["source"]
        chained = np.where(source < images, source, images + new[np.maximum(source - images, 0)])
        views["source"] = chained.astype(np.int32)
        return dataclasses.replace(self, **layers, **views)

    def save(self, path) -> None:
        """Write a safetensors file: the arrays as they are, the rest as JSON in its header."""
        Path(path).write_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """What `save` writes."""
        from safetensors.numpy import save

        arrays = {f.name: getattr(self, f.name) for f in array_fields()}
        return save(arrays, metadata={"augengine.plan": json.dumps(self._header())})

    @classmethod
    def load(cls, path) -> Plan:
        """Read what `save` wrote. Raises ValueError if it is cut short, damaged or no plan."""
        return cls.from_bytes(Path(path).read_bytes(), f"Plan.load: {path}")

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "Plan.from_bytes: the data") -> Plan:
        """Read what `to_bytes` gave. Raises ValueError as `load` does, with `where` in front."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        fix = "expected what Plan.save wrote. Save the plan again."
        try:
            arrays: dict[str, Any] = load(data)
        except SafetensorError as error:
            raise ValueError(
                f"{where} is cut short or no safetensors file ({error}), {fix}"
            ) from error
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length]).get("__metadata__", {}).get("augengine.plan")
        if header is None:
            raise ValueError(f"{where} holds no plan, {fix}")
        missing = {f.name for f in array_fields()} ^ set(arrays)
        if missing:
            raise ValueError(f"{where} lacks or adds {', '.join(sorted(missing))}, {fix}")
        try:
            return cls(**arrays, **_read_header(header))
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"{where} is damaged ({error}), {fix}") from error

    def _header(self):
        return {
            "version": FORMAT_VERSION,
            "finish": dataclasses.asdict(self.finish),
            "log_text": list(self.log_text),
            "seed": self.seed,
            "epoch": self.epoch,
            "look": self.look,
            "policy": self.policy,
        }


def _read_header(text: str) -> dict:
    """What `Plan._header` was written to JSON as, distrusted."""
    header = json.loads(text)
    if not isinstance(header, dict) or header.pop("version", None) != FORMAT_VERSION:
        raise ValueError(f"its version is not {FORMAT_VERSION}")
    wrong = {f.name for f in dataclasses.fields(Plan) if not f.metadata} ^ set(header)
    if wrong:
        raise ValueError(f"its header lacks or adds {', '.join(sorted(wrong))}")
    finish: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in header["finish"].items()
    }
    for text in (*header["log_text"], header["policy"]):
        # Printable, so that reading a stranger's plan sends no control codes to the terminal.
        bare = _LOG_FIELD.sub("", text.replace("%%", ""))
        fields = len(_LOG_FIELD.findall(text.replace("%%", "")))
        if "%" in bare or fields > LOG_ARGS or not text.isprintable():
            raise ValueError(f"its line {text!r} is not plain text with %-fields of numbers")
    if not all(type(header[name]) is int for name in ("seed", "epoch", "look")):
        raise ValueError("its seed, epoch and look are no whole numbers")
    return {**header, "finish": Finish(**finish), "log_text": tuple(header["log_text"])}


def array_fields():
    """The plan's arrays, in order: dataclass fields whose metadata is the table."""
    return [f for f in dataclasses.fields(Plan) if f.metadata]


LAYER_FIELDS = tuple(f.name for f in array_fields() if f.metadata["dims"][0] == "N")
VIEW_FIELDS = tuple(f.name for f in array_fields() if f.metadata["dims"][0] == "V")
# What a missing colour step, log line, layer … holds when plans of unequal widths are joined.
_PADDING = {"log_op": -1, "view": NO_VIEW}


def concatenate(plans) -> Plan:
    """One plan for several batches, over the batches' sources one after the other.

    plans: of one finish. Steps, layers and logs are padded to the longest. Seed, epoch and policy
    are kept where all plans share them (otherwise 0, 0 and "").
    """
    return _joined("concatenate", plans, own_sources=True)


def side_by_side(plans) -> Plan:
    """One plan for several plans of the same sources: the outputs of each, one after the other.

    plans: of one finish, for the same ids and sizes, as several views of a batch are.
    """
    plans = list(plans)
    for plan in plans[1:]:
        same = np.array_equal(plan.ids, plans[0].ids) and np.array_equal(plan.sizes, plans[0].sizes)
        if not same:
            raise ValueError(
                "side_by_side: the plans are for different sources, expected one batch. Use "
                "concatenate."
            )
    return _joined("side_by_side", plans, own_sources=False)


def _joined(where: str, plans, own_sources: bool) -> Plan:
    plans = list(plans)
    if not plans:
        raise ValueError(f"{where}: no plans came, expected at least one. Pass a list of plans.")
    if len({plan.finish for plan in plans}) > 1:
        raise ValueError(
            f"{where}: the plans differ in size, dtype, layout or normalisation, expected one "
            f"finish. They are {sorted({str(plan.finish) for plan in plans})}."
        )
    texts = tuple(dict.fromkeys(text for plan in plans for text in plan.log_text))
    arrays: dict[str, list[np.ndarray]] = {f.name: [] for f in array_fields()}
    total = sum(len(plan.ids) for plan in plans) if own_sources else len(plans[0].ids)
    sources = views = curves = 0
    for plan in plans:
        images, step_arg = len(plan.ids), plan.step_arg.copy()
        step_arg[..., 0] += curves * (plan.step_kind == CURVE)
        chained = plan.source - images + total + views
        shifted = {
            "source": np.where(plan.source < images, plan.source + sources, chained).astype(
                np.int32
            ),
            "view": np.where(plan.view < 0, plan.view, plan.view + views).astype(np.int32),
            "log_op": np.array([*map(texts.index, plan.log_text), -1], np.int16)[plan.log_op],
            "step_arg": step_arg,
        }
        for name, parts in arrays.items():
            parts.append(shifted.get(name, getattr(plan, name)))
        sources += images if own_sources else 0
        views, curves = views + len(plan.source), curves + len(plan.curves)

    def shared(name, otherwise):
        values = {getattr(plan, name) for plan in plans}
        return values.pop() if len(values) == 1 else otherwise

    if not own_sources:
        for field in array_fields():
            if field.metadata["dims"][0] == "B":
                del arrays[field.name][1:]
    joined = {name: _join(parts, _PADDING.get(name, 0)) for name, parts in arrays.items()}
    return Plan.made(  # of plans that were checked
        **joined,
        finish=plans[0].finish,
        log_text=texts,
        seed=shared("seed", 0),
        epoch=shared("epoch", 0),
        look=shared("look", 0),
        policy=shared("policy", ""),
    )


def _join(parts, padding):
    """Concatenate along the first axis, padding the second to the longest."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    width = max(part.shape[1] for part in parts)
    return np.concatenate(
        [
            np.pad(
                part,
                [(0, 0), (0, width - part.shape[1])] + [(0, 0)] * (part.ndim - 2),
                constant_values=padding,
            )
            for part in parts
        ]
    )
