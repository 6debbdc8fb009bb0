"""`augengine preview`: a policy on one's own images, as one picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..checks import number, whole_number
from ..datasets.walk import walk
from ..decoding import DecodeError, decode
from ..policy.policy import Policy
from ..policy.views import Views
from ..preview.annotations import read_targets
from ..preview.drawing import needs_batch
from ..preview.grid import head
from ..preview.mix import mix, mix_sheet
from ..preview.sheets import sheet_of
from ..preview.sweep import sweep, sweep_sheet
from ..preview.tiles import tiles
from ..preview.trace import trace, trace_sheet
from ..recipes.named import named, one_policy
from .beside import LIBRARY, beside
from .photographs import shipped_photographs

if TYPE_CHECKING:
    from PIL import Image
    from rich.console import Console

KINDS = ("grid", "sweep", "trace", "mix", "epochs", "beside")
PARTNERS = 8  # images that are read at least where a policy mixes
EPOCHS, COLUMNS = 10, 5  # of one sample, and in a row
NAMED = 10  # unreadable files that are named one by one


class Chosen(NamedTuple):
    """Images of a folder, or ours.

    names: paths in the folder. pixels: uint8 (H, W, 3). ids: their numbers in the folder.
    """

    names: list[str]
    pixels: list[np.ndarray]
    ids: list[int]

    def titles(self) -> list[str]:
        """What stands above each."""
        return [f"{i}: {Path(name).name}" for i, name in zip(self.ids, self.names, strict=True)]


def run(
    images: Path | None = None,
    policy: str | None = None,
    kind: str = "grid",
    sample: int = 0,
    count: int | None = None,
    draws: int = 4,
    targets: Path | None = None,
    seed: int = 0,
    epoch: int = 0,
    strength: float = 1.0,
    size: int | None = None,
    output: Path = Path("augengine-preview.png"),
) -> Path:
    """What `augengine preview` does.

    Args:
        images: Folder of images; None is our photographs.
        policy: Policy, as `named` takes it; None is "imagenet".
        kind: One of KINDS.
        sample: Number in the folder of the first image that is shown.
        count: How many images are shown; None is 4 of a grid, 2 of a mix or beside torchvision, else 1.
        draws: Number of draws of each.
        targets: COCO's JSON, or a folder of masks, which are drawn on; None is nothing.
        seed: Seed of everything random.
        epoch: First epoch.
        strength: Share in [0, 1] of every magnitude.
        size: Pixels a side of a picture on the sheet; None is 224, and 160 of a sweep.
        output: PNG file that is written.

    Returns:
        The file.

    Raises:
        ValueError: When an argument is none of these.
        OSError: When a file cannot be read or written.
        ImportError: When a package that it needs is not installed.
    """
    from rich.console import Console

    console = Console(highlight=False)
    output = Path(output)
    if output.suffix.lower() != ".png" or not output.parent.is_dir():
        raise ValueError(
            f"--out: got {output}, expected a file name ending in .png in a folder that exists."
        )
    if kind not in KINDS:
        raise ValueError(f"--kind: got {kind}, expected one of {', '.join(KINDS)}.")
    sample = whole_number("--sample", sample, 0, 2**31 - 1)
    count = whole_number("--count", count or {"grid": 4, "mix": 2, "beside": 2}.get(kind, 1), 1, 64)
    draws = whole_number("--draws", draws, 1, 64)
    strength = number("--strength", strength, 0, 1)
    size = whole_number("--size", size or (160 if kind in ("sweep", "mix") else 224), 32, 1024)
    if targets is not None and kind not in ("grid", "epochs"):
        raise ValueError(
            f"--targets: came with --kind {kind}, which draws none, expected grid or epochs. Leave one out."
        )
    if targets is not None and images is None:
        raise ValueError("--targets: came without --images, expected the images that they are of.")
    chosen = named(policy or "imagenet", "--policy")
    one = (
        None
        if kind in ("grid", "sweep", "epochs")
        else one_policy("--policy", chosen.policy, chosen.name)
    )
    if kind == "mix" and one is not None and not one.mixes:
        raise ValueError(
            f"--kind mix: {chosen.name} mixes nothing, expected a policy with a CutMix, MixUp, MixUpOrCutMix "
            "or Mosaic. Look at its grid."
        )
    mixes = kind == "mix" or _in_batches(chosen.policy)
    with console.status("reading the images …"):
        some = _images(images, sample, max(count, PARTNERS) if mixes else count, console)
    found, classes = None, None
    if targets is not None:
        some, found, classes = _targets(Path(targets), some, console)
    count = min(count, len(some.ids))
    with console.status(f"drawing the {kind} …") as status:

        def say(done: int, total: int) -> None:
            status.update(f"drawing the {kind}: {done} of {total} …")

        how: dict[str, Any] = {"seed": seed, "epoch": epoch}
        if kind == "grid" or kind == "epochs":
            picture = _grid(
                kind, chosen.policy, chosen.name, some, found, classes, count,
                EPOCHS if kind == "epochs" else draws, how | {"strength": strength}, size, say,
            )  # fmt: skip
        elif kind == "sweep":
            rows = sweep(chosen.policy, some.pixels[0], progress=say, **how)
            picture = sweep_sheet(
                rows, size=size, title=f"{chosen.name}: each operation, weak to strong"
            )
        elif kind == "trace":
            assert one is not None
            steps = trace(
                one, some.pixels[0], id=some.ids[0], partners=some.pixels[1:], partner_ids=some.ids[1:],
                strength=strength, **how,
            )  # fmt: skip
            title = f"{chosen.name}, step by step, on {some.titles()[0]} in epoch {epoch}"
            picture = trace_sheet(steps, size=size, title=title)
        elif kind == "mix":
            assert one is not None
            strips = mix(one, some.pixels, ids=some.ids, shown=count, strength=strength, **how)
            picture = mix_sheet(strips, size=size, title=f"{chosen.name}: how samples are mixed")
        else:
            assert one is not None
            both = beside(
                one,
                some.pixels,
                ids=some.ids,
                titles=some.titles(),
                draws=draws,
                shown=count,
                **how,
            )
            title = f"{chosen.name} beside {LIBRARY}"
            picture = sheet_of(title, [head(one, seed)], both, size)
    partial = output.with_suffix(".partial")
    picture.save(partial, "PNG", optimize=True)
    os.replace(partial, output)
    console.print(
        f"{output}: {kind}, {chosen.name}, {picture.width}×{picture.height} pixels", markup=False,
        soft_wrap=True,
    )  # fmt: skip
    return output


def _grid(
    kind: str, policy: Policy | Views, name: str, some: Chosen, targets: list[Any] | None, classes: Any,
    count: int, draws: int, how: dict[str, Any], size: int, say: Callable[[int, int], object],
) -> Image.Image:  # fmt: skip
    """A row for each image; of one sample over its epochs several rows."""
    rows = []
    total = count * (draws if isinstance(policy, Views) else 1)
    drawn = tiles(
        policy,
        some.pixels,
        ids=some.ids,
        draws=draws,
        shown=count,
        targets=targets,
        titles=some.titles(),
        **how,
    )
    for row in drawn:
        rows.append(row)
        say(len(rows), total)
    title = f"What {name} makes of images"
    if kind == "epochs":
        title = f"{name} over {draws} epochs"
        if not isinstance(policy, Views):
            rows = [part for row in rows for part in _in_rows(row)]
    strength = "" if how["strength"] == 1 else f" Strength {how['strength']:g}."
    return sheet_of(title, [head(policy, how["seed"]) + strength], rows, size, names=classes)


def _in_rows(row: Sequence[Any]) -> list[list[Any]]:
    """The image as it came, then its epochs, in rows of as many."""
    return [list(row[:1]), *(list(row[k : k + COLUMNS]) for k in range(1, len(row), COLUMNS))]


def _in_batches(policy: Policy | Views) -> bool:
    policies = [policy] if isinstance(policy, Policy) else [own for _, _, own in policy.each()]
    return any(map(needs_batch, policies))


def _images(folder: Path | None, first: int, count: int, console: Console) -> Chosen:
    """Some images of a folder from a number on, or our photographs; from its beginning on after its end. Files
    that are no images are named and passed over."""
    if folder is None:
        ours = shipped_photographs()
        _check_first(first, len(ours), "our photographs")
        numbers = [(first + k) % len(ours) for k in range(min(count, len(ours)))]
        return Chosen([ours[n].name for n in numbers], [ours[n].pixels for n in numbers], numbers)
    if not folder.is_dir():
        raise ValueError(f"--images: {folder} is no folder. Pass one that holds images.")
    files = walk(str(folder)).files
    if not files:
        raise ValueError(
            f"--images: {folder} holds no images, expected at least one. Pass another folder, or leave "
            "--images away for ours."
        )
    _check_first(first, len(files), str(folder))
    chosen, unreadable = Chosen([], [], []), []
    for k in range(len(files)):
        n = (first + k) % len(files)
        try:
            chosen.pixels.append(decode(folder / files[n], name=files[n]))
        except (DecodeError, OSError) as error:
            unreadable.append(
                (files[n], error.reason if isinstance(error, DecodeError) else str(error.strerror))
            )
            continue
        chosen.names.append(os.fsencode(files[n]).decode("utf-8", "replace"))
        chosen.ids.append(n)
        if len(chosen.ids) == count:
            break
    for name, reason in unreadable[:NAMED]:
        console.print(f"left out {name}: {reason}", markup=False, style="yellow", soft_wrap=True)
    if len(unreadable) > NAMED:
        console.print(f"… and {len(unreadable) - NAMED} more")
    if not chosen.ids:
        raise ValueError(
            f"--images: {folder} holds no image that can be read ({len(unreadable)} damaged ones), expected at "
            "least one. Pass another folder, or leave --images away for ours."
        )
    return chosen


def _check_first(first: int, count: int, where: str) -> None:
    if first >= count:
        raise ValueError(
            f"--sample: got {first}, expected 0 … {count - 1}, the number of an image of {where}. Pass one of "
            "these."
        )


def _targets(
    path: Path, some: Chosen, console: Console
) -> tuple[Chosen, list[Any], dict[int, str]]:
    """Those of the images that have targets, these, and the names of their classes."""
    if not path.exists():
        raise OSError(f"--targets {path}: there is no such file or folder. Check the path.")
    sizes = [(p.shape[0], p.shape[1]) for p in some.pixels]
    read = read_targets(path, some.names, sizes)
    kept = [k for k, target in enumerate(read.targets) if target is not None]
    for k, target in enumerate(read.targets):
        if target is None:
            text = f"left out {some.names[k]}: {path} says nothing of it"
            console.print(text, markup=False, style="yellow", soft_wrap=True)
    fewer = Chosen(
        [some.names[k] for k in kept], [some.pixels[k] for k in kept], [some.ids[k] for k in kept]
    )
    return fewer, [read.targets[k] for k in kept], read.classes
