"""`augengine train …`: a pipeline's settings are its options, said once, in its dataclass."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperGroup

from .settings import Settings

# Name: (module, its settings). The modules need packages that the engine does not, so that each is
# imported when its command is called.
PIPELINES = {
    "finetune": ("finetune", "Finetune"),
    "distill": ("distill", "Distill"),
    "pseudo-label": ("pseudo_label", "PseudoLabel"),
    "noisy-student": ("noisy_student", "NoisyStudent"),
}
RESUME = "Go on with the run in this folder, by the settings that it began with."


# Of RuntimeErrors those are a user's that `in_one_line` knows.
USERS_ERRORS = (ValueError, TypeError, OSError, ImportError, ArithmeticError, RuntimeError)


def in_one_line(error: Exception) -> str | None:
    """What an error says, for the command line: of one that a worker sent, with its traceback, the last line.
    None for a RuntimeError that is neither that nor a lack of memory, and so a fault of ours."""
    text = str(error)
    if text.startswith("Caught ") and "\nOriginal Traceback " in text:
        raised = re.findall(r"^(?:[\w.]+\.)?\w+: (.+)$", text, re.MULTILINE)
        return raised[-1] if raised else text.splitlines()[0]
    # torch's OutOfMemoryError is a RuntimeError; the name spares the import of torch.
    if isinstance(error, RuntimeError) and type(error).__name__ != "OutOfMemoryError":
        return None
    return text


class Pipelines(TyperGroup):
    """The commands below `augengine train`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(PIPELINES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in PIPELINES:
            return None
        module, settings = PIPELINES[cmd_name]
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
        doc = inspect.getdoc(pipeline)
        return _command(cmd_name, getattr(pipeline, settings), pipeline.run, doc)


def _leave() -> None:
    """End one of several processes at once, when all is written.

    On a loaded machine the threads of torch.distributed may outlast the interpreter, and C++ then
    aborts now and then.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _command(name: str, settings: type[Settings], run: Callable, doc: str | None) -> Any:
    """A command with an option for each field of `settings`."""

    def command(ctx: Any, resume: Path | None, **values: Any) -> None:
        options = [name for name in values if ctx.get_parameter_source(name).name != "DEFAULT"]
        try:
            if resume is None:
                run(settings(**values))
                _leave()
                return
            if options:
                raise ValueError(
                    f"--resume: got --{options[0].replace('_', '-')} beside it, expected it alone, since the "
                    "run goes on by its own settings. Leave that out, or start another run."
                )
            earlier = settings.load(resume / "config.json")
            run(dataclasses.replace(earlier, output=str(resume)), resume=True)
            _leave()
        except USERS_ERRORS as error:
            said = in_one_line(error)
            if said is None:
                raise
            if "DecodeError" in f"{type(error).__name__} {error}":
                said += " --corrupt skip leaves out all such images."
            typer.secho(f"augengine train {name}: {said}", fg="red", err=True)
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
        kind, text = get_args(hints[field.name])
        option: Any = Annotated[kind, typer.Option(help=text)]
        parameters.append(
            inspect.Parameter(field.name, keyword, default=field.default, annotation=option)
        )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(name, help=doc)(command)
    train_command = typer.main.get_command(app)
    train_command.name = name
    return train_command
