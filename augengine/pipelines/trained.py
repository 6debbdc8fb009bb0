"""A trained model with what its use needs: the names of its classes, and the policy of its images."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from ..aliases import Images
from ..checks import whole_number
from ..loading.engine import Engine
from ..policy.ops import RGB, Grayscale
from ..policy.ops.op import Op
from ..policy.policy import Policy


class Trained(NamedTuple):
    """A model that a run has trained, with what its use needs.

    Args:
        model: Model, frozen and in evaluation mode: images (n, C, H, W) → logits [n, classes].
        classes: Names of its classes, in the order of its logits.
        policy: Policy that images go through before it, without noise.
        channels: Number of channels that the model takes.
    """

    model: nn.Module
    classes: tuple[str, ...]
    policy: Policy
    channels: int

    def probabilities(self, images: Images, *, batch_size: int = 64) -> torch.Tensor:
        """What the model says of images: a share for each class.

        Args:
            images: Batch, or list of images or of paths or bytes of files, as an `Engine` takes them. Grey
                ones go to a model of colours as three channels alike, coloured ones to a grey model as luma.
            batch_size: Number of images that the model sees at once, 1 or more.

        Returns:
            [n, classes] float32, rows that sum to 1, on the CPU.

        Raises:
            TypeError: What came is no image, as an `Engine` says.
            ValueError: An image is damaged, or the batch size is below 1.
        """
        whole_number("predict: batch_size", batch_size, 1, 1 << 20)
        colours: dict[int, Op] = {1: Grayscale(1), 3: RGB()}
        first = [colours[self.channels]] if self.channels in colours else []
        engine = Engine([*first, *self.policy.transforms])
        parameter = next(self.model.parameters(), None)
        device = parameter.device if parameter is not None else "cpu"
        found = [torch.zeros(0, len(self.classes))]
        with torch.inference_mode():
            for begin in range(0, len(images), batch_size):
                batch = engine(images[begin : begin + batch_size])
                logits = self.model(batch.images.to(device))
                found.append(logits.float().softmax(1).cpu())
        return torch.cat(found)

    def predict(self, images: Images, *, batch_size: int = 64) -> list[tuple[str, float]]:
        """The likeliest class of each image, and its share.

        Args:
            images: Images, as `probabilities` takes them.
            batch_size: Number of images that the model sees at once, 1 or more.

        Returns:
            For each image the name of a class, and its probability by the model, in [0, 1].

        Raises:
            TypeError: What came is no image, as an `Engine` says.
            ValueError: An image is damaged, or the batch size is below 1.
        """
        shares, numbers = self.probabilities(images, batch_size=batch_size).max(1)
        return [
            (self.classes[number], share)
            for number, share in zip(numbers.tolist(), shares.tolist(), strict=True)
        ]
