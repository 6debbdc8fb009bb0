"""Every image decoded once, in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from ..aliases import Encoded
from ..checks import whole_number
from ..decoding import DecodeError, Header, decode, is_encoded, read_header
from ..decoding.files import bytes_of, name_of
from ..loading.samples import Sample
from ..systems import cores
from .report import ImageReport

MOST_THREADS = 1024


class Samples(Protocol):
    """A map-style dataset of tuples or dicts."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Sample: ...


def check_images(
    dataset: Samples,
    *,
    image: str = "image",
    id: str = "id",
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> ImageReport:
    """Decode every image of a dataset once: which are damaged, and what the others are like.

    Nothing is changed or deleted. A damaged image is one that would end a training that meets it.

    Args:
        dataset: Map-style dataset of tuples (image, label, id), such as `Folder`, or of dicts; an image is the
            bytes of its file, its path, or {'bytes': …, 'path': …}, as Hugging Face has it. An id that is
            text names an image in the report; without one its path does, or its index.
        image: Name of the image's field, for samples that are dicts.
        id: Name of the id's field; samples may lack it.
        threads: Number of threads, 1 … 1024; None is one for each core.
        progress: Function that is called with the number of images done, after each.

    Returns:
        The report, which prints as text.

    Raises:
        TypeError: A sample's image is neither bytes nor a path.
        OSError: A file cannot be read.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> Image.new("RGB", (40, 30)).save(file := io.BytesIO(), "JPEG")
        >>> whole, torn = file.getvalue(), file.getvalue()[:-200]
        >>> report = ae.check_images([(whole, 0, "whole"), (torn, 0, "torn")])
        >>> report.count, [name for name, _ in report.damaged]
        (2, ['torn'])
    """
    if threads is None:
        threads = cores()
    threads = whole_number("check_images: threads", threads, 1, MOST_THREADS)
    names: list[str] = []
    found: list[Header | str] = []
    for name, header in _in_threads(dataset, image, id, threads):
        names.append(name)
        found.append(header)
        if progress is not None:
            progress(len(found))
    return ImageReport.of(names, found)


def _in_threads(
    dataset: Samples, image: str, id: str, threads: int
) -> Iterator[tuple[str, Header | str]]:
    """Name and finding of each image, in order; bytes of a few images at a time are held."""
    waiting: deque[tuple[str, Future[Header | str]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for index in range(len(dataset)):
                source, name = _named(dataset[index], image, id, index)
                waiting.append((name, pool.submit(_look, source, name)))
                while len(waiting) > 4 * threads:
                    name, future = waiting.popleft()
                    yield name, future.result()
            while waiting:
                name, future = waiting.popleft()
                yield name, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _named(sample: Sample, image: str, id: str, index: int) -> tuple[Encoded, str]:
    """The encoded image of a sample, and its name."""
    if isinstance(sample, Mapping):
        source: Any = sample.get(image)
        own: Any = sample.get(id)
    else:
        source, own = sample[0], sample[2] if len(sample) > 2 else None
    if not is_encoded(source):
        raise TypeError(
            f"check_images: got {type(source).__name__} of sample {index}, expected the bytes of a file or its "
            "path. Leave the images encoded, as ae.Folder does, and name their field: image=."
        )
    if isinstance(own, str):
        return source, own
    name = name_of(source)
    return source, f"image {index}" if name == "image" else name


def _look(source: Encoded, name: str) -> Header | str:
    """The header of an image, or why it cannot be decoded."""
    try:
        data = bytes_of(source, name)
        header = read_header(data, name)
        decode(data, name=name)
        return header
    except DecodeError as error:
        return error.reason
