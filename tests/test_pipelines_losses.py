"""The losses are their formulas: by hand, and by torch's own functions."""

import math

import pytest
import torch
from torch.nn import functional

from augengine.pipelines.batches import Part
from augengine.pipelines.fit import warm_cosine
from augengine.pipelines.losses import cross_entropy, distillation


def test_cross_entropy_by_hand():
    """Logits (0, ln 3) are probabilities 1/4 and 3/4."""
    logits = torch.tensor([[0.0, math.log(3)]] * 4)
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.0, 0.0]])
    expected = [math.log(4), math.log(4 / 3), (math.log(4) + math.log(4 / 3)) / 2, 0.0]
    assert cross_entropy(logits, rows).tolist() == pytest.approx(expected)


def test_distillation_by_hand():
    """At T = 2, logits (0, 2 ln 3) are probabilities 1/4 and 3/4, and (0, 0) are halves."""
    teacher, student = torch.tensor([[0.0, 2 * math.log(3)]]), torch.zeros(1, 2)
    kl = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    assert distillation(student, teacher, 2.0).item() == pytest.approx(4 * kl)
    # The other way round it is another number: the teacher comes first.
    assert distillation(teacher, student, 2.0).item() == pytest.approx(
        4 * (0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75))
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_distillation_is_torchs_kl_div(temperature):
    torch.manual_seed(0)
    student, teacher = torch.randn(32, 10) * 3, torch.randn(32, 10) * 3
    expected = functional.kl_div(
        functional.log_softmax(student / temperature, 1),
        functional.log_softmax(teacher / temperature, 1),
        reduction="none",
        log_target=True,
    ).sum(1)
    found = distillation(student, teacher, temperature)
    assert torch.allclose(found, temperature**2 * expected, atol=1e-5, rtol=1e-4)


def test_the_gradient_of_distillation_keeps_its_size():
    """For T → ∞ the gradient goes to (s − t) / classes with both centred, whatever T is: Hinton's reason
    for T²."""
    torch.manual_seed(0)
    student, teacher = (
        torch.randn(1, 5, dtype=torch.float64),
        torch.randn(1, 5, dtype=torch.float64),
    )
    student.requires_grad_()
    distillation(student.float(), teacher.float(), 1000.0).sum().backward()
    with torch.no_grad():
        centred = (student - student.mean()) - (teacher - teacher.mean())
    assert torch.allclose(student.grad, centred / 5, atol=1e-3)


def test_hard_labels_are_torchs_cross_entropy():
    torch.manual_seed(0)
    logits, labels = torch.randn(16, 7), torch.randint(7, (16,))
    rows = functional.one_hot(labels, 7).float()
    expected = functional.cross_entropy(logits, labels, reduction="none")
    assert torch.allclose(cross_entropy(logits, rows), expected)


def test_the_parts_of_a_batch_have_its_mean_as_their_mean():
    """Gradients are averaged over processes, so unequal parts must count by their sizes."""
    losses = torch.tensor([1.0, 2.0, 3.0, 4.0, 10.0])
    world = 2
    parts = [losses[:3], losses[3:]]
    means = [Part(None, None, world / len(losses)).mean(part) for part in parts]
    assert sum(means) / world == pytest.approx(losses.mean().item())


def test_warm_cosine():
    rates = [warm_cosine(step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[99] < 0.001
