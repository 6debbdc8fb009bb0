"""What is done to every output last: size, normalisation, dtype and layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .kinds import DTYPES


@dataclass(frozen=True)
class Finish:
    """What is done to every output last: size, (x − mean) / std, dtype, layout.

    Args:
        size: Pixels (height, width), 1 or more.
        channels: Number of channels, 1 or more.
        mean: One number a channel, or none for no normalisation.
        std: One number above 0 a channel, or none.
        dtype: Name of the dtype, 'float32', 'float16', 'bfloat16' or 'uint8' (no mean and std).
        channels_last: Whether memory lies as NHWC, behind the shape (N, C, H, W).

    Raises:
        ValueError: A number is outside its range, or not one for each channel.

    Example:
        >>> ae.Finish((224, 224)).channels
        3
    """

    size: tuple[int, int]
    channels: int = 3
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    dtype: str = "float32"
    channels_last: bool = False

    def __post_init__(self) -> None:
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

    def gain_offset(self) -> tuple[np.ndarray, np.ndarray]:
        """Gain and offset, float32 [C] each: normalised = value · gain + offset, formed in float64."""
        mean = np.asarray(self.mean or [0.0] * self.channels, np.float64)
        std = np.asarray(self.std or [1.0] * self.channels, np.float64)
        return (1 / std).astype(np.float32), (-mean / std).astype(np.float32)
