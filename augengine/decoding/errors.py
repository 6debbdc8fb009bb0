"""What is said of an image that cannot be decoded."""

from __future__ import annotations


class DecodeError(ValueError):
    """An encoded image is damaged, of no known format, or too large.

    Args:
        name: Name of the image: its path, or its place in the batch.
        reason: What is wrong with it, without a full stop.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"{name}: {reason}, expected an image that can be decoded. Write it anew, or leave it out."
        )
        self.name, self.reason = name, reason

    def __reduce__(self) -> tuple:
        return type(self), (self.name, self.reason)
