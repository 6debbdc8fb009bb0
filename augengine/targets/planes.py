"""Pictures of whole numbers, such as masks: as users have them, and as planes of bytes to be drawn by the
nearest pixel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ..aliases import DecodedImages, Executor, Image
from ..checks import shown
from ..kernels import Sources, execute
from ..plan import Finish, Plan
from ..plan.fields import no_curves
from .owners import owned_layers
from .read import check_count, sample_name

WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.bool)
PIL_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B", "I;16N")


# Numbers of so many bytes, which are read as they lie.
_OF_BYTES = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class Pictures(NamedTuple):
    """B pictures of one dtype and device, checked."""

    parts: tuple[torch.Tensor, ...]  # one (B, H, W), or B of (H, W)
    dense: bool
    channel: bool  # whether they came with a leading 1
    like: type[torch.Tensor]  # what they are: tensors, or torchvision's Mask

    @property
    def dtype(self) -> torch.dtype:
        return self.parts[0].dtype


def read_pictures(where: str, plan: Plan, given: DecodedImages) -> Pictures:
    """Pictures of all sources, with the sample named where something is wrong."""
    if isinstance(given, (torch.Tensor, np.ndarray)):
        whole = read_tensor(where, "the batch", given)
        channel = whole.ndim == 4
        if whole.ndim not in (3, 4) or (channel and whole.shape[1] != 1):
            raise ValueError(
                f"{where}: got a batch of shape {tuple(whole.shape)}, expected (B, H, W) or (B, 1, H, W). "
                "Pass one class number for each pixel; of one picture [picture]."
            )
        whole = whole[:, 0] if channel else whole
        check_count(where, plan, whole)
        _check_dtype(where, "the batch", whole)
        for b in range(len(whole)):
            check_size(where, plan, b, whole.shape[1:])
        return Pictures((whole,), True, channel, kind_of([given]))
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        fix = "Pass [picture]" if hasattr(given, "mode") else "Pass one of these"
        raise TypeError(
            f"{where}: got {type(given).__name__}, expected a tensor, an array or a list of them, or of PIL "
            f"images, one for each source. {fix}."
        )
    check_count(where, plan, given)
    parts: list[torch.Tensor] = []
    came: list[tuple[int, ...]] = []  # their shapes
    for b, one in enumerate(given):
        name = sample_name(plan, b)
        part = read_tensor(where, name, one)
        if part.ndim not in (2, 3) or (part.ndim == 3 and part.shape[0] != 1):
            raise ValueError(
                f"{where}: got shape {tuple(part.shape)} for {name}, expected (H, W) or (1, H, W). Pass one "
                "class number for each pixel."
            )
        came.append(tuple(part.shape))
        part = part.reshape(part.shape[-2:]) if part.ndim == 2 else part[0]
        _check_dtype(where, name, part)
        check_size(where, plan, b, part.shape)
        first = parts[0] if parts else part
        if len(came[0]) != len(came[b]) or part.dtype != first.dtype:
            raise ValueError(
                f"{where}: got {part.dtype} {came[b]} for {name}, and {first.dtype} {came[0]} for "
                f"{sample_name(plan, 0)}, expected one dtype and number of dimensions for all. Convert them "
                "first."
            )
        if part.device != first.device:
            raise ValueError(
                f"{where}: {name} is on {part.device}, {sample_name(plan, 0)} on {first.device}, expected "
                "one device for all. Move them first."
            )
        parts.append(part)
    return Pictures(tuple(parts), False, len(came[0]) == 3, kind_of(given))


def read_tensor(where: str, name: str, given: Image) -> torch.Tensor:
    """A tensor, an array or a PIL image of numbers as a tensor, without a copy where torch takes it."""
    if isinstance(given, torch.Tensor):
        return given.detach().as_subclass(torch.Tensor)
    mode = getattr(given, "mode", None)
    if mode is not None and mode not in PIL_MODES:
        raise TypeError(
            f"{where}: got a PIL image of mode {mode!r} for {name}, expected a mode of whole numbers: "
            f"{', '.join(PIL_MODES[:5])}. Turn colours into class numbers first."
        )
    if mode is None and not isinstance(given, np.ndarray):
        raise TypeError(
            f"{where}: got {type(given).__name__} for {name}, expected a tensor, an array or a PIL image. "
            "Pass one of these."
        )
    array = np.asarray(given)
    if array.dtype.kind not in "buif" or array.dtype.name in ("uint32", "uint64", "float128"):
        raise TypeError(
            f"{where}: got an array of {array.dtype} for {name}, expected whole numbers of up to 64 bits, "
            "with a sign or of at most 16 bits. Convert it, such as array.astype(np.int64)."
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    flags = array.flags
    if min(array.strides, default=0) < 0 or not (flags.writeable and flags.aligned):
        array = array.copy()  # torch takes neither negative strides nor read-only memory
    return torch.from_numpy(array)


def kind_of(given: Sequence) -> type[torch.Tensor]:
    """torchvision's Mask, where all are; torchvision itself is not imported."""
    kinds = {type(one) for one in given}
    kind = kinds.pop() if kinds else torch.Tensor
    is_mask = kind.__name__ == "Mask" and kind.__module__.startswith("torchvision.tv_tensors")
    return kind if is_mask and not kinds else torch.Tensor


def _check_dtype(where: str, name: str, part: torch.Tensor) -> None:
    if part.dtype.is_floating_point:
        raise TypeError(
            f"{where}: got {part.dtype} for {name}, expected whole numbers or bool. Pass class numbers, "
            "such as mask.long(); what is measured, such as depth, goes to ae.maps."
        )
    if part.dtype not in WHOLE:
        names = ", ".join(str(dtype).removeprefix("torch.") for dtype in WHOLE)
        raise TypeError(
            f"{where}: got {part.dtype} for {name}, expected one of {names}. Convert them, such as "
            "mask.to(torch.int64)."
        )


def check_size(where: str, plan: Plan, b: int, size: Sequence[int]) -> None:
    """Raise unless it is that of source b."""
    height, width = plan.sizes[b].tolist()
    if tuple(size) != (height, width):
        raise ValueError(
            f"{where}: got {size[0]}×{size[1]} for {sample_name(plan, b)}, whose image is "
            f"{height}×{width}, expected its size. Pass what belongs to the image as it came."
        )


def whole_fill(where: str, fill: object, dtype: torch.dtype) -> int:
    """The fill, if the dtype has it."""
    info = None if dtype == torch.bool else torch.iinfo(dtype)
    low, high = (0, 1) if info is None else (info.min, info.max)
    if info is None and isinstance(fill, (bool, np.bool_)):
        return int(fill)
    is_whole = hasattr(fill, "__index__") and not isinstance(fill, (bool, np.bool_))
    try:
        value = int(fill.__index__()) if is_whole else None  # type: ignore[attr-defined]
    except TypeError:  # an array
        value = None
    if value is None or not low <= value <= high:
        raise (TypeError if value is None else ValueError)(
            f"{where}.fill: got {shown(fill)}, expected a whole number in [{low}, {high}], the range of "
            f"{dtype}. Pass one of them, or pictures of a dtype that has it."
        )
    return value


class Planes(NamedTuple):
    """Whole numbers as bytes: number = low + Σ byte c · 256^c."""

    sources: Sources  # of C channels
    fill: list[int]  # the C bytes outside of the images
    low: int


def planes_of(pictures: Pictures, sizes: np.ndarray, fill: int) -> Planes:
    """As few planes of bytes as the numbers and the fill need."""
    parts, low, count = pictures.parts, 0, 1
    if pictures.dtype in (torch.bool, torch.uint8, torch.int8):
        fill &= 255
        parts = tuple(part.view(torch.uint8)[..., None] for part in parts)
    else:
        if pictures.dtype == torch.uint16:
            parts = tuple(part.to(torch.int32) for part in parts)
        ranges = torch.stack([torch.stack(part.aminmax()) for part in parts])
        lowest, highest = min(int(ranges.min()), fill), max(int(ranges.max()), fill)
        least = 0 if lowest >= 0 else lowest
        low = lowest if bytes_of(highest - lowest) < bytes_of(highest - least) else least
        count = bytes_of(highest - low)
        parts = tuple(_low_bytes(part, low, count) for part in parts)
    dense = parts[0] if pictures.dense else None
    ragged = () if pictures.dense else parts
    numbers = [(fill - low) >> 8 * c & 255 for c in range(count)]
    return Planes(Sources(dense, ragged, np.asarray(sizes, np.int32)), numbers, low)


def bytes_of(number: int) -> int:
    """How many bytes a number takes."""
    return max(1, -(-number.bit_length() // 8))


def _low_bytes(part: torch.Tensor, low: int, count: int) -> torch.Tensor:
    """(…, H, W, count) the low bytes of numbers above `low`, lowest first."""
    if low:
        part = part - low  # modulo 2^bits
    if part.stride(-1) != 1:
        part = torch.empty(part.shape, dtype=part.dtype, device=part.device).copy_(part)
    return part.view(torch.uint8).view(*part.shape, part.element_size())[..., :count]


def drawn_planes(
    plan: Plan,
    planes: Planes,
    executor: Executor | None,
    layers: tuple[np.ndarray, np.ndarray] | None = None,
) -> torch.Tensor:
    """(N, H, W, C) uint8: each plane by the nearest pixel, of each pixel that of its owner. layers: as
    `owned_layers` has them, where they are known."""
    views, count = len(plan.source), len(planes.fill)
    view, box = owned_layers(plan) if layers is None else layers
    fill = np.array(planes.fill, np.float32) / np.float32(255)
    bare: dict[str, Any] = {
        "finish": Finish(plan.finish.size, count, dtype="uint8", channels_last=True),
        "support": np.zeros_like(plan.support),
        "slope": np.zeros_like(plan.slope),
        "fill": np.tile(fill, (views, 1)),
        "step_kind": plan.step_kind[:, :0],
        "step_arg": plan.step_arg[:, :0],
        "statistic": plan.statistic[:, :0],
        "window": plan.window[:, :0],
        "curves": no_curves(count),
        "fill_start": np.zeros(views, np.int16),
        "filter": np.zeros_like(plan.filter),
        "view": view,
        "box": box,
        "alpha": np.ones(view.shape, np.float32),
        "weight": np.zeros(view.shape, np.float32),
        "colour": np.tile(fill, (*view.shape, 1)),
    }
    drawn = execute(dataclasses.replace(plan, **bare), planes.sources, executor=executor)
    return drawn.permute(0, 2, 3, 1)


def numbers_of(drawn: torch.Tensor, low: int, dtype: torch.dtype) -> torch.Tensor:
    """(N, H, W) of the dtype, from planes (N, H, W, C)."""
    if dtype in (torch.bool, torch.uint8, torch.int8):
        return drawn[..., 0].contiguous().view(dtype)
    wide, count = torch.int32 if dtype == torch.uint16 else dtype, drawn.shape[-1]
    if count in _OF_BYTES:
        numbers = drawn.contiguous().view(_OF_BYTES[count])[..., 0].to(wide)
        if count < wide.itemsize:
            numbers &= (1 << 8 * count) - 1
    else:
        numbers = drawn[..., 0].to(wide)
        for c in range(1, count):
            numbers |= drawn[..., c].to(wide) << 8 * c
    if low:
        numbers += low
    return numbers.to(dtype)
