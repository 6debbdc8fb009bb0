"""An albumentations pipeline, or what its to_dict wrote, as a policy. `albumentations_steps` says what each
step is in ops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..checks import shown
from ..policy.ops.op import Op
from ..policy.policy import Policy
from .albumentations_steps import RESIZING, Reader, Step, step_of
from .reading import read

VERSION = "2."
ADVICE = "Leave it out, or call it on the finished images by an ae.Stage(function, each=True) at the end."
SEQUENCES = ("Compose", "ReplayCompose", "Sequential")


def from_albumentations(
    transform: Mapping[str, object] | Sequence[object] | Callable[..., object],
) -> Policy:
    """The policy that does what an albumentations pipeline does, of version 2.

    Images are taken to be bytes until ToFloat or Normalize. What becomes of boxes, masks and keypoints is
    said by `TargetOptions`, and not by bbox_params. One UserWarning names the steps whose meaning is near
    and not the same. The policy differs from the pipeline in this as well:

    - A view is sampled once, with one interpolation. Where steps ask for others, that of the resizing
      step holds. OpenCV samples in steps of 1/32 of a pixel, which is up to some levels of 255.
    - What the pipeline does to bytes is rounded after every step there, and once here.
    - SmallestMaxSize and LongestMaxSize round the other edge, which is cut down to an int here.
    - Of an odd margin that CenterCrop cuts, its half is rounded down there and to the even number here.
    - A GaussianBlur without a size reaches 3.5 sigma there and four here.

    Args:
        transform: Compose, a list of transforms, one transform, or the dict that to_dict wrote, which
            may come from JSON or YAML.

    Returns:
        The policy.

    Raises:
        ValueError: When no op does what a step does, for steps that disagree on the fill or the border,
            and for a dict of another version.
        TypeError: When `transform` is none of these.

    Example:
        >>> flip = {"__class_fullname__": "HorizontalFlip", "p": 0.3}
        >>> invert = {"__class_fullname__": "InvertImg", "p": 0.1}
        >>> ae.from_albumentations({"__version__": "2.0.8", "transform": flip})
        Policy([
            RandomHorizontalFlip(p=0.3),
        ])
        >>> ae.from_albumentations([flip, invert]).transforms[1]
        RandomInvert(p=0.1)
    """
    pipeline: object = transform
    if isinstance(transform, Mapping) and "transform" in transform:
        version = str(transform.get("__version__", VERSION))
        if not version.startswith(VERSION):
            raise ValueError(
                f"from_albumentations: got what version {version} wrote, expected version 2, whose arguments "
                "have other names. Load it there, and write it anew."
            )
        pipeline = transform["transform"]
    return read(
        "from_albumentations",
        list(_leaves("", pipeline)),
        Reader(),
        RESIZING,
        advice=ADVICE,
        stacklevel=3,
    )


def _leaves(label: str, transform: object) -> Iterator[Step]:
    """The steps in order, with sequences that always happen opened."""
    if isinstance(transform, (list, tuple)):
        for k, child in enumerate(transform):
            yield from _leaves(f"{label}.{k}".removeprefix("."), child)
        return
    is_step = isinstance(transform, Mapping) and "__class_fullname__" in transform
    if not is_step and (isinstance(transform, (str, Mapping, Op)) or not callable(transform)):
        raise TypeError(
            f"from_albumentations: step {label or 0} is {shown(transform)}, expected a transform. Pass a "
            "Compose of albumentations', a list of its transforms, or what to_dict wrote."
        )
    step = step_of(label, transform)
    if step.name in SEQUENCES and step.p == 1:
        for k, child in enumerate(step["transforms"]):
            yield from _leaves(f"{label}.{k}".removeprefix("."), child)
    else:
        yield step
