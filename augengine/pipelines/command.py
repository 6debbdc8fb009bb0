"""`augengine train …`: a pipeline's settings are its options, said once, in its dataclass."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperGroup

# Name: (module, its settings). They need packages that the engine does not, so they are imported
# when they are asked for.
PIPELINES = {
    "finetune": ("finetune", "Finetune"),
    "distill": ("distill", "Distill"),
    "pseudo-label": ("pseudo_label", "PseudoLabel"),
    "noisy-student": ("noisy_student", "NoisyStudent"),
}
RESUME = "Go on with the run in this folder, by its settings."


class Pipelines(TyperGroup):
    """The commands below `augengine train`."""

    def list_commands(self, ctx) -> list[str]:
        return list(PIPELINES)

    def get_command(self, ctx, name: str) -> Any:
        if name not in PIPELINES:
            return None
        module, settings = PIPELINES[name]
        try:
            pipeline = import_module(f".{module}", __package__)
        except ImportError as error:
            typer.secho(
                f"augengine train: it needs more packages ({error}). Get them with pip install "
                "'augengine[train]'.",
                fg="red",
                err=True,
            )
            raise typer.Exit(1) from error
        return _command(name, getattr(pipeline, settings), pipeline.run, inspect.getdoc(pipeline))


def _leave() -> None:
    """End one of several processes at once: all is written, and on a loaded machine the threads of
    torch.distributed may outlast the interpreter, which C++ answers by an abort now and then."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _command(name: str, settings, run: Callable, doc: str | None) -> Any:
    """A command with an option for each field of `settings`."""

    def command(ctx: Any, resume: Path | None, **told: Any) -> None:
        given = [option for option in told if ctx.get_parameter_source(option).name != "DEFAULT"]
        try:
            if resume is None:
                run(settings(**told))
                _leave()
                return
            if given:
                raise ValueError(
                    f"--resume: got --{given[0].replace('_', '-')} beside it, expected it alone, since the run "
                    "goes on by its own settings. Leave that out, or start another run."
                )
            kept = settings.load(resume / "config.json")
            run(dataclasses.replace(kept, output=str(resume)), resume=True)
            _leave()
        except (ValueError, TypeError, OSError, ImportError, ArithmeticError) as error:
            typer.secho(f"augengine train {name}: {error}", fg="red", err=True)
            raise typer.Exit(1) from error

    keyword = inspect.Parameter.KEYWORD_ONLY
    hints = get_type_hints(settings, include_extras=True)
    parameters = [
        inspect.Parameter("ctx", keyword, annotation=typer.Context),
        inspect.Parameter(
            "resume", keyword, default=None,
            annotation=Annotated[Path | None, typer.Option(help=RESUME, exists=True)],
        ),
    ]  # fmt: skip
    for field in dataclasses.fields(settings):
        kind, words = get_args(hints[field.name])
        option: Any = Annotated[kind, typer.Option(help=words)]
        parameters.append(
            inspect.Parameter(field.name, keyword, default=field.default, annotation=option)
        )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    one = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    one.command(name, help=doc)(command)
    made = typer.main.get_command(one)
    made.name = name
    return made
