"""timm's augmentation as ours: its strings, its transforms, the arguments of its create_transform, and
its Mixup. `timm_strings` reads the first, `timm_steps` says what each transform is."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any, overload

from ..checks import shown, whole
from ..policy.ops.op import Op
from ..policy.policy import Policy
from .from_torchvision import read_pipeline
from .timm_steps import TIMM_CONVERSIONS
from .timm_strings import Colour, read_string
from .torchvision_steps import NoOpForStep, Reader, Step

Transform = Callable[..., object]


@overload
def from_timm(config: str, *, image_mean: Colour | None = None) -> Op: ...
@overload
def from_timm(
    config: int | Sequence[int] | None = None,
    *,
    image_mean: None = None,
    unfused: bool = False,
    **arguments: object,
) -> Policy: ...
@overload
def from_timm(config: Transform | Sequence[object], *, unfused: bool = False) -> Policy | Op: ...
def from_timm(
    config: str | int | Sequence[object] | Transform | None = None,
    *,
    image_mean: Colour | None = None,
    unfused: bool = False,
    **arguments: object,
) -> Policy | Op:
    """What timm's augmentation does, in timm's dialect and with its defaults: an op for one of its
    strings and for its Mixup, a policy for the rest.

    Strings have the grammar and the defaults of timm.data.auto_augment (timm 1.0). As timm, they cut a
    magnitude to mmax, 10 by default. The op differs from the string in this:

    - timm adds the noise of mstd before it cuts. An op says that where the noise does not matter: four
      deviations above mmax or more.
    - A section that timm passes over in silence, such as "inc" without a number, is an error here.
    - timm's AugMix translates by 0.3 of the size, as in timm's create_transform; timm's bare strings
      translate by 0.45.

    A policy differs from the transforms in what `from_torchvision` names, and in this:

    - ResizeKeepRatio rounds the longer edge, which is cut down to an int here.
    - With use_prefetcher=True timm's loader normalises and erases; the policy then ends without.

    Mixup blends a batch with itself turned around; here with what stands before, or in mode "elem" with
    any other sample. Its num_classes and label_smoothing belong to `Engine`: one UserWarning says so
    where labels are smoothed, and one where its mode is "pair".

    Args:
        config: Text "rand-…", "augmix-…", "3a", or "original", "originalr", "v0", "v0r", each of the
            four perhaps with "-mstd…"; or transforms, such as what timm's create_transform returns; or a
            Mixup; or the input_size of create_transform, an int, (height, width) or (channels, height,
            width).
        image_mean: Fill of a string's op, (r, g, b) or one number, in [0, 255]; None is timm's grey,
            128. timm's create_transform passes the mean of its images, in bytes.
        unfused: Whether the first transform that no op does is kept, with all after it, as a `Stage`.
        arguments: Arguments of the installed timm's create_transform, by their names.

    Returns:
        A RandAugment, AugMix, ThreeAugment or AutoAugment for a string; a MixUp, CutMix or
        MixUpOrCutMix for a Mixup; otherwise the policy.

    Raises:
        ValueError: When timm does not know the string either, for its blended AugMix, for mstd
            where the op has none, and for a transform that no op does.
        TypeError: When `config` is none of these, or an argument is not create_transform's.
        ImportError: When create_transform is asked for, and timm is not installed.

    Example:
        >>> op = ae.from_timm("rand-m9-n3-mstd0.5-inc1")
        >>> type(op).__name__, op.num_ops, op.magnitude_std
        ('RandAugment', 3, 0.5)
        >>> policy = ae.from_timm(32, is_training=True, auto_augment="3a", color_jitter=0.3)
        >>> [type(op).__name__ for op in policy.transforms]
        ['RandomResizedCrop', 'RandomHorizontalFlip', 'ThreeAugment', 'ColorJitter', 'Normalize']
        >>> policy.sample(ids=range(4), sizes=[(60, 80)] * 4).shape
        (4, 3, 32, 32)
    """
    if isinstance(config, str):
        if arguments or unfused:
            raise _unexpected(next(iter(arguments), "unfused"), ["image_mean"])
        return read_string(config, image_mean)
    if image_mean is not None:
        raise TypeError(
            "from_timm: got image_mean without a string, expected it with one, since transforms have "
            "fills of their own. Leave it out."
        )
    sizes = isinstance(config, (list, tuple)) and bool(config) and all(map(whole, config))
    if config is None or whole(config) or sizes:
        transforms = _create_transform(config, arguments)
    elif arguments:
        raise _unexpected(next(iter(arguments)), ["unfused"])
    else:
        transforms = config
    if Step("", transforms).name in ("timm.Mixup", "timm.FastCollateMixup"):
        return _mix(Step("", transforms))
    if not callable(transforms) and not isinstance(transforms, (list, tuple)):
        raise TypeError(
            f"from_timm: got {shown(config)}, expected a string, transforms, a Mixup or a size. Pass one, "
            "like 'rand-m9-mstd0.5-inc1'."
        )
    return read_pipeline("from_timm", transforms, unfused)


def _create_transform(size: Any, arguments: dict[str, object]) -> object:
    """What timm makes of a size and arguments."""
    try:
        from timm.data import create_transform
    except ImportError as error:
        raise ImportError(
            "from_timm: got arguments of timm's create_transform, and timm is not installed, expected it. "
            "Run pip install timm."
        ) from error
    known = [*inspect.signature(create_transform).parameters]
    for name in arguments:
        if name not in known:
            raise _unexpected(name, known)
    if size is None and "input_size" not in arguments:
        raise TypeError(
            "from_timm: got no size, expected one. Pass it first, as from_timm(224, is_training=True)."
        )
    return create_transform(**{"input_size": size, **arguments})


def _unexpected(name: str, known: list[str]) -> TypeError:
    (nearest,) = difflib.get_close_matches(name, known, 1, 0)
    return TypeError(
        f"from_timm: got the keyword {name!r}, expected some of {', '.join(known)}. The nearest is "
        f"{nearest!r}."
    )


def _mix(step: Step) -> Op:
    """The op of a Mixup."""
    reader = Reader(floats=True)
    try:
        (op,) = TIMM_CONVERSIONS[step.name](reader, step)
    except NoOpForStep as problem:
        raise ValueError(
            f"from_timm: {problem}, expected what an op can say. Leave that out."
        ) from problem
    if reader.differences:
        warnings.warn(
            f"from_timm: {' '.join(f'{said}.' for said in reader.differences)}", stacklevel=3
        )
    return op
