"""A policy by what a user calls it: a preset, a file, a string of timm's, an op, or an object in Python.

Every command that takes `--policy` reads it here, so that all of them know the same names, and say the same
of a wrong one.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..checks import shown
from ..loading.engine import Engine
from ..policy import ops
from ..policy.ops.op import Op
from ..policy.policy import Policy
from ..policy.views import Views
from ..untrusted import read_text
from . import presets
from .from_albumentations import from_albumentations
from .from_timm import from_timm
from .from_torchvision import from_torchvision
from .timm_strings import SECTIONS

Kind = Literal["policy", "preset", "file", "timm", "op", "object"]

PRESETS: tuple[str, ...] = tuple(name for name in presets.__all__ if name.islower())
# What reads as text, and nothing that code is in.
_TEXT = (".yaml", ".yml")


@dataclass(frozen=True)
class Named:
    """A policy, and what it is called.

    Args:
        policy: Policy, or Views.
        name: Its name on a sheet, such as "presets.imagenet()".
        kind: How it was given: as a "policy" itself, by the name of a "preset" or an "op", as a "file",
            as a string of "timm", or as an "object" in Python.
    """

    policy: Policy | Views
    name: str
    kind: Kind


def named(
    policy: str | Path | Policy | Views | Op | Sequence[Op] | Any,
    where: str = "policy",
    *,
    also: Sequence[str] = (),
    code: bool = True,
) -> Named:
    """A policy by its name.

    Args:
        policy: Name of a preset, such as "imagenet"; a YAML file; a string of timm's, such as
            "rand-m9-mstd0.5-inc1"; the name of an op whose arguments all have defaults, such as
            "TrivialAugmentWide"; an object in Python as "module:name" or "file.py:name", whose code is run;
            or the object itself. Objects are a Policy, Views, an op or ops, an Engine, transforms of
            torchvision or albumentations, or a function without arguments that returns one of these.
        where: What messages begin with, such as "--policy".
        also: Further names that the caller takes, for the message.
        code: Whether an object in Python may be named, so that its code is run. Not where the name may come
            from a stranger, as from a run's folder.

    Raises:
        ValueError: It is none of these, or what it names says no policy.
        OSError: A file cannot be read.

    Example:
        >>> from augengine.recipes.named import named
        >>> named("rand-m9-mstd0.5-inc1").kind
        'timm'
        >>> named("imagenet").name
        'presets.imagenet()'
    """
    if isinstance(policy, Path):
        policy = str(policy)
    if not isinstance(policy, str):
        own = _of_object(where, policy)
        return Named(own, type(own).__name__, "policy")
    if policy in PRESETS:
        return Named(getattr(presets, policy)(), f"presets.{policy}()", "preset")
    if Path(policy).is_file() or policy.lower().endswith(_TEXT):
        if policy.lower().endswith(".py"):
            raise ValueError(
                f"{where}: got {shown(policy)}, a file of Python, expected the name of a policy in it as well. "
                f"Pass {policy}:NAME."
            )
        return Named(read_policy(policy, where), policy, "file")
    if code and ":" in policy:
        return Named(_of_object(where, _object(where, policy), policy), policy, "object")
    if policy in ops.__all__:
        return Named(_op(where, policy), policy, "op")
    try:
        return Named(Policy(from_timm(policy)), policy, "timm")
    except (ValueError, TypeError) as error:
        if policy.partition("-")[0] in SECTIONS:
            raise ValueError(f"{where}: {error}") from error
        raise ValueError(_unknown(where, policy, also, code)) from None


def read_policy(file: str | Path, where: str = "policy") -> Policy:
    """A policy from a YAML file, as `Policy.to_yaml` writes it.

    Args:
        file: Path of the file.
        where: What messages begin with.

    Raises:
        ValueError: The file says no policy; the message has its name.
        OSError: It cannot be read.
    """
    try:
        text = read_text(Path(file))
    except FileNotFoundError as error:
        raise OSError(f"{where} {file}: there is no such file. Check the path.") from error
    try:
        return Policy.from_yaml(text)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where} {file}: {error}") from error


def one_policy(where: str, policy: Policy | Views, name: str) -> Policy:
    """A policy of one view.

    Args:
        where: What the message begins with.
        policy: Policy, or Views.
        name: What it is called.

    Raises:
        ValueError: It is Views.
    """
    if isinstance(policy, Views):
        raise ValueError(
            f"{where}: got {name}, a policy of several views, expected one of one view. Pass each view's "
            "policy from a YAML file."
        )
    return policy


def _op(where: str, name: str) -> Policy:
    op = getattr(ops, name)
    try:
        return Policy(op())
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{where}: got {name}, an op that needs arguments, expected one that needs none. Write it into a "
            f"YAML file: 'augengine: 1', 'policy:', '- {name}: {{…}}'. ({error})"
        ) from None


def _object(where: str, text: str) -> Any:
    """What "module:name" or "file.py:name" names."""
    holder, _, name = text.rpartition(":")
    try:
        if holder.lower().endswith(".py"):
            if not Path(holder).is_file():
                raise OSError(f"{where}: there is no file {holder}. Check the path.")
            found: Any = _run_file(Path(holder))
        else:
            found = _imported(where, text, holder)
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError:
        known = (
            [n for n in vars(found) if not n.startswith("_")] if hasattr(found, "__dict__") else []
        )
        near = difflib.get_close_matches(name, known, 1, 0)
        nearest = f" The nearest is {near[0]}." if near else ""
        raise ValueError(
            f"{where}: {holder} has no {shown(name)}, expected a policy of that name.{nearest}"
        ) from None
    return found


def _run_file(file: Path) -> Any:
    """The module that a file of Python is; its folder is searched for what it imports."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def _imported(where: str, text: str, module: str) -> Any:
    added = "" not in sys.path
    if added:  # as python -c and python -m have it: a module of the user's own
        sys.path.insert(0, "")
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # something that it imports is missing
        raise ValueError(_unknown(where, text)) from None
    except (ValueError, TypeError):  # no name of a module, such as ".a"
        raise ValueError(_unknown(where, text)) from None
    finally:
        if added:
            sys.path.remove("")


def _of_object(where: str, value: Any, name: str = "") -> Policy | Views:
    """An object as a policy."""
    if isinstance(value, Engine):
        value = value.policy
    if isinstance(value, (Policy, Views)):
        return value
    if inspect.isfunction(value) or (isinstance(value, type) and not issubclass(value, Op)):
        try:
            value = value()
        except TypeError as error:
            raise ValueError(
                f"{where}: got {shown(name or value)}, a function that needs arguments ({error}), expected one "
                "that needs none. Write one that returns the policy."
            ) from error
        if not inspect.isfunction(value):
            return _of_object(where, value, name)
    if isinstance(value, Op) or (
        isinstance(value, (list, tuple)) and all(isinstance(one, Op) for one in value)
    ):
        return Policy(value)
    one = value[0] if isinstance(value, (list, tuple)) and value else value
    library = type(one).__module__.partition(".")[0]
    if library == "torchvision":
        return Policy(from_torchvision(value))
    if library == "albumentations":
        return Policy(from_albumentations(value))
    raise ValueError(
        f"{where}: got {shown(name or value)}, which is {type(value).__name__}, expected a Policy, Views, ops, "
        "an Engine, or transforms of torchvision or albumentations. Name one of these."
    )


def _unknown(where: str, policy: str, also: Sequence[str] = (), code: bool = True) -> str:
    near = difflib.get_close_matches(policy, (*also, *PRESETS, *ops.__all__), 1, 0.7)
    nearest = f" The nearest is {near[0]}." if near else ""
    objects = "; or an object in Python as module:name or file.py:name" if code else ""
    return (
        f"{where}: got {shown(policy)}, expected one of {', '.join((*also, *PRESETS))}; a YAML file that "
        "exists; a string of timm's such as rand-m9-mstd0.5-inc1; an op such as TrivialAugmentWide"
        f"{objects}.{nearest}"
    )
