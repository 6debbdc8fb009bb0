"""What the experiments on a frozen body measure and say: `benchmarks.frozen`."""

import dataclasses

import pytest
import torch

import augengine as ae
from augengine.pipelines import data as datasets
from augengine.pipelines import models
from augengine.pipelines.policies import default_policy
from augengine.pipelines.settings import Settings
from benchmarks import frozen

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def model():
    torch.manual_seed(0)
    return models.freeze(models.create("digitnet_8", classes=5, channels=1))


def small(labels=3):
    """Some digits of 5–9: `labels` of each class, 50 without, 60 to validate and 70 to test."""
    data = datasets.load(Settings(classes="5-9", labels=labels, validation=0.2))
    few = {"unlabelled": 50, "validation": 60, "test": 70}
    return dataclasses.replace(data, **{part: getattr(data, part)[:n] for part, n in few.items()})


def test_the_last_layer_is_what_the_models_own_head_sees(model):
    x = torch.randn(4, 1, 28, 28)
    found = frozen.layers(model, x)
    torch.testing.assert_close(model.get_classifier()(found[frozen.LAST[0]]), model(x))
    assert [f.shape[1] for f in found] == [8, 8, 16, 32, 32 * 16, 16 * 49]
    # A map's mean is the mean.
    torch.testing.assert_close(found[4].view(4, 32, 16).mean(2), found[3])
    torch.testing.assert_close(found[5].view(4, 16, 49).mean(2), found[2])


def test_statistics_that_are_renewed_are_those_of_the_images(model):
    images = [torch.randn(8, 1, 28, 28) + shift for shift in (0, 1)]
    convolved = [model.stem.conv(batch) for batch in images]
    frozen.renew(model, images)
    expected = sum(y.mean((0, 2, 3)) for y in convolved) / 2
    torch.testing.assert_close(model.stem.bn.running_mean, expected)
    expected = sum(y.var((0, 2, 3)) for y in convolved) / 2
    torch.testing.assert_close(model.stem.bn.running_var, expected)
    assert not model.training


def test_features_are_of_each_images_own_view(model, monkeypatch):
    """Of every epoch in the order of the ids, and the body is left as it was."""
    monkeypatch.setattr(frozen, "EPOCHS", 2)
    data, before = small(), models.fingerprint(model)
    found = {
        how: frozen.features(model, data, 0, how)
        for how in (frozen.OWN, frozen.BATCHES, frozen.RENEWED)
    }
    assert models.fingerprint(model) == before
    own = found[frozen.OWN]
    engine = ae.Engine(default_policy(data), seed=0)
    for epoch in (0, 1):
        views = engine(data.images[data.labelled], ids=data.labelled, epoch=epoch).images
        torch.testing.assert_close(own.learned[3][epoch], frozen.layers(model, views)[3])
    assert [len(part[3]) for part in (own.validation, own.test)] == [60, 70]
    tests = [found[how].test[3] for how in found]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(tests[one], tests[other]), "other statistics, other features"


def test_a_head_learns_what_can_be_told_apart(monkeypatch):
    """Classes that lie apart in the layer that the row looks at, and in no other."""
    data = small(labels=20)
    truth = torch.from_numpy(data.truth)

    def part(ids):
        noise = torch.randn(len(ids), 5, generator=torch.Generator().manual_seed(len(ids)))
        told = torch.eye(5)[truth[ids]] + 0.1 * noise
        return [noise] * 4 + [told, noise]

    learned = [layer.expand(frozen.EPOCHS, -1, -1) for layer in part(data.labelled)]
    seen = frozen.Seen(learned, part(data.validation), part(data.test))
    right = frozen.head(frozen.Row("", layers=frozen.LAST_MAP), seen, data, 0)
    assert min(right) == 1
    chosen = frozen.head(frozen.Row("", head=frozen.TWO, chosen=True), seen, data, 0)
    assert max(chosen) < 0.5


def told(body, seed, folder):
    rows = [row.text for table in frozen.TABLES.values() for row in table if row.body == body]
    rows += [frozen.whole_name(form, of) for form, of in frozen.WHOLES if of == body]
    return {row: (0.9, 0.8 + 0.01 * seed) for row in rows}


def test_killed_and_resumed_it_ends_with_the_same_table(tmp_path, monkeypatch):
    monkeypatch.setattr(frozen.time, "perf_counter", lambda: 1.0)
    made = []

    def killed(body, seed, folder):
        if len(made) == 4:
            raise KeyboardInterrupt
        made.append((body, seed))
        return told(body, seed, folder)

    def start(name, make):
        folder = tmp_path / name
        frozen.main(
            ["--seeds", "2", "--keep", str(folder), "--output", str(tmp_path / "t.md")], make
        )
        return (tmp_path / "t.md").read_text("utf-8")

    whole = start("whole", told)
    (tmp_path / "t.md").unlink()
    with pytest.raises(KeyboardInterrupt):
        start("parts", killed)
    assert not (tmp_path / "t.md").exists()
    assert start("parts", told) == whole
    assert "| frozen body | 90.0 | 0.0 | 80.5 | 0.7 | 80.0, 81.0 |" in whole
    rows = sum(map(len, frozen.TABLES.values())) + len(frozen.WHOLES)
    assert whole.count("| 90.0 | 0.0 |") == rows
