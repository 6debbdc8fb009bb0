"""What is done to every output last: size, normalisation, dtype and layout."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np

from .kinds import DTYPES, MOST_SIDE

MOST_CHANNELS = 2**15  # as many programs does a GPU start along one axis
# Of means and deviations: what they make of a value is then finite in float32.
MOST_MEAN = 2.0**30


@dataclass(frozen=True)
class Finish:
    """What is done to every output last: size, (x − mean) / std, dtype, layout.

    Args:
        size: Pixels (height, width), each in 1 … 2²³.
        channels: Number of channels, in 1 … 32,768.
        mean: One number in ±2³⁰ a channel, or none for no normalisation.
        std: One number in [2⁻³⁰, 2³⁰] a channel, or none.
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
        numbers = (*self.size, self.channels)
        limits = (MOST_SIDE, MOST_SIDE, MOST_CHANNELS)
        if len(numbers) != 3 or not all(
            type(n) is int and 1 <= n <= most for n, most in zip(numbers, limits, strict=True)
        ):
            raise ValueError(
                f"Finish: got size {self.size!r:.80} and {self.channels!r:.80} channels, expected two whole "
                f"numbers in 1 … {MOST_SIDE} and one in 1 … {MOST_CHANNELS}. Pass size=(height, width)."
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            fits = len(values) in (0, self.channels) and all(isinstance(v, Real) for v in values)
            low, high = (1 / MOST_MEAN, MOST_MEAN) if name == "std" else (-MOST_MEAN, MOST_MEAN)
            if not fits or not all(low <= value <= high for value in values):
                raise ValueError(
                    f"Finish.{name}: got {values!r:.80}, expected {self.channels} numbers in [{low:g}, "
                    f"{high:g}], or none. Pass one for each channel."
                )
        if self.dtype not in DTYPES or (self.dtype == "uint8" and (self.mean or self.std)):
            raise ValueError(
                f"Finish: got dtype {self.dtype!r:.80}, expected one of {', '.join(DTYPES)}, and no mean "
                "and std with uint8. Pass dtype='float32'."
            )

    def gain_offset(self) -> tuple[np.ndarray, np.ndarray]:
        """Gain and offset, float32 [C] each: normalised = value · gain + offset, formed in float64."""
        mean = np.asarray(self.mean or [0.0] * self.channels, np.float64)
        std = np.asarray(self.std or [1.0] * self.channels, np.float64)
        return (1 / std).astype(np.float32), (-mean / std).astype(np.float32)
