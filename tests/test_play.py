"""Forms, steps, images and the guard of `augengine play`, without a browser and without Gradio."""

import asyncio
import dataclasses
import doctest
import inspect
import random
import re

import numpy as np
import pytest
from generated import examples as so_many
from hypothesis import given
from hypothesis import strategies as st

import augengine as ae
from augengine.play import album, forms, guard, html, pictures, presets
from augengine.play import steps as steps_module
from augengine.play.forms import (
    CHOICE,
    FLAG,
    SLIDERS,
    fields_of,
    is_chooser,
    menu,
    starting_arguments,
    summary,
    text_of,
    value_of_sliders,
    value_of_text,
)
from augengine.play.steps import (
    MOST_STEPS,
    Step,
    added,
    at,
    changed,
    label,
    moved,
    new_step,
    op_of,
    policy_of,
    python_of,
    removed,
    step_of,
    steps_of,
    walk,
)
from augengine.policy import ops
from fuzz.policies import draw_policy

MENU = sorted(menu().values())
CROP = Step("RandomResizedCrop", {"size": (256, 256)})


def with_inside(name):
    """A step as it is added, an op inside it where it needs one."""
    step = new_step(name)
    return dataclasses.replace(step, inside=(Step("RandomInvert"),)) if is_chooser(name) else step


# Forms.


def test_the_menu_has_every_op_but_code_and_conversions():
    left = set(ops.__all__) - set(MENU)
    assert {"Op", "Stage", "Lambda"} <= left
    assert all(
        name in ("Op", "Stage", "Lambda") or name.startswith(("To", "Convert", "PIL"))
        for name in left
    )


@pytest.mark.parametrize("name", MENU)
def test_an_op_that_is_added_does_something(name):
    """What a form begins with is accepted, and images of our photographs' size are large enough for it."""
    policy = policy_of([CROP, with_inside(name)])
    boxes = [np.zeros((0, 4))] if policy.needs_boxes else None
    assert len(policy.sample([0], [(427, 640)], boxes=boxes)) == 1
    assert summary(name)


@pytest.mark.parametrize("name", MENU)
def test_every_argument_has_a_field_that_holds_its_value(name):
    """Each field shows what the op has, and gives the same back: by sliders, as a choice, and as text."""
    op = op_of(with_inside(name))
    arguments = {part.name for part in dataclasses.fields(op) if part.init}
    fields = {field.name: field for field in fields_of(name)}
    assert arguments - set(fields) <= {"transforms", "inplace", "labels_getter"}
    for field in fields.values():
        assert field.help, f"{name}.{field.name}"
        value = getattr(op, field.name)
        assert value_of_text(text_of(value)) == value
        if field.widget == SLIDERS:
            shown = field.start if value is None else value
            sliders = field.sliders(shown)
            assert sliders, f"{name}.{field.name}"
            numbers = shown if isinstance(shown, tuple) else (shown,)
            for slider, number in zip(sliders, numbers, strict=True):
                assert slider.low < slider.high
                assert slider.low <= number <= slider.high
                assert 0 < slider.step <= (slider.high - slider.low) / 4
            assert value_of_sliders(field, list(map(float, numbers))) == shown
        elif field.widget == CHOICE:
            assert len(field.choices) >= 1
        else:
            assert field.widget == FLAG or isinstance(value, (str, int, float, tuple, type(None)))


@pytest.mark.parametrize("name", MENU)
def test_every_position_of_a_slider_is_a_value_that_the_op_takes_or_refuses(name):
    """The ends of sliders, one after the other: an op answers with a value or in its words, never otherwise."""
    step = with_inside(name)
    tried = [
        changed([step], (0,), field.name, value_of_sliders(field, positions))[0]
        for field in fields_of(name)
        for sliders in [field.sliders(field.start)]
        for positions in ([s.low for s in sliders], [s.high for s in sliders])
        if sliders
    ]
    said = [refusal_of(one) for one in tried]
    assert all(text is None or re.match(rf"{name}\b", text) for text in said), said
    # Its longer edge goes with one number for the shorter one.
    assert not tried or None in said or name == "Resize"


def refusal_of(step):
    """What an op says of a step; None where it takes it."""
    try:
        op_of(step)
    except ValueError as error:
        return str(error)


def test_fields_follow_the_metadata():
    fields = {field.name: field for field in fields_of("RandomAffine")}
    assert fields["degrees"].unit == "degrees"
    assert [(s.name, s.low, s.high) for s in fields["degrees"].sliders((-15.0, 15.0))] == [
        ("lowest", -180, 180), ("highest", -180, 180),
    ]  # fmt: skip
    assert [s.name for s in fields["translate"].sliders((0.1, 0.2))] == ["horizontal", "vertical"]
    assert fields["translate"].optional
    assert fields["interpolation"].choices == ("bilinear", "bicubic", "nearest")
    assert fields["antialias"].widget == FLAG
    # Wide enough for any value that came from elsewhere; and lines of text for what is no such tuple.
    assert fields["degrees"].sliders((-700.0, 15.0))[0].low <= -700
    assert fields["shear"].sliders((-1.0, 1.0, -2.0, 2.0)) == ()
    assert {f.name for f in fields_of("RandomMotionBlur") if f.odd} == {"kernel_size"}
    assert all(
        s.step == 2 for f in fields_of("RandomMotionBlur") if f.odd for s in f.sliders((3, 7))
    )
    assert starting_arguments("RandomHorizontalFlip") == {}


def test_text_is_numbers_and_names_and_never_code():
    assert value_of_text(" 1, 2 ") == (1, 2)
    assert value_of_text("[[0, 0.5], [10, 1]]") == ((0, 0.5), (10, 1))
    assert value_of_text("") is None
    for text in ("#80", "reflect", "__import__('os').getcwd()", "1 +", "b'a'", "{1, 2}", "(" * 300):
        assert value_of_text(text) == text.strip()
    with pytest.raises(ValueError, match="got 401 characters, expected 400 at most"):
        value_of_text("1" * 401)


# Steps.


@given(st.integers(0, 2**63))
@so_many(60)
def test_any_policy_comes_back_from_steps_yaml_and_python(seed):
    rng = random.Random(seed)
    policy = draw_policy(rng, rng.choice((1, 3, 5)))
    steps = steps_of(policy)
    again = policy_of(steps)
    assert again == policy
    assert again.fingerprint == policy.fingerprint
    assert again.to_yaml() == policy.to_yaml()
    assert steps_of(ae.Policy.from_yaml(policy.to_yaml())) == steps
    names: dict = {}
    exec(python_of(policy, seed=3, strength=0.5), names)
    assert names["policy"].fingerprint == policy.fingerprint
    assert (names["engine"].seed, names["engine"].strength) == (3, 0.5)
    for (_, step), line in zip(walk(steps), python_of(policy).splitlines(), strict=False):
        assert len(line) < 4000
        assert label(step, (0,)).startswith(f"1  {step.name}")


@pytest.mark.parametrize("name", presets.choices())
def test_every_beginning_comes_back_and_is_drawn(name):
    policy = presets.policy_of(name)
    pixels = np.random.default_rng(0).integers(0, 255, (80, 60, 3)).astype(np.uint8)
    images = album.Album(("a", "b"), (ae.Sources.of([pixels]), ae.Sources.of([pixels])))
    view = pictures.View(shown=2, draws=1)
    rows = pictures.grid(policy, images, view)
    steps = pictures.steps_of_tile(policy, images, view, 1, 0, timed=False)
    assert np.array_equal(steps[-1].picture, rows[1][1].picture)
    again = ae.Policy.from_yaml(policy_of(steps_of(policy)).to_yaml())
    assert again.fingerprint == policy.fingerprint


def test_a_value_that_is_the_default_is_left_out():
    steps = changed([Step("RandomHorizontalFlip", {"p": 0.9})], (0,), "p", 0.5)
    assert steps == (Step("RandomHorizontalFlip"),)
    # 1 is no True, and True no 1: the op says so itself.
    (step,) = changed([Step("LetterBox", {"size": (8, 8)})], (0,), "scaleup", 1)
    assert step.arguments["scaleup"] == 1
    assert changed([step], (0,), "scaleup", True)[0].arguments == {"size": (8, 8)}


def test_steps_are_added_behind_inside_and_around():
    steps, path = added((), (), "RandomInvert")
    assert (steps, path) == ((Step("RandomInvert"),), (0,))
    steps, path = added(steps, path, "RandomEqualize")
    assert ([s.name for s in steps], path) == (["RandomInvert", "RandomEqualize"], (1,))
    steps, path = added(steps, path, "OneOf")  # takes what is chosen into itself
    assert path == (1,)
    assert at(steps, (1, 0)) == Step("RandomEqualize")
    steps, path = added(steps, path, "RandomGamma")
    assert path == (1, 1)
    assert policy_of(steps) == ae.Policy(
        [ae.RandomInvert(), ae.OneOf([ae.RandomEqualize(), ae.RandomGamma()])]
    )
    many = tuple(Step("RandomInvert") for _ in range(MOST_STEPS))
    with pytest.raises(ValueError, match="got 64 steps, expected no more on a page"):
        added(many, (0,), "RandomInvert")


def test_steps_are_removed_with_what_is_inside_them():
    steps = (Step("RandomInvert"), Step("OneOf", {}, (Step("RandomGamma"),)))
    assert removed(steps, (1,)) == (steps[:1], (0,))
    assert removed(steps, (1, 0)) == ((steps[0], Step("OneOf")), (1,))
    assert removed(steps[:1], (0,)) == ((), ())
    with pytest.raises(ValueError, match="OneOf: got no ops"):
        policy_of(removed(steps, (1, 0))[0])


@given(st.integers(0, 2**63))
@so_many(60)
def test_steps_that_are_moved_are_all_still_there(seed):
    """Whichever way steps go, in and out of ops made of ops: none is lost, the moved one is where it says, and
    the way back leads back."""
    rng = random.Random(seed)
    steps = steps_of(draw_policy(rng, rng.choice((2, 4))))
    for _ in range(8):
        paths = [path for path, _ in walk(steps)]
        path, by = rng.choice(paths), rng.choice((-1, 1))
        step = at(steps, path)
        new, place = moved(steps, path, by)
        assert sorted(map(repr, count(new))) == sorted(map(repr, count(steps)))
        assert at(new, place) == step
        assert moved(new, place, -by) == (steps, path) or (new, place) == (steps, path)
        steps = new


def count(steps):
    """All steps without what is inside them."""
    return [dataclasses.replace(step, inside=()) for _, step in walk(steps)]


def test_code_is_refused():
    with pytest.raises(ValueError, match="expected ops of augengine that YAML can say"):
        step_of(ae.Stage(lambda images: images))


@pytest.mark.parametrize("module", [forms, steps_module])
def test_the_examples_run(module):
    finder = doctest.DocTestFinder()
    tests = [t for t in finder.find(module, extraglobs={"ae": ae}) if t.examples]
    assert tests
    for test in tests:
        assert doctest.DocTestRunner(verbose=False).run(test).failed == 0, test.name


# Images.


@pytest.fixture
def folder(tmp_path):
    from PIL import Image

    images = tmp_path / "images"
    (images / "deep").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for place in (images / "b.png", images / "deep/a.jpg", tmp_path / "other/private.png"):
        Image.new("RGB", (30, 20), "red").save(place)
    (images / "notes.txt").write_text("none")
    (images / "broken.png").write_bytes(b"none")
    (images / "link.png").symlink_to(tmp_path / "other/private.png")
    (images / "linked").symlink_to(tmp_path / "other")
    (images / "own.png").symlink_to("b.png")
    return images


def test_a_folder_is_read_and_nothing_beyond_it(folder):
    found = album.read_folder(folder)
    assert found.names == ("b.png", "own.png", "deep/a.jpg")
    assert [tuple(s.sizes[0]) for s in found.sources] == [(20, 30)] * 3
    assert "2 lead out of the folder" in found.note
    assert "1 cannot be read: broken.png" in found.note
    assert "1 are no images" in found.note


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no folder"):
        album.read_folder(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no image that can be read"):
        album.read_folder(tmp_path)


def test_images_that_are_sent_are_bounded(folder, tmp_path, monkeypatch):
    found = album.read_sent(
        [str(folder / "b.png"), str(folder / "deep/a.jpg"), str(folder / "b.png")]
    )
    assert found.names == ("b.png", "a.jpg", "b.png (2)")
    with pytest.raises(ValueError, match="got 25 images, expected 24 at most"):
        album.read_sent([str(folder / "b.png")] * 25)
    with pytest.raises(ValueError, match=r"no image that can be read.*broken\.png"):
        album.read_sent([str(folder / "broken.png")])
    monkeypatch.setattr(album, "MOST_PIXELS", 599)
    with pytest.raises(ValueError, match="20×30 pixels, where 599 are the most"):
        album.read_sent([str(folder / "b.png")])
    monkeypatch.setattr(album, "MOST_PIXELS", 600)
    monkeypatch.setattr(album, "MOST_BYTES", 1799)
    found = album.read_sent([str(folder / "b.png"), str(folder / "deep/a.jpg")])
    assert found.names == ("b.png",)
    assert "the others have 1,800 bytes of pixels already" in found.note
    monkeypatch.setattr(album, "MOST_FILE", 10)
    with pytest.raises(ValueError, match="where 10 are the most"):
        album.read_sent([str(folder / "b.png")])


# Pictures.


@pytest.fixture(scope="module")
def three():
    rng = np.random.default_rng(0)
    images = [
        rng.integers(0, 255, (h, w, 3)).astype(np.uint8) for h, w in ((40, 50), (30, 60), (44, 44))
    ]
    return album.Album(("a", "b", "<b>c"), tuple(ae.Sources.of([image]) for image in images))


def test_the_grid_is_what_an_engine_draws(three):
    """By ids that are the names, and epochs that are the columns; and a tile's last step is the tile."""
    policy = ae.Policy([ae.RandomResizedCrop(24), ae.RandomHorizontalFlip(), ae.MixUp()])
    view = pictures.View(first=1, shown=2, draws=3, seed=5, epoch=7, strength=0.5)
    rows = pictures.grid(policy, three, view)
    assert [len(row) for row in rows] == [4, 4]
    engine = ae.Engine(policy, seed=5, strength=0.5, dtype=__import__("torch").uint8)
    images = [three.sources[k].image(0).numpy() for k in (1, 2, 0)]
    for draw in range(3):
        batch = engine(images, ids=["b", "<b>c", "a"], epoch=7 + draw)
        for row in range(2):
            assert np.array_equal(
                rows[row][1 + draw].picture, batch.images[row].movedim(0, -1).numpy()
            )
            steps = pictures.steps_of_tile(policy, three, view, row, draw, timed=False)
            assert len(steps) == 4
            assert np.array_equal(steps[-1].picture, rows[row][1 + draw].picture)
    with pytest.raises(ValueError, match="a tile that is not shown"):
        pictures.steps_of_tile(policy, three, view, 2, 0)


def test_outputs_that_would_not_fit_are_refused_before_they_are_drawn(three):
    with pytest.raises(ValueError, match="got outputs of 60,000×60,000"):
        pictures.grid(ae.Policy(ae.Resize((60_000, 60_000))), three, pictures.View())


def test_the_cost_is_of_batches(three):
    found = pictures.cost(ae.Policy(ae.RandomResizedCrop(24)), three, pictures.View())
    assert found.batch == 32
    assert found.size == (24, 24)
    assert found.spread[0] <= found.images_per_second <= found.spread[1]
    assert "of this machine" in str(found)
    assert pictures.cost(ae.Policy(ae.RandomInvert()), three, pictures.View()) is None


def test_names_of_files_are_no_html(three):
    rows = pictures.grid(
        ae.Policy(ae.RandomResizedCrop(24)), three, pictures.View(first=2, shown=1)
    )
    text = html.grid(rows, html.names_of_ids(three))
    assert "<b>c" not in text.replace("<b>&lt;b&gt;c</b>", "")
    assert "&lt;b&gt;c" in text
    assert html.error("<script>") == html.error("<script>").replace("<script>", "")
    plan = ae.Policy([ae.Resize((8, 8)), ae.CutMix()]).sample(["a", "b"], [(40, 50), (30, 60)])
    assert re.search(r"% of b pasted", html.readable(plan.explain(0), html.names_of_ids(three)))


# The guard.


def scope(path="/", **headers):
    names = {"host": "127.0.0.1:7860", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return {
        "type": "http", "path": path, "headers": [(k.encode(), v.encode()) for k, v in names.items()],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (scope(), None),
        (scope(host="localhost:7860"), None),
        (scope(host="[::1]:7860"), None),
        (scope(origin="http://127.0.0.1:7860"), None),
        (scope("/gradio_api/file=/tmp/a.png"), None),
        (scope(host="evil.example"), 403),
        (scope(host="127.0.0.1.evil.example:7860"), 403),
        (scope(host=""), 403),
        (scope(origin="http://evil.example"), 403),
        (scope(origin="http://127.0.0.1:9999"), 403),
        (scope(origin="null"), 403),
        (scope("/gradio_api/file=http://a.example/x"), 403),
        (scope("/gradio_api/file=hTTps%3a//a.example/x"), 403),
        (scope("/gradio_api/proxy=https://a.example"), 403),
        (scope(content_length=str(guard.MOST_BODY)), None),
        (scope(content_length=str(guard.MOST_BODY + 1)), 413),
        (scope(content_length="-1"), 413),
    ],
)
def test_what_is_refused(asked, status):
    found = guard.refused(asked)
    assert (found and found[0]) == status


def test_a_body_that_says_no_length_is_bounded_too():
    """And every answer tells the browser to ask nobody else."""
    got, sent = [], []

    async def app(scope, receive, send):
        while True:
            message = await receive()
            got.append(message["type"])
            if message["type"] == "http.disconnect":
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body"})

    async def receive():
        return {"type": "http.request", "body": bytes(40), "more_body": True}

    async def send(message):
        sent.append(message)

    asyncio.run(guard.Guard(app, most_body=100)(scope(), receive, send))
    assert got == ["http.request", "http.request", "http.disconnect"]
    headers = dict(sent[0]["headers"])
    assert headers[b"a"] == b"b"
    assert b"connect-src 'self'" in headers[b"content-security-policy"]
    sent.clear()
    asyncio.run(guard.Guard(app)({**scope(), "type": "websocket"}, receive, send))
    assert sent[0]["status"] == 403


# The command.


def test_a_policy_of_several_views_is_refused():
    from augengine.play import command

    with pytest.raises(ValueError, match="--policy: got simclr, a policy of several views"):
        command.first_policy("simclr")
    assert (
        command.first_policy(None).fingerprint == ae.Policy.from_yaml(command.DEFAULT).fingerprint
    )
    assert command.first_policy("imagenet") == ae.presets.imagenet()


def test_the_options_are_the_command_lines():
    from augengine import cli
    from augengine.play import command

    own = set(inspect.signature(command.run).parameters) - {"say"}
    assert own == set(inspect.signature(cli.play).parameters)
