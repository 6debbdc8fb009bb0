"""Peers of `benchmarks.gpu`: the same policy as each library's users would write it for a card.

Each is optional: what is not installed, or has no op of that meaning, is a row that says so. What a peer
does that is less or other than ours is said in its name: whether it draws once for a batch or for each
sample, whether it crops without a resize, and that it does not mix. Those of torchvision, kornia,
torchtransform and DALI's pipeline also run on the CPU, where they are tested. DALI's torchvision asks for a
driver, CV-CUDA and triton-augment for a card: these were written by the sources of nvidia-dali-cuda120 2.4,
cvcuda-cu12 0.19 and triton-augment 0.3, and have not run.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

import augengine as ae
from augengine.demo import peers
from augengine.demo.peers import Untranslated

Work = Callable[[torch.Tensor], torch.Tensor]


def torchvision_each(policy: ae.Policy, device: torch.device) -> Work:
    """torchvision v2, image by image."""
    work = peers.torchvision(policy)
    return lambda planes: work(list(planes), None)


def torchvision_batch(policy: ae.Policy, device: torch.device) -> Work:
    """torchvision v2, which draws one set of parameters for what it is given."""
    from torchvision.transforms import v2

    return v2.Compose(_v2(policy))


def kornia_eager(policy: ae.Policy, device: torch.device) -> Work:
    work = peers.kornia(policy)
    return lambda planes: work(planes, None)


def kornia_compiled(policy: ae.Policy, device: torch.device, backend: str = "inductor") -> Work:
    return torch.compile(kornia_eager(policy, device), backend=backend)


def torchtransform(policy: ae.Policy, device: torch.device) -> Work:
    import torchtransform as tt

    chain = []
    for op in _without_mixes(policy):
        match op:
            case ae.RandomResizedCrop():
                chain.append(tt.RandomResizedCrop(tuple(op.size), op.scale, op.ratio))
            case ae.RandomHorizontalFlip(p=p):
                chain.append(tt.HorizontalFlip(p))
            case ae.Normalize(mean=mean, std=std):
                chain.append(tt.Normalize(tuple(mean), tuple(std)))
            case _:
                raise Untranslated(f"torchtransform has no {type(op).__name__}")
    pipeline = tt.Compose(*chain)
    return lambda planes: pipeline(tt.Image(planes.to(torch.float32).div_(255), antialias=False))


def dali_torchvision(policy: ae.Policy, device: torch.device) -> Work:
    """nvidia.dali.experimental.torchvision: v2's names, and a draw for each sample."""
    from nvidia.dali.experimental import torchvision as dali

    where, chain = _dali_device(device), []
    for op in _without_mixes(policy):
        match op:
            case ae.RandomResizedCrop():
                chain.append(
                    dali.RandomResizedCrop(
                        list(op.size), op.scale, op.ratio, antialias=op.antialias, device=where
                    )
                )
            case ae.RandomHorizontalFlip(p=p):
                chain.append(dali.RandomHorizontalFlip(p, device=where))
            case ae.Normalize(mean=mean, std=std):
                # Of bytes, which it does not scale.
                mean, std = ([255 * each for each in numbers] for numbers in (mean, std))
                chain.append(dali.Normalize(mean, std, device=where))
            case _:
                raise Untranslated(f"DALI's torchvision has no {type(op).__name__}")
    made: dict[int, Work] = {}

    def work(planes):
        count = len(planes)
        if count not in made:
            made[count] = dali.Compose(chain, batch_size=count, num_threads=4)
        return made[count](planes)

    return work


def dali_pipeline(policy: ae.Policy, device: torch.device) -> Work:
    """DALI's own pipeline, whose images are (N, H, W, C)."""
    from nvidia.dali import fn, pipeline_def, types
    from nvidia.dali.auto_aug import rand_augment

    where = _dali_device(device)
    ops = {type(op): op for op in _without_mixes(policy)}
    known = (ae.RandomResizedCrop, ae.RandomHorizontalFlip, ae.RandAugment, ae.Normalize)
    if other := set(ops) - set(known):
        raise Untranslated(f"DALI's pipeline is not written here for {other}")
    crop, flip, auto, normalize = (ops.get(kind) for kind in known)
    if None in (crop, flip, normalize):
        raise Untranslated("DALI's pipeline is written here for a crop, a flip and a Normalize")
    mean, std = ([255 * each for each in numbers] for numbers in (normalize.mean, normalize.std))

    @pipeline_def(enable_conditionals=True)
    def graph():
        images = fn.external_source(name="images", device=where, layout="HWC", batch=True)
        images = fn.random_resized_crop(
            images, size=list(crop.size), random_area=list(crop.scale),
            random_aspect_ratio=list(crop.ratio), antialias=crop.antialias,
        )  # fmt: skip
        if auto is not None:
            images = rand_augment.rand_augment(images, n=auto.num_ops, m=int(auto.magnitude))
        # The flip comes last here, and is the same in distribution.
        mirror = fn.random.coin_flip(probability=flip.p)
        return fn.crop_mirror_normalize(
            images, mirror=mirror, dtype=types.FLOAT, output_layout="CHW", mean=mean, std=std
        )

    made = {}

    def work(planes):
        count = len(planes)
        if count not in made:
            index = torch.cuda.current_device() if where == "gpu" else None
            made[count] = graph(batch_size=count, num_threads=4, device_id=index)
            made[count].build()
        images = planes.permute(0, 2, 3, 1).contiguous()
        made[count].feed_input("images", images if where == "gpu" else images.numpy())
        return torch.from_dlpack(made[count].run()[0].as_tensor())

    return work


def cvcuda_compose(policy: ae.Policy, device: torch.device) -> Work:
    """cvcuda.tv.Compose: v2's transforms, whose draws it takes, by CV-CUDA's kernels."""
    import cvcuda.tv

    return cvcuda.tv.Compose(_v2(policy))


def triton_augment(policy: ae.Policy, device: torch.device) -> Work:
    """A crop of the output's size: it has no resize, and no policies."""
    import triton_augment

    settings: dict = {}
    for op in _without_mixes(policy):
        match op:
            case ae.RandomResizedCrop():
                settings["crop_size"] = tuple(op.size)
            case ae.RandomHorizontalFlip(p=p):
                settings["horizontal_flip_p"] = p
            case ae.Normalize(mean=mean, std=std):
                settings |= {"mean": tuple(mean), "std": tuple(std)}
            case _:
                raise Untranslated(f"triton-augment has no {type(op).__name__}")
    fused = triton_augment.TritonFusedAugment(**settings)
    return lambda planes: fused(planes.to(torch.float32).div_(255))


PEERS: dict[str, Callable[[ae.Policy, torch.device], Work]] = {
    "torchvision v2, each image": torchvision_each,
    "torchvision v2, one draw for the batch, no mix": torchvision_batch,
    "kornia": kornia_eager,
    "kornia, compiled": kornia_compiled,
    "torchtransform, no mix": torchtransform,
    "CV-CUDA's Compose, one draw for the batch, no mix": cvcuda_compose,
    "DALI's torchvision, no mix": dali_torchvision,
    "DALI's pipeline, no mix": dali_pipeline,
    "triton-augment, no resize, no mix": triton_augment,
}


def _without_mixes(policy: ae.Policy) -> list:
    return [op for op in policy.transforms if not isinstance(op, (ae.CutMix, ae.MixUp))]


def _dali_device(device: torch.device) -> str:
    return "gpu" if device.type == "cuda" else "cpu"


def _v2(policy: ae.Policy) -> list:
    """The policy in torchvision's transforms, for bytes (N, C, H, W), without its mixes."""
    from torchvision.transforms import v2

    chain: list = []
    for op in _without_mixes(policy):
        match op:
            case ae.RandomResizedCrop():
                chain.append(
                    v2.RandomResizedCrop(op.size, op.scale, op.ratio, antialias=op.antialias)
                )
            case ae.RandomHorizontalFlip(p=p):
                chain.append(v2.RandomHorizontalFlip(p))
            case ae.RandAugment():
                chain.append(v2.RandAugment(op.num_ops, int(op.magnitude)))
            case ae.Normalize(mean=mean, std=std):
                chain += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
            case _:
                raise Untranslated(f"torchvision is not written here for {type(op).__name__}")
    return chain
