"""From figures to sentences: a pure function."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from .figures import MOST_SPREAD, Cost, Figures
from .ways import NAMES, Way, all_ways, way, way_now

# Shares and factors from which something is worth a sentence.
WORTH_SENDING_LESS = 0.1  # of a worker's time
WORTH_A_VARIANT = 1.05
WORTH_A_CHANGE = 1.1
MOST_OF_IT = 0.5
SLOW_FIRST_READ = 2.0
WAITS = 0.5  # core-seconds a second, below which decoding mostly waits
SLOW_START = 0.5  # seconds
BUSY = 0.5  # processes a core


@dataclass(frozen=True)
class Advice:
    """A sentence, and the figures that it rests on.

    Args:
        text: Sentence, or a few.
        rests_on: Figures, in words.
    """

    text: str
    rests_on: str


def advise(figures: Figures) -> tuple[Advice, ...]:
    """What follows from the figures: where augmentation should run, with how many workers, which part is
    the bottleneck, and what would be worth a change.

    Args:
        figures: Figures that were measured.

    Returns:
        The advice, the most important first.
    """
    ways = all_ways(figures)
    best, now = ways[0], way_now(figures)
    return tuple(
        [
            _where(best),
            *_others(figures, ways),
            *_now(best, now),
            _bottleneck(figures, now or best),
            *_decoding(figures, now or best),
            *_sending(figures, now or best),
            *_variants(figures),
            *_hardware(figures),
            *_measured(figures),
            *_trust(figures),
        ]
    )


def images_per_second(rate: float) -> str:
    """A rate in three digits or in whole images, with its unit."""
    return f"{rate:,.0f} images/s" if rate >= 100 else f"{rate:.3g} images/s"


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds of three digits, with the unit."""
    return f"{1000 * seconds:.3g} ms"


def megabytes(nbytes: float) -> str:
    """Bytes as megabytes of three digits, with the unit."""
    return f"{nbytes / 1e6:.3g} MB"


def in_words(one: Way) -> str:
    """A way: what a loop does."""
    if one.workers == 0:
        return "in the main process (num_workers=0)"
    workers = f"{one.workers} worker{'s' * (one.workers > 1)}"
    if one.place == "collate":
        return f"in {workers}, with Collate"
    return f"on the device, with {workers} that decide (pack) and a DeviceLoader that draws"


def _parts(one: Way) -> str:
    """What an image takes, by part."""
    parts = one.in_worker | one.on_device
    each = (f"{NAMES[part]} {milliseconds(parts[part])}" for part in NAMES if part in parts)
    return "an image takes: " + ", ".join(each)


def _where(best: Way) -> Advice:
    return Advice(
        f"Augment {in_words(best)}: that sustains {images_per_second(best.rate)}.", _parts(best)
    )


def _others(figures: Figures, ways: list[Way]) -> Iterator[Advice]:
    best, *others = ways
    text = "; ".join(f"{in_words(one)}: {images_per_second(one.rate)}" for one in others)
    spread = max(c.spread for c in (figures.decode, figures.draw, figures.step))
    close = abs(others[0].rate / best.rate - 1) < spread
    doubt = f" The first of these is no further off than the spread, ±{100 * spread:.0f} %."
    yield Advice(f"The other ways: {text}.{doubt if close else ''}", _parts(others[0]))


def _now(best: Way, now: Way | None) -> Iterator[Advice]:
    if now is None:
        return
    gain = best.rate / now.rate
    figure = f"{images_per_second(now.rate)} now, {images_per_second(best.rate)} then"
    if gain >= WORTH_A_CHANGE:
        yield Advice(
            f"This loader augments {in_words(now)}: that sustains {images_per_second(now.rate)}. A change "
            f"is worth a factor of {gain:.2g}.",
            figure,
        )
    elif now.place == best.place and now.workers > best.workers:
        yield Advice(
            f"This loader has {now.workers} workers; {best.workers} would do, and leave cores and memory.",
            figure,
        )
    else:
        yield Advice("This loader is within 10 % of the best way: leave it so.", figure)


def _bottleneck(figures: Figures, one: Way) -> Advice:
    name = NAMES[one.bottleneck]
    figure = (
        f"input {images_per_second(one.feed)}, model {images_per_second(1 / figures.step.each)}"
    )
    if one.workers == 0:
        share = one.on_device[one.bottleneck] * one.rate
        return Advice(
            f"The bottleneck is {name}: in one process all parts wait for each other, and it takes "
            f"{100 * share:.0f} % of the time.",
            figure,
        )
    workers = f"{one.workers} worker{'s' * (one.workers > 1)}"
    shared = ""
    if one.rate < 0.999 * min(one.feed, one.take):
        cores = f"{figures.machine.cores} core{'s' * (figures.machine.cores > 1)}"
        shared = f" Both share {cores}, which leaves {images_per_second(one.rate)}."
    if one.bottleneck in one.in_worker:
        return Advice(
            f"The bottleneck is {name}: {workers} can give {images_per_second(one.feed)}, and the model's "
            f"side take {images_per_second(one.take)}, {one.take / one.feed:.2g} times as many.{shared}",
            figure,
        )
    return Advice(
        f"The bottleneck is {name}: the model's side can take {images_per_second(one.take)}, and {workers} "
        f"give{'s' * (one.workers == 1)} {one.feed / one.take:.2g} times as many.{shared}",
        figure,
    )


def _decoding(figures: Figures, one: Way) -> Iterator[Advice]:
    parts = one.in_worker or one.on_device
    decode = figures.decode
    if one.bottleneck == "decode":
        share = parts["decode"] / sum(seconds for part, seconds in parts.items() if part != "step")
        figure = (
            f"decoding {milliseconds(decode.each)} an image, busy {100 * decode.busy:.0f} % of it"
        )
        if decode.busy < WAITS:
            yield Advice(
                "Reading a sample mostly waits, for a disk or a network: more workers than cores help, and "
                "fewer, larger files.",
                figure,
            )
        elif share >= MOST_OF_IT:
            yield Advice(
                f"Decoding is {100 * share:.0f} % of the input's work, so smaller pictures on disk or a "
                "faster decoder help the most, and less augmentation hardly.",
                figure,
            )
    if decode.first > SLOW_FIRST_READ * decode.median:
        yield Advice(
            f"The first read of the same samples took {decode.first / decode.median:.2g} times as long as "
            "later ones. If the data do not fit into memory, every epoch reads as slowly.",
            f"first {milliseconds(decode.first / decode.images)} an image, then "
            f"{milliseconds(decode.each)}",
        )


def _sending(figures: Figures, one: Way) -> Iterator[Advice]:
    """Whether smaller batches would relieve the workers."""
    if one.place != "collate" or one.workers == 0:
        return
    drawn, worker = figures.send_drawn, sum(one.in_worker.values())
    less = {
        "pack (and draw with a DeviceLoader)": figures.send_packed,
        "dtype=torch.uint8 (and normalise on the device)": figures.send_uint8,
    }
    if not figures.trains_on_gpu:
        del less["pack (and draw with a DeviceLoader)"]  # the same cores would draw
    gains = {how: (drawn.each - cost.each) / worker for how, cost in less.items()}
    how = max(gains, key=lambda how: gains[how])
    if gains[how] < WORTH_SENDING_LESS or less[how].nbytes >= drawn.nbytes:
        return
    yield Advice(
        f"Batches of {figures.dtype} cost {100 * drawn.each / worker:.0f} % of a worker's time on their "
        f"way to the main process. {how} sends {megabytes(less[how].nbytes)} in place of "
        f"{megabytes(drawn.nbytes)} an image, and gives the workers {100 * gains[how]:.0f} % of their time "
        "back.",
        f"transport {milliseconds(drawn.each)} an image, then {milliseconds(less[how].each)}",
    )


def _variants(figures: Figures) -> Iterator[Advice]:
    for cost in figures.variants:
        gain = cost.rate / figures.step.rate
        figure = (
            f"{images_per_second(figures.step.rate)} as it is, {images_per_second(cost.rate)} so"
        )
        if gain >= WORTH_A_VARIANT:
            yield Advice(
                f"{cost.part} alone makes the model's step {gain:.2g} times as fast.", figure
            )
        elif gain <= 1 / WORTH_A_VARIANT:
            yield Advice(
                f"{cost.part} alone makes the model's step {1 / gain:.2g} times as slow.", figure
            )
        else:
            yield Advice(f"{cost.part} alone changes the model's step by less than 5 %.", figure)


def _hardware(figures: Figures) -> Iterator[Advice]:
    machine = figures.machine
    if machine.gpu is None:
        yield Advice(
            "There is no CUDA GPU here: drawing on one, channels_last, TF32 and AMP are not measured, and "
            "the advice holds for training on this CPU. For a model on a GPU elsewhere: a worker with Collate "
            f"feeds {images_per_second(way(figures, 'collate', 1).feed)}, one that packs "
            f"{images_per_second(way(figures, 'pack', 1).feed)}.",
            f"{machine.cores} cores, torch computes with {machine.threads} threads",
        )
    elif not figures.trains_on_gpu:
        yield Advice(
            f"The model runs on the CPU, and {machine.gpu} is there: pass device='cuda' to examine it.",
            f"device {figures.device}",
        )


def _measured(figures: Figures) -> Iterator[Advice]:
    """The whole loader beside what its parts let expect."""
    loader = figures.loader
    if loader is None:
        return
    if figures.start >= SLOW_START:
        yield Advice(
            f"A pass begins {figures.start:.2g} s late, until new workers give the first batch. "
            "persistent_workers=True spares that from the second pass on.",
            f"start {figures.start:.2g} s",
        )
    if figures.place is None or figures.workers is None:
        yield Advice(
            f"The loader gives {images_per_second(loader.rate)} to a loop without a model.",
            f"measured {images_per_second(loader.rate)}",
        )
        return
    expected = way(_without_model(figures), figures.place, figures.workers)
    feed = expected.rate
    which = "This loader" if figures.given else f"A loader built so ({in_words(expected)})"
    text = f"{which} gives {images_per_second(loader.rate)} to a loop without a model"
    off = loader.rate / feed
    verdict = (
        f", as its parts let expect ({images_per_second(feed)})."
        if 1 / 1.25 <= off <= 1.25
        else f"; its parts let {images_per_second(feed)} expect. Trust the measured figure: what is between "
        "them is not in the parts."
    )
    yield Advice(
        text + verdict,
        f"measured {images_per_second(loader.rate)}, summed {images_per_second(feed)}",
    )


def _without_model(figures: Figures) -> Figures:
    """The same figures with a model that takes no time."""
    step = dataclasses.replace(figures.step, seconds=(1e-9,))
    return dataclasses.replace(figures, step=step)


def _trust(figures: Figures) -> Iterator[Advice]:
    rough: list[Cost] = [cost for cost in figures.costs if cost.rough]
    if rough:
        named = ", ".join(f"{c.part} ±{100 * c.spread:.0f} % ({len(c.seconds)})" for c in rough)
        yield Advice(
            f"Take these as rough, for their rounds differ by more than ±{100 * MOST_SPREAD:.0f} % or are "
            f"fewer than three: {', '.join(c.part for c in rough)}. A longer budget on a quiet machine "
            "makes them firm.",
            f"spread and rounds: {named}",
        )
    load = figures.machine.load
    if load >= BUSY:
        yield Advice(
            "Other processes were running when this began, so every figure may be too low, and those of "
            "several threads by far. Measure on a quiet machine.",
            f"{load:.2g} processes a core wanted to run in the minute before",
        )
    short = figures.step
    if short.images < figures.batch_size:
        yield Advice(
            f"The model's step was measured with {short.images} images of {figures.batch_size}, since more "
            "would not fit into the time; a whole batch is usually a little faster an image.",
            f"{short.images} images in {short.median:.3g} s",
        )
