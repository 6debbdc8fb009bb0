"""What is said of an image that cannot be decoded."""

from __future__ import annotations


class DecodeError(ValueError):
    """An encoded image is damaged, of no known format, or too large.

    Args:
        name: Name of the image: its path, or its place in the batch.
        reason: What is wrong with it, without a full stop; None: the name is the whole text.
        at: Places in the batch of all images that are so, the named one first; empty outside of one.

    Example:
        >>> try:
        ...     ae.Sources.of([b"no image"])
        ... except ae.DecodeError as error:
        ...     print(error.name, error.at)
        images[0] (0,)
    """

    def __init__(self, name: str, reason: str | None = None, at: tuple[int, ...] = ()) -> None:
        # torch raises a worker's error anew, of its text alone.
        super().__init__(
            name
            if reason is None
            else f"{name}: {reason}, expected an image that can be decoded. Write it anew, or leave it out."
        )
        self.name, self.reason, self.at = name, reason or "", at

    def __reduce__(self) -> tuple:
        return type(self), (self.name, self.reason or None, self.at)
