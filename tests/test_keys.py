"""Which draw a sample gets in anybody's loop: samplers that repeat, workers, ranks, epochs that nobody
names, runs that are resumed.

A draw is read off the plan: the rotation, and the seed of the noise. What two draws have to be is said by the
loop alone: no two alike, and where ids and an epoch are known, the same wherever they are made.
"""

import copy
import itertools
import json
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch
from cases import quick_or_thorough
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

import augengine as ae
from augengine.loading.passes import Counter

COUNT, EPOCHS = 24, 3
POLICY = ae.Policy([ae.CenterCrop(8), ae.RandomRotation(180)])
NAMED = pytest.mark.parametrize("named", [False, True], ids=["unnamed", "named"])


class Pictures(Dataset):
    """Importable, so that it can be spawned."""

    def __init__(self, count=COUNT):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return torch.full((3, 10, 10), index, dtype=torch.uint8), index


class Streamed(IterableDataset):
    """The same, one after another, each worker its part; with names as ids."""

    def __iter__(self):
        info = torch.utils.data.get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        for index in range(first, COUNT, step):
            yield torch.full((3, 10, 10), index, dtype=torch.uint8), index, f"n01/{index}.jpg"


class Repeated(Sampler):
    """Repeated augmentation, as DeiT's and torchvision's references have it: each rank gets another of an
    image's repetitions, and an epoch is as long as without."""

    def __init__(self, count, rank=0, num_replicas=1, repetitions=3):
        self.count, self.rank, self.num_replicas = count, rank, num_replicas
        self.repetitions, self.epoch = repetitions, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return self.count // self.num_replicas

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.epoch)
        order = torch.randperm(self.count, generator=generator).repeat_interleave(self.repetitions)
        return iter(order[self.rank :: self.num_replicas][: len(self)].tolist())


class Twice(Sampler):
    """A batch sampler of somebody's own, which brings every sample twice, in other batches."""

    def __len__(self):
        return 2 * COUNT // 8

    def __iter__(self):
        yield from np.arange(COUNT).reshape(-1, 8).tolist()
        yield from np.arange(COUNT).reshape(-1, 8).tolist()


SAMPLERS = {
    "sequential": lambda data: {"sampler": SequentialSampler(data)},
    "random": lambda data: {"sampler": RandomSampler(data)},
    "weighted": lambda data: {"sampler": WeightedRandomSampler([5.0] + [1.0] * (COUNT - 1), 40)},
    "replacement": lambda data: {"sampler": RandomSampler(data, replacement=True, num_samples=40)},
    "repeated": lambda data: {"sampler": Repeated(COUNT)},
    "distributed": lambda data: {"sampler": DistributedSampler(data, 1, 0)},
    "subset": lambda data: {"sampler": SubsetRandomSampler([1, 5, 7, 9, 11])},
    "list": lambda data: {"sampler": list(range(COUNT))[::-1]},
    "list of batches": lambda data: {"batch_sampler": np.arange(COUNT).reshape(-1, 8).tolist()},
    "list with repeats": lambda data: {"sampler": [*range(COUNT), 3, 3, 4]},
    "batches": lambda data: {
        "batch_sampler": BatchSampler(RandomSampler(data), 8, drop_last=False)
    },
    "own batches": lambda data: {"batch_sampler": Twice()},
}
REPEAT = {"weighted", "replacement", "repeated", "own batches", "list with repeats"}


def draws(plan):
    """The draw of each output: (id, occurrence, what was drawn)."""
    return [
        (int(plan.ids[s]), int(plan.occurrence[s]), plan.inv_matrix[v].tobytes().hex())
        for v in plan.view[:, 0]
        for s in [plan.roots()[v]]
    ]


def build(name, keyed, collate=None, workers=0, context=None, persistent=False, **how):
    data = Pictures()
    how = (SAMPLERS[name](data) if name else {}) | how
    if "batch_sampler" not in how:
        how["batch_size"] = how.get("batch_size", 8)
    loader = DataLoader(
        data if keyed else ae.WithIds(data),
        num_workers=workers,
        multiprocessing_context=context,
        persistent_workers=persistent,
        collate_fn=collate or ae.Collate(POLICY),
        **how,
    )
    return ae.keyed(loader) if keyed else loader


def name_epoch(loader, epoch):
    """As the loops of this field do it: samplers and collate functions, each if it can."""
    for part in (loader.sampler, getattr(loader.batch_sampler, "sampler", None), loader.collate_fn):
        if hasattr(part, "set_epoch"):
            part.set_epoch(epoch)


def epochs_of(loader, named, epochs=EPOCHS):
    """The draws of some epochs."""
    drawn = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for epoch in range(epochs):
            if named:
                name_epoch(loader, epoch)
            drawn.append([draw for batch in loader for draw in draws(batch.plan)])
    return drawn


def assert_all_differ(drawn):
    every = [what for epoch in drawn for _, _, what in epoch]
    assert len(set(every)) == len(every)


def wanted(drawn):
    """What keys alone make of each draw: the policy, asked for one sample at a time."""
    return [
        [
            draws(POLICY.sample([id], [(10, 10)], epoch=epoch, occurrences=[occurrence]))[0]
            for id, occurrence, _ in of_epoch
        ]
        for epoch, of_epoch in enumerate(drawn)
    ]


WORKERS = quick_or_thorough(
    [(0, None, False), (2, "fork", False), (2, "fork", True)],
    [
        (1, "fork", False),
        (4, "fork", True),
        (4, "fork", False),
    ],
    unpack=True,
)


@pytest.mark.parametrize(("workers", "context", "persistent"), WORKERS)
@NAMED
@pytest.mark.parametrize("keyed", [False, True], ids=["plain", "keyed"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_two_draws_are_alike(sampler, keyed, named, workers, context, persistent):
    torch.manual_seed(0)
    loader = build(sampler, keyed, None, workers, context, persistent)
    drawn = epochs_of(loader, named)
    if sampler != "subset":
        assert sum(map(len, drawn)) == EPOCHS * {
            "weighted": 40,
            "replacement": 40,
            "own batches": 48,
            "list with repeats": COUNT + 3,
        }.get(sampler, COUNT)
    assert_all_differ(drawn)
    if keyed or (named and sampler not in REPEAT):
        # By the ids, the epochs and the count of their comings, and by nothing else.
        assert drawn == wanted(drawn)
        for epoch in drawn:
            for id, of_id in itertools.groupby(sorted(epoch), key=lambda draw: draw[0]):
                assert [occurrence for _, occurrence, _ in of_id] == [
                    *range(sum(draw[0] == id for draw in epoch))
                ]


def test_a_stream_that_names_its_samples():
    for workers, persistent in ((0, False), (2, False), (2, True)):
        collate = ae.Collate(POLICY)
        loader = DataLoader(
            Streamed(), 4, num_workers=workers, persistent_workers=persistent, collate_fn=collate
        )
        drawn = []
        for epoch in range(EPOCHS):
            collate.set_epoch(epoch)
            drawn.append([draw for batch in loader for draw in draws(batch.plan)])
        assert_all_differ(drawn)
        assert drawn == wanted(drawn)
        assert len(drawn[0]) == COUNT


@pytest.mark.thorough
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("keyed", [False, True], ids=["plain", "keyed"])
@pytest.mark.parametrize(
    ("sampler", "named"), [("random", True), ("weighted", False), ("own batches", True)]
)
def test_no_two_draws_are_alike_in_workers_that_are_spawned(sampler, named, keyed, persistent):
    """They cannot see who began them; each takes seconds to begin."""
    test_no_two_draws_are_alike(sampler, keyed, named, 2, "spawn", persistent)


# Epochs that nobody names


def test_the_seed_of_torch_names_them():
    """Without a word each pass is another, and a run is repeated by torch.manual_seed: for any number of
    workers that live for a pass, and though the loader is made anew for each epoch."""
    runs = []
    for workers in (0, 2, 3):
        torch.manual_seed(8)
        loaders = [build("sequential", False, None, workers) for _ in range(EPOCHS)]
        runs.append([epochs_of(loader, named=False, epochs=1)[0] for loader in loaders])
        assert_all_differ(runs[-1])
    assert runs[0] == runs[1] == runs[2]
    torch.manual_seed(9)
    assert epochs_of(build("sequential", False), named=False, epochs=1)[0] != runs[0][0]


@pytest.mark.parametrize("workers", [0, 2])
def test_one_warning_says_how_to_name_them(workers):
    loader = build("random", False, None, workers, persistent=workers > 0)
    said = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            list(loader)
            said.append(len(caught))
    if workers == 0:  # a worker says it on stderr
        assert said == [1, 1]
        assert "set_epoch(epoch)" in str(caught[0].message)
        assert caught[0].filename == __file__
    assert loader.collate_fn._passes._said[0] == 1


def test_keyed_passes_are_counted_and_the_second_one_warns():
    loader = build("random", keyed=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(loader)
    with pytest.warns(
        UserWarning, match=r"passes are counted.*loader\.sampler\.set_epoch"
    ) as caught:
        list(loader)
    assert caught[0].filename == __file__
    loader.sampler.set_epoch(7)
    assert {batch.plan.epoch for batch in loader} == {7}


def test_an_engine_that_is_told_no_epoch():
    """The first time is epoch 0, and each later one is another draw."""
    images, ids = torch.zeros(4, 3, 10, 10, dtype=torch.uint8), [3, 4, 5, 3]
    engine = ae.Engine(POLICY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = engine(images[:3], ids=ids[:3])
    assert first.plan == POLICY.sample(ids[:3], [(10, 10)] * 3)
    with pytest.warns(UserWarning, match="No epoch was named, and ids come again") as caught:
        drawn = [draws(engine(images, ids=ids).plan) for _ in range(3)]
    assert len(caught) == 1
    assert_all_differ([draws(first.plan), *drawn])
    # With ids and an epoch it is a function.
    assert engine(images, ids=ids, epoch=5).plan == engine(images, ids=ids, epoch=5).plan


class Augmented(Pictures):
    """A dataset that draws by itself."""

    def __init__(self, ids):
        super().__init__(32)
        self.engine, self.ids = ae.Engine(POLICY), ids

    def __getitem__(self, index):
        images = super().__getitem__(index)[0][None]
        plan = self.engine.plan([(10, 10)], [index] if self.ids else None)
        assert len(images) == len(plan)
        return torch.from_numpy(plan.inv_matrix[0].copy())


@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize(
    ("workers", "context"), quick_or_thorough([(0, None), (2, "fork")], [(2, "spawn")], unpack=True)
)
def test_an_engine_inside_a_dataset(ids, workers, context):
    loader = DataLoader(Augmented(ids), 8, num_workers=workers, multiprocessing_context=context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = [row.numpy().tobytes() for _ in range(3) for batch in loader for row in batch]
    assert len(set(drawn)) == len(drawn) == 96


def test_strength_that_follows_an_epoch_which_nobody_names():
    collate = ae.Collate(POLICY, strength=ae.Ramp([(0, 0.1), (3, 1.0)]))
    with pytest.raises(ValueError, match=r"Collate: got a strength that is a function .*Name it"):
        list(build("random", False, collate))
    collate.set_epoch(2)
    list(build("random", False, collate))


# set_epoch


@pytest.mark.parametrize("epoch", [1.7, "3", 2**64 + 5, -1, None, True + 0.5])
def test_an_epoch_that_is_none(epoch):
    takers = (
        ae.Collate(POLICY),
        ae.pack(POLICY),
        ae.KeyedSampler([1]),
        ae.DeviceLoader([], POLICY, device="cpu"),
    )
    for taker in takers:
        with pytest.raises(
            (TypeError, ValueError), match=r"epoch: got .*, expected a whole number"
        ):
            taker.set_epoch(epoch)


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize(
    ("workers", "context"), quick_or_thorough([(0, None), (2, "fork")], [(2, "spawn")], unpack=True)
)
@pytest.mark.parametrize("first", [0, 1])
def test_a_pass_keeps_the_epoch_that_it_began_with(keyed, workers, context, first):
    loader = build("random", keyed, None, workers, context)
    name_epoch(loader, 3)
    batches = iter(loader)
    got = [next(batches) for _ in range(first or workers == 0)]
    name_epoch(loader, 4)  # before workers have begun to draw, it may be
    got += batches
    assert [batch.plan.epoch for batch in got] == [3, 3, 3]
    assert [batch.plan.epoch for batch in loader] == [4, 4, 4]


def test_a_collate_function_in_two_loaders_at_once():
    collate = ae.Collate(POLICY)
    collate.set_epoch(2)
    one, other = (build("sequential", False, collate) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert a.plan == b.plan
        assert not a.plan.occurrence.any()


# Ranks


@pytest.mark.parametrize("count", [COUNT, 13, 3])
def test_padding_that_makes_ranks_even_is_drawn_anew(count):
    """DistributedSampler gives some samples to two ranks, so that all have as many."""
    drawn = []
    for world in (1, 2, 5):
        of_world = []
        for rank in range(world):
            data = Pictures(count)
            sampler = DistributedSampler(data, world, rank)
            loader = ae.keyed(DataLoader(data, 4, sampler=sampler, collate_fn=ae.Collate(POLICY)))
            sampler.set_epoch(1)  # the loop holds the sampler that was there
            of_world += [draw for batch in loader for draw in draws(batch.plan)]
            assert {batch.plan.epoch for batch in loader} == {1}
        assert_all_differ([of_world])
        drawn.append({draw for draw in of_world if draw[1] == 0})
    assert drawn[0] == drawn[1] == drawn[2]


@pytest.mark.parametrize("workers", [0, 2])
def test_repetitions_on_several_ranks(workers):
    """Those of an image lie on several ranks; they are counted over all, so they do not depend on how
    many there are."""
    drawn = []
    for world in (1, 2, 3):
        of_world = []
        for rank in range(world):
            sampler = Repeated(COUNT, rank, world)
            loader = build(None, True, None, workers, sampler=sampler)
            for epoch in range(2):
                sampler.set_epoch(epoch)
                of_world += [(epoch, *draw) for batch in loader for draw in draws(batch.plan)]
        assert len(of_world) == 2 * COUNT
        assert_all_differ([[draw[1:] for draw in of_world]])
        drawn.append(sorted(of_world))
    assert drawn[0] == drawn[1] == drawn[2]


class Unsteady(Repeated):
    """Another list each time that it is asked for."""

    def __iter__(self):
        order = torch.randperm(self.count)[: len(self)]
        return iter(order.tolist())


@pytest.mark.parametrize("count", [COUNT, 21, 13, 40])
@pytest.mark.parametrize("split", [False, True])
def test_what_accelerate_repeats_to_make_ranks_even(count, split):
    """Its sampler fills the last batches up with the epoch's first samples."""
    from accelerate.data_loader import BatchSamplerShard

    drawn, filled = {}, 0
    for world in (1, 2, 3):
        of_world = []
        for rank in range(world):
            data = Pictures(count)
            order = torch.Generator().manual_seed(1)
            batches = BatchSampler(RandomSampler(data, generator=order), 6, drop_last=False)
            share = BatchSamplerShard(batches, world, rank, split_batches=split)
            loader = DataLoader(data, batch_sampler=share, collate_fn=ae.Collate(POLICY))
            assert len(ae.keyed(loader)) == len(share)
            assert loader.batch_sampler.batch_size == 6
            loader.batch_sampler.set_epoch(2)  # as accelerate's loaders do
            of_world += [draw for batch in loader for draw in draws(batch.plan)]
        assert_all_differ([of_world])
        filled += len(of_world) - count
        drawn[world] = {draw for draw in of_world if draw[1] == 0}
    assert filled or (split and count == COUNT)
    assert drawn[1] == drawn[2] == drawn[3]
    assert len(drawn[1]) == count


def test_ranks_that_cannot_be_listed():
    drawn = []
    for rank in range(2):
        torch.manual_seed(0)
        loader = build(None, True, sampler=Unsteady(COUNT, rank, 2))
        name_epoch(loader, 1)
        with pytest.warns(UserWarning, match="cannot be listed for the other ranks, so each rank"):
            drawn.append([draw for batch in loader for draw in draws(batch.plan)])
    assert_all_differ(drawn)


# A run in several processes, by gloo: what each rank draws in two epochs.
RANKS = """
import json, sys, warnings
import torch, torch.distributed
from torch.utils.data import DataLoader, DistributedSampler, RandomSampler
import augengine as ae
from test_keys import Pictures, Repeated, build, epochs_of

rank, port = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group(
    "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
)
torch.manual_seed(0)  # every rank alike, as many programs have it
result = {}
for name in ("random", "weighted", "repeated", "distributed"):
    for keyed in (False, True):
        for workers in (0, 2):
            how = {}
            if name == "repeated":
                how["sampler"] = Repeated(24, rank, 2)
            if name == "distributed":
                how["sampler"] = DistributedSampler(Pictures())
            for named in (False, True):
                loader = build(None if how else name, keyed, None, workers, **how)
                key = f"{name} {'keyed' if keyed else 'plain'} {workers} {'named' if named else 'unnamed'}"
                result[key] = epochs_of(loader, named, epochs=2)
loader = build("random", False, ae.pack(ae.CenterCrop(8)))
try:
    next(iter(ae.DeviceLoader(loader, device="cpu")))
    result["refused"] = ""
except ValueError as error:
    result["refused"] = str(error)
loader = build(None, False, ae.pack(ae.CenterCrop(8)), sampler=DistributedSampler(Pictures()))
loader = ae.DeviceLoader(loader, device="cpu")
result["shared"] = [int(id) for batch in loader for id in batch.plan.ids]
print(json.dumps(result))
torch.distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def ranks():
    """What two ranks draw, by what they draw with."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RANKS, str(rank), str(port)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [process.communicate(timeout=240) for process in processes]
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors[-3000:]
    return [json.loads(out.splitlines()[-1]) for out, _ in outputs]


def test_two_ranks_draw_nothing_alike(ranks):
    for key in ranks[0]:
        if " " in key:
            drawn = [epoch for rank in ranks for epoch in rank[key]]
            assert drawn, key
            every = [what for epoch in drawn for _, _, what in epoch]
            assert len(set(every)) == len(every), key


def test_two_ranks_draw_what_one_would(ranks):
    for key in ("distributed keyed 2 named", "distributed plain 2 named", "repeated keyed 0 named"):
        for epoch in range(2):
            of_both = [tuple(draw) for rank in ranks for draw in rank[key][epoch]]
            alone = [wanted([[], [draw]] if epoch else [[draw]])[epoch][0] for draw in of_both]
            assert of_both == alone
            assert len({(id, occurrence) for id, occurrence, _ in of_both}) == COUNT


def test_a_device_loader_refuses_that_every_rank_gets_all_samples(ranks):
    for rank in ranks:
        assert "gives each of 2 ranks all samples, expected a part" in rank["refused"]
        assert "accelerator.prepare(loader)" in rank["refused"]
    assert sorted(ranks[0]["shared"] + ranks[1]["shared"]) == list(range(COUNT))


# A run that is resumed within an epoch


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("keyed", [False, True], ids=["plain", "keyed"])
def test_a_device_loader_goes_on_where_it_was(sampler, workers, keyed):
    """Exactly at the batch after the last that was given, though more had been taken ahead; to the same
    draws, in another process's stead."""

    def make():
        loader = build(sampler, keyed, ae.pack(POLICY), workers, **(
            {} if sampler in ("batches", "own batches", "list of batches") else {"batch_size": 4}
        ))  # fmt: skip
        return ae.DeviceLoader(loader, device="cpu", prefetch=3)

    def seen(loader):
        return [draws(batch.plan) for batch in loader]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(1)
        loader = make()
        loader.set_epoch(0)
        seen(loader)
        loader.set_epoch(1)
        batches = iter(loader)
        taken = [draws(next(batches).plan) for _ in range(2 if sampler != "subset" else 1)]
        state = pickle.loads(pickle.dumps(loader.state_dict()))
        rest = seen(batches)
        torch.manual_seed(99)  # another process
        again = make()
        again.load_state_dict(state)
        resumed = seen(again)
    assert state["given"] == len(taken)
    assert state["epoch"] == 1
    if sampler in REPEAT and not keyed and workers:
        # Workers are handed batches in turn, and turns begin anew.
        resumed, rest = ([[d[0] for d in b] for b in batches] for batches in (resumed, rest))
    assert resumed == rest


def test_the_state_between_two_passes():
    loader = ae.DeviceLoader(build("random", True, ae.pack(POLICY)), device="cpu")
    loader.set_epoch(3)
    torch.manual_seed(0)
    list(loader)
    state = loader.state_dict()
    again = ae.DeviceLoader(build("random", True, ae.pack(POLICY)), device="cpu")
    again.load_state_dict(state)
    batches = list(again)
    assert sum(len(batch.plan) for batch in batches) == COUNT
    assert {batch.plan.epoch for batch in batches} == {3}
    batches = iter(again)
    next(batches)
    state = again.state_dict()
    again.load_state_dict(state)
    assert again.state_dict()["given"] == state["given"] == 1  # saved again before it went on
    with pytest.raises(
        ValueError, match=r"load_state_dict: got dict, expected what state_dict gave"
    ):
        again.load_state_dict({})


def test_a_device_loader_that_is_resumed_with_less_data():
    loader = ae.DeviceLoader(build("sequential", True, ae.pack(POLICY)), device="cpu")
    batches = iter(loader)
    for _ in range(3):
        next(batches)
    less = DataLoader(Pictures(8), 8, collate_fn=ae.pack(POLICY))
    again = ae.DeviceLoader(ae.keyed(less), device="cpu")
    again.load_state_dict(loader.state_dict())
    with pytest.raises(
        RuntimeError, match=r"ended after 1 batches, expected the 3 that were given"
    ):
        next(iter(again))


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "own batches"])
@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_keyed_pass_goes_on_where_it_was(sampler, taken):
    def make():
        how = SAMPLERS[sampler](Pictures())
        return ae.KeyedSampler(how.get("sampler") or how["batch_sampler"])

    def plain(keys):
        return [
            [(int(key), key.epoch, key.occurrence) for key in (k if isinstance(k, list) else [k])]
            for k in keys
        ]

    torch.manual_seed(3)
    first = make()
    list(first)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keys = iter(first)
        for _ in range(taken):
            next(keys)
    state = pickle.loads(pickle.dumps(keys.state_dict()))
    before = torch.get_rng_state() if taken else None
    rest = plain(keys)
    torch.manual_seed(77)
    if not taken:
        return  # nothing was drawn, so there is nothing to go on with
    again = iter(make())
    again.load_state_dict(state)
    assert plain(again) == rest
    assert before is not None


def test_a_pass_that_begins_in_another_order_is_refused():
    class Unseeded(Sampler):
        def __len__(self):
            return COUNT

        def __iter__(self):
            return iter(np.random.default_rng().permutation(COUNT).tolist())

    sampler = ae.KeyedSampler(Unseeded())
    keys = iter(sampler)
    for _ in range(9):
        next(keys)
    with pytest.raises(RuntimeError, match="Unseeded has begun this pass in another order"):
        iter(sampler).load_state_dict(keys.state_dict())


# Samples


def test_names_come_all_the_way():
    """str ids, as WebDataset's __key__ or a path: their hash is the plan's id."""
    image = torch.zeros(3, 10, 10, dtype=torch.uint8)
    batch = ae.Collate(POLICY)([(image, 0, "n01/1.jpg"), (image, 1, b"n01/2.jpg")])
    assert batch.plan == POLICY.sample(["n01/1.jpg", "n01/2.jpg"], [(10, 10)] * 2)


def test_dicts_in_and_out():
    samples = [
        {
            "pixels": np.full((10, 10, 3), k, np.uint8),
            "class": k,
            "name": f"{k}.png",
            "weight": k / 2,
        }
        for k in range(4)
    ]
    how = {"image": "pixels", "label": "class", "id": "name"}
    for batch in (
        ae.Collate(POLICY, **how)(samples),
        ae.pack(POLICY, **how)(samples),
        next(iter(DataLoader(samples, 4, num_workers=1, collate_fn=ae.Collate(POLICY, **how)))),
    ):
        assert list(batch.keys()) == ["pixels", "class", "weight"]
        assert batch["class"].tolist() == [0, 1, 2, 3]
        assert batch["weight"].tolist() == [0, 0.5, 1, 1.5]
        assert batch["pixels"].shape == (4, 3, 8, 8)
    names = [f"{k}.png" for k in range(4)]
    assert ae.Collate(POLICY, **how)(samples).plan == POLICY.sample(names, [(10, 10)] * 4)
    for sample in samples:
        del sample["class"]
    assert ae.Collate(POLICY, **how)(samples).labels is None


def test_a_dataset_of_dicts_gets_ids():
    data = [{"image": torch.zeros(3, 10, 10, dtype=torch.uint8), "label": k} for k in range(4)]
    for loader in (
        DataLoader(ae.WithIds(data), 4, collate_fn=ae.Collate(POLICY)),
        ae.keyed(DataLoader(data, 4, collate_fn=ae.Collate(POLICY))),
        ae.keyed(DataLoader(data, 4, collate_fn=ae.Collate(POLICY, id="key"))),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (batch,) = loader
        assert batch.plan.ids.tolist() == [0, 1, 2, 3]


def test_further_elements_of_a_tuple():
    """A third that can be no id is a value of its own; a number is an id, as ever, and samples that all
    name themselves alike are drawn apart all the same."""
    image = torch.zeros(3, 10, 10, dtype=torch.uint8)
    with pytest.warns(UserWarning, match="no ids came"):
        batch = ae.Collate(POLICY)([(image, k, k / 4) for k in range(4)])
    assert batch["2"].tolist() == [0, 0.25, 0.5, 0.75]
    weighted = ae.Collate(POLICY)([(image, k, 7) for k in range(4)])
    assert_all_differ([draws(weighted.plan)])
    loader = ae.keyed(DataLoader([(image, 1, 0.5, 7)] * 4, 4, collate_fn=ae.Collate(POLICY)))
    (batch,) = loader
    assert batch.plan.ids.tolist() == [0, 1, 2, 3]
    assert (batch["2"].tolist(), batch["3"].tolist()) == ([0.5] * 4, [7] * 4)


def test_samples_without_labels():
    image = torch.zeros(3, 10, 10, dtype=torch.uint8)
    assert ae.Collate(POLICY)([(image, None, k) for k in range(3)]).labels is None


class Several(Pictures):
    """A dataset that reads many samples at once, and counts how often."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def __getitems__(self, indices):
        self.calls += 1
        assert all(type(index) is int for index in indices)
        return [self[index] for index in indices]


def test_with_ids_reads_as_the_dataset_does():
    data = Several()
    batches = list(DataLoader(ae.WithIds(data), 8, collate_fn=ae.Collate(POLICY)))
    assert data.calls == len(batches) == 3
    assert ae.WithIds(data).calls == 3  # other attributes are the dataset's
    assert not hasattr(ae.WithIds(data), "classes")
    loader = ae.keyed(DataLoader(data, 8, collate_fn=ae.Collate(POLICY)))
    assert loader.dataset.calls == 3


@pytest.mark.parametrize("keyed", [False, True])
def test_a_batch_sampler_where_batch_size_is_none(keyed):
    """The dataset is then asked for a list of indices."""
    data = Pictures()
    batches = BatchSampler(SequentialSampler(data), 8, drop_last=False)
    loader = DataLoader(
        data if keyed else ae.WithIds(data),
        sampler=batches,
        batch_size=None,
        collate_fn=ae.Collate(POLICY),
    )
    loader = ae.keyed(loader) if keyed else loader
    loader.collate_fn.set_epoch(0)
    assert [batch.plan.ids.tolist() for batch in loader] == np.arange(COUNT).reshape(3, 8).tolist()


# keyed


@pytest.mark.parametrize(
    "data",
    [
        Subset(ae.WithIds(Pictures()), [7, 2, 9, 7]),
        Subset(Pictures(), [7, 2, 9, 7]),
        ConcatDataset([ae.WithIds(Pictures(3)), ae.WithIds(Pictures(3))]),
        [(torch.zeros(3, 10, 10, dtype=torch.uint8), 1, k // 2) for k in range(6)],
    ],
    ids=["subset with ids", "subset", "parts with the same ids", "own ids"],
)
def test_keyed_datasets_of_all_sorts(data):
    loader = ae.keyed(DataLoader(data, 3, shuffle=True, collate_fn=ae.Collate(POLICY)))
    drawn = epochs_of(loader, named=True)
    assert_all_differ(drawn)
    assert all(len(epoch) == len(data) for epoch in drawn)


def test_keyed_leaves_a_loader_what_it_was():
    data = Pictures()
    loader = DataLoader(data, 8, shuffle=True, collate_fn=ae.Collate(POLICY), drop_last=True)
    assert ae.keyed(loader) is loader
    assert (len(loader), loader.batch_size, loader.drop_last) == (3, 8, True)
    assert loader.dataset.count == COUNT
    assert loader.sampler is loader.batch_sampler.sampler
    assert isinstance(loader.sampler.sampler, RandomSampler)
    sampler = loader.sampler
    assert ae.keyed(loader).sampler is sampler  # a second time does nothing
    list(loader)
    again = copy.deepcopy(loader)
    assert sum(len(batch.plan) for batch in again) == 3 * 8
    assert type(again.sampler) is ae.KeyedSampler
    held = ae.DeviceLoader(DataLoader(data, 8, collate_fn=ae.pack(POLICY)), device="cpu")
    assert isinstance(ae.keyed(held).sampler, ae.KeyedSampler)
    assert sum(len(batch.plan) for batch in held) == COUNT


def test_what_cannot_be_keyed():
    with pytest.raises(TypeError, match=r"keyed: got a loader of Streamed, a stream, .*ae\.Key\("):
        ae.keyed(DataLoader(Streamed(), 4))
    with pytest.raises(
        TypeError, match=r"keyed: got list, expected a DataLoader.*ae\.KeyedSampler"
    ):
        ae.keyed([1, 2])
    running = build("random", False, None, 1, persistent=True)
    next(iter(running))
    with pytest.raises(ValueError, match="keyed: got a loader whose workers run already"):
        ae.keyed(running)
    with pytest.raises(TypeError, match="KeyedSampler: got int, expected a sampler"):
        ae.KeyedSampler(3)
    with pytest.raises(TypeError, match=r"got the index \('a', 1\) of list, expected an int"):
        list(ae.KeyedSampler([[("a", 1)]]))


def test_keyed_after_somebody_asked_for_the_state():
    """accelerate asks a StatefulDataLoader for its state, which makes an iterator that nobody iterates."""
    loader = DataLoader(Pictures(), 8, num_workers=0, collate_fn=ae.Collate(POLICY))
    loader._iterator = loader._get_iterator()
    ae.keyed(loader)
    assert loader._iterator is None
    assert_all_differ(epochs_of(loader, named=True))


def test_a_device_loader_over_a_loader_whose_state_does_not_work():
    """As accelerate's are: the method is there, and asks a DataLoader, which has none."""

    class Prepared:
        def __init__(self, loader):
            self.base_dataloader = loader

        def __iter__(self):
            return iter(self.base_dataloader)

        def state_dict(self):
            return self.dl_state_dict

    loader = ae.DeviceLoader(Prepared(build("random", True, ae.pack(POLICY))), device="cpu")
    assert sum(len(batch.plan) for batch in loader) == COUNT
    assert loader.state_dict()["loader"] is None


def test_keys_through_torchs_own_collate():
    """A DeviceLoader or an Engine then decides, as a collate function would have."""
    loader = ae.keyed(DataLoader(Pictures(), 8, sampler=[*range(COUNT), *range(8)]))
    loader.sampler.set_epoch(2)
    collated = ae.keyed(
        DataLoader(Pictures(), 8, sampler=[*range(COUNT), *range(8)], collate_fn=ae.Collate(POLICY))
    )
    collated.sampler.set_epoch(2)
    wanted_plans = [batch.plan for batch in collated]
    assert wanted_plans[-1].occurrence.tolist() == [1] * 8
    engine = ae.Engine(POLICY)
    assert [engine(images, ids=keys).plan for images, _, keys in loader] == wanted_plans
    assert [batch.plan for batch in ae.DeviceLoader(loader, POLICY, device="cpu")] == wanted_plans
    keys = next(iter(loader))[2]
    assert isinstance(keys, ae.Keys)
    both = ae.Keys(*(torch.cat([a, a]) for a in keys[:2]), torch.arange(16))
    with pytest.raises(
        ValueError, match=r"Keys: got the epochs \[0, 1, .*\] in one batch, expected one"
    ):
        engine(torch.zeros(16, 3, 10, 10, dtype=torch.uint8), ids=both)


def test_a_key_is_an_int_that_travels():
    key = ae.Key(3, epoch=2, occurrence=1)
    for again in (pickle.loads(pickle.dumps(key)), copy.deepcopy(key), key.of(3)):
        assert (again, again.epoch, again.occurrence, again.named) == (3, 2, 1, True)
        assert isinstance(again, ae.Key)
    assert [10, 20, 30, 40][key] == 40
    assert type(key + 1) is int
    assert {3: "three"}[key] == "three"


# DeviceLoader


def test_a_device_loader_draws_what_comes_again_anew():
    """Of a loader that knows nothing of us, with a sampler that repeats."""
    data = [(*Pictures()[i], i) for i in range(COUNT)]
    for workers, persistent in ((0, False), (2, True)):
        inner = DataLoader(
            data,
            8,
            sampler=WeightedRandomSampler([1.0] * 4 + [0.01] * 20, 40),
            num_workers=workers,
            persistent_workers=persistent,
        )
        loader = ae.DeviceLoader(inner, POLICY, device="cpu")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            drawn = [[d for batch in loader for d in draws(batch.plan)] for _ in range(3)]
        assert_all_differ(drawn)
        assert sum("No epoch was named" in str(w.message) for w in caught) == 1
        drawn = []
        for epoch in range(3):
            loader.set_epoch(epoch)
            drawn.append([d for batch in loader for d in draws(batch.plan)])
        assert_all_differ(drawn)
        assert drawn == wanted(drawn)


def test_a_device_loader_has_what_a_loader_has():
    inner = build("random", False, ae.pack(POLICY), drop_last=True)
    loader = ae.DeviceLoader(inner, device="cpu")
    for name in ("dataset", "sampler", "batch_sampler", "batch_size", "num_workers", "collate_fn"):
        assert getattr(loader, name) is getattr(inner, name)
    assert loader.drop_last is True
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = loader.nonsense


def test_a_device_loader_whose_set_epoch_reaches_nobody():
    class Batched:
        """As WebLoader's `batched`: the collate function is out of sight."""

        def __init__(self):
            self.decide = ae.pack(POLICY)

        def __iter__(self):
            yield self.decide([(*Pictures()[i], i) for i in range(4)])

    loader = ae.DeviceLoader(Batched(), device="cpu")
    loader.set_epoch(3)
    with pytest.warns(UserWarning, match=r"set_epoch\(3\) has not reached the collate function"):
        list(loader)


def test_batches_that_are_dicts():
    data = [
        {"pixels": torch.full((3, 10, 10), k, dtype=torch.uint8), "label": k, "note": "x"}
        for k in range(8)
    ]
    loader = ae.DeviceLoader(
        ae.keyed(DataLoader(data, 4)), POLICY, device="cpu", image="pixels", num_classes=8
    )
    batches = list(loader)
    assert [list(batch.keys()) for batch in batches] == [["pixels", "label", "note"]] * 2
    assert [batch["label"].tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert batches[1].plan == POLICY.sample([4, 5, 6, 7], [(10, 10)] * 4)
    with pytest.raises(
        ValueError, match=r"got a batch with the fields 'pixels', .*'image' among them"
    ):
        list(ae.DeviceLoader(DataLoader(data, 4), POLICY, device="cpu"))


# Copies


def through_spawn(value):
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize(
    "copied",
    [through_spawn, copy.deepcopy, lambda value: cloudpickle.loads(cloudpickle.dumps(value))],
    ids=["pickle", "deepcopy", "cloudpickle"],
)
@pytest.mark.parametrize("make", [ae.Collate, ae.pack])
def test_collate_functions_can_be_copied(copied, make):
    first = make([ae.CenterCrop(8), ae.RandomRotation(9), ae.MixUp()], seed=4, num_classes=COUNT)
    first.set_epoch(3)
    first.set_strength(0.5)
    second = copied(first)
    samples = [(*Pictures()[k], k) for k in range(4)]

    def drawn(collate):
        batch = collate(samples)
        return batch.draw().plan if make is ae.pack else batch.plan

    assert drawn(first) == drawn(second)
    second.set_epoch(4)  # a copy's epoch is its own
    assert drawn(first).epoch == 3
    assert drawn(second).epoch == 4
    loader = copied(DataLoader(ae.WithIds(Pictures()), 8, num_workers=1, collate_fn=second))
    loader.collate_fn.set_epoch(7)  # and reaches the copy's own workers
    assert {(b.draw() if make is ae.pack else b).plan.epoch for b in loader} == {7}


# Counting


def test_counter_counts():
    counter, seen = Counter(), {}
    generator = np.random.default_rng(0)
    for _ in range(50):
        ids = generator.choice(
            [0, 1, 2, 5, 1000, -1, -(2**63), 2**63 - 1, 2**27, 2**27 - 1], generator.integers(1, 9)
        )
        expected = []
        for id in ids.tolist():
            expected.append(seen.get(id, 0))
            seen[id] = seen.get(id, 0) + 1
        if len(ids) == 1:
            assert counter.count_one(int(ids[0])) == expected[0]
        else:
            assert counter.count(ids).tolist() == expected


# Where nothing is left to chance


def test_a_policy_that_draws_nothing_asks_for_no_keys():
    """An evaluation's: no ids, no epoch, no warnings, in workers too."""
    policies = [
        [ae.Resize((12, 12)), ae.CenterCrop(8), ae.Normalize(0.5, 0.5)],
        [],
        [ae.Resize(8), ae.CenterCrop(8)],
    ]
    for policy in policies:
        for workers in (0, 2):
            loader = DataLoader(
                Pictures(), 8, num_workers=workers, collate_fn=ae.Collate(policy, num_classes=COUNT)
            )
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                first, second = ([batch.images for batch in loader] for _ in range(2))
            assert all(map(torch.equal, first, second))
        engine = ae.Engine(policy)
        images = torch.zeros(2, 3, 10, 10, dtype=torch.uint8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert torch.equal(engine(images).images, engine(images).images)


@pytest.mark.parametrize(
    ("op", "draws"),
    [
        (ae.RandomCrop(8), True),
        (ae.RandomHorizontalFlip(), True),
        (ae.RandomHorizontalFlip(stratify=True), True),
        (ae.RandAugment(), True),
        (ae.CutMix(), True),
        (ae.RandomErasing(), True),
        (ae.Stage(torch.nn.Identity()), True),
        (ae.CenterCrop(8), False),
        (ae.Resize(8), False),
        (ae.Normalize(0.5, 0.5), False),
    ],
)
def test_what_leaves_something_to_chance(op, draws):
    assert ae.Policy(op).draws is draws
    assert ae.Engine(ae.Views(a=ae.CenterCrop(8), b=op)).draws() is draws


# What frameworks do to samplers


def test_a_keyed_sampler_is_of_the_class_of_the_one_inside():
    """By which frameworks see whether ranks get parts, and whether to shuffle."""
    for inner in (DistributedSampler(Pictures(), 2, 1), RandomSampler(Pictures())):
        sampler = ae.KeyedSampler(inner)
        assert isinstance(sampler, type(inner))
        assert isinstance(sampler, ae.KeyedSampler)
        for again in (copy.copy(sampler), pickle.loads(pickle.dumps(sampler))):
            assert type(again) is ae.KeyedSampler
            assert len(again) == len(inner)
    sampler.generator = torch.Generator().manual_seed(3)  # as accelerate does
    assert inner.generator is sampler.generator


def test_a_loader_whose_sampler_was_taken_away_draws_as_without():
    loader = ae.keyed(build(None, False, batch_size=8))
    plain = DataLoader(loader.dataset, 8, shuffle=True, collate_fn=loader.collate_fn)
    pairs = DataLoader(ae.keyed(DataLoader(Pictures(), 8)).dataset, 8, collate_fn=loader.collate_fn)
    for other in (plain, pairs):
        assert_all_differ(epochs_of(other, named=False))


def test_samples_without_ids_on_several_ranks_are_numbered_apart(monkeypatch):
    numbered = []
    for rank in range(2):
        monkeypatch.setattr("augengine.loading.passes._rank_and_world", lambda here, r=rank: (r, 2))
        with pytest.warns(UserWarning, match="no ids came"):
            numbered += ae.Engine(POLICY).plan([(10, 10)] * 5).ids.tolist()
    assert sorted(numbered) == list(range(10))
