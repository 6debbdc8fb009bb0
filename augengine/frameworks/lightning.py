"""For Lightning: a callback that gives the training loader's samples their keys."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from ..loading.collate import Collate
from ..loading.device_loader import DeviceLoader
from ..loading.sampler import keyed


class KeyedLoaders(Callback):
    """Calls `ae.keyed` for each loader that collates with `Collate` or `pack`, and names its epoch.

    It does so after Lightning has given the loader a sampler for its ranks, which would take keys away
    again, and before workers begin to read, which Lightning lets them do before it names the epoch. So
    an epoch is drawn alike on any number of ranks, and after a run is resumed.

    Example:
        >>> from augengine.frameworks.lightning import KeyedLoaders
        >>> trainer = lightning.Trainer(callbacks=[KeyedLoaders()], logger=False)  # doctest: +SKIP
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Called by Lightning, before it asks for loaders."""
        process = trainer.strategy.process_dataloader

        def process_and_key(loader: object) -> object:
            loader = process(loader)
            if not isinstance(loader, (DataLoader, DeviceLoader)):
                return loader
            if isinstance(loader.collate_fn, Collate):
                keys: Any = keyed(loader).sampler
                keys.set_epoch(trainer.current_epoch)
            return loader

        trainer.strategy.process_dataloader = process_and_key
