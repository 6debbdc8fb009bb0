"""Ray Data: `Augment` draws in the actors of `map_batches`, and each row that it gives names its draw.

    dataset.map_batches(Augment, fn_constructor_kwargs=dict(policy=policy, epoch=3), …)

A draw depends on (seed, epoch, id, occurrence) and on nothing of the cluster: blocks, actors, batch
sizes, orders and retries do not change a pixel. Mixes take partners from the batch, so they need groups
of rows that the user names.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

import numpy as np
import torch

from ..aliases import Executor, Layout, Strength, StrengthSchedule
from ..checks import whole_number
from ..decoding import DecodeError, decode
from ..kernels import Sources
from ..loading.engine import Device, Engine
from ..plan import Plan
from ..policy.ops.op import Op
from ..policy.policy import Policy, checked_ids
from ..policy.strengths import strength_of
from ..policy.views import Views

if TYPE_CHECKING:
    from ray.data import Dataset
    from ray.runtime_context import RuntimeContext

# A batch as Ray hands it over with batch_format="numpy": arrays of n rows, by column.
Columns: TypeAlias = Mapping[str, np.ndarray]

# How many ids an actor remembers, some 100 bytes each.
_REMEMBERED_IDS = 2**20


class Augment:
    """What `Dataset.map_batches` calls with batches of NumPy columns: the images come back augmented.

    Rows come back in their order, each `copies` times. The image and label columns are replaced, the
    key column is added, all others pass untouched. Ids must be unique in the dataset, or the rows must
    say which occurrence of the id they are (see `with_occurrences`): an actor sees its own batches
    alone, so that it could not count repeats. Those that it sees it refuses.

    A key is a dict: seed, epoch, id and occurrence, which key the draw; strength and policy (the
    fingerprint), which say what was drawn; and for mixes group_size, the number of samples from which
    partners were taken.

    Args:
        policy: Policy, or ops to make one of.
        seed: Whole number of 64 bits.
        epoch: Whole number, 0 or more. There is no default, since a dataset that is read again would
            give the same images again.
        copies: Number of draws of each row, 1 or more: occurrences 0 … copies − 1 of its id.
        image: Name of the column of images: arrays of any sizes, a tensor column, or encoded files as
            bytes (or as dicts with "bytes", as Hugging Face has them), which become upright RGB
            as `ae.decode` gives it.
        label: Name of the column of labels, class numbers or soft labels; None where there is none.
        id: Name of the column of ids, ints or names (str or bytes).
        occurrence: Name of a column of ints that counts the rows with one id from 0; a row's draws are
            then occurrences `copies · count` and the next. None where ids are unique.
        group: Name of the column by which the dataset is grouped, for a policy that mixes.
        key: Name of the column of keys that is added.
        skipped: Where images that cannot be decoded are counted, which are then left out; None raises.
        dtype: Dtype of the images, torch.uint8, float16 or float32.
        layout: Order of an image's dimensions, "NHWC" or "NCHW", both in and out.
        device: Device to draw on; None is the GPU that Ray gave the actor (`num_gpus=`), or else the
            CPU.
        num_classes: Number of classes, which labels that are ints need where they become soft.
        label_smoothing: Share in [0, 1] of each label that is spread over the classes.
        strength: Share in [0, 1] of every magnitude, or a function (epoch, ids) that gives it.
        executor: Name of the executor, 'cpu', 'gpu' or 'torch'; None takes the fastest that fits.

    Raises:
        TypeError: An argument is of another type.
        ValueError: An argument is outside its range, a policy that mixes has no group, or a GPU is
            asked for that Ray did not give.

    Example:
        >>> from augengine.frameworks.ray import Augment
        >>> augment = Augment(ae.RandomCrop(32), epoch=3, copies=2)
        >>> columns = {"image": np.zeros((1, 40, 48, 3), np.uint8), "label": np.array([7])}
        >>> rows = augment(columns | {"id": np.array(["cat.png"])})
        >>> rows["image"].shape, rows["label"]
        ((2, 32, 32, 3), array([7, 7]))
        >>> rows["key"][1]["id"], rows["key"][1]["occurrence"]
        ('cat.png', 1)
    """

    def __init__(
        self,
        policy: Policy | Op | Sequence[Op],
        *,
        seed: int = 0,
        epoch: int,
        copies: int = 1,
        image: str = "image",
        label: str | None = "label",
        id: str = "id",
        occurrence: str | None = None,
        group: str | None = None,
        key: str = "key",
        skipped: Skipped | None = None,
        dtype: torch.dtype = torch.uint8,
        layout: Layout = "NHWC",
        device: Device | None = None,
        num_classes: int | None = None,
        label_smoothing: float = 0.0,
        strength: StrengthSchedule = 1.0,
        executor: Executor | None = None,
    ) -> None:
        if isinstance(policy, Views):
            raise TypeError(
                "Augment: got Views, expected one policy, since a row has one image. Map the dataset "
                "once for each view."
            )
        if layout not in ("NCHW", "NHWC"):
            raise ValueError(
                f"Augment: got layout {layout!r}, expected 'NHWC' or 'NCHW'. Leave it out for NHWC."
            )
        if dtype is torch.bfloat16:
            raise ValueError(
                "Augment: got dtype torch.bfloat16, expected torch.uint8, torch.float16 or "
                "torch.float32, since NumPy has no bfloat16. Pass one of these."
            )
        self.engine: Engine = Engine(
            policy,
            seed=seed,
            dtype=dtype,
            device=_given_device(device),
            memory_format=torch.channels_last if layout == "NHWC" else torch.contiguous_format,
            num_classes=num_classes,
            label_smoothing=label_smoothing,
            strength=strength,
            executor=executor,
        )
        self.mixes = Policy(policy).mixes
        if self.mixes and group is None:
            raise ValueError(
                "Augment: got a policy that mixes and no group, expected one, since partners come from "
                "the batch, and Ray forms batches as it goes. Pass group= with the name of a column, and "
                "call dataset.groupby(that column).map_groups(Augment, …)."
            )
        self.epoch = whole_number("Augment: epoch", epoch, 0, 2**63 - 1)
        self.copies = whole_number("Augment: copies", copies, 1, 2**31 - 1)
        self.image, self.label, self.id, self.key = image, label, id, key
        self.occurrence, self.group = occurrence, group
        self.skipped, self.layout = skipped, layout
        # What each group was made of, to notice one that comes in pieces.
        self._groups: dict[object, bytes] = {}
        # In which batch each id came, to notice one that comes again.
        self._seen: dict[int, int] = {}

    def __call__(self, batch: Columns) -> dict[str, np.ndarray]:
        """Augment a batch.

        Args:
            batch: Arrays of n rows, by column.

        Returns:
            The columns, of n · copies rows; none at all if all images were skipped.

        Raises:
            TypeError: The batch, labels or images are of another type.
            ValueError: A column is missing, an id comes twice, an image cannot be decoded, or a batch
                is not one group.
        """
        self._check(batch)
        images, batch = self._decoded(batch)
        if len(images) == 0:
            return {}
        ids = batch[self.id]
        sources = Sources.of(images, self.layout)
        numbers = checked_ids(ids, sources.sizes)[0]
        firsts = self._first_occurrences(batch, numbers)
        if self.occurrence is None:
            self._check_new(numbers, ids)
        if self.mixes:
            self._check_group(batch, numbers)
        labels = None if self.label is None else _labels(batch[self.label])
        if self.engine.device is not None:
            sources = sources.to(self.engine.device)

        pictures, targets, keys = [], [], []
        for copy in range(self.copies):
            strength = strength_of(
                self.engine.strength, self.engine.seed, self.epoch, numbers, firsts + copy
            )
            plan = self.engine.plan(
                sources.sizes,
                numbers,
                self.epoch,
                channels=sources.channels,
                image_dtype=sources.image_dtype,
                strength=strength,
                occurrences=firsts + copy,
            )
            assert isinstance(plan, Plan)
            drawn = self.engine.draw(plan, sources, labels)
            pixels = drawn.images.detach()
            if self.layout == "NHWC":
                pixels = pixels.movedim(1, -1)
            pictures.append(pixels.contiguous().cpu().numpy())
            targets.append(None if drawn.labels is None else drawn.labels.cpu().numpy())
            keys.append(self._keys(plan, ids, firsts + copy, strength))
        columns = {
            name: column if self.copies == 1 else np.repeat(column, self.copies, axis=0)
            for name, column in batch.items()
        }
        columns[self.image] = _in_turn(pictures)
        if self.label is not None:
            columns[self.label] = _in_turn(targets)
        columns[self.key] = _in_turn(keys)
        return columns

    def _check(self, batch: Columns) -> None:
        if not isinstance(batch, Mapping):
            raise TypeError(
                f"Augment: got a batch {type(batch).__name__}, expected a dict of arrays. Pass "
                'batch_format="numpy" to map_batches.'
            )
        wanted = (self.image, self.label, self.id, self.occurrence, self.group)
        for name in wanted:
            if name is not None and name not in batch:
                raise ValueError(
                    f"Augment: got the columns {', '.join(batch)}, expected {name!r} too. Name the columns "
                    "by image=, label=, id=, occurrence= and group=; label=None where there are no labels."
                )
        if self.key in batch:
            raise ValueError(
                f"Augment: got a column {self.key!r}, expected none, since keys are written there. Name "
                "another by key=, or rename the column."
            )

    def _decoded(self, batch: Columns) -> tuple[np.ndarray | list[np.ndarray], Columns]:
        """The images, and the rows that they belong to."""
        column = batch[self.image]
        if column.dtype != object:
            grey = column.ndim == 3
            return column[..., None] if grey and self.layout == "NHWC" else column, batch
        images, rows, reasons = [], [], {}
        for row, (value, name) in enumerate(zip(column, batch[self.id].tolist(), strict=True)):
            try:
                images.append(_image(value, self.layout))
                rows.append(row)
            except _NoImageError as error:
                if self.skipped is None:
                    raise ValueError(
                        f"Augment: the image of id {name!r} cannot be decoded ({error}), expected a file "
                        "that ae.decode reads. Write it anew, or pass skipped=Skipped() to leave such images "
                        "out and count them."
                    ) from error
                reasons[name] = str(error)
        if reasons and self.skipped is not None:
            self.skipped.add(reasons)
            batch = {name: values[rows] for name, values in batch.items()}
        return images, batch

    def _first_occurrences(self, batch: Columns, numbers: np.ndarray) -> np.ndarray:
        """[n] the occurrence of each row's first draw."""
        if self.occurrence is None:
            counts = np.zeros(len(numbers), np.int64)
            advice = "count its rows by with_occurrences(dataset)"
        else:
            counts = batch[self.occurrence]
            advice = f"count its rows from 0 in the column {self.occurrence!r}"
            if not np.issubdtype(counts.dtype, np.integer):
                raise TypeError(
                    f"Augment: got occurrences of {counts.dtype}, expected ints. Count the rows with one id "
                    "from 0, such as by with_occurrences(dataset)."
                )
        order = np.lexsort((counts, numbers))
        again = (np.diff(numbers[order]) == 0) & (np.diff(counts[order]) == 0)
        if again.any():
            name = batch[self.id][order[1:][again][:1]].tolist()[0]
            raise ValueError(
                f"Augment: got id {name!r} twice, expected it once, since both rows would be one draw. "
                f"Give each row an id of its own, or {advice} and pass occurrence=."
            )
        return counts.astype(np.int64) * self.copies

    def _check_new(self, numbers: np.ndarray, ids: np.ndarray) -> None:
        """Raise for an id that came to this actor in another batch. The same batch may be a second try,
        which Ray does not tell us."""
        worker = _worker()
        if worker is None or worker.get_actor_id() is None:
            return
        batch = hash(numbers.tobytes())
        for number, name in zip(numbers.tolist(), ids.tolist(), strict=True):
            if self._seen.get(number, batch) != batch:
                raise ValueError(
                    f"Augment: got id {name!r} in two batches, expected it once in the dataset, since both "
                    "rows would be one draw. Give each row an id of its own, or count its rows by "
                    "with_occurrences(dataset) and pass occurrence=."
                )
            if len(self._seen) < _REMEMBERED_IDS:
                self._seen[number] = batch

    def _check_group(self, batch: Columns, numbers: np.ndarray) -> None:
        assert self.group is not None
        names = set(batch[self.group].tolist())
        members = hashlib.blake2b(np.sort(numbers).tobytes(), digest_size=16).digest()
        # A retry brings the same members again.
        if len(names) > 1 or self._groups.setdefault(min(names), members) != members:
            raise ValueError(
                f"Augment: got {len(numbers)} rows of {self.group} {', '.join(map(repr, sorted(names)))}, "
                "expected one whole group, since mixes take partners from it. Call "
                f"dataset.groupby({self.group!r}).map_groups(Augment, …)."
            )

    def _keys(
        self, plan: Plan, ids: np.ndarray, occurrences: np.ndarray, strength: Strength
    ) -> np.ndarray:
        """[n] dicts. Seeds that are equal modulo 2⁶⁴ are one seed; tables hold signed ones. The strength
        is the float64 that came, which the plan has rounded."""
        keys = np.empty(len(ids), object)
        strengths = np.broadcast_to(np.asarray(strength, float), len(ids))
        columns = zip(ids.tolist(), occurrences.tolist(), strengths.tolist(), strict=True)
        for row, (name, occurrence, share) in enumerate(columns):
            keys[row] = {
                "seed": (plan.seed + 2**63) % 2**64 - 2**63,
                "epoch": plan.epoch,
                "id": name,
                "occurrence": occurrence,
                "strength": share,
                "policy": plan.policy,
            }
            if self.mixes:
                keys[row]["group_size"] = len(ids)
        return keys

    def __repr__(self) -> str:
        return f"Augment({self.engine!r},\n  epoch={self.epoch}, copies={self.copies})"


class Skipped:
    """The ids of images that could not be decoded, from all actors; one that is tried again counts once.

    It needs a running Ray, and lives until the last that holds it lets it go.

    Example:
        >>> from augengine.frameworks.ray import Augment, Skipped
        >>> def augmented(dataset, policy, skipped: Skipped):
        ...     how = dict(policy=policy, epoch=0, skipped=skipped)
        ...     return dataset.map_batches(Augment, fn_constructor_kwargs=how)  # then len(skipped)
    """

    def __init__(self) -> None:
        import ray

        # It only keeps a dict, so no CPU is set aside for it. (Ray's types do not know an actor's methods.)
        self._reasons: Any = ray.remote(num_cpus=0)(_Reasons).remote()

    def add(self, reasons: Mapping[object, str]) -> None:
        """Count images.

        Args:
            reasons: Words on why an image cannot be decoded, by id.
        """
        import ray

        ray.get(self._reasons.add.remote(dict(reasons)))

    def reasons(self) -> dict[object, str]:
        """Why each image was left out, by id."""
        import ray

        reasons: Any = ray.get(self._reasons.get.remote())
        return reasons

    def __len__(self) -> int:
        return len(self.reasons())


class _Reasons:
    """The actor behind `Skipped`."""

    def __init__(self) -> None:
        self.reasons: dict[object, str] = {}

    def add(self, reasons: dict[object, str]) -> None:
        self.reasons.update(reasons)

    def get(self) -> dict[object, str]:
        return self.reasons


def with_occurrences(dataset: Dataset, id: str = "id", occurrence: str = "occurrence") -> Dataset:
    """The dataset with a column that counts the rows with one id from 0.

    All rows with one id come together for it, so it moves the data through the cluster once. Rows with
    one id should be equal: which of them is the first is not fixed.

    Args:
        dataset: Dataset of Ray.
        id: Name of the column of ids.
        occurrence: Name of the column that is added.

    Returns:
        The dataset, for `Augment(…, occurrence=…)`.

    Example:
        >>> from augengine.frameworks.ray import with_occurrences
        >>> def oversampled(dataset):
        ...     return with_occurrences(dataset.union(dataset.filter(expr="label == 7")))
    """

    def count(rows: Columns) -> dict[str, np.ndarray]:
        return {**rows, occurrence: np.arange(len(rows[id]))}

    return dataset.groupby(id).map_groups(count, batch_format="numpy")


def webdataset_sample(
    sample: Mapping[str, object],
    *,
    image: str = "image",
    label: str = "label",
    key: str = "key",
    layout: Layout = "NHWC",
) -> dict[str, str | bytes]:
    """A row of `Augment` as files of a WebDataset shard: the encoder for `Dataset.write_webdataset`.

    An image of bytes is a PNG, which loses nothing, other images are .npy; a class number is .cls, a
    soft label .soft.npy. The key and all further columns are .json, but for arrays (.npy) and bytes
    (.bin), which are files under their own name. `__key__` is made of id, seed, epoch and occurrence,
    so that all draws of an image are samples of their own.

    Args:
        sample: Values of a row, by column.
        image: Name of the column of images.
        label: Name of the column of labels, if there is one.
        key: Name of the column of keys.
        layout: Order of an image's dimensions, "NHWC" or "NCHW".

    Returns:
        The files' contents by extension, and `__key__`.

    Raises:
        TypeError: A value is nothing that JSON can say.

    Example:
        >>> from augengine.frameworks.ray import webdataset_sample
        >>> key = {"seed": 0, "epoch": 3, "id": "cats/1.jpg", "occurrence": 1}
        >>> row = {"image": np.zeros((8, 8, 3), np.uint8), "label": 7, "key": key}
        >>> files = webdataset_sample(row)
        >>> files["__key__"], list(files)
        ('cats%2F1%2Ejpg-0-3-1', ['__key__', 'png', 'cls', 'json'])
    """
    drawn = sample[key]
    assert isinstance(drawn, Mapping)
    name = drawn["id"]
    # WebDataset's names end at the first dot, and a tar's must not leave its folder.
    quoted = quote(name if isinstance(name, bytes) else str(name), safe="").replace(".", "%2E")
    numbers = "-".join(str(drawn[part]) for part in ("seed", "epoch", "occurrence"))
    files: dict[str, str | bytes] = {"__key__": f"{quoted}-{numbers}"}
    texts: dict[str, object] = {}
    for column, value in sample.items():
        if column == image:
            extension, content = _image_file(np.asarray(value), layout)
            files[extension] = content
        elif column == label:
            soft = np.ndim(value) > 0  # type: ignore[arg-type]
            files["soft.npy" if soft else "cls"] = _npy(value) if soft else str(value)
        elif isinstance(value, np.ndarray):
            files[f"{column}.npy"] = _npy(value)
        elif isinstance(value, bytes):
            files[f"{column}.bin"] = value
        else:
            texts[column] = value
    files["json"] = json.dumps(texts, default=_plain)
    return files


class _NoImageError(Exception):
    """What cannot be decoded."""


def _image(value: object, layout: Layout) -> np.ndarray:
    """One image of an object column, an array in the layout."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Mapping):
        value = value.get("bytes")
    if not isinstance(value, bytes):
        raise _NoImageError(f"it is {type(value).__name__}, neither an array nor bytes")
    try:
        array = decode(value)
    except DecodeError as error:
        raise _NoImageError(error.reason) from error
    return array if layout == "NHWC" else array.transpose(2, 0, 1)


def _labels(column: np.ndarray) -> torch.Tensor:
    """Class numbers [n] or soft labels [n, num_classes]."""
    if column.dtype == object:
        shapes = {np.shape(value) for value in column}
        if len(shapes) > 1:
            raise ValueError(
                f"Augment: got labels of the shapes {sorted(shapes)}, expected one for all: ints, or soft "
                "labels (num_classes,). Mend the column of labels."
            )
        column = np.array(column.tolist())
    if column.dtype.kind not in "iuf" or column.ndim > 2:
        raise TypeError(
            f"Augment: got labels of {column.dtype} {list(column.shape)}, expected ints [n] or floats "
            "[n, num_classes]. Map names to class numbers first, or pass label=None to let them pass."
        )
    if column.dtype.kind in "iu":
        return torch.from_numpy(column.astype(np.int64))
    return torch.from_numpy(column.astype(np.float32) if column.ndim == 2 else column.copy())


def _in_turn(arrays: list) -> np.ndarray:
    """Arrays [n, …] of copies as one: the copies of row 0, those of row 1 …"""
    if len(arrays) == 1:
        return arrays[0]
    stacked = np.stack(arrays, axis=1)
    return stacked.reshape(-1, *stacked.shape[2:])


def _worker() -> RuntimeContext | None:
    """What Ray says of this process, if it is a worker of Ray's."""
    ray: Any = sys.modules.get(
        "ray"
    )  # a worker has imported it; elsewhere it need not be installed
    if ray is None or not ray.is_initialized():
        return None
    context: RuntimeContext = ray.get_runtime_context()
    return None if context.get_task_id() is None else context


def _given_device(wanted: Device | None) -> torch.device:
    """The device to draw on. In a worker of Ray a GPU must be one that Ray gave it, since others may be
    at work on the rest."""
    device = None if wanted is None else torch.device(wanted)
    ray: Any = sys.modules.get(
        "ray"
    )  # a worker has imported it; elsewhere it need not be installed
    context = ray.get_runtime_context() if ray is not None and ray.is_initialized() else None
    if context is not None and context.get_task_id() is not None:
        given = bool(context.get_accelerator_ids().get("GPU"))
        if device is None:
            device = torch.device("cuda" if given else "cpu")
        if device.type == "cuda" and not given:
            raise ValueError(
                f"Augment: got device {device} in an actor to which Ray gave no GPU. Pass num_gpus=1 (or a "
                "part of one) to map_batches."
            )
    device = device or torch.device("cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "Augment: got a GPU to draw on, but torch finds none. Install a torch that knows it, or pass "
            "device='cpu'."
        )
    return device


def _image_file(image: np.ndarray, layout: Layout) -> tuple[str, bytes]:
    """Extension and content."""
    upright = image if layout == "NHWC" else image.transpose(1, 2, 0)
    if image.dtype != np.uint8 or upright.shape[-1] not in (1, 3, 4):
        return "npy", _npy(image)
    from PIL import Image

    file = io.BytesIO()
    grey = upright.shape[-1] == 1
    picture = Image.fromarray(np.ascontiguousarray(upright[..., 0] if grey else upright))
    picture.save(file, format="png")
    return "png", file.getvalue()


def _npy(value: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(value), allow_pickle=False)
    return file.getvalue()


def _plain(value: object) -> object:
    """What JSON does not know by itself."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes):  # an id
        return value.decode("utf-8", "surrogateescape")
    raise TypeError(
        f"webdataset_sample: got a {type(value).__name__}, expected numbers, text, arrays or bytes. Drop "
        "or convert that column first."
    )
