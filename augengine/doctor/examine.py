"""`examine`: one's own loader, model and policy in, a `Report` out."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from ..checks import number, whole_number
from ..loading.collate import Collate, Packing, pack
from ..loading.device_loader import DeviceLoader
from ..loading.engine import Engine
from ..loading.keys import WithIds
from ..policy.ops.op import Op
from ..policy.policy import Policy
from ..policy.views import Views
from ..recipes import presets
from . import data, loaders, measure, models
from .advice import advise
from .figures import Figures, this_machine
from .models import Loss, Model
from .report import Report
from .ways import Place, best_way

BATCH_SIZE, BUDGET, CLASSES = 64, 20.0, 1000
# Shares of the budget. What is left is for starting and stopping.
SHARES = {
    "read": 0.1,
    "decode": 0.13,
    "draw": 0.15,
    "gpu": 0.07,
    "send": 0.12,
    "step": 0.25,
    "whole": 0.12,
}
PARTS = len(SHARES)

Say = Callable[[str], object]


@dataclass(frozen=True)
class _Subject:
    """What is examined."""

    dataset: Any
    data: str
    engine: Engine  # that draws in main memory
    policy: str
    batch_size: int
    names: measure.Names
    place: Place | None


def examine(
    loader: Any = None,
    model: Model | str | None = None,
    *,
    dataset: Any = None,
    loss: Loss | None = None,
    policy: Engine | Policy | Op | Sequence[Op] | Views | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    device: torch.device | str | None = None,
    budget: float = BUDGET,
    say: Say = lambda text: None,
) -> Report:
    """Measure the parts of a training's input pipeline, and say what follows.

    Nothing of what comes is changed: the model is copied, the dataset is read by index, and of a
    DataLoader over a map-style dataset a second one is built. A stream is iterated itself.

    Args:
        loader: DataLoader with `Collate` or `pack`, or a `DeviceLoader`; None builds one as is advised.
        model: Module; or a function of (images, labels) that carries out a whole step; or a name that
            timm or torchvision knows. None is a ResNet-18.
        dataset: Dataset of (image, label), where no loader comes; None is our photographs as JPEG in memory.
        loss: Function of (output, labels) that gives a scalar; None is cross-entropy.
        policy: Policy, ops to make one of, Views, or an Engine; None is the loader's, or else
            `presets.imagenet()`.
        batch_size: Number of images in a batch; None is the loader's, or 64.
        workers: Number of workers that the loader to be built has; None takes the advised number.
        device: Device of the model; None is that of its weights, or the GPU if there is one.
        budget: Time in seconds that it takes, in about; the kernel's first compile comes on top.
        say: Function that is told what is measured next.

    Returns:
        The report: figures, advice, and what is wrong in the loader.

    Raises:
        TypeError: An argument is of another type.
        ValueError: One is outside its range, or dataset, policy and model do not fit each other.

    Example:
        >>> from augengine.doctor import examine
        >>> images = torch.zeros(32, 3, 40, 40, dtype=torch.uint8)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10))
        >>> report = examine(
        ...     model=model, dataset=[(image, 1) for image in images],
        ...     policy=ae.RandomResizedCrop(32), batch_size=8, budget=1,
        ... )
        >>> report.figures.batch_size, report.figures.step.rate > 0, report.problems
        (8, True, ())
    """
    budget = number("examine: budget", budget, 0.1, 3600)
    if workers is not None:
        workers = whole_number("examine: workers", workers, 0, 1024)
    subject = _subject(loader, dataset, policy, batch_size)
    place, where = _device(device, model)
    if model is None or isinstance(model, str):
        model, model_name = models.named(model)
    else:
        model_name = type(model).__name__ if isinstance(model, torch.nn.Module) else "a function"
    machine = this_machine()

    say("reading samples …")
    shares = {part: share * budget for part, share in SHARES.items()}
    count = min(subject.batch_size, measure.MOST_SAMPLES)
    with torch.random.fork_rng(devices=[]):
        samples, first = measure.read(subject.dataset, count, shares["read"])
        say("decoding …")
        decode = measure.decode(subject.dataset, len(samples), first, shares["decode"])
        drawing = _drawing(subject, samples)
        say(
            "deciding and drawing (on a machine's first time the kernel is compiled: half a minute) …"
        )
        plan, draw, draw_on_all = drawing.costs(shares["draw"], machine.threads)
        say("drawing on the GPU …" if place.type == "cuda" else "no GPU to draw on …")
        on_gpu = drawing.on_gpu(place, shares["gpu"]) if place.type == "cuda" else None
        say("transport from a worker …")
        send_drawn, send_uint8, send_packed, start = measure.transport(drawing, shares["send"])
        say("the model's step …")
        step, variants = measure.step(
            model, loss, drawing.draw(), place, shares["step"], lambda text: None
        )
        figures = Figures(
            machine, subject.data, subject.policy, model_name, subject.batch_size, where,
            str(subject.engine.dtype).removeprefix("torch."), decode, plan, draw, draw_on_all,
            send_drawn, send_uint8, send_packed, step, on_gpu, variants, start,
        )  # fmt: skip
        say("the whole loader …")
        problems: tuple[loaders.Problem, ...] = ()
        if loader is None:
            figures = _with_advised(figures, subject, workers, len(samples), shares["whole"])
        else:
            figures, failure = _with_own(figures, subject, loader, shares["whole"])
            problems = (*failure, *loaders.find_problems(loader, figures))
    return Report(figures, advise(figures), problems)


def _subject(loader: Any, dataset: Any, policy: Any, batch_size: int | None) -> _Subject:
    """What is examined, of what came and of defaults."""
    inner = loader.loader if isinstance(loader, DeviceLoader) else loader
    collate = getattr(inner, "collate_fn", None)
    own_engine: Engine | None = None
    place: Place | None = None
    if isinstance(collate, Collate):
        own_engine, place = collate.engine, "pack" if isinstance(collate, Packing) else "collate"
    elif isinstance(loader, DeviceLoader) and loader.engine is not None:
        own_engine, place = loader.engine, "pack"
    if loader is not None and dataset is not None:
        raise TypeError(
            "examine: got a loader and a dataset, expected one of them. Pass the loader, which has its own."
        )
    if loader is not None:
        dataset = getattr(inner, "dataset", None)
        if dataset is None:
            raise TypeError(
                f"examine: got {type(loader).__name__}, expected a loader that has a dataset, as a DataLoader "
                "does. Pass dataset= in its place."
            )
        if not isinstance(dataset, IterableDataset) and not hasattr(dataset, "__getitem__"):
            raise TypeError(
                f"examine: got a dataset {type(dataset).__name__}, expected a map-style one with __getitem__ "
                "and __len__, or an IterableDataset. Pass dataset= in place of the loader."
            )
    words = getattr(dataset, "words", None) or f"{type(dataset).__name__} of the user"
    if dataset is None:
        dataset = data.photographs()
        words = dataset.words
    if policy is None and own_engine is None:
        policy, policy_words = presets.imagenet(), "presets.imagenet()"
    else:
        policy = own_engine if policy is None else policy
        policy_words = "the loader's" if policy is own_engine else "the user's"
    engine = policy if isinstance(policy, Engine) else Engine(policy, num_classes=CLASSES)
    engine = copy.copy(engine)
    engine.device = None
    if engine.executor == "gpu":
        engine.executor = None
    if batch_size is None:
        batch_size = getattr(inner, "batch_size", None)
        if batch_size is None:
            batch_size = getattr(getattr(inner, "batch_sampler", None), "batch_size", None)
    batch_size = BATCH_SIZE if batch_size is None else batch_size
    size = whole_number("examine: batch_size", batch_size, 1, 2**20)
    names = measure.Names(getattr(collate, "image", "image"), getattr(collate, "label", "label"))
    return _Subject(dataset, words, engine, policy_words, size, names, place)


def _device(device: torch.device | str | None, model: Any) -> tuple[torch.device, str]:
    """The model's device, and its name."""
    if device is None:
        weights = list(model.parameters())[:1] if isinstance(model, torch.nn.Module) else []
        if weights and weights[0].device.type != "cpu":
            device = weights[0].device
        else:
            device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"examine: got device {device!r}, expected 'cpu' or 'cuda'. Leave it out to have one chosen."
        ) from error
    if found.type not in ("cpu", "cuda"):
        raise ValueError(
            f"examine: got device {device!r}, expected 'cpu' or 'cuda', which can be measured."
        )
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"examine: got device {device!r}, and torch.cuda.is_available() is False, expected a GPU that "
            "torch can use. Leave it out, or pass 'cpu'."
        )
    return found, str(found)


def _drawing(subject: _Subject, samples: list) -> measure.Drawing:
    """A batch of the samples, which repeat if reading them took too long."""
    names, size = subject.names, subject.batch_size
    try:
        images = [names.image_of(sample) for sample in samples]
        # Copies lie in memory of their own: a cache then holds no more of them than of other images.
        images += [copy.deepcopy(images[b % len(samples)]) for b in range(len(samples), size)]
        labels = [names.label_of(samples[b % len(samples)]) for b in range(size)]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(
            f"examine: got a sample {type(samples[0]).__name__} without {error}, expected (image, label), or a "
            f"dict with {names.image!r}. Return such samples from the dataset."
        ) from error
    known = all(isinstance(label, (int, np.integer, np.ndarray, torch.Tensor)) for label in labels)
    stacked = torch.stack([torch.as_tensor(label) for label in labels]) if known else None
    return measure.Drawing(subject.engine, images[:size], stacked)


def _with_own(
    figures: Figures, subject: _Subject, loader: Any, seconds: float
) -> tuple[Figures, tuple[loaders.Problem, ...]]:
    """The figures with those of the user's whole loader, or the problem that it fails."""
    inner = loader.loader if isinstance(loader, DeviceLoader) else loader
    count = int(getattr(inner, "num_workers", 0) or 0)
    figures = replace(figures, place=subject.place, workers=count, given=True)
    try:
        cost, start = measure.whole(loader, None, seconds)
    except Exception as error:  # whatever the user's code, or a worker, raises
        last = str(error).strip().rpartition("\n")[2]
        problem = loaders.Problem(
            f"The loader fails as it is iterated: {last}",
            "mend that first; the parts above were measured one by one",
        )
        return figures, (problem,)
    return replace(figures, loader=cost, start=start if count else 0.0), ()


def _with_advised(
    figures: Figures, subject: _Subject, workers: int | None, read: int, seconds: float
) -> Figures:
    """The figures with those of a loader that is built as is advised."""
    if isinstance(subject.dataset, IterableDataset):
        return figures
    best = best_way(figures)
    count = best.workers if workers is None else workers
    place = "collate" if best.place == "main" and count else best.place
    collate = pack(subject.engine) if place == "pack" else Collate(subject.engine)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # more workers than cores, where reading waits
        built: Any = DataLoader(
            WithIds(subject.dataset), subject.batch_size, num_workers=count, collate_fn=collate
        )
    if place == "pack":
        built = DeviceLoader(built, device=figures.device)
    indices = measure.spread_indices(len(subject.dataset), read)
    cost, _ = measure.whole(built, indices, seconds)
    return replace(figures, loader=cost, place=place, workers=count, given=workers is not None)
