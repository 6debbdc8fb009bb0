"""The losses are their formulas: by hand, and by torch's own functions."""

import math

import pytest
import torch
from torch.nn import functional

from augengine.pipelines.batches import Part
from augengine.pipelines.confidence import Confidence
from augengine.pipelines.fit import warm_cosine
from augengine.pipelines.losses import cross_entropy, distillation, standardized


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


def test_standardized_logits_by_hand():
    """Of (0, 0, 3) the mean is 1 and the variance (1 + 1 + 4) / 3 = 2."""
    found = standardized(torch.tensor([[1.0, 3.0, 2.0], [0.0, 0.0, 3.0], [5.0, 5.0, 5.0]]))
    expected = [
        [-math.sqrt(1.5), math.sqrt(1.5), 0.0],
        [-math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2)],
        [0.0] * 3,
    ]
    assert torch.allclose(found, torch.tensor(expected), atol=1e-6)


def test_standardized_distillation_by_hand():
    """The teacher's (1, 3) are (−1, 1), at T = 2 the probabilities 1 / (1 + e) and e / (1 + e)."""
    teacher, student = torch.tensor([[1.0, 3.0]]), torch.zeros(1, 2, requires_grad=True)
    p = [1 / (1 + math.e), math.e / (1 + math.e)]
    loss = distillation(student, teacher, 2.0, standardize=True)
    assert loss.item() == pytest.approx(4 * sum(q * math.log(2 * q) for q in p), rel=1e-5)
    loss.sum().backward()
    assert torch.isfinite(student.grad).all(), "logits that are all alike have a gradient"


def test_standardized_distillation_asks_for_no_size_of_logits():
    """A student whose logits are a·teacher + b has nothing to learn, whatever a above 0 and b are."""
    torch.manual_seed(0)
    teacher = torch.randn(8, 10)
    for a, b in ((0.1, 0.0), (7.0, -3.0)):
        found = distillation(a * teacher + b, teacher, 2.0, standardize=True)
        assert torch.allclose(found, torch.zeros(8), atol=1e-5)
        assert distillation(a * teacher + b, teacher, 2.0).max() > 0.1


# Confidence


def logits_of(*rows):
    return torch.log(torch.tensor(rows))


def mean(values):
    return values.mean(0)


def test_a_threshold_counts_an_answer_or_not():
    rule = Confidence(2, threshold=0.75)
    rows, weights = rule(logits_of([0.8, 0.2], [0.3, 0.7], [0.2, 0.8]), mean, 3)
    assert rows.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert weights.tolist() == [1, 0, 1]
    assert not rule.state_dict(), "it remembers nothing"
    soft = Confidence(2, threshold=0.75, soft=True)
    assert soft(logits_of([0.8, 0.2]), mean, 1).rows[0].tolist() == pytest.approx([0.8, 0.2])


def test_softmatch_weighs_by_a_truncated_gaussian_by_hand():
    """Two classes: the mean begins at 1/2 and the variance at 1. Confidences of 0.9 and 0.6 have the mean
    0.75 and the unbiased variance 2 · 0.15²; with m = 1/2 the averages are 0.625 and 0.5225."""
    rule = Confidence(2, weights="softmatch", momentum=0.5)
    rows, weights = rule(logits_of([0.9, 0.1], [0.4, 0.6]), mean, 2)
    assert rows.tolist() == [[1, 0], [0, 1]]
    assert weights.tolist() == pytest.approx([1.0, math.exp(-(0.025**2) / (2 * 0.5225))])
    assert rule.mean.item() == pytest.approx(0.625)
    assert rule.variance.item() == pytest.approx(0.5225)
    # The next batch: 0.5 · 0.625 + 0.5 · 0.7, and 0.5 · 0.5225 + 0.5 · 2 · 0.1².
    _, weights = rule(logits_of([0.8, 0.2], [0.6, 0.4]), mean, 2)
    expected = math.exp(-((0.6625 - 0.6) ** 2) / (2 * 0.27125))
    assert weights.tolist() == pytest.approx([1.0, expected])


def test_softmatch_of_sure_answers_that_are_all_alike_has_whole_weights():
    rule = Confidence(2, weights="softmatch", momentum=0.0)
    assert rule(logits_of([0.9, 0.1], [0.9, 0.1]), mean, 2).weights.tolist() == [1.0, 1.0]
    assert rule(logits_of([0.9, 0.1]), mean, 1).weights.tolist() == [1.0], "and of a single one"


def test_aligned_answers_by_hand():
    """Answers (0.8, 0.2) and (0.6, 0.4) have the mean (0.7, 0.3). Aligned with halves they are 12 : 7 and
    9 : 14."""
    half = torch.tensor([0.5, 0.5])
    answers = logits_of([0.8, 0.2], [0.6, 0.4])
    rule = Confidence(2, threshold=0.62, target=half, soft=True)
    rows, weights = rule(answers, mean, 2)
    assert rows[0].tolist() == pytest.approx([12 / 19, 7 / 19])
    assert rows[1].tolist() == pytest.approx([9 / 23, 14 / 23])
    assert weights.tolist() == [1, 0]
    assert rule.answered.tolist() == pytest.approx([0.7, 0.3]), "the first batch's"
    rule(logits_of([0.2, 0.8]), mean, 1)
    assert rule.answered[0].item() == pytest.approx(0.999 * 0.7 + 0.001 * 0.2)
    # Aligned with what they are, answers stay.
    same = Confidence(2, target=torch.tensor([0.7, 0.3]), soft=True)
    assert same(answers, mean, 2).rows.flatten().tolist() == pytest.approx([0.8, 0.2, 0.6, 0.4])


def test_softmatch_aligns_weights_and_no_label():
    """The second answer's class would turn from the first to the second."""
    half, answers = torch.tensor([0.5, 0.5]), logits_of([0.8, 0.2], [0.6, 0.4])
    turned = Confidence(2, threshold=0.0, target=half)(answers, mean, 2)
    assert turned.rows.tolist() == [[1, 0], [0, 1]]
    kept = Confidence(2, weights="softmatch", momentum=0.0, target=half)(answers, mean, 2)
    assert kept.rows.tolist() == [[1, 0], [1, 0]]
    low, high = 14 / 23, 12 / 19
    middle = (low + high) / 2
    variance = 2 * (high - middle) ** 2
    expected = math.exp(-((middle - low) ** 2) / (2 * variance))
    assert kept.weights.tolist() == pytest.approx([1.0, expected], rel=1e-2)


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
