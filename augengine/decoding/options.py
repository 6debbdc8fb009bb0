"""How encoded images are decoded: `DecodeOptions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..checks import whole_number

Decode: TypeAlias = Literal["scaled", "exact"]
Mode: TypeAlias = Literal["RGB", "L"]


@dataclass(frozen=True)
class DecodeOptions:
    """How encoded images are decoded.

    Args:
        decode: 'scaled' decodes what the plan looks at, and a JPEG as finely as it needs; 'exact' decodes
            all of it, and gives the pixels of decoding first, to the bit.
        mode: 'RGB', or 'L' for grey, to which other colours are converted.
        corrupt: 'raise' or 'skip': what `Collate` and `pack` do with an image that cannot be decoded.
            A skipped sample is left out of the batch, counted, and named in a warning, once.
        threads: Number of threads that decode; None is torch's number, which is 1 in a worker.

    Raises:
        ValueError: An option is none of these.

    Example:
        >>> engine = ae.Engine(ae.RandomResizedCrop(32), decode=ae.DecodeOptions("exact", mode="L"))
        >>> engine.decode.mode
        'L'
    """

    decode: Decode = "scaled"
    mode: Mode = "RGB"
    corrupt: Literal["raise", "skip"] = "raise"
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, known in _KNOWN.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"DecodeOptions: got {name}={getattr(self, name)!r:.40}, expected "
                    f"{' or '.join(map(repr, known))}. Pass one of these."
                )
        if self.threads is not None:
            threads = whole_number("DecodeOptions: threads", self.threads, 1, 1024)
            object.__setattr__(self, "threads", threads)

    @classmethod
    def of(cls, where: str, decode: DecodeOptions | Decode | None) -> DecodeOptions:
        """Options as they are, or those of a word.

        Args:
            where: Name of what the user called, for messages.
            decode: Options, 'scaled' or 'exact'; None is the default.

        Raises:
            ValueError: It is another word.
        """
        if decode is None:
            return cls()
        if isinstance(decode, cls):
            return decode
        if decode not in _KNOWN["decode"]:
            raise ValueError(
                f"{where}: got decode={decode!r:.40}, expected 'scaled', 'exact' or DecodeOptions. Pass one "
                "of these."
            )
        return cls(decode)

    @property
    def channels(self) -> int:
        """C of the decoded images."""
        return 3 if self.mode == "RGB" else 1


_KNOWN = {"decode": ("scaled", "exact"), "mode": ("RGB", "L"), "corrupt": ("raise", "skip")}
