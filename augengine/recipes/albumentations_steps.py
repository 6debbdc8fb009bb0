"""albumentations' transforms, one by one: `ALBUMENTATIONS` says what each of its classes is in ops.

Nothing of albumentations is imported: a step is what its `to_dict` writes, a name and arguments that are
already read (2.0), whether it came as an object or from a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..checks import several
from ..policy import ops
from ..policy.ops.op import Op
from .torchvision_steps import NoOpForStep, Request, one_op

# By OpenCV's numbers.
INTERPOLATIONS = {
    **{0: "nearest", 1: "bilinear", 2: "bicubic", 3: "area", 4: "lanczos"},
    **{5: "bilinear", 6: "nearest"},
}
BORDERS = {0: "constant", 1: "edge", 2: "symmetric", 4: "reflect"}
RESIZING = ("LongestMaxSize", "RandomResizedCrop", "Resize", "SmallestMaxSize")


@dataclass(frozen=True)
class Step:
    """A transform of a pipeline: where it stands, such as "3.0"; its class, and its arguments."""

    label: str
    kind: str
    arguments: Mapping[str, Any]

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]

    @property
    def name(self) -> str:
        return self.kind

    @property
    def p(self) -> float:
        """The probability of it."""
        return self.arguments.get("p", 1.0)

    def fixed(self, name: str, what: str) -> float:
        """The one value of a range, or NoOpForStep."""
        low, high = several(self[name])[0], several(self[name])[-1]
        if low != high:
            raise NoOpForStep(self, f"that draws {what}, from {low:g} to {high:g}")
        return low

    def children(self) -> Iterator[Step]:
        for k, child in enumerate(self["transforms"]):
            yield step_of(f"{self.label}.{k}".removeprefix("."), child)

    def __str__(self) -> str:
        return f"step {self.label or 0} ({self.kind.split('.')[-1]})"


def step_of(label: str, transform: Any) -> Step:
    """A step of a dict that `to_dict` wrote, or of an object."""
    if not isinstance(transform, Mapping):
        if any(base.__name__ == "BaseCompose" for base in type(transform).__mro__):
            # One by one, since a child that cannot be written would hide the others.
            arguments = {name: getattr(transform, name, None) for name in ("p", "n", "replace")}
            arguments["transforms"] = list(transform.transforms)
            return Step(label, transform.get_class_fullname(), arguments)
        try:
            transform = transform.to_dict_private()
        except Exception:  # a Lambda, or a class of one's own: its name is all that is known
            kind = type(transform)
            return Step(label, f"{kind.__module__}.{kind.__name__}", {})
    return Step(label, str(transform.get("__class_fullname__", "")), transform)


@dataclass
class Reader:
    """What is known on the way through a pipeline.

    floats: whether values are in [0, 1] by now, and not bytes. normalized: whether a Normalize came.
    frame: height and width of all images by now, if it is known; within: those that none exceeds.
    """

    floats: bool = False
    normalized: bool = False
    frame: tuple[int, int] | None = None
    within: tuple[int, int] | None = None
    requests: list[Request] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def convert(self, step: Step, always: bool = False) -> list[Op]:
        """The ops that do what a step does. always: whether it happens whatever its p says."""
        if step.kind not in ALBUMENTATIONS:
            raise NoOpForStep(step, "that augengine does not have")
        p = 1.0 if always or step.kind == "OneOrOther" else step.p
        before = (self.floats, self.normalized, self.frame)
        try:
            converted = ALBUMENTATIONS[step.kind](self, step)
        except KeyError as missing:
            raise NoOpForStep(step, f"without the argument {missing}") from missing
        except (TypeError, ValueError) as error:
            raise NoOpForStep(step, f"with arguments that no op takes ({error})") from error
        if p == 1 or not converted:
            return converted
        if before[:2] != (self.floats, self.normalized):
            raise NoOpForStep(step, f"that converts or normalises some images only (p={p:g})")
        if before[2] != self.frame:
            self.frame = self.within = None
        op = converted[0]
        if len(converted) == 1 and getattr(op, "p", None) == 1 and not op.children:
            return [replace(op, p=p)]  # type: ignore[call-arg]
        return [ops.RandomApply(converted, p)]

    def choices(self, step: Step, always: bool) -> list[Op]:
        """One op for each child."""
        before, chosen = (self.floats, self.normalized, self.frame, self.within), []
        for child in step.children():
            chosen.append(one_op(self.convert(child, always)))
            if before[:2] != (self.floats, self.normalized):
                raise NoOpForStep(step, "that converts or normalises some images only")
            if before[2:] != (self.frame, self.within):
                self.frame = self.within = None
        return chosen

    def sampling(self, step: Step) -> tuple[list[Op], dict[str, Any]]:
        """What a warp fills with: ops that name a border, which a warp does not, and its arguments. Its
        interpolation is noted."""
        self.interpolate(step)
        border = self.padding(step)
        if border["padding_mode"] == "constant":
            return [], {"fill": border["fill"]}
        return [ops.Pad(0, **border)], {}

    def interpolate(self, step: Step) -> None:
        """Note the interpolation of a step."""
        value = INTERPOLATIONS.get(step["interpolation"], str(step["interpolation"]))
        if step.arguments.get("area_for_downscale"):
            value = f"{value}, area where it shrinks"
        self.requests.append(Request(step, "interpolation", value))

    def border(self, step: Step) -> str:
        """Note what a step pads with."""
        if step["border_mode"] not in BORDERS:
            raise NoOpForStep(step, "that wraps around at the border")
        mode = BORDERS[step["border_mode"]]
        self.requests.append(Request(step, "padding_mode", mode))
        return mode

    def fill(self, step: Step) -> float | tuple[float, ...]:
        """Note a fill, in the units of the images at that step."""
        channels = tuple(float(v) for v in several(step["fill"]))
        fill = channels[0] if len(set(channels)) == 1 else channels
        self.requests.append(Request(step, "fill", fill))
        return fill

    def padding(self, step: Step) -> dict[str, Any]:
        """What a pad is filled with: the arguments of an op."""
        mode = self.border(step)
        return {"fill": self.fill(step) if mode == "constant" else None, "padding_mode": mode}


Conversion = Callable[[Reader, Step], list[Op]]


def _plain(make: Callable[[], list[Op]]) -> Conversion:
    """What has no arguments but p."""
    return lambda reader, step: make()


def _refused(reason: str) -> Conversion:
    def convert(reader: Reader, step: Step) -> list[Op]:
        raise NoOpForStep(step, reason)

    return convert


def _nothing(reader: Reader, step: Step) -> list[Op]:
    return []


# Sizes


def _resize(reader: Reader, step: Step) -> list[Op]:
    reader.interpolate(step)
    reader.frame = reader.within = int(step["height"]), int(step["width"])
    return [ops.Resize(reader.frame, antialias=False)]


def _smallest(reader: Reader, step: Step) -> list[Op]:
    if step["max_size"] is None:
        raise NoOpForStep(step, "that has a size for each edge (max_size_hw)")
    reader.interpolate(step)
    reader.frame = reader.within = None
    sizes = tuple(map(int, several(step["max_size"])))
    if len(sizes) == 1:
        return [ops.Resize(sizes[0], antialias=False)]
    return [ops.RandomShortestSize(sizes, antialias=False)]


def _longest(reader: Reader, step: Step) -> list[Op]:
    size = step["max_size"] if step["max_size"] is not None else step["max_size_hw"]
    height, width = (size, size) if not isinstance(size, Sequence) else (*size, None)[:2]
    if (step["max_size"] is not None and isinstance(size, Sequence)) or None in (height, width):
        raise NoOpForStep(step, "that draws one of several sizes, or has one for an edge alone")
    reader.interpolate(step)
    reader.frame, reader.within = None, (int(height), int(width))
    return [ops.ScaleJitter((int(width), int(height)), (1, 1), antialias=False)]


def _resized_crop(reader: Reader, step: Step) -> list[Op]:
    reader.interpolate(step)
    height, width = step["size"]
    reader.frame = reader.within = int(height), int(width)
    return [ops.RandomResizedCrop(reader.frame, step["scale"], step["ratio"], antialias=False)]


def _crop_size(reader: Reader, step: Step) -> tuple[int, int]:
    reader.frame = reader.within = int(step["height"]), int(step["width"])
    return reader.frame


def _random_crop(reader: Reader, step: Step) -> list[Op]:
    size = _crop_size(reader, step)
    if not step["pad_if_needed"]:
        return [ops.RandomCrop(size)]
    if step["pad_position"] == "random":
        return [ops.RandomCrop(size, pad_if_needed=True, **reader.padding(step))]
    if step["pad_position"] == "top_left":
        return [ops.FixedSizeCrop(size, **reader.padding(step))]
    raise NoOpForStep(step, f"that pads at the {step['pad_position']} before a random crop")


def _center_crop(reader: Reader, step: Step) -> list[Op]:
    size = _crop_size(reader, step)
    if step["pad_if_needed"] and step["pad_position"] != "center":
        raise NoOpForStep(step, f"that pads at the {step['pad_position']}")
    return _centred(reader, step, size) if step["pad_if_needed"] else [ops.CenterCrop(size)]


def _centred(reader: Reader, step: Step, size: tuple[int, int]) -> list[Op]:
    """A crop about the middle, which pads. It names no border; a pad of nothing does."""
    border = reader.padding(step)
    if border["padding_mode"] == "constant":
        return [ops.CenterCrop(size, border["fill"])]
    return [ops.Pad(0, **border), ops.CenterCrop(size)]


def _pad_if_needed(reader: Reader, step: Step) -> list[Op]:
    if step["pad_height_divisor"] or step["pad_width_divisor"]:
        raise NoOpForStep(step, "that pads to multiples of a number")
    size, within = (int(step["min_height"]), int(step["min_width"])), reader.within
    fits = within is not None and within[0] <= size[0] and within[1] <= size[1]
    if step["position"] == "top_left":
        reader.frame, reader.within = size if fits else None, size if fits else None
        return [ops.PadIfSmaller(size, **reader.padding(step))]
    if step["position"] == "center" and fits:
        reader.frame = reader.within = size
        return _centred(reader, step, size)
    raise NoOpForStep(
        step,
        f"that pads at the {step['position']} what may be larger too (position='top_left' is known, "
        "and 'center' after a LongestMaxSize of that size)",
    )


def _pad(reader: Reader, step: Step) -> list[Op]:
    reader.frame = reader.within = None
    return [ops.Pad(step["padding"], **reader.padding(step))]


# Warps


def _rotate(reader: Reader, step: Step) -> list[Op]:
    if step["crop_border"]:
        raise NoOpForStep(step, "that crops to what is left of the image (crop_border=True)")
    border, fill = reader.sampling(step)
    return [*border, ops.RandomRotation(tuple(step["limit"]), **fill)]


def _shift_scale_rotate(reader: Reader, step: Step) -> list[Op]:
    shifts = [_symmetric(step, step[f"shift_limit_{axis}"]) for axis in "xy"]
    low, high = step["scale_limit"]
    scale = None if low == high == 0 else (1 + low, 1 + high)
    return _affine_ops(reader, step, step["rotate_limit"], shifts, scale)


def _affine(reader: Reader, step: Step) -> list[Op]:
    if step["fit_output"] or step["balanced_scale"]:
        raise NoOpForStep(step, "that fits its frame, or draws shrinking as often as growing")
    if step["translate_px"] and any(map(any, step["translate_px"].values())):
        raise NoOpForStep(step, "that shifts by pixels, and not by shares of the size")
    scale, along_y = (tuple(step["scale"][axis]) for axis in "xy")
    if scale != along_y or (scale[0] != scale[1] and not step["keep_ratio"]):
        if scale != along_y:
            raise NoOpForStep(step, "that scales otherwise along x than along y")
        reader.differences.append(
            f"{step} draws a factor for x and one for y, here one serves both"
        )
    shear = [tuple(map(float, step["shear"][axis])) for axis in "xy"]
    shifts = [
        _symmetric(step, step["translate_percent"][axis]) if step["translate_percent"] else 0.0
        for axis in "xy"
    ]
    sheared = any(pair != (0, 0) for pair in shear)
    turned = any(step["rotate"]) or scale != (1, 1)
    if not sheared:
        return _affine_ops(reader, step, step["rotate"], shifts, scale)
    if all(pair != (0, 0) for pair in shear):
        reader.differences.append(f"{step} shears along x and y at once, here one after the other")
    border, fill = reader.sampling(step)
    shearing = ops.RandomAffine(
        0, shifts if any(shifts) else None, shear=(*shear[0], *shear[1]), antialias=False, **fill
    )
    if not turned:
        return [*border, shearing]
    # There a shear comes after the turn, in torchvision's affine before it.
    turning = ops.RandomAffine(_clockwise(step["rotate"]), scale=scale, antialias=False, **fill)
    return [*border, turning, shearing]


def _affine_ops(
    reader: Reader, step: Step, rotate: Any, shifts: list[float], scale: Any
) -> list[Op]:
    border, fill = reader.sampling(step)
    affine = ops.RandomAffine(
        _clockwise(rotate),
        shifts if any(shifts) else None,
        scale if scale != (1, 1) else None,
        antialias=False,
        **fill,
    )
    return [*border, affine]


def _clockwise(rotate: Sequence[float]) -> tuple[float, float]:
    """Angles of torchvision's affine, which turns the other way."""
    low, high = rotate
    return 0.0 - high, 0.0 - low


def _symmetric(step: Step, limits: Sequence[float]) -> float:
    low, high = limits
    if low != -high:
        raise NoOpForStep(step, f"that shifts by {low:g} to {high:g}, not alike to both sides")
    return float(high)


# Colours


def _color_jitter(reader: Reader, step: Step) -> list[Op]:
    neutral = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0)}
    limits = (
        None if (pair := tuple(step[name])) == none else pair for name, none in neutral.items()
    )
    return [ops.ColorJitter(*limits)]


def _brightness_contrast(reader: Reader, step: Step) -> list[Op]:
    """There a contrast is a factor, about black."""
    (least, most), contrast = step["brightness_limit"], step["contrast_limit"]
    if not step["brightness_by_max"] and (least or most):
        raise NoOpForStep(step, "that adds a share of the image's mean (brightness_by_max=False)")
    if step["ensure_safe_range"]:
        raise NoOpForStep(step, "that keeps within the range of values (ensure_safe_range=True)")
    factor = [ops.ColorJitter(brightness=tuple(1 + limit for limit in contrast))]
    added = [ops.RandomBrightness((least, most))]
    if not any(contrast):
        return list(added)
    if not (least or most):
        return list(factor)
    reader.differences.append(
        f"{step} adds before values are cut to the range, here they are cut in between too"
    )
    return [*factor, *added]


def _hue_saturation_value(reader: Reader, step: Step) -> list[Op]:
    if any(step["sat_shift_limit"]) or any(step["val_shift_limit"]):
        raise NoOpForStep(step, "that adds to saturation and value (a ColorJitter multiplies)")
    low, high = step["hue_shift_limit"]
    return [ops.ColorJitter(hue=(low / 180, high / 180))]


def _to_gray(reader: Reader, step: Step) -> list[Op]:
    if step["method"] != "weighted_average" or step["num_output_channels"] != 3:
        raise NoOpForStep(step, "whose grey is not the luma in three channels")
    return [ops.RandomGrayscale(1)]


def _normalize(reader: Reader, step: Step) -> list[Op]:
    if step["normalization"] != "standard":
        raise NoOpForStep(step, f"that normalises by {step['normalization']}")
    if reader.normalized:
        raise NoOpForStep(step, "that normalises again")
    # There mean and std are shares of max_pixel_value, here of what means 1.
    share = step["max_pixel_value"] / (1 if reader.floats else 255)
    reader.normalized = reader.floats = True
    mean, std = (
        tuple(v * share if share != 1 else v for v in several(step[name]))
        for name in ("mean", "std")
    )
    return [ops.Normalize(mean, std)]


def _to_float(reader: Reader, step: Step) -> list[Op]:
    if step.arguments.get("max_value") not in (None, 255) or reader.floats:
        raise NoOpForStep(step, "that divides by another number than 255, or what is floats")
    reader.floats = True
    return [ops.ToDtype("float32", scale=True)]


def _from_float(reader: Reader, step: Step) -> list[Op]:
    if step.arguments.get("dtype") != "uint8" or reader.normalized or not reader.floats:
        raise NoOpForStep(step, "that makes other integers than bytes, or of other than floats")
    reader.floats = False
    return [ops.ToDtype("uint8", scale=True)]


# Tones, filters, noise


def _solarize(reader: Reader, step: Step) -> list[Op]:
    largest = 1 if reader.floats else 255
    return [ops.RandomSolarize(step.fixed("threshold_range", "a threshold") * largest, 1)]


def _posterize(reader: Reader, step: Step) -> list[Op]:
    if any(isinstance(bits, Sequence) for bits in step["num_bits"]):
        raise NoOpForStep(step, "that keeps other bits of each channel")
    low, high = step["num_bits"]
    kept = [ops.RandomPosterize(bits, 1) for bits in range(low, high + 1)]
    return [kept[0] if len(kept) == 1 else ops.OneOf(kept)]


def _gamma(reader: Reader, step: Step) -> list[Op]:
    low, high = (limit / 100 for limit in step["gamma_limit"])
    if low != high:
        reader.differences.append(f"{step} draws an exponent evenly, here its logarithm")
    return [ops.RandomGamma((low, high))]


def _equalize(reader: Reader, step: Step) -> list[Op]:
    if not step["by_channels"] or step.arguments.get("mask") is not None:
        raise NoOpForStep(step, "that levels the luma, or under a mask")
    reader.differences.append(f"{step} rounds otherwise than PIL, which is up to some 15 levels")
    return [ops.RandomEqualize(1)]


def _gaussian_blur(reader: Reader, step: Step) -> list[Op]:
    """A kernel's size is drawn, and made odd by one more."""
    low, high = step["blur_limit"]
    sigma = tuple(step["sigma_limit"])
    if low == high == 0:
        return [ops.GaussianBlur(None, sigma)]
    sizes = [size | 1 for size in range(low, high + 1)]
    kinds = sorted(set(sizes))
    blurs = [ops.GaussianBlur(size, sigma) for size in kinds]
    if len(blurs) == 1:
        return list(blurs)
    return [ops.OneOf(blurs, [sizes.count(size) for size in kinds])]


def _noise(reader: Reader, step: Step) -> list[Op]:
    if not step["per_channel"] or step["noise_scale_factor"] != 1:
        raise NoOpForStep(step, "whose noise is shared by channels or by neighbours")
    mean = step.fixed("mean_range", "a mean")
    return [ops.GaussianNoise(mean, tuple(step["std_range"]))]


# Erasing


def _value(reader: Reader, step: Step) -> float | tuple[float, ...]:
    """The colour of what is erased, in the units of the images at that step."""
    if isinstance(step["fill"], str):
        raise NoOpForStep(step, f"that fills with {step['fill']}")
    values = tuple(float(v) for v in several(step["fill"]))
    return values[0] if len(set(values)) == 1 else values


def _coarse_dropout(reader: Reader, step: Step) -> list[Op]:
    """Holes of one size: boxes of one area and one shape."""
    if reader.frame is None:
        raise NoOpForStep(step, "whose holes need a size that is known by then")
    sides = []
    for name, of in (("hole_height_range", 0), ("hole_width_range", 1)):
        side = step.fixed(name, "the sides of its holes")
        sides.append(int(side * reader.frame[of]) if 0 < side <= 1 and side != int(side) else side)
    height, width = sides
    share = height * width / (reader.frame[0] * reader.frame[1])
    value, (least, most) = _value(reader, step), step["num_holes_range"]
    # Boxes share an area, so a number of them has one of its own.
    holes = [
        ops.RandomErasing(1, (n * share,) * 2, (height / width,) * 2, value, count=n)
        for n in range(int(least), int(most) + 1)
    ]
    return [holes[0] if len(holes) == 1 else ops.OneOf(holes)]


def _erasing(reader: Reader, step: Step) -> list[Op]:
    reader.differences.append(f"{step} draws the aspect ratio evenly, here its logarithm")
    low, high = step["ratio"]  # of width to height
    return [ops.RandomErasing(1, step["scale"], (1 / high, 1 / low), _value(reader, step))]


# Choosers


def _all(reader: Reader, step: Step) -> list[Op]:
    return [op for child in step.children() for op in reader.convert(child)]


def _one_of(reader: Reader, step: Step) -> list[Op]:
    weights = [child.p for child in step.children()]
    chosen = reader.choices(step, always=True)
    return [ops.OneOf(chosen, None if len(set(weights)) == 1 else weights)]


def _one_or_other(reader: Reader, step: Step) -> list[Op]:
    first, *_, last = reader.choices(step, always=True)
    return [ops.OneOf([first, last], [step.p, 1 - step.p])]


def _some_of(reader: Reader, step: Step) -> list[Op]:
    chosen = reader.choices(step, always=False)
    count = step["n"] if step["replace"] else min(step["n"], len(chosen))
    if step.kind == "SomeOf" and count > 1:
        reader.differences.append(f"{step} keeps the order of its list, here any order comes")
    return [ops.SomeOf(chosen, count, replace=bool(step["replace"]))]


ALBUMENTATIONS: dict[str, Conversion] = {
    "Affine": _affine,
    "AutoContrast": _refused("that stretches by a histogram, and not from the least to the most"),
    "CenterCrop": _center_crop,
    "ChannelShuffle": _plain(lambda: [ops.RandomChannelPermutation()]),
    "CoarseDropout": _coarse_dropout,
    "ColorJitter": _color_jitter,
    "Compose": _all,
    "D4": _plain(lambda: [ops.RandomQuarterTurn(), ops.RandomHorizontalFlip()]),
    "Equalize": _equalize,
    "Erasing": _erasing,
    "FromFloat": _from_float,
    "GaussNoise": _noise,
    "GaussianBlur": _gaussian_blur,
    "HorizontalFlip": _plain(lambda: [ops.RandomHorizontalFlip(1)]),
    "HueSaturationValue": _hue_saturation_value,
    "InvertImg": _plain(lambda: [ops.RandomInvert(1)]),
    "LongestMaxSize": _longest,
    "NoOp": _nothing,
    "Normalize": _normalize,
    "OneOf": _one_of,
    "OneOrOther": _one_or_other,
    "Pad": _pad,
    "PadIfNeeded": _pad_if_needed,
    "Perspective": _refused(
        "whose corners have a normal distribution (RandomPerspective's is even)"
    ),
    "Posterize": _posterize,
    "RandomBrightnessContrast": _brightness_contrast,
    "RandomCrop": _random_crop,
    "RandomGamma": _gamma,
    "RandomOrder": _some_of,
    "RandomResizedCrop": _resized_crop,
    "RandomRotate90": _plain(lambda: [ops.RandomQuarterTurn()]),
    "Resize": _resize,
    "Rotate": _rotate,
    "Sequential": _all,
    "Sharpen": _refused("that blends with a kernel of its own (RandomAdjustSharpness is PIL's)"),
    "ShiftScaleRotate": _shift_scale_rotate,
    "SmallestMaxSize": _smallest,
    "Solarize": _solarize,
    "SomeOf": _some_of,
    "ToFloat": _to_float,
    "ToGray": _to_gray,
    "ToTensorV2": _nothing,
    "Transpose": _plain(lambda: [ops.RandomQuarterTurn(1), ops.RandomVerticalFlip(1)]),
    "VerticalFlip": _plain(lambda: [ops.RandomVerticalFlip(1)]),
}
