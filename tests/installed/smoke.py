"""What a new user does first, with the package and what it depends on, and nothing else.

It is run by `environments.py`, from an empty folder, in an environment that was made for it.
"""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

# Of the extras; without them a command says which to install.
EXTRAS = ("PIL", "matplotlib", "skimage", "sklearn", "timm", "torchvision", "accelerate", "mlxtend")
COMMANDS = {
    "demo": "augengine[demo]",
    "gallery": "augengine[demo]",
    "play": "augengine[play]",
    "doctor": "augengine[demo]",
    "train finetune": "augengine[train]",
    "train distill": "augengine[train]",
}


def the_import_is_light():
    import augengine as ae

    assert not {"torch", "numpy", "numba"} & set(sys.modules)
    assert Path(ae.__file__).is_relative_to(sys.prefix), ae.__file__
    assert importlib.metadata.version("augengine") == ae.__version__
    assert Path(ae.__file__).with_name("py.typed").exists()


def there_are_no_extras():
    from importlib.util import find_spec

    assert not [name for name in EXTRAS if find_spec(name) is not None]


def policy():
    import augengine as ae

    return ae.Policy(
        [
            ae.RandomResizedCrop(32),
            ae.RandomHorizontalFlip(),
            ae.RandomRotation(20),
            ae.ColorJitter(0.3, 0.3),
            ae.GaussianBlur(5),
            ae.RandomEqualize(0.5),
            ae.Normalize(0.5, 0.25),
        ]
    )


def picture(i):
    """Of a size of its own, uint8 (H, W, 3)."""
    import numpy as np

    image = np.full((40 + i % 5, 48, 3), 10 * i, np.uint8)
    image[: 10 + i, 5:20] = 200
    return image


def both_executors_draw_a_plan_alike():
    import torch

    import augengine as ae

    images = [picture(i) for i in range(4)]
    read_back = ae.Policy.from_yaml(policy().to_yaml())
    assert read_back.fingerprint == policy().fingerprint
    plan = read_back.sample(ids=range(4), sizes=[image.shape[:2] for image in images], epoch=1)
    plan.save("plan.safetensors")
    assert ae.Plan.load("plan.safetensors") == plan
    drawn, meant = (ae.execute(plan, images, executor=name) for name in ("cpu", "torch"))
    assert drawn.shape == (4, 3, 32, 32)
    assert drawn.dtype == torch.float32
    assert drawn.std() > 0.1
    # What is blurred is rounded to bytes, here and there to another; the finish divides by 0.25.
    assert (drawn - meant).abs().max() < 2.5 / 255 / 0.25
    assert (drawn - meant).abs().mean() < 1e-3


def workers_give_every_sample():
    from torch.utils.data import DataLoader

    import augengine as ae

    pictures = [(picture(i), i) for i in range(12)]

    def loader(collate):
        return ae.keyed(DataLoader(pictures, 4, shuffle=True, num_workers=2, collate_fn=collate))

    drawn_there = loader(ae.Collate(policy(), seed=1))
    drawn_here = ae.DeviceLoader(loader(ae.pack(policy(), seed=1)), device="cpu")
    for batches in (drawn_there, drawn_here):
        batches.sampler.set_epoch(0)
        ids = [id for batch in batches for id in batch.plan.ids.tolist()]
        assert sorted(ids) == list(range(12))


def torch_compile_takes_the_operator():
    import torch

    import augengine as ae

    plan = policy().sample(ids=[0, 1], sizes=[(40, 48)] * 2)

    @torch.compile(backend="eager", fullgraph=True)
    def mean(images, plan, finish):
        return ae.execute_compiled(images, plan, finish).mean()

    images = torch.zeros(2, 3, 40, 48, dtype=torch.uint8)
    assert mean(images, ae.as_tensor(plan), plan.finish).isfinite()


def commands_name_the_extra_that_they_need():
    program = Path(sys.executable).with_name("augengine")
    assert b"doctor" in subprocess.check_output([program, "--help"])
    for command, extra in COMMANDS.items():
        done = subprocess.run([program, *command.split()], capture_output=True, text=True)
        assert done.returncode == 1, command
        assert extra in done.stderr, (command, done.stderr)
        assert "Traceback" not in done.stderr, (command, done.stderr)


if __name__ == "__main__":
    the_import_is_light()
    there_are_no_extras()
    both_executors_draw_a_plan_alike()
    workers_give_every_sample()
    torch_compile_takes_the_operator()
    commands_name_the_extra_that_they_need()
