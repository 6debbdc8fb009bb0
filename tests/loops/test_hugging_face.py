"""Hugging Face's datasets whose images stay encoded, as docs/frameworks/hugging_face.md has it."""

import io

import datasets
import page
import pyarrow
import pyarrow.parquet
import pytest
import task
from bits import Step, images_drawn
from PIL import Image
from torch.utils.data import DataLoader

import augengine as ae

COUNT = 96


def png(index):
    file = io.BytesIO()
    Image.fromarray(task.arrays()[0][index]).save(file, "PNG")
    return file.getvalue()


def with_images(count=COUNT):
    """A dataset with an `Image` feature."""
    images, labels = task.arrays()
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    rows = {"image": [Image.fromarray(i) for i in images[:count]], "label": labels[:count]}
    return datasets.Dataset.from_dict(rows, features)


def drawn(data):
    collate = ae.Collate(task.OPS, seed=0, decode="exact")
    return sorted(
        images_drawn(DataLoader(ae.WithIds(data), 16, collate_fn=collate), 1, collate.set_epoch)
    )


@pytest.fixture(scope="module")
def decoded():
    """What is drawn where the dataset decodes."""
    return drawn(with_images())


def test_the_page(tmp_path):
    step = Step()
    with_images(task.COUNT).to_parquet(tmp_path / "digits.parquet")
    names = {
        "ae": ae, "datasets": datasets, "DataLoader": DataLoader, "ops": task.OPS, "step": step,
        "files": str(tmp_path / "digits.parquet"),
    }  # fmt: skip
    page.run("hugging_face", names)
    step.has_learnt(3 * task.COUNT)


def test_encoded_images_are_drawn_as_decoded_ones(decoded, tmp_path):
    """As bytes, as paths, and as a column of bytes that another program has written."""
    cast = with_images().cast_column("image", datasets.Image(decode=False))
    assert isinstance(cast[0]["image"]["bytes"], bytes)
    assert drawn(cast) == decoded

    paths = []
    for index in range(COUNT):
        paths.append(str(tmp_path / f"{index}.png"))
        (tmp_path / f"{index}.png").write_bytes(png(index))
    labels = task.arrays()[1][:COUNT]
    of_files = datasets.Dataset.from_dict({"image": paths, "label": labels})
    of_files = of_files.cast_column("image", datasets.Image(decode=False))
    assert of_files[0]["image"] == {"bytes": None, "path": paths[0]}
    assert drawn(of_files) == decoded

    table = pyarrow.table({"image": [png(index) for index in range(COUNT)], "label": labels})
    pyarrow.parquet.write_table(table, tmp_path / "others.parquet")
    others = datasets.load_dataset(
        "parquet",
        data_files=str(tmp_path / "others.parquet"),
        split="train",
        cache_dir=str(tmp_path),
    )
    assert isinstance(others[0]["image"], bytes)
    assert drawn(others) == decoded


def test_a_stream_stays_encoded(decoded):
    data = with_images().add_column("id", range(COUNT))
    data = data.cast_column("image", datasets.Image(decode=False)).to_iterable_dataset(num_shards=4)
    collate = ae.Collate(task.OPS, seed=0, decode="exact")
    loader = DataLoader(data, 16, num_workers=2, collate_fn=collate)
    assert sorted(images_drawn(loader, 1, collate.set_epoch)) == decoded


def test_the_check_names_a_damaged_row():
    rows = {"image": [{"bytes": png(0), "path": None}, {"bytes": png(1)[:-40], "path": "1.png"}]}
    data = datasets.Dataset.from_dict(
        rows, datasets.Features({"image": datasets.Image(decode=False)})
    )
    report = ae.check_images(data)
    assert report.count == 2
    assert [name for name, _ in report.damaged] == ["1.png"]
