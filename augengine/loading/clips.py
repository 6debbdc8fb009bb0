"""Clips: several frames of one sample, which one plan is for.

A plan knows clips by their ids; `Plan.repeat` makes it one of all their frames, so that executors draw
it as any other. Here frames are laid in a row before that, and folded into clips afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

import numpy as np
import torch

from ..aliases import Images
from ..kernels import Sources
from .batch import Batch, BatchOfViews
from .launches import Launch

_Batch = TypeVar("_Batch", Batch, BatchOfViews, Batch | BatchOfViews)


def frames_of(
    images: Images | Sources, where: str = "Engine"
) -> tuple[Images | Sources, int | None]:
    """The frames of all clips in a row, and how many each clip has; None where there are no clips.

    Args:
        images: Clips (B, T, C, H, W) as a tensor, (B, T, H, W, C) as an array, or a list of clips of
            any sizes, each of T frames; or what `Sources.of` takes.
        where: Words that messages begin with.
    """
    if isinstance(images, (torch.Tensor, np.ndarray)):
        if images.ndim != 5:
            return images, None
        frames = images.shape[0] * images.shape[1]
        return images.reshape(frames, *images.shape[2:]), _count(images.shape[1], where)
    if isinstance(images, (list, tuple)) and any(getattr(clip, "ndim", 0) == 4 for clip in images):
        counts = [len(clip) if getattr(clip, "ndim", 0) == 4 else 1 for clip in images]
        if len(set(counts)) > 1 or any(getattr(clip, "ndim", 0) != 4 for clip in images):
            raise ValueError(
                f"{where}: got clips of {sorted(set(counts))} frames, expected one number of frames for all, "
                "each clip (T, C, H, W). Take as many frames of each."
            )
        clips = cast(Sequence[torch.Tensor], images)
        return [frame for clip in clips for frame in clip], _count(counts[0], where)
    return images, None


def repeated(launches: Sequence[Launch], count: int) -> tuple[Launch, ...]:
    """The launches of all frames, from those of the clips."""
    return tuple(
        Launch(
            launch.plan.repeat(count),
            tuple(look._replace(plan=look.plan.repeat(count)) for look in launch.looks),
        )
        for launch in launches
    )


def folded(batch: _Batch, launches: Sequence[Launch], count: int) -> _Batch:
    """A batch of frames as one of clips (N, T, C, H, W), with the plans of the clips' launches."""
    looks = {(look.name, look.at): look for launch in launches for look in launch.looks}

    def one(frames: Batch, name: str | None, at: int | None) -> Batch:
        plan = looks[name, at].plan
        return frames._replace(images=frames.images.unflatten(0, (-1, count)), plan=plan)

    if isinstance(batch, Batch):
        return one(batch, None, None)
    views = BatchOfViews()
    for name, value in batch.items():
        if isinstance(value, list):
            views[name] = [one(frames, name, at) for at, frames in enumerate(value)]
        else:
            views[name] = one(value, name, None)
    return views


def frames_into(out: torch.Tensor, where: str = "Engine") -> torch.Tensor:
    """Memory for clips, as memory for their frames in a row."""
    if out.ndim != 5 or out.stride(0) != out.shape[1] * out.stride(1):
        raise ValueError(
            f"{where}: out is {tuple(out.shape)} with strides {out.stride()}, expected (N, T, C, H, W) "
            "whose clips lie one after the other. Leave out= away to get a new tensor."
        )
    return out.flatten(0, 1)


def _count(frames: int, where: str) -> int:
    if frames < 1:
        raise ValueError(
            f"{where}: got clips without frames, expected one at least. Leave them out."
        )
    return frames
