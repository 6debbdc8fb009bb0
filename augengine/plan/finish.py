"""What is done to every output last: size, normalisation, dtype and layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .kinds import DTYPES


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
