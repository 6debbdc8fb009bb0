"""The training pipelines, on some digits: what learns, what stays, what is the same, what resumes."""

import dataclasses
import json
import re

import numpy as np
import pytest
import safetensors.numpy
import torch
from cases import quick_or_thorough
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from augengine.cli import app
from augengine.pipelines import answers, distill, finetune, models, noisy_student, pseudo_label
from augengine.pipelines import data as datasets
from augengine.pipelines.fit import Fit
from augengine.pipelines.pseudo import choose
from augengine.pipelines.run import Run, stage_seed

SMALL = {
    "cpu": True, "labels": 5, "classes": "0-2", "batch_size": 128, "epochs": 2, "evaluate_every": 1,
}  # fmt: skip
# Teachers for a few epochs are unsure; that is enough here.
FINETUNE = {**SMALL, "model": "digitnet_8", "batch_size": 2}
DISTILL = {"teacher": "digitnet_16", "teacher_epochs": 2, **SMALL}
PSEUDO = {"model": "digitnet_8", "first_epochs": 2, "threshold": 0.0, "repeat": 1, **SMALL}
NOISY = {"student": "digitnet_8", "teacher_epochs": 2, "threshold": 0.0, "repeat": 1, **SMALL}


pytestmark = pytest.mark.usefixtures("one_thread")


def metrics(folder):
    """A run's lines without their times."""
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k != "seconds_an_epoch"} for line in lines
    ]


def state(folder):
    return load_file(folder / "model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    """A run whose model knows 0 … 2 a little."""
    folder = tmp_path_factory.mktemp("runs") / "body"
    told = {**SMALL, "labels": 0, "model": "digitnet_8"}
    finetune.run(finetune.Finetune(output=str(folder), **told))
    return folder


# Transfer


def test_a_run_leaves_a_whole_folder(tmp_path):
    """The embedded default: a body that learns 0–4, carried to 5–9."""
    told = {**SMALL, "classes": "", "body_epochs": 1}
    results = finetune.run(finetune.Finetune(output=str(tmp_path / "run"), **told))
    folder = tmp_path / "run"
    assert json.loads((folder / "results.json").read_text("utf-8")) == results
    assert json.loads((folder / "config.json").read_text("utf-8"))["labels"] == 5
    assert [(m["stage"], m["epoch"]) for m in metrics(folder)] == [
        ("body", 1), ("model", 1), ("model", 2),
    ]  # fmt: skip
    assert metrics(folder)[-1]["accuracy"] == pytest.approx(results["accuracy"], abs=1e-6)
    for picture in ("curves.png", "body/seen.png", "model/seen.png"):
        assert Image.open(folder / picture).size[0] > 400
    assert state(folder)["head.fc.weight"].shape == (5, 64)
    assert state(folder / "body")["head.fc.weight"].shape == (5, 64)
    assert not list(folder.glob("*/checkpoint-*")), "a finished stage needs none"


def test_a_frozen_body_does_not_change(tmp_path, body):
    """Not its parameters, and not BatchNorm's statistics."""
    told = {**SMALL, "classes": "5-8", "model": str(body), "frozen": True}
    finetune.run(finetune.Finetune(output=str(tmp_path / "run"), **told))
    before, after = state(body), state(tmp_path / "run")
    assert "stem.bn.running_mean" in before
    for name in before:
        if not name.startswith("head.fc"):
            assert torch.equal(before[name], after[name]), name
    assert after["head.fc.weight"].shape == (4, 32)


def test_a_whole_model_changes(tmp_path, body):
    told = {**SMALL, "classes": "5-8", "model": str(body)}
    finetune.run(finetune.Finetune(output=str(tmp_path / "run"), **told))
    before, after = state(body), state(tmp_path / "run")
    moved = [n for n in before if not n.startswith("head") and not torch.equal(before[n], after[n])]
    assert len(moved) > 0.8 * len(before)


def test_learning_rates_of_body_head_and_layers():
    model = models.create("digitnet_8", classes=10, channels=1)
    rates = {
        id(p): (group["lr"], group["weight_decay"])
        for group in models.parameter_groups(model, 1.0, 0.05, body=0.1)
        for p in group["params"]
    }
    named = {name: rates[id(p)] for name, p in model.named_parameters()}
    assert named["head.fc.weight"] == (1.0, 0.05)
    assert named["head.fc.bias"] == (1.0, 0.0)
    assert named["stem.conv.weight"] == (pytest.approx(0.1), 0.05)
    assert len(named) == len(rates) == len(list(model.parameters()))
    decayed = {
        id(p): group["lr"]
        for group in models.parameter_groups(model, 1.0, 0.05, body=1.0, layer_decay=0.5)
        for p in group["params"]
    }
    order = [decayed[id(p)] for p in (model.stem.conv.weight, model.stages[2][0].conv1_kxk.conv.weight,
                                      model.head.fc.weight)]  # fmt: skip
    assert order == sorted(order)
    assert order[0] < order[1] < order[2] == 1.0


def test_a_linear_probe_on_a_random_body_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"weights are random.*features that mean nothing"):
        finetune.Finetune(frozen=True, model="digitnet_8")
    output = str(tmp_path / "run")
    command = ["train", "finetune", "--frozen", "--model", "resnet18", "--output", output]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "learns from features that mean nothing" in result.output
    assert not (tmp_path / "run").exists()


# Models


def test_models_by_name_file_and_folder(tmp_path, body):
    for what in (
        str(body),
        str(body / "model.safetensors"),
        f"digitnet_8@{body}/model.safetensors",
    ):
        made = models.create(what, classes=3, channels=1)
        assert same(made.state_dict(), state(body))
        assert not models.is_random(what)
    other = models.create(str(body), classes=7, channels=1)
    assert other.head.fc.weight.shape == (7, 32)
    assert torch.equal(other.stem.conv.weight, state(body)["stem.conv.weight"])
    torch.save(made.state_dict(), tmp_path / "w.pth")
    with pytest.raises(
        ValueError, match=r"w\.pth', expected a \.safetensors file, .* hold code\. Write one"
    ):
        models.create(f"digitnet_8@{tmp_path}/w.pth", classes=3, channels=1)


def test_models_that_are_not_to_be_had(tmp_path, body, monkeypatch):
    how = {"classes": 3, "channels": 1}
    with pytest.raises(ValueError, match=r"timm knows no 'resnet1'\. Pass a name \(.*resnet1"):
        models.create("resnet1", **how)
    with pytest.raises(OSError, match=r"there is no .*gone\.safetensors.*Check the path"):
        models.create(str(tmp_path / "gone.safetensors"), **how)
    with pytest.raises(OSError, match=r"there is no file 'gone\.pth'"):
        models.create("digitnet_8@gone.pth", **how)
    with pytest.raises(ValueError, match=r"is not of this model; they differ in"):
        models.create(f"digitnet_16@{body}/model.safetensors", **how)
    with pytest.raises(ValueError, match=r"is not of this model.*head\.fc"):
        models.teacher(str(body), classes=4, channels=1)
    with pytest.raises(ValueError, match=r"takes no drop_rate or drop_path_rate"):
        models.create("vgg11", drop_path=0.1, **how)

    def unreachable(*_, **__):
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr("timm.models._builder.load_pretrained", unreachable)
    with pytest.raises(OSError, match=r"weights of resnet10t did not come \(ConnectionError: no route.*"
                                      r"resnet10t@FILE with a local file"):  # fmt: skip
        models.create("pretrained:resnet10t", **how)


def test_a_head_on_a_grid_sees_parts_of_the_picture(tmp_path, body):
    """As NumPy's means of the body's last map; a file of such a head needs no word of it."""
    told = {**SMALL, "classes": "5-8", "model": str(body), "frozen": True, "grid": 2}
    results = finetune.run(finetune.Finetune(output=str(tmp_path / "run"), **told))
    trained = models.load(tmp_path / "run")
    x = torch.randn(3, 1, 28, 28)
    before = models.create(str(body), classes=3, channels=1).eval()
    with torch.no_grad():
        maps = before.forward_features(x).numpy()
        logits = trained.model(x)
    assert maps.shape == (3, 32, 4, 4)
    means = maps.reshape(3, 32, 2, 2, 2, 2).mean((3, 5)).reshape(3, -1)
    weights = {name: value.numpy() for name, value in state(tmp_path / "run").items()}
    assert weights["head.fc.weight"].shape == (4, 32 * 4)
    expected = means @ weights["head.fc.weight"].T + weights["head.fc.bias"]
    np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-4, atol=1e-5)

    # It goes on with its grid, and ends where it was; for other classes there is a new head.
    again = finetune.run(finetune.Finetune(output=str(tmp_path / "run"), **told), resume=True)
    assert again == results
    taught = models.teacher(str(tmp_path / "run"), classes=4, channels=1)
    assert torch.equal(taught(x), logits)
    other = models.create(str(tmp_path / "run"), classes=2, channels=1)
    assert other.get_classifier().weight.shape == (2, 32)
    wider = models.create(str(tmp_path / "run"), classes=4, channels=1, grid=3)
    assert wider.get_classifier().weight.shape == (4, 32 * 9)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_models_that_have_no_grid(name):
    with pytest.raises(ValueError, match=r"takes no grid of 2 × 2 .*Leave --grid out"):
        models.create(name, classes=2, channels=1, grid=2)


@pytest.mark.parametrize("name", ["resnet10t", "tf_efficientnet_lite0"])
def test_models_that_have_a_grid(name):
    model = models.create(name, classes=2, channels=1, grid=2).eval()
    assert model(torch.zeros(1, 1, 64, 64)).shape == (1, 2)
    assert model.get_classifier().in_features == 4 * model.num_features


# Distillation


def watched(monkeypatch):
    """What teacher and student are given while the student trains: two lists that fill up."""
    given = {"teacher": [], "student": []}
    create = models.create

    def creating(what, **how):
        model = create(what, **how)
        model.register_forward_pre_hook(
            lambda m, args: given["student"].append(args[0].clone()) if m.training else None
        )
        return model

    def answering(run, teacher, cache, epoch, part):
        if teacher is not None and not hasattr(teacher, "watched"):
            teacher.watched = teacher.register_forward_pre_hook(
                lambda m, args: given["teacher"].append(args[0].clone())
            )
        return answers(run, teacher, cache, epoch, part)

    answers = distill._answers
    monkeypatch.setattr(models, "create", creating)
    monkeypatch.setattr(distill, "_answers", answering)
    return given


def test_teacher_and_student_see_the_same_bits_and_only_one_learns(tmp_path, body, monkeypatch):
    given = watched(monkeypatch)
    before = models.fingerprint(models.create(str(body), classes=3, channels=1))
    seen = []
    finish = Fit.finish

    def finishing(self):
        seen.append(self)
        return finish(self)

    teachers = []
    teacher = models.teacher

    def keeping(*args, **how):
        teachers.append(teacher(*args, **how))
        return teachers[-1]

    monkeypatch.setattr(models, "teacher", keeping)
    monkeypatch.setattr(Fit, "finish", finishing)
    told = {**SMALL, "teacher": str(body), "student": "digitnet_8"}
    distill.run(distill.Distill(output=str(tmp_path / "run"), **told))
    steps = 2 * -(-1200 // 128)
    student = given["student"][-steps:]
    teacher_saw = [x for x in given["teacher"] if len(x) <= 128][:steps]
    assert len(student) == len(teacher_saw) == steps
    for a, b in zip(student, teacher_saw, strict=True):
        assert torch.equal(a, b)
    assert models.fingerprint(teachers[0]) == before, "parameters and buffers"
    assert not any(p.requires_grad or p.grad is not None for p in teachers[0].parameters())
    learned = {id(p) for group in seen[0].optimizer.param_groups for p in group["params"]}
    assert not learned & {id(p) for p in teachers[0].parameters()}
    assert models.fingerprint(seen[0].raw_model) != before


def test_with_the_cache_a_student_learns_the_same_without_its_teacher(tmp_path, body, monkeypatch):
    """Within float16's error, and the teacher is not asked."""
    told = {**SMALL, "teacher": str(body), "student": "digitnet_8", "hard": 0.5}
    distill.run(distill.Distill(output=str(tmp_path / "without"), **told))
    cache = str(tmp_path / "answers")
    distill.run(distill.Distill(output=str(tmp_path / "first"), cache=cache, **told))
    given = watched(monkeypatch)
    distill.run(distill.Distill(output=str(tmp_path / "second"), cache=cache, **told))
    steps = 2 * -(-1200 // 128)
    tested = datasets.load(distill.Distill(**told)).test
    assert sum(map(len, given["teacher"])) == len(tested), "its own accuracy and nothing else"
    assert len(given["student"]) == steps
    told["teacher"] = "cache"
    distill.run(distill.Distill(output=str(tmp_path / "alone"), cache=cache, **told))

    without, first = metrics(tmp_path / "without"), metrics(tmp_path / "first")
    assert first == metrics(tmp_path / "second") == metrics(tmp_path / "alone")
    assert same(state(tmp_path / "first"), state(tmp_path / "alone"))
    for a, b in zip(without, first, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=2e-3)
        assert a["soft"] == pytest.approx(b["soft"], rel=5e-3)
    assert not same(state(tmp_path / "without"), state(tmp_path / "first")), "it was in use"

    with pytest.raises(ValueError, match=r"holds answers for seed 0, expected seed 1"):
        distill.run(distill.Distill(output=str(tmp_path / "x"), cache=cache, **{**told, "seed": 1}))
    with pytest.raises(ValueError, match=r"holds answers for policy"):
        distill.run(
            distill.Distill(output=str(tmp_path / "y"), cache=cache, **{**told, "policy": "none"})
        )
    with pytest.raises(ValueError, match=r"lacks 1,200 of the 3,600 answers that .* no teacher"):
        distill.run(
            distill.Distill(output=str(tmp_path / "z"), cache=cache, **{**told, "epochs": 3})
        )


def test_replayed_epochs_come_again_and_need_no_more_of_the_cache(tmp_path, body, monkeypatch):
    """Of labelled images alone: 15 in one batch."""
    given = watched(monkeypatch)
    told = {
        **SMALL, "teacher": str(body), "student": "digitnet_8", "epochs": 5, "unlabelled": False,
        "cache": str(tmp_path / "answers"),
    }  # fmt: skip
    distill.run(distill.Distill(output=str(tmp_path / "run"), replay=2, **told))
    seen = given["student"]
    assert [len(x) for x in seen] == [15] * 5
    # The order within a batch is an epoch's own, so that images are compared and not batches.
    order = [x.sum((1, 2, 3)).sort().values for x in seen]
    assert torch.equal(order[0], order[2])
    assert torch.equal(order[0], order[4])
    assert torch.equal(order[1], order[3])
    assert not torch.equal(order[0], order[1])
    told["teacher"] = "cache"
    distill.run(distill.Distill(output=str(tmp_path / "alone"), replay=2, **told))
    assert same(state(tmp_path / "run"), state(tmp_path / "alone"))
    with pytest.raises(ValueError, match=r"lacks 15 of the 45 answers .* --replay with as many"):
        distill.run(distill.Distill(output=str(tmp_path / "more"), replay=3, **told))


def test_a_policy_that_mixes_is_not_cached(tmp_path, body):
    (tmp_path / "mix.yaml").write_text("augengine: 1\npolicy:\n- CutMix: {}\n", "utf-8")
    told = {**SMALL, "teacher": str(body), "policy": str(tmp_path / "mix.yaml")}
    with pytest.raises(
        ValueError, match=r"a policy that mixes images\. A partner is drawn among the batch"
    ):
        distill.run(
            distill.Distill(output=str(tmp_path / "run"), cache=str(tmp_path / "c"), **told)
        )


def test_standardized_logits_are_other_answers_and_need_them_all(tmp_path, body):
    told = {**SMALL, "teacher": str(body), "student": "digitnet_8", "epochs": 1}
    for name, standardize in (("with", True), ("without", False)):
        output = str(tmp_path / name)
        distill.run(distill.Distill(output=output, standardize=standardize, **told))
    a, b = (metrics(tmp_path / name)[-1]["soft"] for name in ("with", "without"))
    assert a != b
    told |= {"cache": str(tmp_path / "answers"), "top": 2, "standardize": True}
    with pytest.raises(ValueError, match=r"--top 2 of 3 classes, expected all .*Pass --top 3"):
        distill.run(distill.Distill(output=str(tmp_path / "top"), **told))


def test_mean_teacher(tmp_path):
    """The teacher is the student's average: it is what is tested and kept."""
    told = {**SMALL, "teacher": "ema", "ema": 0.9, "student": "digitnet_8"}
    results = distill.run(distill.Distill(output=str(tmp_path / "run"), **told))
    assert set(results) == {"student"}
    assert metrics(tmp_path / "run")[-1]["soft"] > 0
    for bad, said in (
        ({"teacher": "ema"}, r"--ema 0\.0, expected a decay between 0 and 1"),
        ({"teacher": "ema", "ema": 0.9, "cache": "c"}, r"answers change with every step"),
        ({"teacher": "cache"}, r"--teacher cache without --cache"),
    ):
        with pytest.raises(ValueError, match=said):
            distill.Distill(**bad)


# Pseudo-labels


LOGITS = torch.log(torch.tensor([
    [0.90, 0.05, 0.05], [0.80, 0.10, 0.10], [0.70, 0.20, 0.10], [0.60, 0.30, 0.10],
    [0.10, 0.85, 0.05], [0.30, 0.40, 0.30],
]))  # fmt: skip
IDS = np.array([10, 11, 12, 13, 14, 15])


def test_the_sure_answers_are_kept():
    made = choose(LOGITS, IDS, threshold=0.75, balance=False, soft=False)
    assert made.ids.tolist() == [10, 14, 11]
    assert made.rows.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert made.confidence.tolist() == pytest.approx([0.9, 0.85, 0.8])
    soft = choose(LOGITS, IDS, threshold=0.75, balance=False, soft=True)
    assert soft.rows[1].tolist() == pytest.approx([0.10, 0.85, 0.05])


def test_balanced_classes_have_as_many_each():
    """Six answers of three classes, two each: the first class keeps its surest two; the third has
    none."""
    made = choose(LOGITS, IDS, threshold=0.0, balance=True, soft=False)
    assert made.ids.tolist() == [10, 11, 14, 15]
    few = choose(LOGITS[:5], IDS[:5], threshold=0.0, balance=True, soft=False)
    assert few.ids.tolist() == [10, 11, 14, 14], "one that is repeated"
    assert few.copy.tolist() == [0, 0, 0, 1]
    assert len(choose(LOGITS, IDS, threshold=0.99, balance=True, soft=False).ids) == 0


def test_copies_have_draws_of_their_own():
    data = datasets.load(pseudo_label.PseudoLabel(**PSEUDO))
    made = choose(LOGITS[:5], IDS[:5], threshold=0.0, balance=True, soft=False)
    samples = made.samples(data)
    assert samples.index.tolist() == [10, 11, 14, 14]
    assert samples.ids.tolist() == [10, 11, 14, 5014]
    told = made.summary(data)
    assert (told["kept"], told["samples"], told["by_class"]) == (3, 4, [2, 1, 0])


def test_pseudo_labelling(tmp_path):
    told = {**PSEUDO, "rounds": 2}
    results = pseudo_label.run(pseudo_label.PseudoLabel(output=str(tmp_path / "run"), **told))
    assert results["round-1"]["of"] == 1200 - 15
    answered = sum(count > 0 for count in results["round-1"]["by_class"])
    assert results["round-1"]["samples"] == answered * (1200 - 15) / 3, "a third for each class"
    stages = list(dict.fromkeys(m["stage"] for m in metrics(tmp_path / "run")))
    assert stages == ["labelled", "round-1", "round-2"]


def test_no_answer_above_the_threshold_is_said(tmp_path):
    told = {**PSEUDO, "threshold": 1.0}
    with pytest.raises(ValueError, match=r"no answer of the teacher reaches the threshold 1\.0"):
        pseudo_label.run(pseudo_label.PseudoLabel(output=str(tmp_path / "run"), **told))
    told = {**PSEUDO, "labels": 0}
    with pytest.raises(ValueError, match=r"no image is unlabelled"):
        pseudo_label.run(pseudo_label.PseudoLabel(output=str(tmp_path / "all"), **told))


@pytest.mark.parametrize("ema", quick_or_thorough([0.9], [0.0]))
def test_fixmatch(tmp_path, ema):
    told = {**PSEUDO, "online": True, "ema": ema, "batch_size": 32}
    folder = tmp_path / "run"
    pseudo_label.run(pseudo_label.PseudoLabel(output=str(folder), **told))
    last = metrics(folder)[-1]
    assert last["kept"] == 1, "threshold 0"
    assert last["unlabelled"] > 0
    assert last["loss"] == pytest.approx(last["labelled"] + last["unlabelled"], abs=1e-5)


def test_fixmatch_below_its_threshold_learns_from_labels_alone(tmp_path):
    told = {**PSEUDO, "online": True, "threshold": 1.0, "batch_size": 32}
    pseudo_label.run(pseudo_label.PseudoLabel(output=str(tmp_path / "run"), **told))
    for line in metrics(tmp_path / "run"):
        assert line["kept"] == line["unlabelled"] == 0
        assert line["loss"] == line["labelled"] > 0


def test_softmatch_keeps_a_part_of_every_answer(tmp_path):
    told = {**PSEUDO, "online": True, "weights": "softmatch", "momentum": 0.5, "threshold": 1.0}
    pseudo_label.run(pseudo_label.PseudoLabel(output=str(tmp_path / "run"), **told))
    for line in metrics(tmp_path / "run"):
        assert 0 < line["kept"] < 1, "a threshold is none of its"
        assert line["unlabelled"] > 0


@pytest.mark.parametrize("told", [{"align": True}, {"weights": "softmatch"}])
def test_what_is_of_fixmatch_alone_is_not_ignored_without_it(told):
    with pytest.raises(ValueError, match=r"without --online.*Pass --online, or leave them out"):
        pseudo_label.PseudoLabel(**told)
    pseudo_label.PseudoLabel(online=True, **told)
    with pytest.raises(ValueError, match=r"weights: got 'hard', expected one of threshold, softm"):
        pseudo_label.PseudoLabel(online=True, weights="hard")


# Noisy Student


def test_generations(tmp_path, monkeypatch):
    rates = []
    create = models.create

    def creating(what, **how):
        rates.append((what, how.get("dropout"), how.get("drop_path")))
        return create(what, **how)

    monkeypatch.setattr(models, "create", creating)
    told = {**NOISY, "student": "digitnet_8,digitnet_16"}
    results = noisy_student.run(noisy_student.NoisyStudent(output=str(tmp_path / "run"), **told))
    assert set(results) == {"generation-0", "generation-1", "generation-2", "accuracy"}
    assert ("digitnet_16", 0.2, 0.1) in rates, "students have noise"
    assert ("digitnet_8", 0.0, 0.0) in rates, "and the first teacher none"
    assert state(tmp_path / "run")["head.fc.weight"].shape == (3, 64)


def test_a_teachers_labels_are_given_without_noise(tmp_path):
    """Plain images, and no dropout: the kept distributions are the teacher's own."""
    told = {**NOISY, "balance": False}
    settings = noisy_student.NoisyStudent(output=str(tmp_path / "run"), **told)
    noisy_student.run(settings)
    data = datasets.load(settings)
    teacher = models.teacher(str(tmp_path / "run" / "generation-0"), classes=3, channels=1)
    made = safetensors.numpy.load_file(tmp_path / "run/generation-1/pseudo.safetensors")
    pixels = np.stack([np.asarray(data.images[i]) for i in made["ids"]]).astype(np.float32) / 255
    x = torch.from_numpy((pixels - data.mean[0]) / data.std[0]).movedim(-1, 1)
    with torch.no_grad():
        expected = torch.softmax(teacher(x), 1).numpy()
    assert len(made["ids"]) == len(data.unlabelled)
    assert np.allclose(made["rows"], expected, atol=1e-5)


def test_a_student_smaller_than_its_teacher_is_refused(tmp_path):
    told = {**NOISY, "teacher": "digitnet_16", "student": "digitnet_8"}
    with pytest.raises(
        ValueError, match=r"digitnet_8 has 19,\d+ parameters, its teacher digitnet_16 has"
    ):
        noisy_student.run(noisy_student.NoisyStudent(output=str(tmp_path / "run"), **told))


# What holds for all


PIPELINES = {
    "finetune": (
        finetune,
        finetune.Finetune,
        {**SMALL, "model": "digitnet_8", "dropout": 0.3, "batch_size": 2},
    ),
    "distill": (distill, distill.Distill, {**DISTILL, "ema": 0.9}),
    "pseudo-label": (pseudo_label, pseudo_label.PseudoLabel, PSEUDO),
    "fixmatch": (pseudo_label, pseudo_label.PseudoLabel, {**PSEUDO, "online": True}),
    "softmatch": (
        pseudo_label,
        pseudo_label.PseudoLabel,
        {**PSEUDO, "online": True, "weights": "softmatch", "align": True, "momentum": 0.5},
    ),
    "noisy-student": (noisy_student, noisy_student.NoisyStudent, NOISY),
}


@pytest.mark.parametrize(
    "name",
    quick_or_thorough(
        ["distill", "softmatch"], ["finetune", "pseudo-label", "fixmatch", "noisy-student"]
    ),
)
def test_stopped_anywhere_and_resumed_a_run_ends_the_same(tmp_path, name, monkeypatch):
    """To the bit: metrics, weights, results; dropout, averaged weights and what a loss remembers too."""
    pipeline, settings, told = PIPELINES[name]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = pipeline.run(settings(output=str(whole), **told))

    step, done = Fit.step, 0
    stops = [3, 9, 12]

    def stopping(self, *args, **more):
        nonlocal done
        done += 1
        if stops and done > stops[0]:
            stops.pop(0)
            done = 0
            raise KeyboardInterrupt
        return step(self, *args, **more)

    monkeypatch.setattr(Fit, "step", stopping)
    resume, times = False, 0
    while True:
        try:
            results = pipeline.run(settings(output=str(parts), **told), resume=resume)
            break
        except KeyboardInterrupt:
            resume, times = True, times + 1
    assert times >= 1
    assert results == expected
    assert metrics(parts) == metrics(whole)
    assert same(state(parts), state(whole))


def test_with_a_validation_part_the_test_is_read_at_the_end(tmp_path, monkeypatch, capsys):
    told = {**FINETUNE, "validation": 0.1}
    settings = finetune.Finetune(output=str(tmp_path / "run"), **told)
    data, looked_at = datasets.load(settings), []
    given = answers.answers

    def looking(run, model, samples, policy):
        looked_at.append(samples.ids)
        return given(run, model, samples, policy)

    monkeypatch.setattr(answers, "answers", looking)
    finetune.run(settings)
    *during, last = looked_at
    assert len(during) == told["epochs"]
    assert all(np.array_equal(ids, data.validation) for ids in during)
    assert np.array_equal(last, data.test)
    assert "% of the validation right" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    quick_or_thorough(["fixmatch"], ["finetune", "distill", "pseudo-label", "noisy-student"]),
)
def test_the_truth_of_unlabelled_images_is_never_looked_at(tmp_path, name, monkeypatch):
    pipeline, settings, told = PIPELINES[name]
    pipeline.run(settings(output=str(tmp_path / "a"), **told))
    load = datasets.load

    def hidden(told_):
        data = load(told_)
        truth = data.truth.copy()
        truth[data.unlabelled] = datasets.UNKNOWN
        return dataclasses.replace(data, truth=truth)

    monkeypatch.setattr(datasets, "load", hidden)
    pipeline.run(settings(output=str(tmp_path / "b"), **told))
    assert same(state(tmp_path / "a"), state(tmp_path / "b"))


def test_a_run_is_not_written_over(tmp_path, body):
    settings = finetune.Finetune(output=str(body), **{**SMALL, "model": "digitnet_8"})
    with pytest.raises(ValueError, match=r"holds a run already\. Go on with it by --resume"):
        finetune.run(settings)
    # A mistake before anything is learned does not block the folder.
    told = {**SMALL, "model": "digitnet_8", "output": str(tmp_path / "twice")}
    with pytest.raises(ValueError, match="expected a folder of class folders"):
        finetune.run(finetune.Finetune(**{**told, "data": "/nowhere"}))
    assert "accuracy" in finetune.run(finetune.Finetune(**told))
    with pytest.raises(ValueError, match=r"holds no run to go on with"):
        Run(finetune.Finetune(output=str(tmp_path / "none"), cpu=True), "finetune", resume=True)


def test_half_precision(tmp_path, body):
    told = {**SMALL, "teacher": str(body), "student": "digitnet_8", "precision": "bf16"}
    distill.run(distill.Distill(output=str(tmp_path / "half"), **told))
    distill.run(distill.Distill(output=str(tmp_path / "whole"), **{**told, "precision": "no"}))
    half, whole = metrics(tmp_path / "half"), metrics(tmp_path / "whole")
    assert half != whole
    assert half[0]["loss"] == pytest.approx(whole[0]["loss"], rel=0.05)


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    told = {**SMALL, "model": "digitnet_8", "lr": 1e30}
    with pytest.raises(
        FloatingPointError, match=r"the loss of epoch \d is (nan|inf), expected a number"
    ):
        finetune.run(finetune.Finetune(output=str(tmp_path / "run"), **told))


def test_any_seed_that_the_settings_take(tmp_path):
    told = {**SMALL, "model": "digitnet_8", "seed": 2**31 - 1}
    assert "accuracy" in finetune.run(finetune.Finetune(output=str(tmp_path / "run"), **told))


def test_stages_of_similar_names_begin_with_other_weights():
    """Stage names that are anagrams, or differ in digits, have seeds of their own; the same tomorrow."""
    assert stage_seed(0, "generation-12") != stage_seed(0, "generation-21")
    stages = [f"generation-{g}" for g in range(100)] + ["body", "head", "model", "student"]
    seeds = {stage_seed(seed, stage) for seed in (0, 1, 2, 2**31 - 1) for stage in stages}
    assert len(seeds) == 4 * len(stages)
    assert all(0 <= seed < 2**32 for seed in seeds)  # what NumPy's generator takes
    # BLAKE2b of "0 generation-12" in four bytes, as `b2sum -l 32` prints it: hexadecimal, low byte first.
    assert stage_seed(0, "generation-12") == int.from_bytes(bytes.fromhex("e7ab59cb"), "little")


# The command line


def test_options_are_the_settings_fields():
    for name, (_, settings, _) in PIPELINES.items():
        if name in ("fixmatch", "softmatch"):
            continue
        result = CliRunner().invoke(app, ["train", name, "--help"])
        assert result.exit_code == 0
        shown = re.sub(r"\x1b\[[0-9;]*m", "", result.output)
        for field in dataclasses.fields(settings):
            assert f"--{field.name.replace('_', '-')} " in shown, field.name


def test_train_from_the_command_line_and_resume(tmp_path):
    told = [f"--{k.replace('_', '-')}={v}" for k, v in SMALL.items() if k != "cpu"]
    output = str(tmp_path / "run")
    command = ["train", "finetune", "--cpu", "--model=digitnet_8", f"--output={output}", *told]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert f"written to {output}" in result.output
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 1
    assert "holds a run already" in again.output
    resumed = CliRunner().invoke(app, ["train", "finetune", "--resume", output])
    assert resumed.exit_code == 0, resumed.output
    both = CliRunner().invoke(app, ["train", "finetune", "--resume", output, "--epochs=9"])
    assert both.exit_code == 1
    assert "got --epochs beside it" in both.output
    other = CliRunner().invoke(app, ["train", "distill", "--resume", output])
    assert other.exit_code == 1
    assert "another pipeline or version wrote it" in other.output
