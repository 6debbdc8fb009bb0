"""`augengine tune`: from images to a policy. Trainings are real, and short."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import augengine as ae
from augengine.cli import app
from augengine.pipelines import data as datasets
from augengine.pipelines.data import _digits
from augengine.pipelines.settings import Settings
from augengine.trials import budget, command
from augengine.trials.budget import Speed, measured, rungs_from, rungs_within, seconds_of
from augengine.trials.train import Trainer
from augengine.tuning.tune import work

QUICK = {"steps": 1, "folds": 2, "seeds": 2}
RESIZE, NORMALIZE = ae.Resize((28, 28)), ae.Normalize((0.1307,), (0.3081,))


@pytest.fixture
def few_arms(monkeypatch, one_thread):
    monkeypatch.setattr(command, "STRENGTHS", (1.0,))


def results(folder):
    names = ("journal.jsonl", "policy.yaml", "tune.json")
    return {name: (folder / name).read_bytes() for name in names}


def poisoned():
    """The digits, but that those for the test are noise of other classes."""
    source = _digits()
    images, truth, rng = source.images.copy(), source.truth.copy(), np.random.default_rng(0)
    images[source.test] = rng.integers(0, 256, images[source.test].shape, np.uint8)
    truth[source.test] = rng.permutation(truth[source.test])
    return source._replace(images=images, truth=truth)


def test_the_command_on_the_digits(tmp_path, few_arms, monkeypatch):
    """Once whole, once killed and resumed, and once with other images for the test: the same bytes."""
    usual = {"usual": ae.Policy([RESIZE, ae.RandomRotation(9), NORMALIZE])}
    monkeypatch.setattr(command, "_policies", lambda known, yours: usual)
    out = tmp_path / "out"
    arguments = ["tune", "--data", "digits", "--steps", "1", "--folds", "2", "--seeds", "2"]
    arguments += ["--labels", "21", "--output"]
    done = CliRunner().invoke(app, [*arguments, str(out)])
    assert done.exit_code == 0, done.output
    for said in (
        "210 labelled", "2 arms, 2 folds, rungs of 1, 3, 9 steps", "adds alone",
        "on 40 samples that no choice has seen", "see each image 1.4 times",
        "policy.yaml: the policy to use",
    ):  # fmt: skip
        assert said in " ".join(done.output.split())
    policy = ae.Policy.from_yaml((out / "policy.yaml").read_text("utf-8"))
    assert policy.sample([0], [(28, 28)], channels=1).shape == (1, 1, 28, 28)
    content = json.loads((out / "tune.json").read_text("utf-8"))
    assert content["use"] == content["default"] or content["better"]
    for name in ("tune.png", "policy.png"):
        with Image.open(out / name) as picture:
            assert picture.size[0] > 500

    again = CliRunner().invoke(app, [*arguments, str(out)])
    assert again.exit_code == 1
    assert "holds a run. Go on with it by --resume, or name another folder." in again.output

    killed = tmp_path / "killed"
    killed.mkdir()
    lines = results(out)["journal.jsonl"].splitlines(keepends=True)
    half = len(lines) // 2
    (killed / "journal.jsonl").write_bytes(b"".join(lines[:half]) + lines[half][:40])
    monkeypatch.setattr(datasets, "_digits", poisoned)
    # The rungs are those of the journal.
    resumed = ["tune", "--data", "digits", "--folds", "2", "--seeds", "2", "--labels", "21"]
    done = CliRunner().invoke(app, [*resumed, "--resume", "--output", str(killed)])
    assert done.exit_code == 0, done.output
    assert results(killed) == results(out)
    other = CliRunner().invoke(
        app, [*resumed, "--model", "digitnet_16", "--resume", "--output", str(killed)]
    )
    assert other.exit_code == 1
    assert "they differ in 'about'" in other.output


def test_a_training_reads_no_image_for_the_test(monkeypatch):
    """Nor any without a label, and not the labels of either."""
    known = datasets.load(Settings(data="digits", labels=5))
    ids = known.labelled
    whole = Trainer(known, "digitnet_8")
    monkeypatch.setattr(datasets, "_digits", poisoned)
    other = datasets.load(Settings(data="digits", labels=5))
    other.images[np.setdiff1d(np.arange(5000), ids)] = 77
    assert Trainer(other, "digitnet_8").digest == whole.digest
    policy = ae.Policy([RESIZE, ae.RandomAffine(9), NORMALIZE])
    given = [
        Trainer(data, "digitnet_8")(policy, ae.Uniform(), ids[:30], ids[30:], 3, 3)
        for data in (known, other)
    ]
    for one, same in zip(*given, strict=True):
        np.testing.assert_array_equal(one, same)


def test_a_training_learns_and_depends_on_its_seed_alone(one_thread):
    known = datasets.load(Settings(data="digits", labels=10))
    trainer, ids = Trainer(known, "digitnet_8"), known.labelled
    policy = ae.Policy([RESIZE, NORMALIZE])
    first, again, other = (trainer(policy, 1.0, ids, ids, 3, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()
    assert first[0].shape == (100,)
    assert first[0].max() <= 0
    learned = trainer(policy, 1.0, ids, ids, 80, 5)
    assert learned[1].mean() > 0.5
    assert learned[0].mean() > np.log(0.1) + 0.5


def folder(root):
    """Pictures of two classes, one of them grey, and files for the test that are no pictures."""
    rng = np.random.default_rng(0)
    for c, name in enumerate(("dark", "light")):
        (root / "train" / name).mkdir(parents=True)
        (root / "test" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 100, (40 + i, 50, 3), np.uint8) + np.uint8(120 * c)
            picture = Image.fromarray(pixels if i % 3 else pixels[..., 0])
            picture.save(root / "train" / name / f"{i}.png")
        (root / "test" / name / "broken.png").write_bytes(b"no picture")
    return root


def test_what_is_tried_on_a_data_set():
    known = datasets.load(Settings(data="digits", labels=1))
    policies = command._policies(known, "")
    assert list(policies) == ["usual", "with TrivialAugment", "with RandAugment"]
    usual, trivial, rand = (policy.transforms for policy in policies.values())
    assert trivial == (*usual[:-1], ae.TrivialAugmentWide(), usual[-1])
    assert rand == (*usual[:-1], ae.RandAugment(2, 9), usual[-1])


def test_the_command_on_a_folder(tmp_path, few_arms, monkeypatch):
    """Its test files are not even opened: they are no pictures."""
    # Else each fold is the outer part once, which takes four times as long.
    monkeypatch.setattr(command, "FEW", 10)
    monkeypatch.setattr("augengine.tuning.split.FEW", 10)
    policies = command._policies
    monkeypatch.setattr(
        command,
        "_policies",
        lambda *how: {n: p for n, p in policies(*how).items() if n in ("usual", "yours")},
    )
    yours = tmp_path / "yours.yaml"
    policy = ae.Policy(
        [ae.RandomResizedCrop(32), ae.RandomGrayscale(), ae.Normalize((0.5,) * 3, (0.2,) * 3)]
    )
    yours.write_text(policy.to_yaml(), "utf-8")
    result = command.run(
        str(folder(tmp_path / "pictures")),
        size=32,
        policy=str(yours),
        output=tmp_path / "out",
        **QUICK,
    )
    assert {arm.of for arm in result.rungs[0].arms} == {"none", "usual", "yours"}
    assert {"RandomResizedCrop", "RandomHorizontalFlip", "RandomGrayscale"} <= {
        one.name for one in result.effects
    }
    assert len(result.split.outer) == 4


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"data": "nowhere"}, r"data: got 'nowhere', expected a folder"),
        ({"budget": "soon"}, r"--budget: got 'soon', expected a time such as"),
        ({"budget": "0m"}, r"--budget: got '0m'"),
        ({"steps": 0}, r"--steps: got 0"),
        ({"policy": "nowhere.yaml"}, r"policy nowhere.yaml: there is no such file"),
        ({"model": "no_such_net"}, r"timm knows no 'no_such_net'"),
        ({"resume": True}, r"--resume: .* holds no run"),
    ],
)
def test_what_the_command_cannot_take(tmp_path, how, message):
    with pytest.raises((ValueError, OSError), match=message):
        command.run(**({"data": "digits", "output": tmp_path} | how))


# Budgets


def test_times():
    assert [seconds_of(text) for text in ("90s", "10m", "1.5h")] == [90, 600, 5400]


def test_speed_is_what_two_lengths_say(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(budget.time, "perf_counter", lambda: now[0])

    def train(steps):
        now[0] += 0.5 + 0.01 * steps

    speed = measured(train)
    assert (speed.training, speed.step) == pytest.approx((0.5, 0.01))
    assert speed.seconds([(2, 10), (1, 100)]) == pytest.approx(2 * 0.6 + 1.5)


def test_rungs_fill_the_time():
    policies = {"usual": ae.Policy([RESIZE, ae.RandomAffine(9, (0.1, 0.1)), NORMALIZE])}
    speed = Speed(0.05, 0.02)

    def takes(rungs):
        return speed.seconds(work(policies, 16, 3, rungs, 5, True, asked=True))

    for seconds, count in ((200, 2), (300, 2), (800, 3), (1000, 3)):
        rungs = rungs_within(seconds, speed, policies, 16, 3, 5)
        assert len(rungs) == count
        assert takes(rungs) <= 0.9 * seconds < takes(rungs_from(rungs[0] + 1, count))
        assert rungs[0] >= (50 if count == 3 else 15)
    assert rungs_within(1e6, speed, policies, 16, 3, 5) == (150, 450, 1350)
    with pytest.raises(ValueError, match=r"--budget: got 10 s, expected \d+ minutes at least"):
        rungs_within(10, speed, policies, 16, 3, 5)


# Traps, in which trainings are long enough to learn


def mirrored(labels=40):
    """Digits of which half are mirrored: whether, is their label."""
    known = datasets.load(Settings(data="digits", labels=labels, classes="2,3,4,5,7,9"))
    order = np.argsort(np.random.default_rng(0).random(len(known.labelled)))
    images, truth = known.images.copy(), np.zeros_like(known.truth)
    half = known.labelled[order[: len(order) // 2]]
    images[half], truth[half] = images[half][:, :, ::-1], 1
    return datasets.Data(
        **{**vars(known), "images": images, "truth": truth, "classes": ("as it was", "mirrored")}
    )


@pytest.mark.thorough
def test_a_flip_that_destroys_the_label_is_found(one_thread):
    trainer = Trainer(mirrored(), "digitnet_8")
    turn = ae.RandomRotation(10)
    policies = {
        "usual": [RESIZE, turn, NORMALIZE],
        "yours": [RESIZE, turn, ae.RandomHorizontalFlip(), NORMALIZE],
    }
    result = ae.tune(
        trainer, trainer.labels, [RESIZE, NORMALIZE], policies, ids=trainer.ids,
        strengths=(1.0,), rungs=(60, 61), folds=3, seeds=2,
    )  # fmt: skip
    verdicts = {one.name: one.verdict for one in result.effects}
    assert verdicts["RandomHorizontalFlip"] == "harms"
    assert "steps: RandomHorizontalFlip" in str(result)
    assert result.chosen.of != "yours"
    assert result.arm.of != "yours"


@pytest.mark.thorough
def test_a_plain_model_tells_which_operation_destroys_the_label(one_thread):
    """Asked, and not trained: under the flip it is at chance, under the rotation it is not."""
    trainer = Trainer(mirrored(), "digitnet_8")
    turn = ae.RandomRotation(10)
    policies = {
        "usual": [RESIZE, turn, NORMALIZE],
        "yours": [RESIZE, turn, ae.RandomHorizontalFlip(), NORMALIZE],
    }
    result = ae.tune(
        trainer, trainer.labels, [RESIZE, NORMALIZE], policies, ids=trainer.ids, strengths=(1.0,),
        rungs=(60,), folds=3, seeds=2, operations=False, affinity=trainer.affinity,
    )  # fmt: skip
    (pruned,) = result.pruned
    assert (pruned.policy, pruned.by) == ("yours", ("RandomHorizontalFlip",))
    assert pruned.accuracy < 0.65
    assert "RandomHorizontalFlip alone does that" in str(result)
    assert {arm.of for arm in result.rungs[0].arms} == {
        "none", "usual", "yours without RandomHorizontalFlip",
    }  # fmt: skip


@pytest.mark.thorough
def test_of_shuffled_labels_nothing_can_be_learned(one_thread):
    known = datasets.load(Settings(data="digits", labels=20))
    truth = known.truth.copy()
    truth[known.labelled] = np.random.default_rng(1).permutation(truth[known.labelled])
    trainer = Trainer(datasets.Data(**{**vars(known), "truth": truth}), "digitnet_8")
    policies = {"usual": [RESIZE, ae.RandomAffine(12, (0.1, 0.1)), NORMALIZE]}
    result = ae.tune(
        trainer, trainer.labels, [RESIZE, NORMALIZE], policies, ids=trainer.ids,
        strengths=(0.25, 1.0), rungs=(10, 30), folds=3, seeds=3, operations=False,
    )  # fmt: skip
    assert not result.better
    assert "keep" in str(result).split("Chosen")[0]
    assert result.policy == ae.Policy(policies["usual"])
