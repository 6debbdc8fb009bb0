"""Where the time goes: each stage of a batch's way, measured alone on one core, by turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from ..demo import measure
from ..demo.transport import Sender, taker
from ..policy.policy import Policy
from .contenders import Contender, read
from .ours import stages_of
from .result import OURS

TRANSPORT = "transport"
# Of those that decode as they draw; the bar says so.
TOGETHER = "decode and draw"


def measured(
    policy: Policy,
    paths: Sequence[Path],
    peers: Mapping[str, Contender],
    rounds: int,
    say: Callable[[str], object],
) -> dict[str, dict[str, float]]:
    """Seconds of an image in each stage, by contender. What a peer decides is in its drawing.

    Transport is the way of a drawn batch from a DataLoader's worker to the main process; it is the same
    float32 batch for all of them, but for those that need no workers.

    Args:
        policy: Policy.
        paths: Files of a batch.
        peers: Other contenders.
        rounds: Number of rounds.
        say: Function that is told what is going on.
    """
    say("the stages, each alone")
    ours, batch = stages_of(policy, paths)
    calls: dict[tuple[str, str], Callable[[], object]]
    calls = {(OURS, stage): call for stage, call in ours.items()}
    files = [read(path) for path in paths]
    for name, peer in peers.items():
        calls[name, "read"] = ours["read"]
        if peer.decode is None:
            calls[name, TOGETHER] = partial(peer.draw, files)
            continue
        images = [peer.decode(data) for data in files]
        calls[name, "decode"] = partial(_each, peer.decode, files)
        calls[name, "draw"] = partial(peer.draw, images)
    names = {f"{name}\t{stage}": call for (name, stage), call in calls.items()}
    times = measure.interleaved(names, rounds)
    parts: dict[str, dict[str, float]] = {}
    for key, timing in times.items():
        name, _, stage = key.partition("\t")
        parts.setdefault(name, {})[stage] = timing.median / len(paths)
    take, _ = taker(Sender([batch], None))
    sent = measure.interleaved({TRANSPORT: take}, rounds)[TRANSPORT].median / len(paths)
    for name, found in parts.items():
        if not name.startswith("DALI"):
            found[TRANSPORT] = sent
    return parts


def _each(decode: Callable[[bytes], object], files: Sequence[bytes]) -> list[object]:
    return [decode(data) for data in files]
