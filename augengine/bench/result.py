"""What was measured, as data."""

from __future__ import annotations

import dataclasses
import json
import statistics
from dataclasses import dataclass, field
from typing import Any

from ..demo.race import MOST_SPREAD

OURS = "augengine"
CLASSES = 10  # of the labels, which are made up
# The stages of a batch's way, in their order.
STAGES = ("read", "decode", "sample", "draw", "transport")


@dataclass(frozen=True)
class Row:
    """A contender of a table.

    Args:
        name: Library, and its decoder.
        images: Number of images that a round makes.
        seconds: Seconds that each round took.
        ours: Seconds of our rounds among them.
        spread: The larger spread of the two, half the distance of the quartiles as a share of the median.
        notes: Where it does less or other work.
        stages: Seconds that an image takes in each stage alone, on one core; empty where they were not
            measured.
    """

    name: str
    images: int
    seconds: tuple[float, ...]
    ours: tuple[float, ...]
    spread: float
    notes: tuple[str, ...] = ()
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def each(self) -> float:
        """Seconds that one image takes, of the median round."""
        return statistics.median(self.seconds) / self.images

    @property
    def rate(self) -> float:
        """Images per second."""
        return 1 / self.each

    @property
    def ratio(self) -> float:
        """How many times our time it takes, of the rounds that both were in."""
        return statistics.median(self.seconds) / statistics.median(self.ours)

    @property
    def steady(self) -> bool:
        """Whether the spread is small enough for a firm figure."""
        return self.spread <= MOST_SPREAD


@dataclass(frozen=True)
class Table:
    """Contenders that were measured by turns.

    Args:
        regime: What was measured: "one core", "all cores" or "training".
        workers: Number of DataLoader workers; 0 is none.
        cores: Number of cores that it ran on.
        batch: Number of images in a batch.
        rows: Rows, ours first.
        left_out: Why a library takes no part, by its name.
    """

    regime: str
    workers: int
    cores: int
    batch: int
    rows: tuple[Row, ...]
    left_out: dict[str, str]


@dataclass(frozen=True)
class Result:
    """All that was measured, and on what.

    Args:
        command: How it was called.
        images: What the files are: "source", "files", "bytes", "height", "width" (medians).
        policy: Policy, in words.
        about: Processor, system, versions, heap and date.
        tables: Tables.
    """

    command: str
    images: dict[str, Any]
    policy: str
    about: dict[str, Any]
    tables: tuple[Table, ...]

    def to_json(self) -> str:
        """All of it as JSON. Each row has its median, rate, ratio and steadiness beside its rounds."""
        content = dataclasses.asdict(self)
        for table, made in zip(self.tables, content["tables"], strict=True):
            for row, said in zip(table.rows, made["rows"], strict=True):
                said |= {
                    "seconds_per_image": row.each,
                    "images_per_second": row.rate,
                    "times_ours": row.ratio,
                    "steady": row.steady,
                }
        return json.dumps(content | {"page_cache": "warm"}, indent=1, ensure_ascii=False)


def table_of(content: dict[str, Any]) -> Table:
    """A table from its JSON."""
    rows = tuple(Row(**with_tuples(row)) for row in content["rows"])
    return Table(**{**content, "rows": rows})


def with_tuples(content: dict[str, Any]) -> dict[str, Any]:
    """Arguments from JSON, which has lists in place of tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
