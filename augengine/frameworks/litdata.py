"""litdata's streams: samples that carry their number in the whole dataset, and the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litdata import StreamingDataset

from ..loading.keys import Key


class KeyedStreamingDataset(StreamingDataset):
    """A StreamingDataset whose samples have keys: (image, label) becomes (image, label, key), and a dict
    gets the field "id".

    The key is the sample's number in the dataset and the epoch that a StreamingDataLoader counts and
    saves. So any number of workers, and a run that is resumed within an epoch, give the same bits. Under
    another loader, which tells the dataset no epoch, samples carry their number alone.

    Example:
        >>> import litdata, tempfile
        >>> from augengine.frameworks.litdata import KeyedStreamingDataset
        >>> folder = tempfile.mkdtemp()
        >>> cache = litdata.streaming.Cache(folder, chunk_size=4)
        >>> for label in range(4):
        ...     cache[label] = {"image": np.zeros((40, 48, 3), np.uint8), "label": label}
        >>> cache.done(), cache.merge()
        (..., None)
        >>> KeyedStreamingDataset(folder)[2]["id"]
        2
    """

    _has_epoch = False

    def set_epoch(self, current_epoch: int) -> None:
        """Name the epoch, as a StreamingDataLoader does before each pass.

        Args:
            current_epoch: Whole number, 0 or more.
        """
        super().set_epoch(current_epoch)
        self._has_epoch = True

    def __getitem__(self, index: Any) -> Any:
        sample = super().__getitem__(index)
        number = int(getattr(index, "index", index))
        id = Key(number, self.current_epoch) if self._has_epoch else number
        if isinstance(sample, Mapping):
            return {**sample, "id": id}
        if isinstance(sample, (tuple, list)) and len(sample) == 2:
            return *sample, id
        raise TypeError(
            f"KeyedStreamingDataset: got a sample of type {type(sample).__name__}, expected a dict or "
            "(image, label). Write the dataset with samples of such a form."
        )
