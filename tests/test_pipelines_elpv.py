"""The ELPV photographs: from a package made here, and from the real one where it is installed."""

import collections

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import augengine as ae
from augengine.pipelines import data as datasets
from augengine.pipelines import elpv, finetune, models, packaged
from augengine.pipelines.policies import default_policy, evaluation_policy
from augengine.pipelines.settings import Settings

pytestmark = pytest.mark.usefixtures("one_thread")

# Of each probability and kind of crystal eight cells, so two for the test.
STRATA = [(p, crystal) for p in (0.0, 1 / 3, 2 / 3, 1.0) for crystal in ("mono", "poly")]
EACH = 8


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package of 64 cells; the folder of its data. Cell i is of stratum i // 8."""
    folder = tmp_path / "site" / elpv.MODULE
    (folder / "data" / "images").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('it was imported')", "utf-8")
    lines = []
    for i in range(len(STRATA) * EACH):
        probability, crystal = STRATA[i // EACH]
        shade = np.full((300, 300), i, np.uint8)
        Image.fromarray(shade).save(folder / "data" / "images" / f"cell{i:04}.png")
        lines.append(f"images/cell{i:04}.png  {probability}  {crystal}\n")
    (folder / "data" / "labels.csv").write_text("".join(lines), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    datasets._elpv.cache_clear()
    yield folder / "data"
    datasets._elpv.cache_clear()


def load(**told):
    return datasets.load(Settings(data="elpv", **told))


def test_classes_and_parts(package):
    data = load()
    assert data.classes == ("functional", "defective")
    assert data.truth.tolist() == [0] * 16 + [1] * 48, "a probability above 0 is a defect"
    assert data.images.shape == (64, 300, 300, 1)
    assert (data.images == np.arange(64)[:, None, None, None]).all()
    assert np.bincount(data.test // EACH).tolist() == [2] * 8, "a quarter of each stratum"
    # A fifth of 12 functional and 36 defective ones that are left.
    assert np.bincount(data.truth[data.validation]).tolist() == [2, 7]
    parts = [data.labelled, data.unlabelled, data.validation, data.test]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(64))
    assert len(data.unlabelled) == 0
    few = load(labels=5, seed=3)
    assert (len(few.labelled), len(few.unlabelled)) == (10, 29)
    assert np.array_equal(few.test, data.test)
    assert np.array_equal(few.validation, data.validation)
    assert (data.size, data.channels) == (224, 1)


def test_policies_keep_the_cell_in_sight(package):
    data = load(size=64)
    for policy in (default_policy(data), evaluation_policy(data)):
        batch = ae.Engine(policy)(list(data.images[:2]), ids=[0, 1])
        assert batch.images.shape == (2, 1, 64, 64)
    plain = ae.Engine(evaluation_policy(data))([data.images[60]]).images
    assert torch.allclose(plain, torch.tensor((60 / 255 - data.mean[0]) / data.std[0]))


def test_grey_photographs_go_to_a_model_of_colours(package, tmp_path):
    """Pretrained filters of three channels are summed, and the images normalised as they expect it."""
    name, at = "tf_efficientnet_lite0", packaged.PACKAGES["tf_efficientnet_lite0"]
    folder = package.parent.parent / at.module
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").touch()
    torch.save(timm.create_model(name).state_dict(), folder / at.file)
    settings = finetune.Finetune(
        data="elpv", model="pretrained:efficientnet_lite0", output=str(tmp_path / "run"), size=32,
        frozen=True, epochs=1, cpu=True,
    )  # fmt: skip
    assert 0 <= finetune.run(settings)["accuracy"] <= 1
    trained = models.load(tmp_path / "run")
    assert trained.classes == ("functional", "defective")
    black = ae.Engine(trained.policy)([np.zeros((300, 300, 1), np.uint8)]).images
    assert black.shape == (1, 1, 32, 32)
    assert (black == -1).all(), "(0 − 0.5) / 0.5"
    assert trained.model(black).shape == (1, 2)


BAD_LINES = [
    "images/cell0000.png 0.0",
    "images/cell0000.png much mono",
    "images/cell0000.png 1.5 mono",
    "images/cell0000.png nan mono",
    "images/cell0000.png 0.0 glass",
    "images/cell0000.png 0.0 mono more",
    "../../../secret.png 0.0 mono",
    "/etc/passwd 0.0 mono",
    "",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_lines_that_say_no_cell(package, line):
    file = package / "labels.csv"
    file.write_text("images/cell0001.png 0.0 mono\n" + line + "\n", "utf-8")
    with pytest.raises(ValueError, match=r"labels\.csv, line 2, holds .*--force-reinstall"):
        load()


def test_photographs_that_do_not_do(package):
    Image.new("L", (200, 300)).save(package / "images" / "cell0003.png")
    with pytest.raises(ValueError, match=r"cell0003\.png has 300 × 200 pixels, expected 300 × 300"):
        load()
    (package / "images" / "cell0003.png").write_bytes(b"none")
    with pytest.raises(ae.DecodeError, match=r"cell0003\.png"):
        load()
    (package / "labels.csv").write_text("", "utf-8")
    with pytest.raises(ValueError, match="has 0 lines, expected 1 to 10,000"):
        load()


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    datasets._elpv.cache_clear()
    monkeypatch.setattr(elpv, "MODULE", "not_installed_at_all")
    with pytest.raises(ImportError, match=r"pip install --no-deps elpv-dataset.*CC BY-NC-SA"):
        load()


def test_the_real_photographs():
    """As many of each probability as their authors publish."""
    try:
        cells = elpv.cells(elpv.folder())
    except ImportError as error:
        pytest.skip(str(error))
    counts = {p: sum(round(3 * cell.probability) == p for cell in cells) for p in range(4)}
    assert counts == {0: 1508, 1: 295, 2: 106, 3: 715}
    assert sum(cell.crystal == "mono" for cell in cells) == 1074
    # A quarter of each stratum is for the test; the report of benchmarks/photographs.py says what share of
    # it is functional.
    strata = collections.Counter((cell.probability, cell.crystal) for cell in cells)
    tested = {key: round(datasets.ELPV_TEST_SHARE * count) for key, count in strata.items()}
    functional = sum(count for (p, _), count in tested.items() if p == 0)
    assert f"{100 * functional / sum(tested.values()):.1f}" == "57.6"
    first = elpv.photographs(elpv.folder(), cells[:3])
    assert first.shape == (3, 300, 300, 1)
    assert first.std() > 5, "not of one shade"
