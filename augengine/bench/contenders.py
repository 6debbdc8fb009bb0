"""Who takes part: each library the way that its users go from files to a batch, in stages.

read: file → bytes
decode: bytes → image, in the form that the library takes; None where it decodes as it draws
draw: images → batch, with all that is random in it
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..demo import peers
from ..policy.policy import Policy

Decode = Callable[[bytes], Any]


@dataclass(frozen=True)
class Contender:
    """A library and its decoder.

    Args:
        decode: Function of a file's bytes; None where `draw` takes these.
        draw: The policy in that library.
        notes: Where it does less or other work.
    """

    decode: Decode | None
    draw: peers.Work
    notes: tuple[str, ...] = ()

    def image(self, path: Path) -> Any:
        """One image, as `draw` takes it."""
        data = read(path)
        return data if self.decode is None else self.decode(data)

    def single(self, path: Path) -> torch.Tensor:
        """What becomes of one file, as a worker gives it: (C, H, W)."""
        return self.draw([self.image(path)])[0]

    def batch(self, paths: Sequence[Path]) -> torch.Tensor:
        """The batch of these files."""
        return self.draw([self.image(path) for path in paths])


def read(path: Path) -> bytes:
    """A file's bytes."""
    with open(path, "rb") as file:
        return file.read()


def by_pillow(data: bytes) -> Any:
    """A PIL image, decoded."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def by_torchvision(data: bytes) -> torch.Tensor:
    """A tensor (3, H, W), by torchvision.io."""
    from torchvision.io import ImageReadMode, decode_image

    return decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)


def by_opencv(data: bytes) -> np.ndarray:
    """An array (H, W, 3), by OpenCV."""
    import cv2

    encoded = np.frombuffer(data, np.uint8)
    if hasattr(cv2, "IMREAD_COLOR_RGB"):  # from 4.11
        decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB)
    else:
        decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        decoded = None if decoded is None else cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    if decoded is None:
        raise ValueError("OpenCV cannot decode it")
    return decoded


@dataclass(frozen=True)
class Way:
    """A way of a library.

    Args:
        peer: Library, as the demo's peers have it.
        decode: Decoder, or None for the library's own.
        package: What pip installs for the decoder, or None.
    """

    peer: peers.Peer
    decode: Decode | None
    module: str = ""
    package: str = ""


WAYS: dict[str, Way] = {
    "torchvision, PIL": Way(peers.PEERS["torchvision v2, PIL"], by_pillow),
    "torchvision, decode_image": Way(peers.PEERS["torchvision v2"], by_torchvision),
    "albumentations + cv2": Way(
        peers.PEERS["albumentations"], by_opencv, "cv2", "opencv-python-headless"
    ),
    "variopinta + cv2": Way(peers.PEERS["variopinta"], by_opencv, "cv2", "opencv-python-headless"),
    "variopinta": Way(peers.DECODING["variopinta"], None),
    "DALI, CPU": Way(peers.DECODING["DALI, CPU"], None),
}


def contenders(
    policy: Policy, paths: Sequence[Path], threads: int, only: Sequence[str] = ()
) -> tuple[dict[str, Contender], dict[str, str]]:
    """The peers that can do the policy, each tried on one file, and why the others take no part.

    Args:
        policy: Policy.
        paths: Files, of which the first is tried.
        threads: Number of threads for libraries that have some of their own.
        only: Beginnings of the names of those that are wanted; empty is all.
    """
    taking_part: dict[str, Contender] = {}
    left_out: dict[str, str] = {}
    for name, way in WAYS.items():
        if only and not name.lower().startswith(tuple(each.lower() for each in only)):
            continue
        try:
            taking_part[name] = _tried(policy, way, threads, paths[0])
        except ImportError as error:
            package = way.package if error.name and error.name == way.module else way.peer.package
            left_out[name] = f"not installed: pip install '{package}'"
        except peers.Untranslated as reason:
            left_out[name] = str(reason)
        except Exception as error:  # a peer's own error, such as of a file that it cannot decode
            words = (str(error) or type(error).__name__).splitlines()[0]
            left_out[name] = f"failed: {type(error).__name__}: {words:.80}"
    return taking_part, left_out


def _tried(policy: Policy, way: Way, threads: int, path: Path) -> Contender:
    decoding: dict[str, Any] = {} if way.decode is not None else {"threads": threads}
    work = way.peer.translate(policy, **decoding)
    contender = Contender(way.decode, work, (*way.peer.notes, *work.notes))
    contender.batch([path])
    return contender
