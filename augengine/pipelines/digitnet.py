"""Small residual networks for 28×28 grey images, from timm's blocks and under timm's names: digitnet_8,
digitnet_16, digitnet_32. A CPU core trains the middle one on 5,000 images a second."""

from __future__ import annotations

from typing import Any

from timm.models import register_model
from timm.models.byobnet import ByoBlockCfg, ByobNet, ByoModelCfg
from torch import nn


def _digitnet(
    width: int, pretrained: bool, in_chans: int = 1, pretrained_cfg: Any = None, **arguments: Any
) -> nn.Module:
    """A 3×3 stem, then a residual block of `width`, 2 · `width` and 4 · `width` channels each."""
    if pretrained:
        raise ValueError(
            f"digitnet_{width}: there are no pretrained weights, expected random ones."
        )
    for unused in ("pretrained_cfg_overlay", "cache_dir"):
        arguments.pop(unused, None)
    blocks = tuple(ByoBlockCfg("basic", 1, width * 2**i, 1 if i == 0 else 2) for i in range(3))
    config = ByoModelCfg(blocks=blocks, stem_type="3x3", stem_pool="", stem_chs=width)
    model: Any = ByobNet(config, in_chans=in_chans, **arguments)
    model.pretrained_cfg = {"classifier": "head.fc", "first_conv": "stem.conv"}
    return model


# timm calls these with arguments of its own choice.


@register_model
def digitnet_8(pretrained: bool = False, **arguments: Any) -> nn.Module:
    """A network of 20 thousand parameters."""
    return _digitnet(8, pretrained, **arguments)


@register_model
def digitnet_16(pretrained: bool = False, **arguments: Any) -> nn.Module:
    """A network of 78 thousand parameters."""
    return _digitnet(16, pretrained, **arguments)


@register_model
def digitnet_32(pretrained: bool = False, **arguments: Any) -> nn.Module:
    """A network of 308 thousand parameters."""
    return _digitnet(32, pretrained, **arguments)
