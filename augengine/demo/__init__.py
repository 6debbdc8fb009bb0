"""The demo: photographs of different sizes in, an augmented batch out, shown and timed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch

from .. import (
    CutMix,
    Engine,
    Plan,
    Policy,
    RandomAffine,
    RandomBrightness,
    RandomHorizontalFlip,
    RandomResizedCrop,
    execute,
    sheet,
)
from . import measure, peers
from .measure import Timing

SHOWN, VERSIONS = 6, 4  # photographs on the sheet, and augmented versions of each
BATCH, BATCH_BYTES = 96, 256 << 20  # what is timed, and what is read of a folder, at most
PEERS: dict[str, tuple[str, Callable[[Policy], peers.Work]]] = {
    "torchvision v2": ("torchvision", peers.torchvision),
    "albumentations": ("albumentations==2.0.8", peers.albumentations),
}
NAMED = 10  # unreadable files that are named one by one


@dataclass(frozen=True)
class Photograph:
    """pixels: uint8 (H, W, 3)."""

    name: str
    pixels: np.ndarray


@dataclass
class Folder:
    """What was found in a folder: photographs, files that are none with the reason, files not read."""

    photographs: list[Photograph] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)
    left: int = 0


@dataclass(frozen=True)
class Row:
    """A contender of the table. timing is None where `note` says why there is no number."""

    name: str
    threads: int
    images: int = 0
    timing: Timing | None = None
    moved: int = 0  # bytes that must be read and written
    floor: float = 0.0  # seconds that copying so many takes, in the same rounds
    note: str = ""


def run(
    images: Path | None = None,
    output: Path = Path("augengine-demo.png"),
    size: int | None = None,
    seed: int = 0,
    epoch: int = 0,
    policy: Path | None = None,
    *,
    batch: int = BATCH,
    seconds: float = 12.0,
) -> list[Row]:
    """What `augengine demo` does; it returns the table. batch, seconds: how much is measured."""
    from rich.console import Console

    console = Console(highlight=False)
    output = Path(output)
    if output.suffix.lower() != ".png" or not output.parent.is_dir():
        raise ValueError(
            f"--output: got {output}, expected a file name ending in .png in a folder that exists."
        )
    if policy is not None and size is not None:
        raise ValueError("--size and --policy came together; a policy file says its own size.")
    chosen = (
        default_policy(224 if size is None else size) if policy is None else read_policy(policy)
    )
    with console.status("reading the photographs …"):
        photographs = _photographs(images, output, console)
    engine = Engine(chosen, seed=seed)

    with console.status("drawing …"):
        shown = photographs[:SHOWN]
        plans, batches = augmented(engine, shown, epoch)
        drawn = contact_sheet(engine, shown, plans, batches)
        drawn.save(output, optimize=True)
    of = f"the first {len(shown)} of " if len(shown) < len(photographs) else ""
    console.print(
        f"{output}: {of}{len(photographs)} photographs, {VERSIONS} versions of each "
        f"({drawn.width}×{drawn.height} pixels)\n",
        markup=False,
    )
    with console.status("measuring …") as status:
        rows = speed(engine, photographs, epoch, batch, seconds, status.update)
    _print_table(console, rows)
    return rows


def default_policy(size: int) -> Policy:
    """Crop, flip, affine, brightness, CutMix."""
    return Policy(
        [
            RandomResizedCrop(size, scale=(0.3, 1.0)),
            RandomHorizontalFlip(),
            RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1), fill=128),
            RandomBrightness(0.2),
            CutMix(p=0.5),
        ]
    )


def read_policy(path: Path) -> Policy:
    """A policy from a YAML file, with the file's name in what is raised."""
    import yaml

    try:
        return Policy.from_yaml(Path(path).read_text("utf-8"))
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ValueError(f"--policy {path}: {error}") from error


# Photographs


def shipped_photographs() -> list[Photograph]:
    """Six photographs of five sizes that come with scikit-learn and scikit-image."""
    try:
        from skimage import data
        from sklearn.datasets import load_sample_image
    except ImportError as error:
        raise ImportError(
            f"the photographs come with {error.name}, which is not installed. Run "
            "pip install 'augengine[demo]', or pass --images FOLDER."
        ) from error
    pixels = {
        "china": load_sample_image("china.jpg"),
        "flower": load_sample_image("flower.jpg"),
        "astronaut": data.astronaut(),
        "coffee": data.coffee(),
        "chelsea": data.chelsea(),
        "rocket": data.rocket(),
    }
    return [Photograph(name, np.ascontiguousarray(p)) for name, p in pixels.items()]


def read_folder(folder: Path, skip: Path | None = None, most: int = BATCH) -> Folder:
    """Read images below `folder` in the order of their names, until `most` or BATCH_BYTES.

    skip: a file to pass over, such as an earlier sheet. Hidden files are passed over too.
    """
    from PIL import Image, ImageOps

    if not folder.is_dir():
        raise ValueError(f"--images: {folder} is no folder. Pass one that holds images.")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and not (skip is not None and skip.exists() and path.samefile(skip))
    )
    found, bytes_read = Folder(), 0
    for done, path in enumerate(files):
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "replace")
        if len(found.photographs) == most or bytes_read > BATCH_BYTES:
            found.left = len(files) - done
            break
        try:
            with Image.open(path) as image:
                if image.mode.startswith(("I", "F")):
                    raise ValueError(f"mode {image.mode}, not 8 bits a channel")
                pixels = np.array(ImageOps.exif_transpose(image).convert("RGB"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            # Pillow repeats the whole path, or says nothing: the first words will do.
            reason = "no image" if "cannot identify" in str(error) else str(error)
            found.unread.append((name, reason or type(error).__name__))
            continue
        found.photographs.append(Photograph(Path(name).stem, pixels))
        bytes_read += pixels.nbytes
    return found


def _photographs(folder: Path | None, output: Path, console) -> list[Photograph]:
    if folder is None:
        return shipped_photographs()
    found = read_folder(Path(folder), skip=output)
    if found.unread:
        plural = "s are" if len(found.unread) > 1 else " is"
        console.print(f"{len(found.unread)} file{plural} left out:", style="yellow")
        for name, reason in found.unread[:NAMED]:
            console.print(f"  {name}: {reason}", markup=False)
        if len(found.unread) > NAMED:
            console.print(f"  … and {len(found.unread) - NAMED} more")
    if not found.photographs:
        raise ValueError(
            f"--images: {folder} holds no image that can be read ({len(found.unread)} other files), "
            "expected at least one. Pass another folder, or leave --images away for ours."
        )
    if found.left:
        console.print(
            f"read {len(found.photographs)} images, enough for this; {found.left} files are not opened"
        )
    return found.photographs


# The sheet


def augmented(engine: Engine, photographs: list[Photograph], epoch: int):
    """VERSIONS epochs of one ragged batch: their plans, and uint8 (n, H, W, 3) each."""
    plans: list[Plan] = []
    drawn = []
    for version in range(VERSIONS):
        made = engine(
            [p.pixels for p in photographs],
            ids=np.arange(len(photographs)),
            epoch=epoch + version,
        )
        plans.append(made.plan)
        drawn.append(sheet.displayed(made.images, made.plan.finish))
    return plans, drawn


def captions(plans: list[Plan]) -> list[list[str]]:
    """[photograph][version]: the plans' own words."""
    return [[plan.explain(i) for plan in plans] for i in range(len(plans[0]))]


def contact_sheet(engine: Engine, photographs: list[Photograph], plans, drawn):
    """A row for each photograph: the original, then its versions with what the plan did to them."""
    words = captions(plans)
    rows = []
    for i, photograph in enumerate(photographs):
        height, width = photograph.pixels.shape[:2]
        row = [
            sheet.Tile(photograph.pixels, f"sample {i}, {height}×{width}", heading=photograph.name)
        ]
        for plan, images, caption in zip(plans, drawn, words[i], strict=True):
            row.append(sheet.Tile(images[i], caption, heading=f"epoch {plan.epoch}"))
        rows.append(row)
    first, last = plans[0].epoch, plans[-1].epoch
    lines = [
        " → ".join(_said(op) for op in Policy(engine.policy).transforms),
        f"seed {engine.seed}, epochs {first} … {last}, policy {Policy(engine.policy).fingerprint}. "
        "Crops are height×width at (top, left) of the photograph; shifts are (right, down), pastes at "
        "(top, left), in pixels of the result.",
    ]
    return sheet.draw("One batch of photographs, augmented in one pass", lines, rows)


def _said(op) -> str:
    """An op as its repr, with the arguments that are not the default."""
    arguments = [
        f"{spec.name}={getattr(op, spec.name)!r}"
        for spec in fields(op)
        if getattr(op, spec.name) != spec.default
    ]
    return f"{type(op).__name__}({', '.join(arguments)})"


# The table


def speed(
    engine: Engine,
    photographs: list[Photograph],
    epoch: int,
    batch: int = BATCH,
    seconds: float = 12.0,
    say: Callable[[str], object] = lambda text: None,
) -> list[Row]:
    """Time the engine and the peers on one ragged batch: on one thread by turns, then on all.

    Every contender draws new parameters in each round, and writes into reused memory.
    """
    # Photographs repeat, each in memory of its own: a cache then holds no more of them than it
    # would of different ones.
    mean_bytes = sum(p.pixels.nbytes for p in photographs) / len(photographs)
    count = max(1, min(batch, int(BATCH_BYTES / mean_bytes)))
    arrays = [photographs[i % len(photographs)].pixels.copy() for i in range(count)]
    tensors = [torch.from_numpy(array).permute(2, 0, 1) for array in arrays]
    ids = np.arange(count)
    plan = engine.plan([array.shape[:2] for array in arrays], ids, epoch)
    out = execute(plan, arrays)
    nbytes = measure.floor_bytes(plan)
    at = iter(range(epoch, 1 << 62))

    contenders: dict[str, Callable[[], object]] = {
        "copy": measure.copier(),
        "augengine": lambda: engine(arrays, ids=ids, epoch=next(at), out=out),
    }
    missing = []
    for name, (package, translate) in PEERS.items():
        say(f"preparing {name} …")
        try:
            work = translate(Policy(engine.policy))
        except ImportError:
            note = f"not installed; to compare: pip install '{package}'"
            missing.append(Row(name, 1, note=note))
            continue
        except peers.Untranslated as reason:
            missing.append(Row(name, 1, note=f"not compared: {reason}"))
            continue
        images = tensors if name.startswith("torchvision") else arrays
        # Its own output buffer, reused like ours.
        contenders[name] = partial(work, images, torch.empty_like(out))

    everything = torch.get_num_threads()
    rows = []
    try:
        for threads in sorted({1, everything}):
            torch.set_num_threads(threads)
            _set_opencv_threads(0)
            names = contenders if threads == 1 else ("copy", "augengine")
            on = f"measuring on {threads} thread{'s' * (threads > 1)}"
            times = measure.interleaved(
                {name: contenders[name] for name in names},
                rounds=15,
                seconds=seconds / 2,
                after=partial(_say_round, say, on),
            )
            floor = measure.floor_seconds(nbytes, times.pop("copy"))
            rows += [Row(name, threads, count, t, nbytes, floor) for name, t in times.items()]
    finally:
        torch.set_num_threads(everything)
        _set_opencv_threads(-1)
    return rows + missing


def _say_round(say, on: str, done: int, total: int) -> None:
    say(f"{on}, round {done} of {total} …")


def _set_opencv_threads(threads: int) -> None:
    """OpenCV's own threads, if albumentations brought it in: 0 is none, −1 its default."""
    import sys

    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(threads)


def _print_table(console, rows: list[Row]) -> None:
    from rich import box
    from rich.table import Table

    ours = next(row for row in rows if row.name == "augengine" and row.threads == 1)
    assert ours.timing is not None
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="the same policy, float32 out",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("")
    for heading in ("threads", "images/s", "spread", "× memory floor", "augengine is"):
        table.add_column(heading, justify="right")
    for row in rows:
        if row.timing is None:
            continue
        median = row.timing.median
        same = row.name == "augengine"
        table.add_row(
            row.name,
            str(row.threads),
            f"{row.images / median:,.0f}",
            f"±{100 * row.timing.spread:.0f} %",
            f"{median / row.floor:.1f}",
            "" if same else f"{median / ours.timing.median:.1f}× as fast",
        )
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"{row.name}: {row.note}", markup=False, style="yellow")
    console.print(
        f"{ours.images} photographs of full size, medians of {len(ours.timing)} rounds taken by "
        "turns; spread is half the distance of the quartiles. Memory floor: the time to copy the "
        "bytes that must be read and written, "
        f"{ours.moved / 1e6:.0f} MB at {ours.moved / ours.floor / 1e9:.0f} GB/s on one thread. "
        "augengine and torchvision antialias what they shrink, albumentations does not.\n"
        f"{measure.machine()}; "
        + measure.versions(
            "torch", "numba", "torchvision", "albumentations", "opencv-python-headless"
        ),
        markup=False,
        style="dim",
    )
