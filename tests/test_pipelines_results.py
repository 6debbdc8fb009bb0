"""What the report of the pipelines' results says of them."""

from PIL import Image

from benchmarks import pipelines

EVERY_ROW = [
    pipelines.NONE, pipelines.USUAL, pipelines.ALONE, pipelines.DISTILLED, pipelines.PSEUDO,
    pipelines.FIXMATCH, "labels alone",
    *(f"{row}, {how}" for row in ("from scratch", "frozen body", "whole model")
      for how in ("no augmentation", "augmented")),
    *(pipelines.GENERATION.format(g, name) for g, name in enumerate(pipelines.GENERATIONS)),
]  # fmt: skip


def told_results():
    """Five seeds in which all that was asked holds, but for the frozen body with augmentation."""
    found = {family: {} for family in pipelines.FAMILIES}
    for number, (family, _, better, worse) in enumerate(
        pipelines.claims({f: dict.fromkeys(EVERY_ROW) for f in pipelines.FAMILIES})
    ):
        for row, base in ((worse, 0.8 + 0.01 * number), (better, 0.85 + 0.01 * number)):
            found[family].setdefault(row, [base + 0.001 * seed for seed in range(5)])
    found["transfer"]["frozen body, augmented"] = [0.5] * 5
    return found


def test_results_say_what_holds_and_what_does_not():
    text = pipelines.report(told_results(), 600.0, 2)
    assert "5 seeds, 10 minutes in 2 processes" in text
    lines = [line for line in text.splitlines() if line.startswith("| frozen beats from scratch")]
    assert [line.endswith("| **no** |") for line in lines] == [False, True]
    assert "| 0 of 5 | **no** |" in lines[1]
    assert text.count("**no**") == 1
    only = {family: {} for family in pipelines.FAMILIES} | {"labels": told_results()["labels"]}
    assert pipelines.report(only, 1.0, 1).count("\n| ") == 1 + 2 + 1 + 1


def test_clearly_is_more_than_noise():
    assert not pipelines.holds("clearly better", [0.05, -0.04, 0.05, -0.04, 0.01])
    assert pipelines.holds("clearly better", [0.03, 0.02, 0.03, 0.03, 0.02])
    assert pipelines.holds("is at least as good", [0.0, 0.0])
    assert not pipelines.holds("beats", [0.0, 0.0])


def test_the_picture_of_the_results(tmp_path):
    pipelines.picture(told_results(), tmp_path / "p.png")
    width, height = Image.open(tmp_path / "p.png").size
    assert width > 600
    assert height > 600
