"""The table of docs/arguments.md: `python docs/arguments.py`, where torchvision is installed.

Every argument of torchvision.transforms.v2's classes beside ours: the same meaning, or another one and
which; and what torchvision takes and we refuse, in the words of our own error. `TRIED` has values that
torchvision takes, for each argument; the rest is read from the signatures and tried out.
"""

# ruff: noqa: E501  (the page's text)

from __future__ import annotations

import enum
import inspect
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torchvision
from torchvision import tv_tensors
from torchvision.transforms import AutoAugmentPolicy, InterpolationMode, v2

import augengine as ae
from augengine.policy import ops

PAGE = Path(__file__).resolve().parent / "arguments.md"


class Each(NamedTuple):
    """A value that is of the library itself, such as its own flip. make: function of the library."""

    make: Callable[[Any], Any]
    text: str


class Tried(NamedTuple):
    """What is known of an argument.

    values: some that torchvision takes. other: in what the meaning differs, where it does. default: what
    ours is and why, where it differs.
    """

    values: tuple[Any, ...]
    other: str = ""
    default: str = ""


def by_type(**fills: Any) -> dict[Any, Any]:
    return {getattr(tv_tensors, name, name): fill for name, fill in fills.items()}


OF_POLICY = "None: that of the policy's other ops"
P = Tried((0.3, 0, 1))
ODDS = Tried((0.3, 0, 1), default="")
SIZE = Tried((8, [8], (8, 9)))
FILL = Tried(
    (0, 7, 0.5, (1, 2, 3), [9], None, by_type(Image=7, Mask=0), by_type(others=7), by_type(Mask=255, others=0),
     defaultdict(lambda: (1, 2, 3), {tv_tensors.Mask: 0})),
    other="of images alone, one in a policy; masks have `TargetOptions(fill=)`",
    default=f"{OF_POLICY}, or black",
)  # fmt: skip
INTERPOLATION = Tried(
    ("nearest", "bilinear", "bicubic", "nearest-exact", InterpolationMode.NEAREST, InterpolationMode.BILINEAR,
     InterpolationMode.BICUBIC, InterpolationMode.LANCZOS, 0, 2, 3),
    other="one in a policy, since a view is sampled once",
    default=f"{OF_POLICY}, or bilinear",
)  # fmt: skip
ANTIALIAS = Tried((True, False, None), other="None is True, as for PIL images")
PADDING = Tried((4, [4], (4, 5), (1, 2, 3, 4)))
PADDING_MODE = Tried(
    ("constant", "edge", "reflect", "symmetric"),
    other="one in a policy, since a view is sampled once",
    default=f"{OF_POLICY}, or 'constant'",
)
FACTORS = Tried((0.3, (0.5, 1.5), None))
DISTORTION = Tried(((0.5, 1.5), (0.8, 0.9)))
DTYPE_OF_IMAGES = (
    "says in which units later ops are written; the engine's dtype is that of the output"
)
MIX = {
    "alpha": Tried(
        (1.0, 0.2), other="λ of each sample; `same_on_batch=True` draws one for the batch"
    ),
    "num_classes": Tried((None, 10), other="the engine's too, where it is given none"),
    "labels_getter": Tried(("default", None, len), other="labels are given to the engine"),
}
INPLACE = Tried((False, True), other="without effect: the images that come are only read")

TRIED: dict[str, dict[str, Tried]] = {
    "AugMix": {
        "severity": Tried((3, 1, 10)),
        "mixture_width": Tried((3, 1)),
        "chain_depth": Tried((-1, 2)),
        "alpha": Tried((1.0, 0.5)),
        "all_ops": Tried((True, False)),
        "interpolation": INTERPOLATION,
        "fill": FILL,
    },
    "AutoAugment": {
        "policy": Tried((*AutoAugmentPolicy,)),
        "interpolation": INTERPOLATION,
        "fill": FILL,
    },
    "CenterCrop": {"size": SIZE},
    "ColorJitter": {
        "brightness": FACTORS,
        "contrast": FACTORS,
        "saturation": FACTORS,
        "hue": Tried((0.2, (-0.1, 0.2), None)),
    },
    "Compose": {"transforms": Tried((Each(lambda lib: [lib.RandomInvert()], "[RandomInvert()]"),))},
    "ConvertImageDtype": {
        "dtype": Tried((torch.float32, torch.float16, torch.uint8, torch.int64), DTYPE_OF_IMAGES)
    },
    "CutMix": MIX,
    "GaussianBlur": {
        "kernel_size": Tried((3, [5], (3, 5))),
        "sigma": Tried(((0.1, 2.0), 1, 1.5, [0.7])),
    },
    "GaussianNoise": {
        "mean": Tried((0.0, 0.1, -0.1)),
        "sigma": Tried((0.1, 0)),
        "clip": Tried((True, False)),
    },
    "MixUp": MIX,
    "Normalize": {
        "mean": Tried(([0.5], (0.485, 0.456, 0.406), (123.7, 116.3, 103.5))),
        "std": Tried(([0.2],)),
        "inplace": INPLACE,
    },
    "PILToTensor": {},
    "Pad": {"padding": PADDING, "fill": FILL, "padding_mode": PADDING_MODE},
    "RandAugment": {
        "num_ops": Tried((2, 0)),
        "magnitude": Tried((9, 30)),
        "num_magnitude_bins": Tried((31, 11)),
        "interpolation": INTERPOLATION,
        "fill": FILL,
    },
    "RandomAdjustSharpness": {"sharpness_factor": Tried((2, 0, 0.5)), "p": P},
    "RandomAffine": {
        "degrees": Tried((9, 0, (-5, 10))),
        "translate": Tried((None, (0.1, 0.2))),
        "scale": Tried((None, (0.5, 2.0))),
        "shear": Tried((None, 8, (-8, 8), [-8, 8, -3, 3])),
        "interpolation": INTERPOLATION,
        "fill": FILL,
        "center": Tried((None, [3, 4])),
    },
    "RandomApply": {
        "transforms": Tried(
            (
                Each(lambda lib: [lib.RandomInvert()], "[RandomInvert()]"),
                Each(lambda lib: torch.nn.ModuleList([torch.nn.Identity()]), "ModuleList"),
            )
        ),
        "p": P,
    },
    "RandomAutocontrast": {"p": P},
    "RandomChannelPermutation": {},
    "RandomChoice": {
        "transforms": Tried((Each(lambda lib: [lib.RandomInvert()], "[RandomInvert()]"),)),
        "p": Tried((None, [1.0])),
    },
    "RandomCrop": {
        "size": SIZE,
        "padding": Tried((None, *PADDING.values)),
        "pad_if_needed": Tried((False, True)),
        "fill": FILL,
        "padding_mode": PADDING_MODE,
    },
    "RandomEqualize": {"p": P},
    "RandomErasing": {
        "p": P,
        "scale": Tried(((0.02, 0.33), [0, 1])),
        "ratio": Tried(((0.3, 3.3),)),
        "value": Tried(
            (0.0, 128, (1, 2, 3), "random"), other="behind Normalize the same; in front of it noise is about grey"
        ),
        "inplace": INPLACE,
    },
    "RandomGrayscale": {"p": P},
    "RandomHorizontalFlip": {"p": P},
    "RandomInvert": {"p": P},
    "RandomIoUCrop": {
        "min_scale": Tried((0.3, 0.1)),
        "max_scale": Tried((1.0, 0.9, 1.5)),
        "min_aspect_ratio": Tried((0.5,)),
        "max_aspect_ratio": Tried((2.0,)),
        "sampler_options": Tried((None, [0.1, 0.5])),
        "trials": Tried((40, 5), other="ends when it finds no crop; torchvision goes on"),
    },
    "RandomOrder": {
        "transforms": Tried((Each(lambda lib: [lib.RandomInvert()], "[RandomInvert()]"),))
    },
    "RandomPerspective": {
        "distortion_scale": Tried((0.5, 0, 1)),
        "p": P,
        "interpolation": INTERPOLATION,
        "fill": FILL,
    },
    "RandomPhotometricDistort": {
        "brightness": DISTORTION,
        "contrast": DISTORTION,
        "saturation": DISTORTION,
        "hue": Tried(((-0.05, 0.05),)),
        "p": P,
    },
    "RandomPosterize": {"bits": Tried((4, 0, 8)), "p": P},
    "RandomResize": {
        "min_size": Tried((8,)),
        "max_size": Tried((9,)),
        "interpolation": INTERPOLATION,
        "antialias": ANTIALIAS,
    },
    "RandomResizedCrop": {
        "size": SIZE,
        "scale": Tried(((0.08, 1.0), (0.5, 2.0), [0.2, 0.5])),
        "ratio": Tried(((0.5, 2.0),)),
        "interpolation": INTERPOLATION,
        "antialias": ANTIALIAS,
    },
    "RandomRotation": {
        "degrees": Tried((9, (-5, 10))),
        "interpolation": INTERPOLATION,
        "expand": Tried((False, True)),
        "center": Tried((None, [3, 4]), other="with expand as of tensors, which is not PIL's"),
        "fill": FILL,
    },
    "RandomShortestSize": {
        "min_size": Tried((8, [8, 9])),
        "max_size": Tried((None, 20)),
        "interpolation": INTERPOLATION,
        "antialias": ANTIALIAS,
    },
    "RandomSolarize": {"threshold": Tried((128, 0.5, 0)), "p": P},
    "RandomVerticalFlip": {"p": P},
    "RandomZoomOut": {"fill": FILL, "side_range": Tried(((1.0, 4.0), [2, 3])), "p": P},
    "Resize": {
        "size": Tried((8, [8], (8, 9), None)),
        "interpolation": INTERPOLATION,
        "max_size": Tried((None, 20)),
        "antialias": ANTIALIAS,
    },
    "ScaleJitter": {
        "target_size": Tried(((8, 9),)),
        "scale_range": Tried(((0.1, 2.0),)),
        "interpolation": INTERPOLATION,
        "antialias": ANTIALIAS,
    },
    "ToDtype": {
        "dtype": Tried(
            (torch.float32, torch.uint8, torch.int64, {tv_tensors.Image: torch.float32, "others": None}),
            DTYPE_OF_IMAGES,
        ),
        "scale": Tried((False, True), other="False is refused when it is sampled, where the range would change"),
    },
    "ToImage": {},
    "ToPureTensor": {},
    "ToTensor": {},
    "TrivialAugmentWide": {
        "num_magnitude_bins": Tried((31, 11)),
        "interpolation": INTERPOLATION,
        "fill": FILL,
    },
    "ElasticTransform": {
        "alpha": Tried((50.0, [40, 50])),
        "sigma": Tried((5.0, [4, 5])),
        "interpolation": INTERPOLATION._replace(other="", default=""),
        "fill": FILL,
    },
    "FiveCrop": {"size": SIZE},
    "Grayscale": {"num_output_channels": Tried((1, 3))},
    "JPEG": {"quality": Tried((50, (30, 90)))},
    "Lambda": {"lambd": Tried((len,), other="called with each finished image, a tensor")},
    "RGB": {},
    "TenCrop": {"size": SIZE, "vertical_flip": Tried((False, True))},
}  # fmt: skip

# What goes with an argument when it is tried.
BESIDE: dict[tuple[str, str], dict[str, Any]] = {
    ("RandomRotation", "center"): {"expand": True},
}
NEEDED: dict[str, dict[str, Any]] = {
    "RandomAdjustSharpness": {"sharpness_factor": 2},
    "GaussianBlur": {"kernel_size": 3},
    "Normalize": {"mean": [0.5], "std": [0.2]},
    "Pad": {"padding": 1},
    "RandomAffine": {"degrees": 9},
    "RandomPosterize": {"bits": 4},
    "RandomResize": {"min_size": 7, "max_size": 9},
    "RandomRotation": {"degrees": 9},
    "RandomShortestSize": {"min_size": 8},
    "RandomSolarize": {"threshold": 0.5},
    "ScaleJitter": {"target_size": (8, 9)},
    "ToDtype": {"dtype": torch.float32},
    "JPEG": {"quality": 50},
    "Lambda": {"lambd": len},
    **{name: {"size": 8} for name in ("CenterCrop", "RandomCrop", "RandomResizedCrop", "Resize", "FiveCrop", "TenCrop")},
    **{
        name: {"transforms": Each(lambda lib: [lib.RandomInvert()], "")}
        for name in ("Compose", "RandomApply", "RandomChoice", "RandomOrder")
    },
}  # fmt: skip

LAMBDA_TYPES = "any: it sees images alone, and `targets=` says what becomes of the rest"

# Classes that no op is: what to do instead.
ABSENT = {
    "ClampBoundingBoxes": "boxes are clamped as `TargetOptions(clip=)` says",
    "ClampKeyPoints": "keypoints outside of the picture are marked as not seen",
    "ConvertBoundingBoxFormat": "boxes of every format are read, and come back in their own",
    "Identity": "`Policy([])` leaves images as they are",
    "LinearTransformation": "it mixes all pixels with all; apply it to the finished batch as a `Stage`",
    "SanitizeBoundingBoxes": "boxes are dropped as `TargetOptions(min_size=, min_area=, min_visible=)` says",
    "SanitizeKeyPoints": "keypoints outside of the picture are marked as not seen",
    "SetClampingMode": "boxes are clamped as `TargetOptions(clip=)` says",
    "ToPILImage": "an engine gives tensors; `torchvision.transforms.v2.functional.to_pil_image` turns one into a picture",
    "UniformTemporalSubsample": "choose the frames of a clip before: `clip[indices]`",
}  # fmt: skip


class Row(NamedTuple):
    """A line of the table."""

    op: str
    argument: str
    default: str
    meaning: str
    refused: str


def classes() -> list[str]:
    """torchvision's transforms."""
    found = (
        name
        for name, kind in inspect.getmembers(v2, inspect.isclass)
        if issubclass(kind, v2.Transform) and kind is not v2.Transform
    )
    return sorted(found)


def parameters(kind: Any) -> dict[str, inspect.Parameter]:
    """Those of a class that have a name, in order."""
    every = inspect.signature(kind).parameters
    return {n: p for n, p in every.items() if p.kind is not inspect.Parameter.VAR_POSITIONAL}


def made(library: Any, name: str, **arguments: Any) -> Any:
    """An object of a library's class with these arguments, and what must be given beside them."""
    given = {**NEEDED.get(name, {}), **arguments}
    if name == "Resize" and arguments.get("size", 8) is None:
        given["max_size"] = 20
    if name == "Normalize":
        given["std"] = [0.2] * len(given["mean"])
    given = {key: v.make(library) if isinstance(v, Each) else v for key, v in given.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(library, name)(**given)


def refusal(name: str, argument: str, value: Any) -> str:
    """Our error's text for a value; empty where it is taken."""
    try:
        made(ae, name, **BESIDE.get((name, argument), {}), **{argument: value})
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def same_default(name: str, argument: str) -> bool:
    """Whether leaving the argument out is to give torchvision's default."""
    theirs = parameters(getattr(v2, name))[argument].default
    if theirs is inspect.Parameter.empty:
        return True
    return not refusal(name, argument, theirs) and made(ae, name, **{argument: theirs}) == made(
        ae, name
    )


def shown(value: Any) -> str:
    if isinstance(value, Each):
        return value.text
    if isinstance(value, dict):
        entries = (f"{getattr(k, '__name__', repr(k))}: {shown(v)}" for k, v in value.items())
        factory = getattr(value, "default_factory", None)
        rest = [f"otherwise: {factory()}"] if factory else []
        return "{" + ", ".join([*entries, *rest]) + "}"
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    return getattr(value, "__name__", repr(value)) if callable(value) else repr(value)


def rows() -> Iterator[Row]:
    for name in classes():
        if name not in ops.__all__ and not hasattr(ae, name):
            yield Row(name, "–", "–", "no op", ABSENT[name])
            continue
        if name == "Lambda":
            yield Row(name, "*types", "all types", "no argument", LAMBDA_TYPES)
        names = parameters(getattr(v2, name))
        if not names:
            yield Row(name, "–", "–", "same", "nothing")
        for argument, parameter in names.items():
            tried = TRIED[name][argument]
            reasons: dict[str, list[str]] = {}
            for value in tried.values:
                if reason := refusal(name, argument, value):
                    # One reason for values that differ in what came alone.
                    reasons.setdefault(reason.partition("expected")[2] or reason, []).append(
                        shown(value)
                    )
            default = parameter.default
            said = "must be given" if default is parameter.empty else f"`{shown(default)}`"
            if not same_default(name, argument):
                said += f"; {tried.default}"
            yield Row(
                name,
                argument,
                said,
                f"other: {tried.other}" if tried.other else "same",
                "; ".join(
                    f"`{'`, `'.join(values)}`: expected{reason}"
                    for reason, values in reasons.items()
                )
                or "nothing",
            )


TEXT = """# Arguments, beside torchvision's

Written by `python docs/arguments.py` against torchvision {version}: every argument of every class of `torchvision.transforms.v2`. An op takes torchvision's arguments under its names and in its order; its own come after them, or by name. *Default* is torchvision's, and ours where it is another one. *Meaning* is the same, or says in what it differs. *Refused* has values that torchvision takes and the op does not, in the words of its error; "nothing" where it took all that were tried.

**Units.** A fill, a threshold, an erased value is in the units of the images that come: 0 … 255 for uint8, 0 … 1 for floats, 0 … 65535 for uint16, 0 … 32767 for int16. Behind `ToTensor`, `ConvertImageDtype` or `ToDtype(torch.float32, scale=True)` it is in [0, 1], and behind Normalize RandomErasing's is in normalised units. A fill, threshold or colour may be bytes as text, which mean the same for all images: `"#80"`, or `"#7b7568"` for red, green and blue. What no image of the dtype has is refused when the batch comes.

| op | argument | default | meaning | refused |
|---|---|---|---|---|
{rows}
"""


def page() -> str:
    lines = ("| " + " | ".join(part.replace("|", "\\|") for part in row) + " |" for row in rows())
    version = torchvision.__version__.partition("+")[0].rpartition(".")[0]
    return TEXT.format(version=version, rows="\n".join(lines))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"written to {PAGE}")
