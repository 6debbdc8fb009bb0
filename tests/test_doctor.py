"""`augengine doctor`: what follows from figures, by arithmetic; what is wrong in planted loaders; that
planted costs are found; the command from the outside."""

import dataclasses
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
from augengine.doctor import Cost, Figures, Machine, Report, advise, examine, find_problems, way
from augengine.doctor import figures as figures_room
from augengine.doctor import models, timing
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
    assert one.spread == pytest.approx((0.33 - 0.31) / 2 / 0.32)  # quartiles of five: second and fourth
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
        "The bottleneck is the model's step: it takes 1,000 images/s, and 7 workers could give 1.2 times "
        "as many."
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
        "The bottleneck is decoding: 3 workers give 293 images/s, the device would take 952 images/s, so "
        "it waits 69 % of the time."
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
        "The bottleneck is the model's step: it takes 333 images/s, and 1 worker could give 1.5 times as "
        "many. Model and workers share 2 cores, which leaves 252 images/s."
    )
    assert said(given, "There is no CUDA GPU here")


def test_waiting_for_a_disk_takes_more_workers_than_cores():
    # 20 ms a sample, 1 % of it busy: 20.95 ms a worker, of which 1.15 ms need a core. 3 cores run 3 · 20.95 / 1.15
    # = 55 such workers, but no more than 4 a core are advised: 12, or 573 images/s.
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
        place=place, workers=workers, given=given, loader=cost("whole loader", ms), start=start, **more
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
    assert said(given, "The bottleneck is decoding: 2 workers give 336 images/s")
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


def test_a_model_on_the_cpu_beside_a_gpu():
    given = dataclasses.replace(figures(device="cpu"), machine=Machine("a processor", 16, 8, "a GPU"))
    assert said(given, "The model runs on the CPU, and a GPU is there")


def test_a_step_of_fewer_images_is_said():
    short = dataclasses.replace(figures(), step=cost("step", 1.0, images=8))
    assert said(short, "The model's step was measured with 8 images of 100")


# --- The machine.


def test_cores_by_affinity_and_by_quota(tmp_path, monkeypatch):
    monkeypatch.setattr(figures_room.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr(figures_room, "_quota", lambda: 2.5)
    assert figures_room.usable_cores() == 2
    monkeypatch.setattr(figures_room, "_quota", lambda: 0.5)
    assert figures_room.usable_cores() == 1
    monkeypatch.setattr(figures_room, "_quota", lambda: float("inf"))
    assert figures_room.usable_cores() == 4


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
    assert figures_room._quota(tmp_path) == quota
