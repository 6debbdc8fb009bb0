"""`augengine bench`: find the files, measure each regime in a process of its own, print, draw, write."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ..checks import whole_number
from ..demo import machine
from ..demo.outputs import check_outputs
from ..policy.ops import Normalize, Op, RandomHorizontalFlip, RandomResizedCrop
from ..policy.policy import Policy
from ..recipes.named import named, one_policy
from ..recipes.presets.statistics import IMAGENET_MEAN, IMAGENET_STD
from . import pictures, plot, report
from .contenders import WAYS
from .job import ALL_CORES, ONE_CORE, TRAINING, Job, start
from .result import Result

BATCH, ROUNDS = 32, 11
QUICK_BATCH, QUICK_ROUNDS = 8, 3
CROP = "crop"  # the policy that every library has
MOST_LARGE = 12  # photographs of five megapixels that are written; they repeat


def run(
    images: Path | None = None,
    photographs: str | None = None,
    policy: str | None = None,
    batch_size: int | None = None,
    rounds: int | None = None,
    workers: int = 0,
    peers: Sequence[str] = (),
    quick: bool = False,
    output: Path = Path("augengine-bench.png"),
    json: Path | None = None,
) -> Result:
    """What `augengine bench` does.

    Args:
        images: Folder of images; None is `photographs`.
        photographs: Size of the demo's photographs as JPEG, "500x375" or "5mp"; None is the first.
        policy: "crop", or a policy's name as `named` takes it; None is "crop".
        batch_size: Number of images in a batch; None is 32, and 8 if it is to be quick.
        rounds: Number of rounds; None is 11, and 3 if it is to be quick.
        workers: Number of DataLoader workers into a training step; 0 leaves that out.
        peers: Beginnings of the names of the libraries that are wanted; empty is all.
        quick: Whether little is measured, and only on one core and in training.
        output: PNG file of the picture.
        json: File that all figures are written to, or None.

    Raises:
        ValueError: When an argument is none of these, or an image is damaged.
        OSError: When a file cannot be read or written.
        ImportError: When a package that it needs is not installed.
    """
    from rich.console import Console

    console = Console(highlight=False)
    output = Path(output)
    check_outputs(output, None if json is None else Path(json))
    batch = whole_number("--batch-size", batch_size or (QUICK_BATCH if quick else BATCH), 1, 65536)
    rounds = whole_number("--rounds", rounds or (QUICK_ROUNDS if quick else ROUNDS), 1, 1000)
    whole_number("--workers", workers, 0, 1024)
    _check_peers(peers)
    chosen, policy_words = read_policy(policy)
    if images is not None and photographs is not None:
        raise ValueError("--images and --photographs came together; pass one of them.")
    size = pictures.SIZES.get(photographs or "500x375")
    if size is None:
        raise ValueError(
            f"--photographs: got {photographs}, expected one of {', '.join(pictures.SIZES)}."
        )
    temporary: Any = tempfile.TemporaryDirectory() if images is None else nullcontext("")
    with temporary as folder, console.status("finding the images …") as status:

        def say(text: str) -> None:
            status.update(f"{text} …")

        if images is None:
            count = min(batch, MOST_LARGE) if min(size) >= pictures.LARGE else batch
            paths = pictures.written(Path(folder), size, count)
            source, held = f"the demo's photographs as JPEG, {photographs or '500x375'}", count
        else:
            paths, held = pictures.found(Path(images), 2 * batch)
            source = str(images)
        about = {"source": source, "held": held, "files": len(paths), **pictures.about(paths)}
        jobs = [
            Job(
                regime, chosen.to_yaml(), tuple(map(str, paths)), batch, rounds, count, tuple(peers)
            )
            for regime, count in _regimes(workers, quick)
        ]
        tables = tuple(start(job, say) for job in jobs)
    hardware = machine.about() | {"heap": "reused"}  # that of the jobs' processes
    result = Result(command(), about, policy_words, hardware, tables)
    report.show(console, result)
    plot.draw(result, output)
    console.print(f"\n{output}: the picture of it", markup=False)
    if json is not None:
        Path(json).write_text(result.to_json() + "\n", "utf-8")
        console.print(f"{json}: all figures", markup=False)
    return result


def _regimes(workers: int, quick: bool) -> list[tuple[str, int]]:
    """What is measured, with its number of workers."""
    regimes = [(ONE_CORE, 0)]
    if machine.usable_cores() > 1 and not quick:
        regimes.append((ALL_CORES, machine.usable_cores()))
    return regimes + [(TRAINING, workers)] * (workers > 0)


def _check_peers(peers: Sequence[str]) -> None:
    for name in peers:
        if not any(way.lower().startswith(name.lower()) for way in WAYS):
            raise ValueError(
                f"--peers: got {name}, expected beginnings of {'; '.join(WAYS)}, separated by commas."
            )


def read_policy(name: str | None) -> tuple[Policy, str]:
    """The policy that an argument names, with its name.

    Args:
        name: "crop", or what `named` takes, of which an op or a string of timm's stands between a crop and a
            flip and the normalisation.

    Raises:
        ValueError: When it is none of these, or one of several views.
        OSError: When the file cannot be read.
    """
    if name is None or name == CROP:
        return _cropped(), "crop, flip, normalise"
    chosen = named(name, "--policy", also=(CROP,))
    if chosen.kind in ("timm", "op"):
        policy = one_policy("--policy", chosen.policy, name)
        return _cropped(*policy.top), f"crop, flip, {name}, normalise"
    policy, words = one_policy("--policy", chosen.policy, name), chosen.name
    if policy.needs_boxes or policy.needs_epoch:
        what = "boxes" if policy.needs_boxes else "the epoch"
        raise ValueError(
            f"--policy: got {name}, which depends on {what}, expected one of images alone. Pass another."
        )
    return policy, words


def _cropped(*ops: Op) -> Policy:
    return Policy(
        [
            RandomResizedCrop(224),
            RandomHorizontalFlip(),
            *ops,
            Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )


def command() -> str:
    """How this was called."""
    return " ".join(["augengine", *sys.argv[1:]])
