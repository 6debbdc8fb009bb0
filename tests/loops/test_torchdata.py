"""torchdata's StatefulDataLoader, as docs/frameworks/torchdata.md has it: it resumes within an epoch."""

import pickle

import page
import pytest
import task
import torch
from bits import Step, all_differ, images_drawn, images_of
from torch.utils.data import Subset, WeightedRandomSampler
from torchdata.stateful_dataloader import StatefulDataLoader

import augengine as ae

COUNT, BATCH = 96, 16
DATA = Subset(task.Digits(), range(COUNT))
WEIGHTS = [8.0] + [1.0] * (COUNT - 1)
SAMPLERS = {
    "in order": lambda: {},
    "shuffled": lambda: {"shuffle": True},
    "weighted": lambda: {"sampler": WeightedRandomSampler(WEIGHTS, COUNT, replacement=True)},
    "seeded": lambda: {
        "sampler": WeightedRandomSampler(
            WEIGHTS, COUNT, replacement=True, generator=torch.Generator().manual_seed(3)
        )
    },
}


def stateful(sampler="shuffled", workers=0, seed=7, **options):
    torch.manual_seed(seed)
    options = {"collate_fn": ae.Collate(task.OPS), **options}
    return ae.keyed(
        StatefulDataLoader(DATA, BATCH, num_workers=workers, **SAMPLERS[sampler](), **options)
    )


def test_the_page(tmp_path):
    step = Step()
    names = {"ae": ae, "data": task.Digits(), "ops": task.OPS, "step": step, "state": None}
    names |= {"StatefulDataLoader": StatefulDataLoader, "first": 0}
    page.run("torchdata", names)
    step.has_learnt(3 * task.COUNT)


@pytest.mark.parametrize("named", [True, False], ids=["epoch named", "counted"])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_that_is_resumed_within_an_epoch_goes_on_to_the_bit(sampler, workers, named):
    """What comes after the state was taken is what came without a pause, and the next epoch is the next."""

    def name(loader, epoch):
        if named:
            loader.sampler.set_epoch(epoch)

    with_pauses = stateful(sampler, workers)
    name(with_pauses, 0)
    whole, after = [], []
    state = None
    for number, batch in enumerate(with_pauses):
        (whole if state is None else after).extend(images_of(batch))
        if number == 2:
            state = pickle.dumps(with_pauses.state_dict())
    all_differ(whole + after, COUNT)

    resumed = stateful(sampler, workers, seed=8)
    resumed.load_state_dict(pickle.loads(state))
    name(resumed, 0)
    assert images_drawn(resumed) == after
    if not named:  # the count is part of the state
        assert next(iter(resumed)).plan.epoch == next(iter(with_pauses)).plan.epoch == 1


def test_workers_do_not_matter_and_epochs_differ():
    images = {}
    for workers in (0, 2):
        loader = stateful("weighted", workers)
        images[workers] = images_drawn(loader, 3, loader.sampler.set_epoch)
        all_differ(images[workers], 3 * COUNT)
    # A shuffled order is of torch's generator, from which loaders with workers draw at other times.
    alone, two = stateful("in order", 0), stateful("in order", 2)
    in_two = images_drawn(two, 2, two.sampler.set_epoch)
    assert images_drawn(alone, 2, alone.sampler.set_epoch) == in_two


@pytest.mark.filterwarnings("ignore:augengine")
@pytest.mark.parametrize("workers", [0, 2])
def test_told_nothing_at_all(workers):
    """Neither keys nor an epoch: only ids."""
    loader = StatefulDataLoader(
        ae.WithIds(DATA), BATCH, shuffle=True, num_workers=workers, collate_fn=ae.Collate(task.OPS)
    )
    all_differ(images_drawn(loader, 3), 3 * COUNT)


@pytest.mark.parametrize("workers", [0, 2])
def test_drawn_ahead_by_a_device_loader(workers):
    """The state says what was given, not what was fetched ahead."""

    def ahead(seed):
        loader = stateful("shuffled", workers, seed, collate_fn=ae.pack(task.OPS))
        return ae.DeviceLoader(loader, device="cpu", prefetch=2)

    loader = ahead(7)
    loader.set_epoch(4)
    whole, state = [], None
    for number, batch in enumerate(loader):
        whole.append(images_of(batch))
        if number == 2:
            state = pickle.dumps(loader.state_dict())
    resumed = ahead(8)
    resumed.load_state_dict(pickle.loads(state))
    assert [images_of(batch) for batch in resumed] == whole[3:]
