"""The command line: `augengine demo`, `augengine gallery`, `augengine doctor`, `augengine bench`, `augengine
train`."""

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
def _errors_of(command: str) -> Iterator[None]:
    """A context in which an error that is the user's is printed in one line, and ends the program."""
    try:
        yield
    except USERS_ERRORS as error:
        said = in_one_line(error)
        if said is None:
            raise
        if isinstance(error, ModuleNotFoundError):  # Python's own words; ours say how to get it
            said = f"it needs more packages ({said}). Get them with pip install 'augengine[demo]'."
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
        typer.Option(help="A folder of images: decode each once, and name those that are damaged."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads that decode.  [default: one for each core]")
    ] = None,
) -> None:
    """Check a folder of images before it is trained on. Ends with 1 if one is damaged; deletes nothing."""
    with _errors_of("check"):
        if images is None:
            raise ValueError(
                "got no --images, expected a folder of images. Pass one: --images FOLDER."
            )
        from .datasets.command import run

        report = run(images, threads)
    if report.damaged:
        raise typer.Exit(1)


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
