"""Maps of any values, such as heat maps, logits and depths: resampled by a plan's geometry."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from ..aliases import Executor
from ..kernels import Sources, execute
from ..plan import Finish, Plan
from ..plan.fields import no_curves
from ..plan.kinds import NO_VIEW
from ..plan.maps import carriers
from .refuse import check_followed


def resample(
    plan: Plan,
    maps: torch.Tensor | Sequence[torch.Tensor],
    *,
    fill: float = 0.0,
    executor: Executor | None = None,
) -> torch.Tensor:
    """Draw maps of any values by a plan's geometry: heat maps, logits, depths. Colours, filters and erased
    boxes leave them as they are. The filter is the plan's, linear for those of `Plan.inverse`; flips and
    quarter turns move values without changing a bit (on a GPU, along an edge but for a rounding). Gradients
    flow where maps require them.

    Args:
        plan: Plan of the batch; one view carries each output's label.
        maps: Floats (B, C, H, W), or a list of (C, H, W), of the sizes of the plan's sources.
        fill: Number of any size where nothing is shown, NaN included.
        executor: Name of the executor, 'cpu', 'gpu' or 'torch'; None takes the fastest that fits.

    Returns:
        The maps (N, C, H, W) float32 of the outputs.

    Raises:
        TypeError: Maps are no floats.
        ValueError: They do not fit the plan, an output is a mix, or goes through a Stage that may move
            pixels.

    Example:
        >>> plan = ae.Policy(ae.RandomHorizontalFlip(p=1)).sample([0], [(1, 3)])
        >>> ae.resample(plan, torch.tensor([[[[-7.0, 0.5, 30.0]]]]))
        tensor([[[[30.0000,  0.5000, -7.0000]]]])
    """
    sources = _sources(maps)
    drawn = execute(_geometry(plan, sources.channels), sources, executor=executor)
    if fill == 0:
        return drawn
    return torch.where(seen(plan, drawn.device, executor), drawn, fill)


def seen(
    plan: Plan, device: torch.device | str = "cpu", executor: Executor | None = None
) -> torch.Tensor:
    """Where a plan's outputs show anything: (N, 1, H, W) bool."""
    one = torch.ones(1, device=device)
    ones = tuple(one.expand(height, width, 1) for height, width in plan.sizes.tolist())
    drawn = execute(_geometry(plan, 1), Sources(None, ones, plan.sizes), executor=executor)
    # Weights add up to 1, but for rounding, wherever there is something to weigh.
    return drawn > 0.5


def _sources(maps: torch.Tensor | Sequence[torch.Tensor]) -> Sources:
    """Maps as executors read them."""
    if isinstance(maps, torch.Tensor) and maps.ndim != 4:
        raise ValueError(
            f"resample: got maps of shape {tuple(maps.shape)}, expected (B, C, H, W). Add the dimensions "
            "that lack."
        )
    several = [maps] if isinstance(maps, torch.Tensor) else list(maps)
    for one in several:
        if not isinstance(one, torch.Tensor) or not one.is_floating_point():
            got = one.dtype if isinstance(one, torch.Tensor) else type(one).__name__
            raise TypeError(
                f"resample: got {got}, expected tensors of floats. Class numbers go through masks, which "
                "mixes none of them."
            )
        if one.ndim < 3:
            raise ValueError(
                f"resample: got a map of shape {tuple(one.shape)}, expected (C, H, W) each. Add the "
                "dimensions that lack."
            )
    last = [one.float().movedim(-3, -1) for one in several]
    # Not by Sources.of, which holds values for colours and wants them in [0, 1].
    if isinstance(maps, torch.Tensor):
        size = np.array(maps.shape[2:], np.int32)
        return Sources(last[0], (), np.tile(size, (len(maps), 1)))
    sizes = np.array([one.shape[:2] for one in last], np.int32).reshape(-1, 2)
    return Sources(None, tuple(last), sizes)


def _geometry(plan: Plan, channels: int) -> Plan:
    """The plan without colours, and without layers but for those of the view that carries the label."""
    check_followed("resample", plan, borders=False)
    views = carriers("resample", plan)
    plan = plan.without_colour()
    count = len(plan.source)
    keeps = plan.view == views[:, None]
    keeps[:, 0] = True
    bare = dataclasses.replace(
        plan,
        finish=Finish(plan.finish.size, channels),
        fill=np.zeros((count, channels), np.float32),
        colour=np.zeros((*plan.view.shape, channels), np.float32),
        view=np.where(keeps, plan.view, NO_VIEW).astype(np.int32),
        alpha=np.where(keeps, 1, plan.alpha).astype(np.float32),
        step_kind=plan.step_kind[:, :0],
        step_arg=plan.step_arg[:, :0],
        statistic=plan.statistic[:, :0],
        window=plan.window[:, :0],
        curves=no_curves(channels),
    )
    return bare.select(slice(None))
