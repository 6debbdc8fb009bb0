"""What an op is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

# Where in a policy an op may stand: views are decided first, then layered and normalised; last comes
# what is not fused.
VIEW, LAYER, FINISHED = 0, 1, 2


@dataclass(frozen=True)
class Op:
    """One step of a policy: a frozen description that decides, draws nothing by itself and keeps
    nothing. `_decide` reads draws under its `place` and tells the draft what will happen.

    stratify: every op takes it. Over the epochs a sample's draws then walk evenly through their
    ranges instead of falling where they will (`Keyed.uniform`); for ops inside it as well.
    """

    stages: ClassVar[tuple[int, int]] = (VIEW, VIEW)  # lowest and highest stage inside

    stratify: bool = field(default=False, kw_only=True, repr=False)

    @property
    def places(self) -> int:
        """How many places, that is independent streams of draws, the op takes."""
        return 1

    @property
    def children(self) -> tuple[Op, ...]:
        return ()

    def decide(self, draft, rows, place: int) -> None:
        """`_decide`, with draws of the kind that was asked for."""
        outer, draft.stratify = draft.stratify, draft.stratify or self.stratify
        self._decide(draft, rows, place)
        draft.stratify = outer

    def _decide(self, draft, rows, place: int) -> None:
        """Decide for the samples `rows` (an index array) of the draft."""
        raise NotImplementedError

    def _set(self, **values) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)
