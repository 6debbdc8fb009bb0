"""Hugging Face's datasets and Trainer, as docs/frameworks/transformers.md has it."""

import copy
import importlib
import pickle
import sys

import page
import pytest
import task
import torch
from bits import OFFLINE, Step, all_differ, images_drawn, images_of, run_examples
from PIL import Image
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

import augengine as ae

# transformers would take the link of this name in the repository for a package that it knows.
sys.modules.setdefault("kernels", None)
for patch in [pytest.MonkeyPatch()]:
    for name, value in OFFLINE.items():
        patch.setenv(name, value)

import datasets  # noqa: E402
from transformers import (  # noqa: E402
    ResNetConfig,
    ResNetForImageClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from augengine.frameworks.transformers import (  # noqa: E402
    AugmentCallback,
    DataCollator,
    soft_cross_entropy,
)

COUNT, BATCH = 96, 16
FORMATS = {
    "PIL images": lambda data: data,
    "torch": lambda data: data.with_format("torch"),
    "numpy": lambda data: data.with_format("numpy"),
    "a transform": lambda data: data.with_transform(
        lambda rows: {"image": [i.convert("RGB") for i in rows["image"]], "label": rows["label"]}
    ),
}


def digits(start=0, end=COUNT, **more):
    """A datasets.Dataset of encoded images."""
    images, labels = task.arrays()
    columns = {"image": [Image.fromarray(image) for image in images[start:end]]}
    columns |= {"label": labels[start:end].tolist(), **more}
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(10)}
    features |= {name: datasets.Value("int64") for name in more}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def resnet():
    set_seed(0)
    config = ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", num_labels=10
    )
    return ResNetForImageClassification(config)


class Watch(TrainerCallback):
    """Keeps what the model was given, in training and in evaluation, and the losses."""

    def __init__(self, model):
        self.trained, self.evaluated, self.losses = [], [], []
        model.register_forward_pre_hook(self._see, with_kwargs=True)

    def _see(self, model, args, inputs):
        seen = self.trained if model.training else self.evaluated
        seen += [image.numpy().tobytes() for image in inputs["pixel_values"]]

    def on_log(self, args, state, control, logs=None, **others):
        if "loss" in logs:
            self.losses.append(float(logs["loss"]))


def arguments(folder, **options):
    common = {
        "remove_unused_columns": False,
        "use_cpu": True,
        "report_to": [],
        "disable_tqdm": True,
    }
    common |= {"num_train_epochs": 3, "per_device_train_batch_size": BATCH, "save_strategy": "no"}
    common |= {"logging_steps": 1, "learning_rate": 3e-3, "per_device_eval_batch_size": BATCH}
    common |= {"dataloader_pin_memory": False}
    return TrainingArguments(str(folder), **common | options)


def train(
    folder, data, resume=None, ops=task.OPS, collator=None, loss=None, augment=True, **options
):
    """What the model was given in a training."""
    model = resnet()
    watch = Watch(model)
    callbacks = [watch, AugmentCallback(DataCollator(ops, num_classes=10))] if augment else [watch]
    trainer = Trainer(
        model,
        arguments(folder, **options),
        train_dataset=data,
        data_collator=collator or DataCollator(ae.CenterCrop(32)),
        callbacks=callbacks,
        compute_loss_func=loss,
    )
    trainer.train(resume_from_checkpoint=resume)
    return watch


def differ(images, count):
    assert len(images) == len(set(images)) == count


@pytest.mark.filterwarnings("error:augengine")
@pytest.mark.parametrize("workers", [0, 2])
def test_the_page(tmp_path, workers):
    model = resnet()
    watch = Watch(model)
    given = {"ae": ae, "Trainer": Trainer, "model": model, "ops": task.OPS}
    given |= {"train": digits(0, 320), "test": digits(320, 384)}
    given["args"] = arguments(
        tmp_path, eval_strategy="epoch", learning_rate=1e-2, dataloader_num_workers=workers
    )
    # The page has no place for what watches.
    given["Trainer"] = lambda *a, callbacks, **k: Trainer(*a, callbacks=[watch, *callbacks], **k)
    page.run("transformers", given)
    task.falls(watch.losses)
    differ(watch.trained, 3 * 320)
    images, _ = task.arrays()
    plain = (torch.from_numpy(images[320:384]).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    once = torch.frombuffer(bytearray(b"".join(watch.evaluated[:64])), dtype=torch.float32)
    torch.testing.assert_close(once.view(plain.shape), plain, atol=1e-6, rtol=0)
    assert watch.evaluated == watch.evaluated[:64] * 3


def test_the_page_for_a_stream():
    step = Step()
    data = digits(0, task.COUNT)
    page.run(
        "transformers",
        {"ae": ae, "DataLoader": DataLoader, "ops": task.OPS, "data": data, "step": step},
        2,
    )
    step.has_learnt(3 * task.COUNT)


@pytest.mark.parametrize("format", FORMATS)
def test_a_dataset_may_have_any_format(format, tmp_path):
    plain = train(tmp_path, digits(), num_train_epochs=2)
    other = train(tmp_path, FORMATS[format](digits()), num_train_epochs=2)
    differ(plain.trained, 2 * COUNT)
    assert other.trained == plain.trained


def test_workers_do_not_matter(tmp_path):
    alone = train(tmp_path, digits())
    two = train(tmp_path, digits(), dataloader_num_workers=2)
    lasting = train(
        tmp_path, digits(), dataloader_num_workers=2, dataloader_persistent_workers=True
    )
    differ(alone.trained, 3 * COUNT)
    assert alone.trained == two.trained == lasting.trained


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_is_resumed_within_an_epoch_goes_on_to_the_bit(tmp_path, workers):
    options = {"dataloader_num_workers": workers, "save_strategy": "steps", "save_steps": 9}
    whole = train(tmp_path, digits(), **options)
    assert COUNT // BATCH == 6  # so step 9 is in the middle of the second epoch
    resumed = train(tmp_path, digits(), resume=str(tmp_path / "checkpoint-9"), **options)
    assert resumed.trained == whole.trained[9 * BATCH :]
    assert resumed.losses == whole.losses[9:]


def test_renamed_columns_need_no_argument(tmp_path):
    """A column that has the model's name for it is not removed."""
    model = resnet()
    watch = Watch(model)
    augment = AugmentCallback(DataCollator(task.OPS, image="pixel_values"))
    Trainer(
        model,
        arguments(tmp_path, remove_unused_columns=True, num_train_epochs=2),
        train_dataset=digits().rename_column("image", "pixel_values"),
        callbacks=[watch, augment],
    ).train()
    differ(watch.trained, 2 * COUNT)


def test_a_removed_column_is_said(tmp_path):
    with pytest.raises(ValueError, match="remove_unused_columns=False"):
        train(tmp_path, digits(), remove_unused_columns=True)


@pytest.mark.filterwarnings("ignore:augengine")
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_told_nothing_at_all(tmp_path, workers, persistent):
    """The policy is all that Trainer is given: no keys, no epoch, no ids."""
    options = {"dataloader_num_workers": workers}
    options["dataloader_persistent_workers"] = persistent and workers > 0
    watch = train(tmp_path, digits(), collator=DataCollator(task.OPS), augment=False, **options)
    differ(watch.trained, 3 * COUNT)


@pytest.mark.filterwarnings("ignore:augengine")
@pytest.mark.parametrize("workers", [0, 2])
def test_told_an_id_alone(tmp_path, workers):
    watch = train(
        tmp_path,
        digits(id=list(range(COUNT))),
        collator=DataCollator(task.OPS),
        augment=False,
        dataloader_num_workers=workers,
    )
    differ(watch.trained, 3 * COUNT)


@pytest.mark.parametrize("workers", [0, 2])
def test_trainer_on_a_stream(tmp_path, workers):
    data = digits(id=list(range(COUNT))).to_iterable_dataset(num_shards=4)
    steps = 3 * COUNT // BATCH
    watch = train(tmp_path, data, max_steps=steps, dataloader_num_workers=workers)
    differ(watch.trained, 3 * COUNT)


def test_workers_do_not_matter_to_a_stream():
    images = {}
    for workers in (0, 1, 2, 4):
        data = digits(id=list(range(COUNT))).to_iterable_dataset(num_shards=4)
        data = data.shuffle(seed=0, buffer_size=30)
        collate = ae.Collate(task.OPS)

        def name(epoch, data=data, collate=collate):
            data.set_epoch(epoch)
            collate.set_epoch(epoch)

        loader = DataLoader(data, BATCH, num_workers=workers, collate_fn=collate)
        images[workers] = images_drawn(loader, 2, name)
        all_differ(images[workers], 2 * COUNT)
    assert len({tuple(sorted(found)) for found in images.values()}) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_that_repeats_its_samples(workers):
    """Each time is another draw, in one epoch too."""
    data = digits(id=list(range(COUNT))).to_iterable_dataset(num_shards=4).repeat(2)
    collate = ae.Collate(task.OPS)
    loader = DataLoader(data, BATCH, num_workers=workers, collate_fn=collate)
    all_differ(images_drawn(loader, 2, collate.set_epoch), 4 * COUNT)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_that_is_resumed_goes_on_to_the_bit(workers):
    def loader():
        data = digits(id=list(range(COUNT))).to_iterable_dataset(num_shards=4)
        collate = ae.Collate(task.OPS)
        collate.set_epoch(3)
        return StatefulDataLoader(data, BATCH, num_workers=workers, collate_fn=collate)

    whole = [images_of(batch) for batch in loader()]
    paused = loader()
    for number, _ in enumerate(paused):
        if number == 2:
            state = paused.state_dict()
            break
    resumed = loader()
    resumed.load_state_dict(state)
    assert [images_of(batch) for batch in resumed] == whole[3:]


@pytest.mark.parametrize("format", FORMATS)
def test_a_loop_of_ones_own_with_keys(format):
    """Without Trainer: any format, read by the dataset's own reading of several samples at once."""
    images = []
    for workers in (0, 2):
        loader = DataLoader(
            FORMATS[format](digits()), BATCH, num_workers=workers, collate_fn=ae.Collate(task.OPS)
        )
        images.append(images_drawn(ae.keyed(loader), 3, loader.sampler.set_epoch))
        all_differ(images[-1], 3 * COUNT)
    assert images[0] == images[1]


@pytest.mark.filterwarnings("ignore:augengine")
@pytest.mark.parametrize("named", [False, True], ids=["no ids", "ids"])
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_an_engine_inside_a_transform(workers, persistent, named):
    """What many write: the dataset augments, and knows no epoch."""
    engine = ae.Engine(task.OPS)

    def augment(rows):
        ids = rows["id"] if named else None
        return {"pixel_values": list(engine(rows["image"], ids=ids).images)}

    data = digits(id=list(range(COUNT))).with_transform(augment)
    loader = DataLoader(
        data,
        BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=persistent and workers > 0,
    )
    images = [
        image.numpy().tobytes()
        for _ in range(3)
        for batch in loader
        for image in batch["pixel_values"]
    ]
    differ(images, 3 * COUNT)


def test_spawned_workers_draw_the_same():
    images = []
    for context in ("fork", "spawn"):
        loader = DataLoader(
            digits(),
            BATCH,
            num_workers=2,
            multiprocessing_context=context,
            persistent_workers=True,
            collate_fn=ae.Collate(task.OPS),
        )
        images.append(images_drawn(ae.keyed(loader), 2, loader.sampler.set_epoch))
    assert images[0] == images[1]


@pytest.mark.parametrize("copied", [lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy])
def test_a_collator_can_be_copied(copied):
    collator = DataCollator(task.OPS, seed=3)
    collator.set_epoch(2)
    samples = [digits()[0] | {"id": 5}]
    assert torch.equal(copied(collator)(samples)["pixel_values"], collator(samples)["pixel_values"])
    assert copied(AugmentCallback(collator)).collator.epoch == 2


def test_soft_labels_need_a_loss_for_them(tmp_path):
    """transformers would take them for several labels of each image, by binary cross entropy."""
    with pytest.raises(ValueError, match="compute_loss_func=soft_cross_entropy"):
        train(tmp_path, digits(), ops=[*task.OPS, ae.MixUp(0.2)])
    watch = train(
        tmp_path,
        digits(),
        ops=[*task.OPS, ae.MixUp(0.2)],
        loss=soft_cross_entropy,
        num_train_epochs=1,
    )
    assert watch.losses[0] == pytest.approx(2.3, abs=0.6)  # about log 10, not BCE's 0.7


def test_the_loss_is_torchs_over_all_samples_of_a_step():
    """Accumulated gradients: two batches of which the second is smaller weigh by their samples."""
    torch.manual_seed(0)
    logits = torch.randn(12, 10)
    for labels in (torch.randint(10, (12,)), torch.rand(12, 10).softmax(1)):
        whole = cross_entropy(logits, labels)
        number = labels.ne(-100).sum()  # as Trainer counts
        parts = [
            soft_cross_entropy({"logits": logits[part]}, labels[part], number)
            for part in (slice(8), slice(8, 12))
        ]
        torch.testing.assert_close(sum(parts), whole)
        torch.testing.assert_close(soft_cross_entropy((logits,), labels), whole)


@pytest.mark.parametrize("mixes", [False, True])
def test_accumulated_steps_are_those_of_one_large_batch(tmp_path, mixes):
    ops = [ae.CenterCrop(32)]
    # Labels are softened, and the images stay, so that batches do not depend on their size.
    collator = DataCollator(ops, num_classes=10, label_smoothing=0.1 if mixes else 0.0)
    losses = []
    for batch, times in ((32, 1), (16, 2)):
        model = resnet().eval()
        watch = Watch(model)
        model.train = lambda mode=True, model=model: model  # no batch statistics
        options = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": times}
        Trainer(
            model,
            arguments(tmp_path, num_train_epochs=1, max_steps=2, **options),
            train_dataset=digits(),
            data_collator=collator,
            callbacks=[watch, AugmentCallback(collator)],
            compute_loss_func=soft_cross_entropy,
        ).train()
        losses.append(watch.losses)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_the_model_keeps_its_own_loss(tmp_path):
    model = resnet()
    own = model.loss_function
    augment = AugmentCallback(DataCollator(task.OPS))
    trainer = Trainer(
        model,
        arguments(tmp_path, num_train_epochs=1),
        train_dataset=digits(),
        data_collator=DataCollator(ae.CenterCrop(32)),
        callbacks=[augment],
    )
    trainer.train()
    assert model.loss_function is own
    assert model.config.problem_type == "single_label_classification"


def test_the_examples_of_the_adapter():
    run_examples(importlib.import_module("augengine.frameworks.transformers"))
