"""Policies by what users call them: one reading for all commands."""

import pytest
from torchvision.transforms import v2

import augengine as ae
from augengine.recipes.named import PRESETS, named

CODE = """
import augengine as ae
from helper import SIZE

policy = ae.Policy([ae.RandomResizedCrop(SIZE)])
views = ae.Views(weak=ae.Resize((8, 8)), strong=ae.RandomResizedCrop(8))
ops = [ae.RandomInvert(), ae.RandomHorizontalFlip()]
engine = ae.Engine(policy, seed=3)
nothing = 5


def build():
    return policy


def of(size):
    return ae.Policy([ae.Resize(size)])


class Holder:
    policy = policy
"""


@pytest.fixture
def code(tmp_path):
    (tmp_path / "helper.py").write_text("SIZE = 24\n", "utf-8")
    (tmp_path / "mine.py").write_text(CODE, "utf-8")
    return tmp_path / "mine.py"


def test_every_preset_is_known_by_its_name():
    assert set(PRESETS) == {n for n in ae.presets.__all__ if callable(getattr(ae.presets, n))}
    for name in PRESETS:
        found = named(name)
        assert found.policy == getattr(ae.presets, name)()
        assert (found.name, found.kind) == (f"presets.{name}()", "preset")


def test_a_string_of_timm_an_op_and_a_file(tmp_path):
    assert named("rand-m9-mstd0.5-inc1").policy == ae.Policy(ae.from_timm("rand-m9-mstd0.5-inc1"))
    assert named("TrivialAugmentWide").policy == ae.Policy(ae.TrivialAugmentWide())
    policy = ae.Policy([ae.RandomCrop(16, padding=2), ae.CutMix()])
    (tmp_path / "p.yaml").write_text(policy.to_yaml(), "utf-8")
    found = named(tmp_path / "p.yaml")
    assert (found.policy, found.kind) == (policy, "file")


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("policy", [ae.RandomResizedCrop(24)]),
        ("ops", [ae.RandomInvert(), ae.RandomHorizontalFlip()]),
        ("engine", [ae.RandomResizedCrop(24)]),
        ("build", [ae.RandomResizedCrop(24)]),
        ("Holder.policy", [ae.RandomResizedCrop(24)]),
    ],
)
def test_an_object_in_a_file_of_python(code, name, policy):
    """What the file imports from beside it is found."""
    assert named(f"{code}:{name}").policy == ae.Policy(policy)


def test_views_and_modules(code, monkeypatch):
    assert isinstance(named(f"{code}:views").policy, ae.Views)
    monkeypatch.chdir(code.parent)
    assert named("mine:policy").policy == ae.Policy([ae.RandomResizedCrop(24)])
    assert named("torchvision.transforms.v2:RandAugment").policy.transforms[0] == ae.RandAugment(
        fill=0
    )


def test_what_is_a_policy_already():
    policy = ae.Policy([ae.RandomInvert()])
    assert named(policy).policy is policy
    assert named(ae.RandomInvert()).policy == named([ae.RandomInvert()]).policy == policy
    assert named(v2.RandomHorizontalFlip(0.3)).policy.transforms[0] == ae.RandomHorizontalFlip(0.3)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("imagnet", ValueError, r"--policy: got 'imagnet', expected one of byol, .*nearest is imagenet\."),
        ("nope.yaml", OSError, r"--policy nope\.yaml: there is no such file"),
        ("rand-m9x", ValueError, r"--policy: from_timm: 'rand-m9x' has 'm9x'"),
        ("RandomCrop", ValueError, r"--policy: got RandomCrop, an op that needs arguments"),
        ("nomodule:x", ValueError, r"--policy: got 'nomodule:x', expected one of"),
        ("{code}", ValueError, r"mine\.py:NAME"),
        ("{code}:polisy", ValueError, r"has no 'polisy', .*The nearest is policy\."),
        ("{code}:nothing", ValueError, r"which is int, expected a Policy, Views, ops"),
        ("{code}:of", ValueError, r"a function that needs arguments"),
        ("gone.py:x", OSError, r"there is no file gone\.py"),
    ],
)  # fmt: skip
def test_what_is_none(code, name, error, message):
    with pytest.raises(error, match=message):
        named(name.replace("{code}", str(code)), "--policy")


def test_no_code_is_run_where_a_stranger_may_name_it(code):
    marker = code.parent / "ran"
    code.write_text(f"open({str(marker)!r}, 'w').close()\n" + CODE, "utf-8")
    with pytest.raises(ValueError, match=r"expected one of none, byol"):
        named(f"{code}:policy", also=("none",), code=False)
    assert not marker.exists()
    named(f"{code}:policy")
    assert marker.exists()
