"""At home in torch: compiled, under autocast and inference mode, in several processes, captured."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from cases import plan_of, quick_or_thorough
from photos import patches
from test_loader import COUNT, VIEWS, Pictures
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.data import DataLoader, DistributedSampler

import augengine as ae
from augengine.kernels.gpu.lower import lower

IMAGES = patches(6, 40, 44)
POLICY = [
    ae.RandomResizedCrop(24),
    ae.RandomHorizontalFlip(),
    ae.RandAugment(2, 9),
    ae.CutMix(),
    ae.Normalize(0.5, 0.5),
]


def plans(count, ops=POLICY, **how):
    return [plan_of(ops, IMAGES, epoch=epoch, **how) for epoch in range(count)]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(5),
    )


# The operator


@pytest.mark.parametrize("dtype", ["float32", "uint8", "bfloat16"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_operator_keeps_torchs_rules(dtype, channels_last):
    ops = POLICY[:-1] if dtype == "uint8" else POLICY
    (plan,) = plans(1, ops, dtype=dtype, channels_last=channels_last)
    arguments = (IMAGES, ae.as_tensor(plan), 3, 24, 24, dtype, channels_last)
    torch.library.opcheck(torch.ops.augengine.execute.default, arguments)
    got = ae.execute_compiled(*arguments[:2], plan.finish)
    assert torch.equal(got, ae.execute(plan, IMAGES))
    assert got.stride() == ae.execute(plan, IMAGES).stride()


def test_the_operator_takes_what_execute_takes():
    plan = plan_of([ae.CenterCrop(20), ae.MixUp()], IMAGES)
    several = ae.side_by_side([plan, plan])
    last = IMAGES.contiguous(memory_format=torch.channels_last)
    for images in (IMAGES, last, IMAGES.double() / 255, IMAGES / 255):
        got = ae.execute_compiled(images, ae.as_tensor(several), several.finish)
        assert torch.equal(got, ae.execute(several, images))


def test_plans_of_a_policy_have_tensors_of_one_shape():
    tensors = [ae.as_tensor(plan) for plan in plans(20)]
    assert {tuple(tensor.shape) for tensor in tensors} == {tuple(tensors[0].shape)}
    assert len(tensors[0]) == len(IMAGES)


@pytest.mark.parametrize("backend", quick_or_thorough(["aot_eager"], ["inductor"]))
def test_augmentation_and_model_compile_as_one_graph(model, backend):
    counter = CompileCounterWithBackend(backend)

    @torch.compile(fullgraph=True, backend=counter)
    def step(images, plan, finish):
        return model(ae.execute_compiled(images, plan, finish))

    for plan in plans(5):
        expected = model(ae.execute(plan, IMAGES))
        got = step(IMAGES, ae.as_tensor(plan), plan.finish)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
        got.square().sum().backward()
    assert counter.frame_count == 1


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"finish": ae.Finish((24, 25))}, r"_compiled: the plan makes Finish\(.*, expected size \(24, 25\)"),
        ({"images": IMAGES[:5]}, r"execute: the plan has 6 sources, 5 images came\. Sample"),
        ({"images": (IMAGES / 255).requires_grad_()}, r"_compiled: the images require a gradient, .*\. Pass"),
        ({"plan": torch.zeros(6, 8)}, r"_compiled: got a plan of torch\.float32 \(6, 8\) on cpu, .*\. Pass"),
        ({"plan": torch.zeros(6, 8, dtype=torch.uint8)}, r"_compiled: the plan's tensor is cut short .*Save"),
        ({"plan": torch.zeros(6, 0, dtype=torch.uint8)}, r"_compiled: the plan's tensor is cut short .*Save"),
    ],
)  # fmt: skip
def test_what_the_operator_refuses(what, said):
    (plan,) = plans(1)
    arguments = {"images": IMAGES, "plan": ae.as_tensor(plan), "finish": plan.finish} | what
    with pytest.raises(ValueError, match=said):
        ae.execute_compiled(**arguments)


# Modes


def test_autocast_changes_nothing():
    """Neither the pixels, by whichever executor, nor labels that are soft."""
    policy = [*POLICY[:3], ae.GaussianBlur(3), ae.RandomPerspective(p=1), *POLICY[3:]]
    soft = torch.rand(6, 7)
    for images in (IMAGES, IMAGES / 255):
        for executor in ae.kernels.CPU_EXECUTORS:
            engine = ae.Engine(policy, executor=executor)
            expected = engine(images, soft, ids=range(6), epoch=0)
            with torch.autocast("cpu", torch.bfloat16):
                got = engine(images, soft, ids=range(6), epoch=0)
            assert torch.equal(got.images, expected.images)
            assert torch.equal(got.labels, expected.labels)
    (plan,) = plans(1)
    with torch.autocast("cpu", torch.bfloat16):
        got = ae.execute_compiled(IMAGES, ae.as_tensor(plan), plan.finish)
    assert torch.equal(got, ae.execute(plan, IMAGES))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_without_gradients(mode):
    (plan,) = plans(1)
    engine = ae.Engine(POLICY, num_classes=6)
    expected = engine(IMAGES, range(6), ids=range(6), epoch=0).images
    with mode():
        images = IMAGES.clone()
        assert torch.equal(engine(images, range(6), ids=range(6), epoch=0).images, expected)
        assert torch.equal(
            ae.execute_compiled(images, ae.as_tensor(plan), plan.finish), ae.execute(plan, IMAGES)
        )
        batches = [(images, range(6), range(6))]
        (batch,) = ae.DeviceLoader(batches, engine, device="cpu")
        assert torch.equal(batch.images, expected)


# Several processes


def _rank(rank, count, file):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{file}", rank=rank, world_size=count)
    names = ae.WithIds(Pictures(32))
    sampler = DistributedSampler(names, count, rank, seed=1)
    collate = ae.pack(VIEWS, seed=5, num_classes=COUNT)
    data = DataLoader(names, batch_size=4, sampler=sampler, num_workers=1, collate_fn=collate)
    ahead = ae.DeviceLoader(data, device="cpu")
    model = torch.nn.parallel.DistributedDataParallel(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, COUNT))
    )
    seen = []
    for epoch in range(2):
        ahead.set_epoch(epoch)
        for batch in ahead:
            loss = torch.nn.functional.cross_entropy(model(batch.images), batch.labels)
            loss.backward()
            seen.append((batch.plan.epoch, batch.plan.ids, batch.images, batch.labels))
    torch.save((seen, model.module[1].weight.grad), f"{file}.{rank}")
    dist.destroy_process_group()


def test_every_rank_draws_what_one_process_would(tmp_path):
    """DistributedDataParallel in two processes: each sample once an epoch, its plan by its id alone."""
    file = tmp_path / "ranks"
    torch.multiprocessing.spawn(_rank, (2, file), nprocs=2)
    engine = ae.Engine(VIEWS, seed=5, num_classes=COUNT)
    ranks = [torch.load(f"{file}.{rank}", weights_only=False) for rank in range(2)]
    met = set()
    for seen, _ in ranks:
        assert len(seen) == 8
        for epoch, ids, images, labels in seen:
            pictures = [Pictures()[i][0] for i in ids]
            expected = engine(pictures, ids, ids=ids, epoch=epoch)
            assert torch.equal(images, expected.images)
            assert torch.equal(labels, torch.as_tensor(expected.labels))
            met |= {(epoch, int(i)) for i in ids}
    assert len(met) == 2 * 32
    assert torch.equal(ranks[0][1], ranks[1][1])  # gradients are averaged over ranks


# CUDA


def test_plans_that_one_captured_graph_can_draw():
    """The tables and the kinds of work stay, where every op happens to every sample; where chance
    decides which steps there are, they may not. (Replays are in test_gpu_executor.)"""
    for ops, alike in [
        (
            [ae.RandomResizedCrop(24), ae.RandomHorizontalFlip(), ae.ColorJitter(0.3), ae.CutMix()],
            True,
        ),
        ([ae.RandomResizedCrop(24), ae.ColorJitter(0.3, 0.3, 0.3), ae.Normalize(0.5, 0.5)], True),
        ([ae.RandomResizedCrop(24), ae.RandAugment(2, 9)], False),
    ]:
        first, *others = map(lower, plans(8, ops))
        same = [(p.tables, p.passes) == (first.tables, first.passes) for p in others]
        assert all(same) == alike


@pytest.mark.gpu
def test_the_operator_on_a_gpu(model):
    model = model.cuda()
    counter = CompileCounterWithBackend("inductor")

    @torch.compile(fullgraph=True, backend=counter)
    def step(images, plan, finish):
        drawn = ae.execute_compiled(images, plan, finish)
        return drawn, model(drawn)

    for plan in plans(3):
        drawn, _ = step(IMAGES.cuda(), ae.as_tensor(plan), plan.finish)
        assert torch.equal(drawn, ae.execute(plan, IMAGES.cuda()))
    assert counter.frame_count == 1


@pytest.mark.gpu
def test_autocast_on_a_gpu():
    (plan,) = plans(1)
    expected = ae.execute(plan, IMAGES.cuda())
    with torch.autocast("cuda", torch.float16):
        assert torch.equal(ae.execute(plan, IMAGES.cuda()), expected)


def test_a_plans_tensor_is_the_plan():
    from augengine.kernels.operator import _plan_of

    (plan,) = plans(1)
    assert _plan_of(ae.as_tensor(plan)) == plan
    assert ae.Plan.from_bytes(plan.to_bytes()) == plan
    assert np.array_equal(ae.as_tensor(plan), ae.as_tensor(plan))
