"""`augengine doctor`: what follows from figures, by arithmetic; what is wrong in planted loaders; that
planted costs are found; the command from the outside."""

import dataclasses
import doctest
import itertools
import json
import re
import time
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    WeightedRandomSampler,
    get_worker_info,
)
from typer.testing import CliRunner

import augengine as ae
from augengine.cli import app
from augengine.demo import machine as machine_room
from augengine.doctor import (
    Cost,
    Figures,
    Machine,
    Report,
    advise,
    examine,
    find_problems,
    models,
    timing,
    way,
)
from augengine.doctor.ways import all_ways, best_way

# --- From figures to advice. Costs are said in milliseconds an image.


def cost(part, ms, spread=0.0, nbytes=0, images=100, **more):
    """Five rounds whose median is ms, and half of whose quartiles' distance is spread · ms."""
    seconds = tuple(ms * images / 1000 * (1 + k * spread) for k in (-2, -1, 0, 1, 2))
    return Cost(part, images, seconds, nbytes=nbytes, **more)


def figures(
    cores=16, threads=8, device="cuda", gpu="a GPU", decode=5.0, plan=0.05, draw=0.5, all_threads=0.1,
    drawn=0.4, uint8=0.1, packed=0.2, step=1.0, on_gpu=0.05, busy=1.0, spread=0.0, **more,
):  # fmt: skip
    has_gpu = device == "cuda"
    return Figures(
        machine=Machine("a processor", cores, threads, gpu if has_gpu else None),
        data="pictures", policy="a policy", model="a model", batch_size=100, device=device,
        dtype="float32",
        decode=cost("decode", decode, spread, busy=busy),
        plan=cost("plan", plan),
        draw=cost("draw", draw),
        draw_on_all=cost("draw, all threads", all_threads),
        send_drawn=cost("send float32", drawn, nbytes=600_000),
        send_uint8=cost("send uint8", uint8, nbytes=150_000),
        send_packed=cost("send packed", packed, nbytes=200_000),
        step=cost("step", step),
        draw_on_gpu=cost("draw, GPU", on_gpu) if has_gpu else None,
        **more,
    )  # fmt: skip


def texts(given):
    return [one.text for one in advise(given)]


def said(given, beginning):
    """The one sentence of advice that begins so."""
    (found,) = [text for text in texts(given) if text.startswith(beginning)]
    return found


def test_a_cost_adds_up():
    one = Cost("decode", 64, (0.30, 0.32, 0.40, 0.33, 0.31))
    assert one.median == 0.32
    assert one.rate == 64 / 0.32 == 200
    assert one.each == 0.32 / 64
    assert one.spread == pytest.approx(
        (0.33 - 0.31) / 2 / 0.32
    )  # quartiles of five: second and fourth
    assert not one.rough
    assert dataclasses.replace(one, seconds=(0.2, 0.3, 0.4, 0.5, 0.6)).rough  # 0.1 / 0.4
    assert dataclasses.replace(one, seconds=(0.3, 0.3)).rough  # two rounds say nothing of a spread


def test_workers_draw_where_cores_are_many():
    # A worker: 5 + 0.05 + 0.5 + 0.4 = 5.95 ms. 1.1 · 1000 images/s · 5.95 ms = 6.5, so 7 of them.
    given = figures()
    best = best_way(given)
    assert (best.place, best.workers) == ("collate", 7)
    assert best.feed == pytest.approx(7 / 0.00595)
    assert best.rate == pytest.approx(1000)
    assert texts(given)[0] == "Augment in 7 workers, with Collate: that sustains 1,000 images/s."
    # pack: 5.25 ms a worker; the GPU 1.05 ms, so 952 images/s, of 6 workers. Main: 6.1 ms.
    assert said(given, "The other ways") == (
        "The other ways: on the device, with 6 workers that decide (pack) and a DeviceLoader that draws: "
        "952 images/s; in the main process (num_workers=0): 164 images/s."
    )
    assert said(given, "The bottleneck") == (
        "The bottleneck is the model's step: the model's side can take 1,000 images/s, and 7 workers give "
        "1.2 times as many."
    )
    assert advise(given)[0].rests_on == (
        "an image takes: decoding 5 ms, deciding (plan) 0.05 ms, drawing 0.5 ms, transport to the main "
        "process 0.4 ms, the model's step 1 ms"
    )


def test_the_gpu_draws_where_cores_are_few():
    # Three workers of four cores. Collate: 1 + 0.05 + 2 + 0.5 = 3.55 ms, 845 images/s.
    # pack: 1 + 0.05 + 0.2 = 1.25 ms, 2,400 images/s; the GPU 0.1 + 0.5 ms, 1,667.
    given = figures(cores=4, decode=1, draw=2, drawn=0.5, on_gpu=0.1, step=0.5)
    best, *others = all_ways(given)
    assert (best.place, best.workers) == ("pack", 3)
    assert best.rate == pytest.approx(1 / 0.0006)
    assert [(one.place, round(one.rate)) for one in others] == [("collate", 845), ("main", 606)]
    assert texts(given)[0] == (
        "Augment on the device, with 3 workers that decide (pack) and a DeviceLoader that draws: that "
        "sustains 1,667 images/s."
    )


def test_the_main_process_draws_where_reading_is_nothing():
    # 0.1 + 0.05 + 0.05 + 20 = 20.2 ms, within 5 % of the 20 ms that workers could hide the rest behind.
    given = figures(decode=0.1, step=20)
    assert texts(given)[0] == (
        "Augment in the main process (num_workers=0): that sustains 49.5 images/s."
    )
    assert said(given, "The bottleneck") == (
        "The bottleneck is the model's step: in one process all parts wait for each other, and it takes "
        "99 % of the time."
    )


def test_decoding_is_the_bottleneck():
    # Collate: 10 + 0.05 + 0.5 + 0.4 = 10.95 ms; 3 workers of 4 cores: 274 images/s of 1,000.
    # pack: 10.25 ms: 293 images/s, more than 5 % more. The GPU takes 1 / 1.05 ms = 952.
    given = figures(cores=4, decode=10)
    assert best_way(given).bottleneck == "decode"
    assert said(given, "The bottleneck") == (
        "The bottleneck is decoding: 3 workers can give 293 images/s, and the model's side take 952 images/s, "
        "3.3 times as many."
    )
    # 10 of 10.25 ms
    assert said(given, "Decoding is").startswith("Decoding is 98 % of the input's work")


def test_drawing_in_workers_can_be_the_bottleneck():
    given = figures(cores=4, decode=1, draw=30, on_gpu=30)
    one = way(given, "collate")
    assert one.bottleneck == "draw"
    assert one.rates["draw"] == pytest.approx(3 / 0.030)
    assert one.rates["step"] == pytest.approx(1000)


def test_a_model_on_the_cpu_shares_the_cores():
    # Two cores, two threads. A worker 1 + 0.05 + 0.5 + 0.4 = 1.95 ms; the step 2 · 3 ms of the cores:
    # 2 / (1.95 + 6) ms = 252 images/s. pack: 1.25 ms and 2 · (3 + 0.3): 255, which is as good and less
    # simple. Main: 1 + 0.05 + 0.3 + 3 = 4.35 ms, 230.
    given = figures(cores=2, threads=2, device="cpu", decode=1, step=3, all_threads=0.3)
    assert [(w.place, round(w.rate)) for w in all_ways(given)] == [
        ("collate", 252), ("pack", 255), ("main", 230),
    ]  # fmt: skip
    with_workers = way(given, "collate", 1)
    # One worker gives 513; the model alone takes 333; together less than either.
    assert with_workers.rate == pytest.approx(2 / 0.00795)
    given = dataclasses.replace(
        given, place="collate", workers=1, given=True, loader=cost("whole loader", 1.95)
    )
    assert said(given, "The bottleneck") == (
        "The bottleneck is the model's step: the model's side can take 333 images/s, and 1 worker gives 1.5 "
        "times as many. Both share 2 cores, which leaves 252 images/s."
    )
    # A worker that packs: 1 + 0.05 + 0.2 = 1.25 ms.
    assert said(given, "There is no CUDA GPU here").endswith(
        "For a model on a GPU elsewhere: a worker with Collate feeds 513 images/s, one that packs 800 "
        "images/s."
    )


def test_waiting_for_a_disk_takes_more_workers_than_cores():
    # 20 ms a sample, 1 % of it busy: 20.95 ms a worker, of which 1.15 ms need a core. 3 cores run
    # 3 · 20.95 / 1.15 = 55 such workers, but no more than 4 a core are advised: 12, or 573 images/s.
    given = figures(cores=4, decode=20, busy=0.01)
    one = way(given, "collate")
    assert one.workers == 12
    assert one.rate == pytest.approx(12 / 0.02095)
    # Its model would take 1,000 images/s. The same pictures, decoded by the core itself:
    assert way(figures(cores=4, decode=20), "collate").workers == 3
    assert said(given, "Reading a sample mostly waits")


def test_transport_is_worth_bytes():
    # A worker 1 + 0.05 + 0.5 + 0.4 = 1.95 ms, of which 0.4 is 21 %; pack gives (0.4 - 0.2) / 1.95 = 10 % back,
    # uint8 (0.4 - 0.1) / 1.95 = 15 %.
    given = figures(decode=1)
    assert best_way(given).place == "collate"
    assert said(given, "Batches of float32") == (
        "Batches of float32 cost 21 % of a worker's time on their way to the main process. dtype=torch.uint8 "
        "(and normalise on the device) sends 0.15 MB in place of 0.6 MB an image, and gives the workers "
        "15 % of their time back."
    )
    assert said(figures(decode=1, packed=0.05), "Batches of float32").count("pack (and draw")
    # 0.3 of 5.95 ms are 5 %: not worth a sentence.
    assert not [text for text in texts(figures()) if text.startswith("Batches of")]


def test_ways_of_computing_are_said_apart():
    variants = (cost("channels_last", 0.5), cost("TF32", 0.99), cost("AMP bfloat16", 2.0))
    given = texts(figures(variants=variants))
    assert "channels_last alone makes the model's step 2 times as fast." in given
    assert "TF32 alone changes the model's step by less than 5 %." in given
    assert "AMP bfloat16 alone makes the model's step 2 times as slow." in given


def with_loader(place, workers, ms, given=True, start=0.1, **more):
    return figures(
        place=place,
        workers=workers,
        given=given,
        loader=cost("whole loader", ms),
        start=start,
        **more,
    )


def test_a_loader_is_compared_with_the_best_way():
    # 2 workers of 5.95 ms: 336 images/s; 7 of them 1,000: a factor of 2.975.
    given = with_loader("collate", 2, 5.95 / 2)
    assert said(given, "This loader augments") == (
        "This loader augments in 2 workers, with Collate: that sustains 336 images/s. A change is worth a "
        "factor of 3."
    )
    assert said(given, "This loader gives") == (
        "This loader gives 336 images/s to a loop without a model, as its parts let expect (336 images/s)."
    )
    # The bottleneck is that of the loader, not that of the advised one.
    assert said(given, "The bottleneck is decoding: 2 workers can give 336 images/s")
    assert said(with_loader("collate", 12, 0.5), "This loader has 12 workers; 7 would do")
    assert said(with_loader("collate", 7, 0.85), "This loader is within 10 %")


def test_a_whole_that_is_not_its_parts_is_said():
    # The parts of 7 workers let 1,176 images/s expect.
    given = with_loader("collate", 7, 2, given=False)
    assert said(given, "A loader built so") == (
        "A loader built so (in 7 workers, with Collate) gives 500 images/s to a loop without a model; its "
        "parts let 1,176 images/s expect. Trust the measured figure: what is between them is not in the "
        "parts."
    )
    assert not [text for text in texts(given) if text.startswith("This loader")]
    foreign = with_loader(None, 4, 2)
    assert said(foreign, "The loader gives 500 images/s to a loop without a model.")


def test_slow_starts_and_slow_first_reads():
    assert said(with_loader("collate", 7, 0.85, start=3), "A pass begins 3 s late")
    slow = dataclasses.replace(figures().decode, first=2.0)  # of 100 images: 20 ms each, then 5
    given = dataclasses.replace(figures(), decode=slow)
    assert said(given, "The first read of the same samples took 4 times as long as later ones.")


def test_no_claim_is_firm_when_rounds_differ():
    given = figures(spread=0.2)
    assert said(given, "Take these as rough").count(": decode.")
    assert [one for one in advise(given) if "decode ±20 % (5)" in one.rests_on]
    assert not [text for text in texts(figures(spread=0.1)) if text.startswith("Take these")]
    # 952 is 5 % below 1,000, and the spread 20 %.
    assert said(given, "The other ways").endswith(
        "The first of these is no further off than the spread, ±20 %."
    )


def test_a_busy_machine_is_said():
    busy = dataclasses.replace(figures(), machine=Machine("a processor", 16, 8, "a GPU", load=0.8))
    assert said(busy, "Other processes were running when this began")
    assert not [text for text in texts(figures()) if text.startswith("Other processes")]


def test_a_model_on_the_cpu_beside_a_gpu():
    given = dataclasses.replace(
        figures(device="cpu"), machine=Machine("a processor", 16, 8, "a GPU")
    )
    assert said(given, "The model runs on the CPU, and a GPU is there")


def test_a_step_of_fewer_images_is_said():
    short = dataclasses.replace(figures(), step=cost("step", 1.0, images=8))
    assert said(short, "The model's step was measured with 8 images of 100")


# --- The machine.


def test_cores_by_affinity_and_by_quota(tmp_path, monkeypatch):
    monkeypatch.setattr(machine_room.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr(machine_room, "_quota", lambda: 2.5)
    assert machine_room.usable_cores() == 2
    monkeypatch.setattr(machine_room, "_quota", lambda: 0.5)
    assert machine_room.usable_cores() == 1
    monkeypatch.setattr(machine_room, "_quota", lambda: float("inf"))
    assert machine_room.usable_cores() == 4


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "250000 100000\n"}, 2.5),
        ({"cpu.max": "max 100000\n"}, float("inf")),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ({}, float("inf")),
    ],
)
def test_quotas_of_control_groups(tmp_path, files, quota):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert machine_room._quota(tmp_path) == quota


# --- What is wrong in a loader. Each is planted in a loader that is clean otherwise.

PICTURES = [(torch.full((3, 12, 12), value, dtype=torch.uint8), value) for value in range(12)]
POLICY = ae.RandomCrop(8)


def collate(kind=ae.Collate, epoch=0, **options):
    made = kind(POLICY, **options)
    if epoch is not None:
        made.set_epoch(epoch)
    return made


def loader(dataset=None, **how):
    """A loader with nothing wrong, but for what is planted by `how`."""
    how = {"batch_size": 4, "collate_fn": collate()} | how
    if how.get("num_workers"):
        how = {"persistent_workers": True} | how
    return DataLoader(ae.WithIds(PICTURES) if dataset is None else dataset, **how)


def problems(of, given=None, has_gpu=False, cores=2):
    return find_problems(of, given, has_gpu=has_gpu, cores=cores)


def the_problem(of, given=None, **machine):
    (found,) = problems(of, given, **machine)
    return found


class Records:
    """A map-style dataset of dicts."""

    def __init__(self, *names):
        self.names = names

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {name: PICTURES[index][0] if name == "image" else index for name in self.names}


CLEAN = {
    "plain": lambda: loader(),
    "shuffled": lambda: loader(shuffle=True),
    "with workers": lambda: loader(num_workers=2),
    "that packs": lambda: loader(collate_fn=collate(ae.pack)),
    "of a DeviceLoader": lambda: ae.DeviceLoader(loader(collate_fn=collate(ae.pack)), device="cpu"),
    "of a batch sampler": lambda: DataLoader(
        ae.WithIds(PICTURES),
        batch_sampler=BatchSampler(SequentialSampler(PICTURES), 4, False),
        collate_fn=collate(),
    ),
    "of dicts": lambda: loader(Records("image", "label", "id")),
    "keyed, with replacement": lambda: ae.keyed(
        loader(PICTURES, sampler=WeightedRandomSampler([1.0] * 12, 24))
    ),
    "of a list of indices": lambda: loader(sampler=[3, 1, 2, 0]),
    "of lists of indices": lambda: DataLoader(
        ae.WithIds(PICTURES), batch_sampler=[[0, 1], [2, 3, 4]], collate_fn=collate()
    ),
    "that augments nothing": lambda: DataLoader(PICTURES, 4),
    "that is no DataLoader": lambda: [(torch.zeros(2, 3, 8, 8), torch.zeros(2))],
}  # fmt: skip


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_loader_has_no_problem(name):
    assert problems(CLEAN[name]()) == ()
    if name == "that packs":
        assert problems(loader(pin_memory=True), has_gpu=True) == ()


def test_no_ids():
    found = the_problem(loader(PICTURES))
    assert "pairs (image, label) without an id" in found.what
    assert found.fix == "DataLoader(ae.WithIds(dataset), …), or ae.keyed(loader)"
    assert the_problem(loader(Records("image", "label"))).what.startswith(
        "The dataset gives dicts without 'id'"
    )
    weighed = [(*sample, 0.5) for sample in PICTURES]  # a weight is no id
    assert "without an id" in the_problem(loader(weighed)).what
    in_workers = the_problem(loader(PICTURES, num_workers=1)).what
    assert in_workers.endswith("Collate and pack refuse its samples in a worker.")
    # Each fix mends it.
    assert problems(ae.keyed(loader(PICTURES))) == ()
    assert problems(loader(ae.WithIds(Records("image", "label")))) == ()


def test_no_ids_in_a_stream():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(PICTURES)

    assert the_problem(loader(Stream())).fix.startswith("yield (image, label, id)")


def test_no_epoch():
    found = the_problem(loader(collate_fn=collate(epoch=None)))
    assert found.what.startswith("No epoch has been named so far")
    assert found.fix.startswith("loader.collate_fn.set_epoch(epoch)")
    keyed = ae.keyed(loader(collate_fn=collate(epoch=None)))
    assert the_problem(keyed).fix == "loader.sampler.set_epoch(epoch) before each pass"
    keyed.sampler.set_epoch(0)
    assert problems(keyed) == ()
    ahead = ae.DeviceLoader(loader(collate_fn=collate(ae.pack, epoch=None)), device="cpu")
    assert the_problem(ahead).fix == "loader.set_epoch(epoch) before each pass"
    ahead.set_epoch(0)
    assert problems(ahead) == ()


def test_workers_that_end_with_each_pass():
    found = the_problem(loader(num_workers=2, persistent_workers=False))
    assert found.what == "The 2 workers end with each pass, and every pass waits for new ones."
    assert found.fix == "DataLoader(…, persistent_workers=True)"


class RASampler:
    """By its name torchvision's sampler of repeated augmentation."""

    def __iter__(self):
        return iter([0, 0, 1, 1])

    def __len__(self):
        return 4


@pytest.mark.parametrize(
    "sampler",
    [
        WeightedRandomSampler([1.0] * 12, 12, replacement=True),
        RandomSampler(PICTURES, replacement=True),
        RandomSampler(PICTURES, num_samples=30),
        RASampler(),
        [0, 1, 1, 2],
        torch.utils.data.SubsetRandomSampler([0, 1, 1]),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
def test_samplers_that_repeat(sampler):
    found = the_problem(loader(sampler=sampler))
    assert found.what.startswith(
        f"{type(sampler).__name__} draws a sample several times in an epoch"
    )
    assert found.fix == "ae.keyed(loader)"
    assert problems(ae.keyed(loader(sampler=sampler))) == ()
    in_batches = BatchSampler(sampler, 4, drop_last=False)
    found = the_problem(
        DataLoader(ae.WithIds(PICTURES), batch_sampler=in_batches, collate_fn=collate())
    )
    assert found.fix == "ae.keyed(loader)"


class Numbers(IterableDataset):
    """A stream of ten samples, each with its id; sharded: each worker its part."""

    def __init__(self, sharded):
        self.sharded = sharded

    def __iter__(self):
        info = get_worker_info()
        first, step = (info.id, info.num_workers) if self.sharded and info else (0, 1)
        for index in itertools.islice(range(10), first, None, step):
            yield *PICTURES[index], index


def test_streams_that_every_worker_reads(nothing_is_left_running):
    found = the_problem(loader(Numbers(sharded=False), num_workers=2))
    assert found.what.startswith("All 2 workers read the whole stream")
    assert "get_worker_info()" in found.fix
    assert problems(loader(Numbers(sharded=True), num_workers=2)) == ()
    assert problems(loader(Numbers(sharded=False), num_workers=1)) == ()


def test_a_collate_that_is_built_again(nothing_is_left_running):
    for_each_batch = loader(collate_fn=lambda samples: ae.Collate(POLICY)(samples))
    assert the_problem(for_each_batch).what.startswith(
        "The collate_fn makes a Collate for each batch"
    )

    once_an_epoch = loader(num_workers=1)
    next(iter(once_an_epoch))
    assert problems(once_an_epoch) == ()
    once_an_epoch.collate_fn = collate(epoch=1)
    found = the_problem(once_an_epoch)
    assert found.what.startswith("The collate_fn was replaced after persistent workers had begun")
    assert "set_epoch" in found.fix
    once_an_epoch._iterator._shutdown_workers()


def test_pinned_memory():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert the_problem(loader(pin_memory=True)).what.startswith("pin_memory=True without a GPU")
    found = the_problem(loader(), has_gpu=True)
    assert found.fix.startswith("DataLoader(…, pin_memory=True)")


def many_threads(worker):
    torch.set_num_threads(4)


def test_threads_times_workers(nothing_is_left_running):
    found = the_problem(loader(num_workers=2, worker_init_fn=many_threads), cores=2)
    assert found.what == "2 workers of 4 threads each contend for 2 cores."
    assert "set_num_threads(1)" in found.fix
    assert problems(loader(num_workers=2, worker_init_fn=many_threads), cores=8) == ()


def test_more_workers_than_cores():
    given = figures(cores=2, uint8=0.4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says so too
        six, four = loader(num_workers=6), loader(num_workers=4)
    found = the_problem(six, given)
    assert found.what.startswith("6 workers contend for 2 cores")
    assert found.fix == "DataLoader(…, num_workers=1)"  # the other core is the main process's
    # Workers that wait for a disk are no crowd: 4 a core.
    assert problems(four, figures(cores=2, uint8=0.4, decode=40, busy=0.01)) == ()


def test_floats_where_bytes_would_do():
    # A worker 1 + 0.05 + 0.5 + 0.4 = 1.95 ms, of which 0.4 is 21 %.
    heavy = figures(decode=1)
    found = the_problem(loader(num_workers=2), heavy)
    assert found.what == (
        "A worker spends 21 % of its time to send 0.6 MB of float32 an image, where 0.2 MB of bytes would "
        "do."
    )
    assert found.fix == "collate_fn=ae.pack(policy, …), and ae.DeviceLoader(loader)"
    on_cpu = the_problem(loader(num_workers=2), figures(decode=1, device="cpu"))
    assert on_cpu.fix.startswith("ae.Collate(policy, dtype=torch.uint8")
    assert problems(loader(num_workers=2), figures()) == ()  # 0.4 of 5.95 ms
    assert problems(loader(num_workers=2, collate_fn=collate(ae.pack)), heavy) == ()
    assert problems(loader(), heavy) == ()


# --- Measuring: presence, sums, and costs that are planted.


class Slow:
    """Small pictures; reading one takes so many seconds."""

    def __init__(self, seconds=0.0, count=32):
        self.seconds, self.count = seconds, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        time.sleep(self.seconds)
        return np.full((40, 44, 3), index, np.uint8), index % 10


def small_model():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10))


QUICK = {"policy": ae.RandomResizedCrop(32), "batch_size": 8, "budget": 1.0, "device": "cpu"}


def test_every_part_is_measured(nothing_is_left_running):
    report = examine(model=small_model(), dataset=Slow(), **QUICK)
    found = report.figures
    assert [one.part for one in found.costs] == [
        "decode", "plan", "draw", "draw, all threads", "send float32", "send uint8", "send packed",
        "step", "whole loader",
    ]  # fmt: skip
    for one in found.costs:
        assert all(seconds > 0 for seconds in one.seconds), one
        assert one.rate == pytest.approx(one.images / one.median)
        assert len(one.seconds) >= 2
    # Bytes of an image: 3 · 32 · 32 floats, as many bytes, and the picture itself.
    assert found.send_drawn.nbytes == 3 * 32 * 32 * 4
    assert found.send_uint8.nbytes == 3 * 32 * 32
    assert found.send_packed.nbytes == 3 * 40 * 44
    assert found.draw_on_gpu is None
    assert found.variants == ()
    assert found.start > 0
    assert report.problems == ()
    assert report.advice == advise(found)


def test_a_slow_dataset_is_the_bottleneck():
    report = examine(model=small_model(), dataset=Slow(0.02), **QUICK)
    found = report.figures.decode
    assert 0.02 <= found.each < 0.1
    assert found.busy < 0.5
    assert best_way(report.figures).bottleneck == "decode"
    sentences = [one.text for one in report.advice]
    assert any(text.startswith("The bottleneck is decoding") for text in sentences), sentences
    assert any(text.startswith("Reading a sample mostly waits") for text in sentences)


def test_a_slow_model_is_the_bottleneck():
    def step(images, labels):
        assert images.shape[1:] == (3, 32, 32)
        assert len(labels) == len(images)
        time.sleep(0.05)

    report = examine(model=step, dataset=Slow(), **QUICK)
    assert report.figures.model == "a function"
    assert 0.05 <= report.figures.step.median < 0.2
    assert best_way(report.figures).bottleneck == "step"
    assert any(one.text.startswith("The bottleneck is the model's step") for one in report.advice)


def test_ones_own_loader_and_model(nothing_is_left_running):
    """Nothing of the user's is changed: weights, random state, sampler, epoch."""
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    own = DataLoader(
        ae.WithIds(Slow(0.002)), 4, shuffle=True, num_workers=2, collate_fn=ae.Collate(
            ae.Policy([ae.RandomResizedCrop(32), ae.MixUp()]), num_classes=10, dtype=torch.float16
        ),
    )  # fmt: skip
    own.collate_fn.set_epoch(3)
    state, calls = torch.get_rng_state(), []

    def loss(output, labels):
        calls.append(labels.shape)
        return torch.nn.functional.cross_entropy(output, labels)

    report = examine(own, model.float(), loss=loss, budget=1, device="cpu")
    assert report.figures.batch_size == 4
    assert report.figures.dtype == "float16"
    assert (report.figures.place, report.figures.workers, report.figures.given) == (
        "collate",
        2,
        True,
    )
    assert report.figures.loader.rate > 0
    assert set(calls) == {(4, 10)}, "soft labels, as the loader mixes them"
    assert [one.fix for one in report.problems][:1] == ["DataLoader(…, persistent_workers=True)"]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert own.collate_fn.epoch == 3


@pytest.mark.parametrize(
    "kind", ["pack", "DeviceLoader of a policy", "stream", "views", "dicts", "keyed"]
)
def test_other_loaders(kind, nothing_is_left_running):
    pictures = ae.WithIds(Slow())
    own = {
        "pack": lambda: ae.DeviceLoader(
            DataLoader(pictures, 4, num_workers=1, collate_fn=collate(ae.pack)), device="cpu"
        ),
        "DeviceLoader of a policy": lambda: ae.DeviceLoader(
            DataLoader(pictures, 4), POLICY, device="cpu", layout="NHWC"
        ),
        "stream": lambda: DataLoader(Numbers(sharded=True), 4, num_workers=1, collate_fn=collate()),
        "views": lambda: DataLoader(
            pictures, 4, collate_fn=ae.Collate(ae.Views(a=POLICY, b=[ae.Policy(POLICY)] * 2))
        ),
        "dicts": lambda: DataLoader(Records("image", "label", "id"), 4, collate_fn=collate()),
        "keyed": lambda: ae.keyed(
            DataLoader(Slow(), 4, shuffle=True, num_workers=1, collate_fn=collate(epoch=None))
        ),
    }[kind]()
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 12))
    report = examine(own, model, budget=0.5, device="cpu")
    assert report.figures.loader.rate > 0, report.problems
    assert report.figures.place == (
        "pack" if kind in ("pack", "DeviceLoader of a policy") else "collate"
    )


def test_a_loader_that_fails_is_a_problem(nothing_is_left_running):
    """Its parts are measured nevertheless."""
    own = DataLoader(Slow(), 4, num_workers=1, collate_fn=collate())
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 12))
    report = examine(own, model, budget=0.5, device="cpu")
    assert report.figures.loader is None
    what = [one.what for one in report.problems]
    assert what[0].startswith(
        "The loader fails as it is iterated: ValueError: Collate: got samples"
    )
    assert what[1].startswith("The dataset gives pairs (image, label) without an id")


def test_a_report_is_written_in_full(tmp_path):
    spread = cost("step", 1.0, spread=0.3)
    report = Report(
        dataclasses.replace(figures(), step=spread), advise(figures()), problems(loader(PICTURES))
    )
    content = json.loads(report.to_json())
    step = content["figures"]["step"]
    assert step["images_per_second"] == pytest.approx(step["images"] / step["median"])
    assert content["best"]["workers"] == 7
    assert content["problems"][0]["fix"] == report.problems[0].fix
    text = " ".join(str(report).split())
    for words in ("step ◀ bottleneck", "±30 % (rough)", report.problems[0].fix, "16 usable cores"):
        assert words in text
    assert repr(report).startswith("Report(")
    report.plot(tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    assert len(pixels) > 300 * 700
    # The bottleneck's colour is there once, as one bar among the others.
    red, blue = (
        (abs(pixels - colour).sum(1) < 9).sum() for colour in ([209, 73, 91], [76, 120, 168])
    )
    assert 100 < red
    assert 100 < blue


def test_rounds_are_warmed_up_and_taken_again():
    calls = []
    found = timing.cost("work", 4, lambda: calls.append(time.sleep(0.02)), 0.2)
    assert len(found.seconds) >= 3
    assert found.first >= 0.02
    assert 4 / 0.1 < found.rate <= 4 / 0.02
    ticks = itertools.cycle([1.0, 2.0, 9.0])
    uneven = timing.cost("uneven", 1, lambda: None, 20.0, clock=lambda work: next(ticks))
    assert uneven.rough


@pytest.mark.gpu
def test_what_only_a_gpu_has():
    report = examine(
        model=models.named("resnet18")[0], dataset=Slow(), **QUICK | {"device": "cuda"}
    )
    found = report.figures
    assert found.machine.gpu == torch.cuda.get_device_name()
    assert found.draw_on_gpu.rate > 0
    assert [one.part for one in found.variants] == [
        "channels_last", "TF32", "no TF32", "AMP bfloat16",
    ]  # fmt: skip
    assert all(one.images == 8 and one.rate > 0 for one in (found.step, *found.variants))
    assert sum("alone" in one.text for one in report.advice) == 4


@pytest.mark.parametrize("of", [Cost, examine, find_problems])
def test_examples_in_docstrings(of):
    names = {"ae": ae, "np": np, "torch": torch}
    (case,) = doctest.DocTestFinder(recurse=False).find(of, of.__name__, globs=names)
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(case)
    assert runner.tries > 2
    assert not runner.failures


# --- The command.


def doctor(*arguments):
    return CliRunner().invoke(app, ["doctor", *(str(one) for one in arguments)])


def flat(text):
    return " ".join(text.split())


def picture_files(folder, count=3):
    folder.mkdir(exist_ok=True)
    for seed in range(count):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.jpg")
    return folder


def test_the_command_on_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "named", lambda name: (small_model(), "a small model"))
    policy = tmp_path / "policy.yaml"
    policy.write_text(ae.Policy([ae.RandomResizedCrop(32)]).to_yaml())
    folder = picture_files(tmp_path / "pictures")
    (folder / ".hidden.jpg").write_text("none")
    (folder / "notes.txt").write_text("none")
    output, figures_file = tmp_path / "plot.png", tmp_path / "figures.json"
    done = doctor(
        "--data", folder, "--batch-size", 4, "--policy", policy, "--workers", 1, "--device", "cpu",
        "--budget", 1, "--out", output, "--json", figures_file,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    text = flat(done.output)
    for words in ("decode", "images/s", "bottleneck", "Advice", "3 pictures of", "plot.png"):
        assert words in text
    content = json.loads(figures_file.read_text())
    assert content["figures"]["workers"] == 1
    assert content["figures"]["batch_size"] == 4
    with Image.open(output) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "--data: nowhere is no folder, expected one that holds pictures."),
        (["--data", "empty"], "--data: empty holds no picture ("),
        (["--data", "broken", "--policy", "cifar"], "--data: broken/1.jpg cannot be read ("),
        (["--model", "resnet81"], "--model: got 'resnet81', expected a name that"),
        (["--policy", "nope.yaml"], "--policy nope.yaml: there is no such file"),
        (["--policy", "broken.yaml"], "--policy broken.yaml: "),
        (["--out", "plot.jpg"], "--out: got plot.jpg, expected a file name ending in .png"),
        (["--out", "nowhere/plot.png"], "--out: got nowhere/plot.png"),
        (["--json", "nowhere/f.json"], "--json: got nowhere/f.json"),
        (
            ["--model", "vit_tiny_patch16_224", "--policy", "cifar"],
            "model: got images (8, 3, 32, 32) of",
        ),
        (["--device", "tpu"], "device 'tpu', expected 'cpu' or 'cuda'"),
        (["--device", "mps"], "device 'mps', expected 'cpu' or 'cuda'"),
    ],
)
def test_wrong_arguments_are_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    broken = picture_files(tmp_path / "broken") / "1.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    (tmp_path / "broken.yaml").write_text("operations: [")
    done = doctor("--budget", 1, *arguments)
    assert done.exit_code == 1, done.output
    assert done.stderr.startswith("augengine doctor: ")
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert isinstance(done.exception, SystemExit)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there():
    done = doctor("--device", "cuda", "--budget", 1)
    assert done.exit_code == 1
    assert "torch.cuda.is_available() is False" in done.stderr


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"budget": 0}, ValueError, r"examine: budget: got 0"),
        ({"batch_size": 0}, ValueError, r"examine: batch_size"),
        ({"workers": -1}, ValueError, r"examine: workers"),
        ({"loader": [1], "dataset": Slow()}, TypeError, r"a loader and a dataset"),
        ({"loader": [1]}, TypeError, r"examine: got list, expected a loader that has a dataset"),
        ({"dataset": []}, ValueError, r"no samples"),
        ({"dataset": [{"picture": 1}]}, ValueError, r"without 'image'"),
        (
            {"model": torch.nn.Identity(), "dataset": Slow()},
            ValueError,
            r"model: got an output \(\d, 3, 8, 8\), expected logits \(N, classes\)",
        ),
        (
            {"model": small_model(), "dataset": Slow()},
            ValueError,
            r"model: got images \(\d, 3, 8, 8\) of the policy, expected such as the model takes \(mat1",
        ),
    ],
)
def test_wrong_objects(how, error, message):
    with pytest.raises(error, match=message):
        examine(**{"budget": 0.5, "model": small_model(), "policy": POLICY} | how)


def test_models_by_name(monkeypatch):
    model, name = models.named(None)
    assert "resnet18" in name
    assert isinstance(model, torch.nn.Module)
    monkeypatch.setattr(models, "find_spec", lambda package: None)
    model, name = models.named(None)
    assert "small convolutional network" in name
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 1000)
    with pytest.raises(ImportError, match="neither timm nor torchvision"):
        models.named("resnet18")
    monkeypatch.setattr(
        models, "find_spec", lambda package: package if package == "torchvision" else None
    )
    assert models.named("resnet18")[1] == "torchvision's resnet18"
    with pytest.raises(
        ValueError, match=re.escape("got 'nonsense', expected a name that torchvision")
    ):
        models.named("nonsense")
