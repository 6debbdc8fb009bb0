"""Training pipelines that the engine feeds: each is a file, from its settings to its loss.

finetune        a pretrained body, frozen or at a low learning rate, is trained under a new head
distill         a student learns from a teacher's answers to the same augmented images
pseudo_label    a model labels what has no labels, and learns from both; `fixmatch` does so as it trains
noisy_student   teacher → pseudo-labels → larger, noised student → the next teacher

Start one by `run(Settings(...))` of its file, or by `augengine train`; `load_model` reads what it has
trained. They need `pip install 'augengine[train]'`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line imports this package without torch
    from .trained import Trained

__all__ = ["load_model"]


def load_model(path: str | os.PathLike[str]) -> Trained:
    """The model that a run has trained, with the names of its classes and the policy of its images.

    Args:
        path: Folder of a run, or of a stage of it, or its file of weights (model.safetensors).

    Returns:
        Model on the CPU, frozen and in evaluation mode, `classes`, `policy`, and `predict(images)`.

    Raises:
        ImportError: timm is missing.
        ValueError: The file says no classes, or is damaged.
        OSError: It is not there, or cannot be read.

    Example:
        >>> import tempfile, numpy as np
        >>> from augengine.pipelines import finetune, load_model
        >>> folder = tempfile.mkdtemp()
        >>> settings = finetune.Finetune(
        ...     data="digits", classes="0-1", model="digitnet_8", epochs=20, cpu=True, output=folder
        ... )
        >>> _ = finetune.run(settings)  # doctest: +ELLIPSIS
        digits...
        >>> trained = load_model(folder)
        >>> trained.classes
        ('0', '1')
        >>> stroke = np.zeros((28, 28), np.uint8)
        >>> stroke[4:24, 13:15] = 255
        >>> [(name, share)] = trained.predict([stroke])
        >>> name, share > 0.5
        ('1', True)
    """
    try:
        from . import models
    except ImportError as error:
        raise ImportError(
            f"load_model: got no {error.name}, expected the extra `train`. pip install 'augengine[train]'"
        ) from error
    return models.load(path)
