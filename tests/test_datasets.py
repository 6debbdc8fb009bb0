"""Folders of encoded images: which files are images of which class, beside torchvision's ImageFolder, and
what is left out, with its reason."""

import os
import pickle

import pytest
import torch
from photos import patches
from PIL import Image
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder

import augengine as ae
from augengine.datasets.listing import list_folder
from augengine.datasets.suffixes import image_suffixes, suffix_lies
from augengine.datasets.walk import walk


def fill(root, *names, colour=(9, 99, 199)):
    """Write images, or a text where the suffix says so."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("a text")
        else:
            Image.new("RGB", (10, 8), colour).save(path, "PNG")
    return root


@pytest.fixture
def pets(tmp_path):
    return fill(
        tmp_path / "pets", "dog/a.png", "dog/b.png", "cat/z.png", "cat/more/a.png", "cat/B.png"
    )


# Beside torchvision


def test_it_is_torchvisions_image_folder(pets):
    fill(
        pets,
        "cat/more-of-it/c.png",
        "cat/.hidden.txt",
        "emu/deep/deeper/1.png",
        "emu/10.png",
        "emu/9.png",
    )
    ours, theirs = ae.Folder(pets), ImageFolder(pets)
    assert ours.classes == theirs.classes
    assert ours.class_to_idx == theirs.class_to_idx
    assert ours.samples == theirs.samples
    assert ours.targets == theirs.targets
    assert len(ours) == len(theirs)
    for i in range(len(ours)):
        path, label, name = ours[i]
        assert (path, label) == theirs.samples[i]
        assert os.path.join(pets, name) == path


def test_arguments_of_torchvision(pets):
    fill(pets, "dog/c.txt")
    same = {"target_transform": lambda label: 10 * label, "is_valid_file": lambda p: "a." in p}
    ours, theirs = ae.Folder(pets, **same), ImageFolder(pets, **same)
    assert [label for _, label, _ in ours] == [theirs[i][1] for i in range(len(theirs))] == [0, 10]
    assert len(ae.Folder(pets, extensions=[".TXT"])) == 1


def test_every_suffix_that_pillow_decodes_in_any_case(tmp_path):
    """Written by Pillow and read back: each suffix whose format it can write."""
    suffixes = image_suffixes()
    assert {
        ".jpg",
        ".jpeg",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".jp2",
    } <= suffixes
    assert not {".pdf", ".eps", ".mpg", ".h5", ".txt", ""} & suffixes
    formats = Image.registered_extensions()
    written = []
    for number, suffix in enumerate(sorted(suffixes)):
        if formats[suffix] not in Image.SAVE or formats[suffix] in (
            "XBM",
            "MSP",
            "PALM",
            "BLP",
            "IM",
        ):
            continue
        (tmp_path / "a").mkdir(exist_ok=True)
        name = f"{number}{suffix.upper() if number % 2 else suffix}"
        Image.new("RGB", (32, 32), (200, 100, 50)).save(tmp_path / "a" / name, formats[suffix])
        written.append(f"a/{name}")
    fill(tmp_path, "b/notes.txt")
    folder = ae.Folder(tmp_path)
    assert sorted(folder.ids) == sorted(written)
    assert len(written) > 30
    report = folder.check()
    assert not report.damaged, str(report)
    assert not report.mislabelled, str(report)


# What is left out


def test_hidden_files_and_folders_are_left_out_and_counted(pets):
    before = ae.Folder(pets).samples
    fill(
        pets,
        ".ipynb_checkpoints/x.png",
        "dog/.ipynb_checkpoints/a.png",
        "dog/._a.png",
        "__MACOSX/a.png",
    )
    (pets / ".DS_Store").write_bytes(b"\0")
    fill(pets, "dog/notes.txt", "dog/README")
    (pets / "dog" / "README").rename(pets / "dog" / "README.doc")
    folder = ae.Folder(pets)
    assert folder.samples == before
    assert "left out: 5 hidden, 1 .doc, 1 .txt" in folder.summary()
    assert ("dog/._a.png", "hidden") in folder.listing.left_out


def test_empty_classes_and_classes_of_one_image_are_said(pets):
    (pets / "fox").mkdir()
    fill(pets, "owl/notes.txt", "emu/1.png")
    folder = ae.Folder(pets)
    assert folder.classes == ["cat", "dog", "emu"]
    said = folder.summary()
    assert "cat 3, dog 2, emu 1" in said
    assert "folders without an image: fox, owl" in said
    assert "of a single image to train on: emu" in said


def test_an_image_beside_the_class_folders_is_counted(pets):
    fill(pets, "lost.png")
    folder = ae.Folder(pets)
    assert "lost.png" not in folder.ids
    assert "1 in no class folder" in folder.summary()


def test_many_classes_are_counted_in_one_line(tmp_path):
    for number in range(30):
        fill(tmp_path, *(f"c{number:02d}/{i}.png" for i in range(1 + number % 3)))
    said = ae.Folder(tmp_path).summary()
    assert "30 classes, 60 images" in said
    assert "from 1 images (c00) to 3 (c02) in a class" in said
    assert "c00, c03" in said
    assert len(said.splitlines()) == 3


# Links


def test_links_to_folders_are_followed_and_circles_end(pets):
    fill(pets.parent, "elsewhere/1.png")
    (pets / "elk").symlink_to(pets.parent / "elsewhere", target_is_directory=True)
    (pets / "dog" / "loop").symlink_to(pets, target_is_directory=True)
    (pets / "dog" / "self").symlink_to(pets / "dog", target_is_directory=True)
    (pets / "dog" / "gone.png").symlink_to("nowhere")
    (pets / "dog" / "same.png").symlink_to(pets / "dog" / "a.png")
    os.mkfifo(pets / "dog" / "pipe.png")
    folder = ae.Folder(pets)
    assert [name for name in folder.ids if name.startswith("dog")] == [
        "dog/a.png", "dog/b.png", "dog/same.png",
    ]  # fmt: skip
    assert "elk/1.png" in folder.ids
    reasons = dict(folder.listing.left_out)
    assert reasons["dog/loop"] == reasons["dog/self"] == "a link to a folder that is read already"
    assert reasons["dog/gone.png"] == "a link that leads nowhere"
    assert reasons["dog/pipe.png"] == "no regular file"


def test_a_ladder_of_links_ends(tmp_path):
    """2^30 paths lead to the last of 30 folders."""
    for step in range(30):
        (tmp_path / "steps" / f"{step}").mkdir(parents=True)
    for step in range(29):
        for way in "ab":
            link = tmp_path / "steps" / f"{step}" / way
            link.symlink_to(tmp_path / "steps" / f"{step + 1}", target_is_directory=True)
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "x").symlink_to(tmp_path / "steps" / "0", target_is_directory=True)
    fill(tmp_path / "steps", "29/1.png")
    assert len(walk(str(tmp_path / "root")).files) == 2  # one below each of the first two links


# Parts


@pytest.mark.parametrize(
    ("train", "val"),
    [("train", "val"), ("training", "validation"), ("Train", "valid"), ("train", "test")],
)
def test_parts_are_no_classes(tmp_path, train, val):
    fill(
        tmp_path, f"{train}/cat/1.png", f"{train}/dog/1.png", f"{val}/dog/2.png", "unlabelled/x.png"
    )
    folder = ae.Folder(tmp_path)
    assert folder.classes == ["cat", "dog"]
    assert folder.ids == [f"{train}/cat/1.png", f"{train}/dog/1.png"]
    other = ae.Folder(tmp_path, "test" if val == "test" else "val")
    assert other.classes == ["cat", "dog"], "as in training, though it has no cat"
    assert [(label, name) for _, label, name in other] == [(1, f"{val}/dog/2.png")]
    assert [sample[1:] for sample in ae.Folder(tmp_path, "unlabelled")] == [
        (None, "unlabelled/x.png")
    ]


def test_a_lone_train_beside_other_folders_is_a_class(tmp_path):
    fill(tmp_path, "bus/1.png", "car/1.png", "train/1.png", "train/old/2.png")
    assert ae.Folder(tmp_path).classes == ["bus", "car", "train"]


def test_a_lone_train_is_a_part(tmp_path):
    fill(tmp_path, "train/cat/1.png", "train/dog/1.png", "notes.txt")
    assert ae.Folder(tmp_path).classes == ["cat", "dog"]


def test_parts_without_classes_and_what_lies_beside_them(tmp_path):
    fill(tmp_path, "train/1.png", "val/2.png", "extra/3.png", "4.png")
    folder = ae.Folder(tmp_path)
    assert folder.classes == []
    assert [sample[1:] for sample in folder] == [(None, "train/1.png")]
    assert "2 beside the folders train, val and test" in folder.summary()


def test_images_alone_have_no_label(tmp_path):
    fill(tmp_path, "b.png", "a.png")
    folder = ae.Folder(tmp_path)
    assert folder.classes == []
    assert [sample[1:] for sample in folder] == [(None, "a.png"), (None, "b.png")]
    assert "no classes, 2 images" in folder.summary()


def test_what_makes_no_sense_is_refused(tmp_path, pets):
    with pytest.raises(FileNotFoundError, match=r"Folder: there is no folder '.*gone'.*Check"):
        ae.Folder(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"got split='val' of a folder that has train, expected"):
        ae.Folder(pets, "val")
    (tmp_path / "bare").mkdir()
    with pytest.raises(ValueError, match=r"that has no image, expected"):
        ae.Folder(tmp_path / "bare")
    fill(tmp_path / "two", "train/cat/1.png", "training/cat/1.png")
    with pytest.raises(
        ValueError, match=r"has training and another folder for train, expected one"
    ):
        ae.Folder(tmp_path / "two")


# As a dataset


def test_it_pickles_and_goes_into_subsets(pets):
    folder = pickle.loads(pickle.dumps(ae.Folder(pets)))
    assert folder.samples == ae.Folder(pets).samples
    assert Subset(folder, [4, 0])[0] == folder[4]
    assert folder[-1] == folder[len(folder) - 1]
    with pytest.raises(IndexError):
        folder[len(folder)]


def images_of(folder, epoch=1, workers=0):
    """{id: pixels} of an epoch."""
    collate = ae.Collate([ae.RandomCrop(6), ae.RandomRotation(30)], seed=3)
    loader = ae.keyed(DataLoader(folder, 4, shuffle=True, collate_fn=collate, num_workers=workers))
    loader.batch_sampler.sampler.set_epoch(epoch)
    found = {}
    for batch in loader:
        found |= {int(id): image for id, image in zip(batch.plan.ids, batch.images, strict=True)}
    return found


def test_an_image_keeps_its_draws_when_others_come(pets):
    for number, name in enumerate(ae.Folder(pets).ids):
        Image.fromarray(patches(1, 20 + number, 30)[0].permute(1, 2, 0).numpy()).save(pets / name)
    before = images_of(ae.Folder(pets))
    assert len(before) == 5
    fill(pets, "ant/1.png", "dog/0.png", "cat/x/y.png")
    after = images_of(ae.Folder(pets), workers=2)
    assert len(after) == 8
    assert all(torch.equal(image, after[id]) for id, image in before.items())
    other = images_of(ae.Folder(pets), epoch=2)
    assert not any(torch.equal(image, other[id]) for id, image in before.items())


def test_names_that_are_no_text_are_images_too(tmp_path):
    fill(tmp_path, "a/1.png", "b/1.png")
    os.rename(tmp_path / "a" / "1.png", os.fsencode(tmp_path / "a") + b"/\xff.png")
    folder = ae.Folder(tmp_path)
    assert os.fsencode(folder.ids[0]) == b"a/\xff.png"
    assert not folder.check().damaged


def test_a_suffix_lies():
    assert suffix_lies("a.jpg", "PNG")
    assert not suffix_lies("a.JPG", "MPO")
    assert not suffix_lies("a.tif", "TIFF")
    assert not suffix_lies("a", "PNG")


def test_the_listing_reads_no_image(pets, monkeypatch):
    monkeypatch.setattr(Image, "open", None)
    assert len(list_folder(pets).splits["train"]) == 5
