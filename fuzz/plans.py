"""Plans on their ways, which must change nothing, and plans that lie."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import tempfile
from pathlib import Path
from random import Random

import numpy as np

import augengine as ae
from augengine.plan.fields import array_fields

FLOATS = (
    0.0, -0.0, 1e-45, -1e-45, 1e-38, 1e-6, 0.25, 0.5, 1.0, 1.5, -1.0, -7.25, 255.0, 1e5, -1e5, 1e9, -1e9,
    2.0**24, 2.0**31, -(2.0**31), 2.0**32, 1e20, -1e20, 1e25, 2.0**61, -(2.0**61), 2.0**62, 2.0**63, 3e38,
    -3e38, np.nan, np.inf, -np.inf,
)  # fmt: skip
INTS = (
    0,
    1,
    -1,
    -2,
    -3,
    2,
    3,
    7,
    127,
    255,
    2**15 - 1,
    2**31 - 1,
    -(2**31),
    2**62,
    2**63 - 1,
    -(2**63),
)
# What executors follow, oftener than the rest.
FOLLOWED = ("inv_matrix", "inv_matrix", "support", "support", "clip", "clip", "sight", "slope", "box",
            "alpha", "view", "source", "filter", "frame", "step_arg", "step_kind", "statistic", "window",
            "fill_start", "colour", "fill", "curves", "border", "sizes", "extent")  # fmt: skip

# Clips without a pixel, which may lie anywhere.
EMPTY = ((5, 5, 5, 2.0**62), (2.0**62,) * 4, (-1e30, 0, -1e30, 3), (7, 7, 1, 1), (1, 0, 0, 2.0**40))


# Ways


def sent(rng: Random, plan: ae.Plan) -> tuple[str, ae.Plan]:
    """(the way in words, the plan after it). Whatever the way, it must be equal to the plan."""
    way = rng.choice(
        ("sampled", "sampled", "saved", "bytes", "pickled", "copied", "replaced", "joined")
    )
    if way == "saved":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "plan")
            plan.save(path)
            return way, ae.Plan.load(path)
    if way == "bytes":
        return way, ae.Plan.from_bytes(plan.to_bytes())
    if way == "pickled":
        return way, pickle.loads(pickle.dumps(plan))
    if way == "copied":
        return way, copy.deepcopy(plan)
    if way == "replaced":
        return way, dataclasses.replace(plan)
    if way == "joined":
        return way, ae.concatenate([plan])
    return way, plan


# Lies


def lied(rng: Random, plan: ae.Plan) -> tuple[str, dict]:
    """(what is changed, in words, all the fields of a plan): one field or a few are not true any more."""
    fields = dict(vars(plan))
    words = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name, said = _change(rng, plan, fields)
        words.append(f"{name}: {said}")
    return "; ".join(words), fields


def built(rng: Random, plan: ae.Plan, fields: dict) -> tuple[str, ae.Plan]:
    """(the way in words, a plan of those fields): every public way there is to one.

    Raises ValueError or TypeError where the plan is refused.
    """
    way = rng.choice(("constructor", "replace", "unpickled", "bytes", "bytes"))
    if way == "constructor":
        return way, ae.Plan(**fields)
    if way == "replace":
        return way, dataclasses.replace(plan, **fields)
    raw = object.__new__(ae.Plan)
    state = {k: np.array(v) if isinstance(v, np.ndarray) else v for k, v in fields.items()}
    if way == "unpickled":
        raw.__setstate__(state)
        return way, raw
    raw.__dict__.update(state)
    return way, ae.Plan.from_bytes(raw.to_bytes())


def differences(plan: ae.Plan, other: ae.Plan) -> str:
    """Which numbers of a plan are others in another one, as far as a line goes."""
    words = [f"finish: {other.finish}"] if plan.finish != other.finish else []
    for field in array_fields(plan):
        old, new = getattr(plan, field.name), getattr(other, field.name)
        if old.shape != new.shape:
            words.append(f"{field.name}: of shape {list(new.shape)}, not {list(old.shape)}")
            continue
        apart = np.argwhere((old != new) & ((old == old) | (new == new)))
        words += [
            f"{field.name}[{_text(at)}] = {new[tuple(at)]:g}, not {old[tuple(at)]:g}"
            for at in apart[:4]
        ]
    return "; ".join(words)[:1000]


def _change(rng, plan, fields):
    if rng.random() < 0.08:
        return _change_finish(rng, plan, fields)
    every = [field.name for field in array_fields(plan)]
    name = rng.choice(FOLLOWED) if rng.random() < 0.9 else rng.choice(every)
    array = np.array(fields[name])
    if rng.random() < 0.06:
        fields[name], words = _reshaped(rng, array)
        return name, words
    if name in ("view", "box", "alpha") and rng.random() < 0.4:
        return _uncover(rng, fields)
    if name == "clip" and array.shape[1:] == (4,) and rng.random() < 0.3:
        row = rng.choice(EMPTY)
        array[_where(rng, len(array))] = row
        fields[name] = array
        return name, f"= {row}"
    if not array.size:
        return name, "empty"
    if array.dtype.kind == "f":
        value = rng.choice(FLOATS)
    else:
        kept = np.iinfo(array.dtype)
        value = max(kept.min, min(kept.max, rng.choice(INTS)))
    place = rng.choice(("one", "one", "one", "row", "all"))
    if place == "one":
        at = tuple(rng.randrange(size) for size in array.shape)
    elif place == "row":
        at = (rng.randrange(len(array)),)
    else:
        at = (slice(None),)
    if array.dtype.kind == "f" and rng.random() < 0.2:
        with np.errstate(all="ignore"):
            array[at] *= np.float32(value)
        said = f"[{_text(at)}] times {value:g}"
    else:
        array[at] = value
        said = f"[{_text(at)}] = {value:g}"
    fields[name] = array
    return name, said


def _text(at):
    return ", ".join(":" if isinstance(part, slice) else str(part) for part in at)


def _where(rng, rows):
    return slice(None) if rng.random() < 0.5 or not rows else rng.randrange(rows)


def _uncover(rng, fields):
    """Outputs of which a part belongs to no layer."""
    way = rng.choice(("no layers", "box", "alpha", "view"))
    if way == "no layers":
        names = ("view", "box", "alpha", "weight", "colour")
        if any(np.ndim(fields[name]) < 2 for name in names):  # one was reshaped before
            return "layers", "as they are"
        for name in names:
            fields[name] = np.array(fields[name])[:, :0]
        return "layers", "none"
    array = np.array(fields[way])
    if not array.size or array.ndim != (3 if way == "box" else 2):  # it was reshaped before
        return way, "empty"
    if way == "box":
        array[:, 0, rng.randrange(4)] = rng.choice((0, 1, 2))
    else:
        array[_where(rng, len(array)), 0] = rng.choice((0, 0.5, 2.5, -3)) if way == "alpha" else -1
    fields[way] = array
    return way, "of the first layer changed"


def _reshaped(rng, array):
    way = rng.choice(("cut", "longer", "flat", "dtype", "axis"))
    if way == "cut":
        return array[:-1], "cut by a row"
    if way == "longer":
        return np.concatenate([array, array[:1]]), "longer by a row"
    if way == "flat":
        return array.ravel(), "flat"
    if way == "dtype":
        return array.astype(np.float64 if array.dtype.kind == "f" else np.int64), "of a wide dtype"
    return array[..., :0], "of an empty axis"


def _change_finish(rng, plan, fields):
    changes = rng.choice(
        (
            {"size": (rng.choice((1, 3, 70)), rng.choice((1, 5, 90)))},
            {"size": (2**31, 1)},
            {"size": (2**40, 2**40)},
            {"channels": rng.choice((1, 2, 3, 9))},
            {"mean": (1e300,) * plan.finish.channels, "std": (1e-300,) * plan.finish.channels},
            {"std": (1e-45,) * plan.finish.channels},
            {"dtype": rng.choice(("uint8", "float16", "int64"))},
            {"channels_last": rng.choice((True, 7))},
        )
    )
    try:
        fields["finish"] = dataclasses.replace(plan.finish, **changes)
    except (ValueError, TypeError):
        return "finish", "refused"
    return "finish", str(changes)
