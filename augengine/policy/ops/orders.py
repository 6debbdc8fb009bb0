"""Ops made of ops, by torchvision's names: one of them, or all of them in any order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .choosing import Chooser, OneOf, partners_as_they_are


@dataclass(frozen=True, repr=False)
class RandomChoice(OneOf):
    """One of some ops for each sample: `OneOf`, by torchvision's name. (torchvision chooses once for the whole
    batch.) Mixes inside see the others as they were before the choice.

    Args:
        transforms: Ops, one or more.
        p: Weights of 0 or more, one for each op, not all 0; None makes all alike.

    Raises:
        ValueError: There is not a weight for each op.

    Example:
        >>> op = ae.RandomChoice([ae.RandomInvert(p=1), ae.RandomSolarize(128, p=1)], p=[1, 0])
        >>> ae.Policy(op).sample([0], [(32, 32)]).explain(0)
        'inverted'
    """


@dataclass(frozen=True, repr=False)
class RandomOrder(Chooser):
    """All of some ops, in a random order, each order as likely. Each sample has an order of its own.
    (torchvision draws one for the whole batch.)

    Args:
        transforms: Ops, one or more.

    Raises:
        ValueError: Mixes or erasing stand beside ops on the image.

    Example:
        >>> op = ae.RandomOrder([ae.RandomInvert(1), ae.RandomGrayscale(1), ae.RandomPosterize(3, 1)])
        >>> ae.Policy(op).sample([0], [(32, 32)]).explain(0)
        'posterized to 3 bits, inverted, grey'
    """

    def _check(self) -> None:
        if self.stages[0] != self.stages[1]:
            raise ValueError(
                "RandomOrder: got mixes or erasing beside ops on the image itself, expected one kind, "
                "since all of the latter come first. Use two RandomOrder."
            )

    def _decide(self, draft, rows, place):
        children = self.children
        order = np.argsort(draft.uniform(place, len(children), rows), axis=1, kind="stable")
        # An op comes once for each sample, so it takes the same places in any turn.
        places = list(self._child_places(place + 1))
        for turn in range(len(children)):
            with partners_as_they_are(draft, self):
                for k, (op, at) in enumerate(places):
                    now = rows[order[:, turn] == k]
                    if len(now):
                        op.decide(draft, now, at)
