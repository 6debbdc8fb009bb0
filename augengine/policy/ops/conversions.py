"""torchvision's conversions, which a policy need not have: they say in which units later ops are written.

Images may come as arrays, PIL images or tensors, and an engine's dtype is that of what it gives. So
these ops change no pixel. Behind one that makes floats, fills, thresholds and values are in [0, 1].
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import torch

from ...checks import shown
from ..units import LARGEST, is_float
from .arguments import Custom, kept
from .op import FINISHED, VIEW, Op


def _dtype(where: str, value: Any) -> str | None:
    """The name of a dtype; of torchvision's dtypes by type that of images. None leaves them."""
    if isinstance(value, Mapping):
        by_name = {getattr(kind, "__name__", kind): dtype for kind, dtype in value.items()}
        made = value.default_factory if isinstance(value, defaultdict) else None
        others = by_name.get("others", made() if made is not None else None)
        value = by_name.get("Image", by_name.get("Tensor", others))
    if value is None:
        return None
    name = str(value).removeprefix("torch.")
    if name not in LARGEST or not isinstance(value, (str, torch.dtype)):
        raise ValueError(
            f"{where}: got {shown(value)}, expected the dtype of images, one of {', '.join(LARGEST)}, since "
            "others have no range. Leave the conversion out, and convert what the engine gives."
        )
    return name


_DType = Annotated[
    torch.dtype | str | Mapping[type | str, torch.dtype | None] | None,
    Custom(_dtype, "torch's dtype of images, or its name"),
]


@dataclass(frozen=True, repr=False)
class _Conversion(Op):
    """What conversions share: they stand anywhere, and happen to all images."""

    stages = (FINISHED, VIEW)  # anywhere: see check_order

    @property
    def converts_to(self) -> str | None:
        """The dtype whose units later ops are written in; None changes nothing."""
        return None

    def _decide(self, draft, rows, place):
        dtype = self.converts_to
        if dtype is None or dtype == draft.image_dtype:
            return
        name = type(self).__name__
        if draft.mean and not is_float(dtype):
            raise ValueError(
                f"{name}: got {dtype} after Normalize, expected floats there, since normalised values are no "
                f"{dtype}. Put it in front of Normalize, or leave it out."
            )
        if not getattr(self, "scale", True) and LARGEST[dtype] != draft.largest:
            raise ValueError(
                f"{name}: got {dtype} of {draft.image_dtype} with scale=False, expected scale=True, since "
                f"values up to {draft.largest:g} would leave the range of {dtype}. Pass scale=True."
            )
        draft.image_dtype = dtype


@dataclass(frozen=True, repr=False)
class ToImage(_Conversion):
    """torchvision's ToImage, which says nothing here: an engine takes PIL images, arrays and tensors.

    Example:
        >>> ae.Policy([ae.ToImage(), ae.Resize((8, 8))]).sample([0], [(32, 32)]).explain(0)
        'resized to 8×8'
    """


@dataclass(frozen=True, repr=False)
class PILToTensor(_Conversion):
    """torchvision's PILToTensor, which says nothing here: an engine takes PIL images as they are.

    Example:
        >>> ae.Policy([ae.PILToTensor(), ae.Resize((8, 8))]).sample([0], [(32, 32)]).explain(0)
        'resized to 8×8'
    """


@dataclass(frozen=True, repr=False)
class ToPureTensor(_Conversion):
    """torchvision's ToPureTensor, which says nothing here: an engine gives plain tensors.

    Example:
        >>> ae.Policy([ae.Resize((8, 8)), ae.ToPureTensor()]).sample([0], [(32, 32)]).explain(0)
        'resized to 8×8'
    """


@dataclass(frozen=True, repr=False)
class ToTensor(_Conversion):
    """torchvision's ToTensor: fills, thresholds and values of later ops are in [0, 1]. The engine's dtype
    says what it gives.

    Example:
        >>> policy = ae.Policy([ae.ToTensor(), ae.RandomCrop(40, padding=4, fill=0.5)])
        >>> policy.sample([0], [(32, 32)]).fill[0]
        array([0.5, 0.5, 0.5], dtype=float32)
    """

    @property
    def converts_to(self) -> str | None:
        return "float32"


@dataclass(frozen=True, repr=False)
class ToDtype(_Conversion):
    """torchvision's ToDtype: fills, thresholds and values of later ops are in the units of that dtype. The
    engine's dtype says what it gives; masks keep their own.

    Args:
        dtype: Dtype of images, or its name: floats, uint8, uint16, int16 or bool. Of dtypes by type that of
            images is taken; None changes nothing.
        scale: Whether values are scaled with the range. Without it the range must stay.

    Raises:
        ValueError: The dtype is none of images; when it is sampled: the range would change without
            scale=True.

    Example:
        >>> to_floats = ae.ToDtype(torch.float32, scale=True)
        >>> policy = ae.Policy([to_floats, ae.RandomCrop(40, padding=4, fill=0.5)])
        >>> policy.sample([0], [(32, 32)]).fill[0]
        array([0.5, 0.5, 0.5], dtype=float32)
    """

    dtype: _DType
    scale: bool = False

    @property
    def converts_to(self) -> str | None:
        return kept(self.dtype)


@dataclass(frozen=True, repr=False)
class ConvertImageDtype(_Conversion):
    """torchvision's ConvertImageDtype: `ToDtype` with scale=True.

    Args:
        dtype: Dtype of images, or its name: floats, uint8, uint16, int16 or bool.

    Raises:
        ValueError: The dtype is none of images.

    Example:
        >>> ae.Policy([ae.ConvertImageDtype(), ae.RandomSolarize(0.5, p=1)]).sample(
        ...     [0], [(32, 32)]).explain(0)
        'solarized from 127.5'
    """

    dtype: Annotated[torch.dtype | str, Custom(_dtype, "torch's dtype of images, or its name")] = (
        torch.float32
    )

    @property
    def converts_to(self) -> str | None:
        return kept(self.dtype)
