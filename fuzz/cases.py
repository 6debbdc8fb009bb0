"""A case from its name: what is drawn, from what, how, and what must hold."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random

import numpy as np

import augengine as ae

from . import files, plans
from .drawing import REFUSALS, Failure, check
from .images import Images, draw_images, small_images
from .policies import REFUSALS as REFUSED_POLICIES
from .policies import draw_policy, normalized

KINDS = (
    "right",
    "right",
    "right",
    "right",
    "lie",
    "lie",
    "lie",
    "bytes",
    "bytes",
    "text",
    "text",
    "overlap",
)
# A function that is told, line by line, what a case is: before it is run, since it may not come back.
Said = Callable[[str], None]
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


def kind_of(name: str) -> str:
    """The kind of the case of this name."""
    return Random(name).choice(KINDS)


def run(name: str, said: Said) -> str:
    """Run the case of this name. Returns its kind and what became of it; raises Failure."""
    return run_with(Random(name), said)


def run_with(rng: Random, said: Said) -> str:
    """Run the case that these random choices make."""
    kind = rng.choice(KINDS)
    said(f"kind: {kind}")
    return f"{kind}, {globals()[f'_run_{kind}'](rng, said)}"


def _executors(rng: Random, images: Images, share: float) -> list[str]:
    """The first is drawn twice; torch is slow beside it, and the interpreter slower."""
    if INTERPRETED:
        return ["gpu", "torch"]
    long = max(max(size) for size in images.sizes) > 1_000
    return ["cpu", "torch"] if rng.random() < (0.1 if long else share) else ["cpu"]


def _sampled(rng: Random, said: Said, images: Images, policy: ae.Policy, strange: bool = False):
    """A plan of the policy for the images, or None where ops do not go together."""
    how = {
        "seed": rng.choice((0, 1, 2**63, -5)),
        "epoch": rng.choice((0, 1, 7, 2**40)),
        "look": rng.choice((0, 0, 1, 2**32 - 1)),
        "channels": images.channels,
        "strength": rng.choice((None, None, 0.0, 0.5, 1e-9)),
        "dtype": rng.choice(("float32", "float32", "uint8", "float16", "bfloat16")),
        "channels_last": rng.random() < 0.3,
    }
    ids = [rng.choice((0, 1, 2, 5, 2**40, -1, -(2**63))) for _ in images.sizes]
    if any(isinstance(op, ae.Normalize) for op in policy.transforms) and how["dtype"] == "uint8":
        how["dtype"] = "float32"
    if policy.needs_boxes:
        how["boxes"] = [_boxes(rng, *size) for size in images.sizes]
    said(f"sample: ids {ids}, {how}")
    try:
        return policy.sample(ids, images.sizes, **how)
    except REFUSALS as error:
        if strange or any(part in str(error) for part in REFUSED_POLICIES):
            return None
        raise Failure("refused", f"Policy.sample refuses what is right: {error}") from error


def _boxes(rng: Random, height: int, width: int) -> list[list[float]]:
    """Boxes of an image, thin ones and such as reach outside among them."""
    ends = [
        [sorted(rng.uniform(-1, side + 1) for _ in range(2)) for side in (width, height)]
        for _ in range(rng.choice((0, 1, 1, 3)))
    ]
    return [[x0, y0, rng.choice((x1, x0)), y1] for (x0, x1), (y0, y1) in ends]


def _policy(rng: Random, said: Said, images: Images, tame: bool = False) -> ae.Policy | None:
    try:
        policy = draw_policy(rng, images.channels, images.sizes[0], tame)
        if rng.random() < 0.3:
            policy = normalized(rng, policy, images.channels)
    except REFUSALS as error:
        if any(part in str(error) for part in REFUSED_POLICIES):
            return None
        raise Failure("refused", f"Policy refuses what is right: {error}") from error
    said(f"policy: {policy!r}")
    return policy


def _images(rng: Random, said: Said, small: bool) -> Images:
    images = draw_images(rng, small or INTERPRETED)
    said(f"images: {images.words}; layout {images.layout}")
    return images


def _run_right(rng, said):
    """What ordinary users do."""
    images = _images(rng, said, small=False)
    policy = _policy(rng, said, images)
    plan = policy and _sampled(rng, said, images, policy)
    if plan is None:
        return "no policy"
    way, same = plans.sent(rng, plan)
    said(f"way: {way}")
    if same != plan:
        raise Failure("way", f"the plan is another one after it was {way}")
    if rng.random() < 0.1:
        rows = [rng.randrange(-len(plan), len(plan)) for _ in range(rng.choice((1, 3)))]
        said(f"select: {rows}")
        same = same.select(rows)
    return check(rng, same, images, _executors(rng, images, 0.3), valid=True)


def _run_lie(rng, said):
    """A plan that is not true."""
    images = _images(rng, said, small=True)
    policy = _policy(rng, said, images, tame=rng.random() < 0.7)
    plan = policy and _sampled(rng, said, images, policy)
    if plan is None:
        return "no policy"
    words, fields = plans.lied(rng, plan)
    said(f"lie: {words}")
    try:
        way, plan = plans.built(rng, plan, fields)
    except REFUSALS:
        return "not built"
    said(f"way: {way}")
    return _follow(rng, plan, images)


def _run_bytes(rng, said):
    """The file of a plan, damaged."""
    images = _images(rng, said, small=True)
    policy = _policy(rng, said, images, tame=True)
    plan = policy and _sampled(rng, said, images, policy)
    if plan is None:
        return "no policy"
    data = files.damaged_bytes(rng, plan.to_bytes())
    return read_plan(rng, data, images, lambda read: said(f"lie: {plans.differences(plan, read)}"))


def read_plan(rng: Random, data: bytes, images: Images, seen=lambda plan: None) -> str:
    """Read bytes as a plan, and follow it. seen: function that is told of what was read."""
    try:
        plan = ae.Plan.from_bytes(data)
    except REFUSALS:
        return "not read"
    seen(plan)
    return _follow(rng, plan, images)


def sampled_by_chance(rng: Random) -> tuple[ae.Policy, ae.Plan]:
    """A policy for three channels, and a plan of it for `small_images`."""
    while True:
        try:
            policy = draw_policy(rng, 3, tame=True)
            return policy, policy.sample([0, 1], small_images().sizes)
        except REFUSALS:
            continue


def _follow(rng, plan, images):
    """Everything that reads a plan: an error of ours, or an answer."""
    if rng.random() < 0.15:
        readers = (
            repr,
            lambda p: p.explain(0),
            lambda p: p.select([0, 0]),
            lambda p: ae.concatenate([p, p]),
            lambda p: p.to_bytes(),
            lambda p: ae.soft_labels(p, list(range(len(p.ids))), 3 + len(p.ids)),
            lambda p: ae.boxes(p, [[[0, 0, 2, 2]]] * len(p.ids)),
            lambda p: ae.masks(p, [np.zeros(size, np.uint8) for size in images.sizes]),
        )
        try:
            rng.choice(readers)(plan)
        except (*REFUSALS, IndexError):
            pass
    return check(rng, plan, images, _executors(rng, images, 0.3), valid=False)


def _run_text(rng, said):
    """The text of a policy, damaged."""
    images = _images(rng, said, small=True)
    policy = _policy(rng, said, images)
    if policy is None:
        return "no policy"
    text = files.damaged_text(rng, policy.to_yaml())
    said(f"text: {text[:4000]!r}")
    return read_policy(rng, said, text, images)


def read_policy(rng, said: Said, text: str, images: Images) -> str:
    """Read text as a policy, sample and draw it."""
    try:
        policy = ae.Policy.from_yaml(text)
    except REFUSALS:
        return "not read"
    if not isinstance(policy, ae.Policy):
        raise Failure("type", f"from_yaml gave {type(policy)}")
    plan = _sampled(rng, said, images, policy, strange=True)
    if plan is None:
        return "not sampled"
    if not np.prod([float(n) for n in plan.shape]) < 2e7:  # the memory is theirs who ask for it
        return "too large"
    return check(rng, plan, images, _executors(rng, images, 0.3), valid=False)


def _run_overlap(rng, said):
    """An output that shares memory with the images: an error, or what is drawn elsewhere."""
    import torch

    n, c, h, w = (
        rng.choice((1, 2)),
        rng.choice((1, 3, 4)),
        rng.choice((3, 8, 17)),
        rng.choice((3, 8, 17)),
    )
    dtype = rng.choice((torch.uint8, torch.float32))
    memory = torch.rand(
        4 * n * c * h * w, generator=torch.Generator().manual_seed(rng.randrange(2**31))
    )
    memory = (memory * 255).to(dtype) if dtype == torch.uint8 else memory
    shape, offset = (
        (n, c, h, w),
        rng.choice((0, 0, 1, c * h * w // 2, n * c * h * w - 1, n * c * h * w)),
    )
    images = memory[: n * c * h * w].view(shape)
    ops = [
        ae.RandomRotation(180),
        ae.RandomHorizontalFlip(1),
        ae.RandomCrop((h, w), 2),
        ae.CutMix(),
    ]
    policy = ae.Policy(rng.sample(ops[:3], rng.choice((1, 2))) + rng.choice(([], [ops[3]])))
    plan = policy.sample(range(n), [(h, w)] * n, channels=c, dtype=str(dtype).split(".")[1])
    out = memory[offset : offset + n * c * h * w].view(shape)
    said(f"{policy!r} of {shape} {dtype}, out {offset} values behind the images")
    for executor in ("gpu", "torch") if INTERPRETED else ("cpu", "torch"):
        expected = ae.execute(plan, images.clone(), executor=executor, layout="NCHW")
        before = memory.clone()
        try:
            got = ae.execute(plan, images, executor=executor, layout="NCHW", out=out)
        except ValueError:
            if offset == n * c * h * w:
                raise Failure(
                    "refused", f"{executor} refuses an output that overlaps nothing"
                ) from None
            continue
        if not torch.equal(got, expected):
            raise Failure(
                "overlap", f"{executor} drew over what it read, {policy!r}, offset {offset}"
            )
        memory.copy_(before)
    return "drawn"
