"""Hugging Face's Trainer: a data collator, a callback that augments what is trained on, a loss for soft
labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, IterableDataset
from transformers import (
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ..loading.collate import Collate
from ..loading.sampler import data_loader, keyed
from ..loading.samples import Sample


class DataCollator(Collate):
    """A `Collate` whose batches are dicts of pixel_values, labels and further fields, as models take them.
    Where there are targets and no labels, labels are the targets: a list of dicts for detectors (of
    class_labels and boxes, as DETR takes them with `TargetOptions(box_format="YOLO")`), a tensor of masks
    for segmentation.

    Trainer collates with one data_collator for training and evaluation. So pass what evaluation needs as
    data_collator, and what is trained on by an `AugmentCallback`.

    Args:
        policy: Policy, ops to make one of, or an Engine.
        image: Name of the image's field.
        label: Name of the label's field; samples may lack it.
        id: Name of the id's field; samples may lack it.
        options: Options of the `Engine`.

    Example:
        >>> from augengine.frameworks.transformers import DataCollator
        >>> image = torch.zeros(3, 40, 48, dtype=torch.uint8)
        >>> batch = DataCollator(ae.CenterCrop(32))([{"image": image, "label": 7, "id": 0}])
        >>> batch["pixel_values"].shape, batch["labels"]
        (torch.Size([1, 3, 32, 32]), tensor([7]))
    """

    name = "DataCollator"

    def __call__(self, samples: Sequence[Sample]) -> dict[str, Any]:
        first = samples[0]
        if isinstance(first, Mapping) and self.image not in first:
            raise ValueError(
                f"DataCollator: got samples with the fields {', '.join(map(repr, first))}, expected "
                f"{self.image!r} among them. Trainer removes columns that the model does not name: pass "
                "TrainingArguments(remove_unused_columns=False). Or name the field: image=."
            )
        if isinstance(first, Mapping) and self.id not in first and self.engine.draws():
            # No keys, in a worker maybe: workers number apart what they number.
            ids = self._passes.numbers(len(samples), self.epoch, int(self._named[0])).tolist()
            samples = [dict(s, **{self.id: id}) for s, id in zip(samples, ids, strict=True)]
        batch = super().__call__(samples)
        fields: dict[str, Any] = {"pixel_values": batch.images, **batch.extra}
        if batch.labels is not None and batch.targets is not None:
            fields["targets"] = batch.targets
        return fields if batch[1] is None else {**fields, "labels": batch[1]}


class AugmentCallback(TrainerCallback):
    """A callback by which Trainer trains on batches of another collator than it evaluates on.

    As training begins, it puts the collator into the training loader and gives the loader keys, as
    `keyed` does: samples are drawn by their index in the dataset, the epoch, and how often they have
    come in it. Before each epoch it names the epoch. What Trainer resumes in the middle of an epoch goes
    on with the same bits.

    Args:
        collator: Collator of the training batches.

    Example:
        >>> from augengine.frameworks.transformers import AugmentCallback, DataCollator
        >>> augment = AugmentCallback(DataCollator([ae.RandomResizedCrop(32)], seed=0))
    """

    def __init__(self, collator: Collate) -> None:
        self.collator = collator
        self._epoch = 0

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel,
        train_dataloader: DataLoader,
        **others: object,
    ) -> None:
        """Give the loader the collator and keys. Trainer calls it."""
        loader = data_loader(train_dataloader)
        loader.collate_fn = self.collator
        if not isinstance(loader.dataset, IterableDataset):
            keyed(train_dataloader)
        # Trainer counts from the whole epochs of the state that it has loaded.
        self._epoch = int(state.epoch or 0)
        if hasattr(model, "loss_function") and not isinstance(model.loss_function, _Refusing):
            model.loss_function = _Refusing(model.loss_function)

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **others: object,
    ) -> None:
        """Name the epoch. Trainer calls it."""
        self.collator.set_epoch(self._epoch)
        self._epoch += 1

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel,
        **others: object,
    ) -> None:
        """Leave the model its own loss. Trainer calls it."""
        if isinstance(getattr(model, "loss_function", None), _Refusing):
            model.loss_function = model.loss_function.loss


class _Refusing:
    """A model's own loss, which takes soft labels for those of several classes at once unless it is told
    what they are."""

    def __init__(self, loss: Callable[..., torch.Tensor]) -> None:
        self.loss = loss

    def __call__(self, labels: torch.Tensor, logits: torch.Tensor, config: Any, **options: Any):
        several = config.problem_type in ("multi_label_classification", "regression")
        if labels.is_floating_point() and config.num_labels > 1 and not several:
            raise ValueError(
                f"AugmentCallback: got soft labels {list(labels.shape)} and transformers' loss, which "
                "takes floats for several labels of each image, by binary cross entropy, expected a "
                "loss for soft labels. Pass Trainer(compute_loss_func=soft_cross_entropy), or, where "
                "images do have several, set config.problem_type='multi_label_classification'."
            )
        return self.loss(labels, logits, config, **options)


def soft_cross_entropy(
    outputs: Mapping[str, torch.Tensor] | Sequence[torch.Tensor],
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
) -> torch.Tensor:
    """Cross entropy for class numbers and for soft labels alike: Trainer's compute_loss_func.

    Args:
        outputs: Output of a model: logits [n, num_classes] under that name, or first in a tuple.
        labels: Class numbers [n], or soft labels [n, num_classes].
        num_items_in_batch: Number of elements of all labels that one step of the optimizer sees, as
            Trainer counts them; None takes the mean over these.

    Returns:
        The loss: the sum over these samples, divided by the number of samples of the step.

    Example:
        >>> from augengine.frameworks.transformers import soft_cross_entropy
        >>> outputs = {"logits": torch.tensor([[0.0, 0.0]])}
        >>> soft_cross_entropy(outputs, torch.tensor([[0.25, 0.75]]), torch.tensor(2))
        tensor(0.6931)
    """
    logits = outputs["logits"] if isinstance(outputs, Mapping) else outputs[0]
    if num_items_in_batch is None:
        return cross_entropy(logits, labels)
    samples = num_items_in_batch / (labels.shape[1] if labels.ndim == 2 else 1)
    return cross_entropy(logits, labels, reduction="sum") / samples
