"""The page of `augengine play` in a real browser: a policy is built by clicking, and the server gives nothing
else away."""

import ast
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

import augengine as ae
from augengine.play import presets

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytest.importorskip("gradio", reason="the extra play is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if CHROMIUM is None:
    pytest.skip("there is no chromium (apt-get install chromium)", allow_module_level=True)

pytestmark = pytest.mark.thorough
SECRET = "not for the page"
SECONDS = 30_000  # milliseconds that the page has for an answer, on a busy machine


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images of three sizes, with links that lead out of it."""
    from PIL import Image

    root = tmp_path_factory.mktemp("play")
    (root / "secret.png.txt").write_text(SECRET)
    outside = root / "outside"
    outside.mkdir()
    images = root / "images"
    (images / "more").mkdir(parents=True)
    rng = np.random.default_rng(5)
    for name, size in (("a.png", (48, 64)), ("b.png", (80, 60)), ("more/c.png", (64, 64))):
        pixels = (
            rng.integers(0, 255, (*size, 3)).astype(np.uint8) // 2
            + np.arange(3, dtype=np.uint8) * 40
        )
        Image.fromarray(pixels).save(images / name)
    Image.new("RGB", (30, 30), "red").save(outside / "private.png")
    (images / "link.png").symlink_to(outside / "private.png")
    (images / "linked").symlink_to(outside)
    return images


# The command itself, which says to whom it connects.
DRIVER = """
import socket, sys
real, log = socket.socket.connect, sys.argv[1]
def connect(self, address):
    with open(log, "a") as file:
        print(address[0] if isinstance(address, tuple) else "a socket of this machine", file=file)
    return real(self, address)
socket.socket.connect = connect
sys.argv[1:] = sys.argv[2:]
from augengine.__main__ import main
main()
"""


class Server:
    """`augengine play` in a process of its own, as a user has it."""

    def __init__(self, folder, place):
        self.place, self.connected = place, place / "connected.txt"
        environment = {
            **os.environ, "TMPDIR": str(place), "GRADIO_ALLOWED_PATHS": "/", "GRADIO_SHARE": "True",
            "GRADIO_SERVER_NAME": "0.0.0.0",
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, self.connected, "play", "--images", folder],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
        )  # fmt: skip
        said = self.process.stdout.readline()
        assert "http://127.0.0.1:" in said, said + self.process.stdout.read()
        self.url = re.search(r"http://\S+?/", said)[0]

    @property
    def folder(self):
        """Where it keeps what is sent to it."""
        (found,) = self.place.glob("augengine-play-*")
        return found


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    server = Server(folder, tmp_path_factory.mktemp("server"))
    try:
        yield server
        ends_with_ctrl_c(server)
    finally:
        server.process.kill()
        server.process.wait()


def ends_with_ctrl_c(server):
    """With a page still open, and leaving nothing behind."""
    assert server.folder.is_dir()
    server.process.send_signal(signal.SIGINT)
    rest, _ = server.process.communicate(timeout=60)
    assert server.process.returncode == 0, rest
    # Before it Gradio prints what the requests for others' files met.
    assert rest.strip().splitlines()[-1] == "augengine play: ended"
    assert "KeyboardInterrupt" not in rest
    assert "CancelledError" not in rest
    assert not list(server.place.glob("augengine-play-*"))
    with socket.socket() as other:
        assert other.connect_ex(("127.0.0.1", int(server.url.rstrip("/").rpartition(":")[2]))) != 0


@pytest.fixture(scope="module")
def url(server):
    return server.url


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser, url):
    """One tab, which all tests share; what it asked for is in `page.asked`, what went wrong in `page.wrong`."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    page.asked, page.wrong = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.goto(url)
    page.wait_for_selector(".ae-grid img")
    return page


def pictures(page):
    """The pictures of the grid, as they are in the page."""
    return page.eval_on_selector_all(".ae-grid img", "images => images.map(image => image.src)")


def changes(page, act):
    """Do something, and wait until the grid shows other pictures."""
    before = pictures(page)
    act()
    page.wait_for_function(
        "before => { const now = [...document.querySelectorAll('.ae-grid img')].map(i => i.src);"
        " return now.length && JSON.stringify(now) !== JSON.stringify(before); }",
        arg=before,
    )
    return pictures(page)


def text_of(page, which):
    """The text of an editor."""
    lines = page.eval_on_selector_all(
        f"#ae-{which} .cm-line", "lines => lines.map(line => line.textContent)"
    )
    return "\n".join(lines)


def choose(page, which, name):
    """Choose an entry of a list that opens, by what is typed into it."""
    field = page.locator(f"#ae-{which} input").first
    field.click()
    field.fill(name)
    page.locator("ul[role=listbox] li", has_text=name).first.click()


def begin_with(page, name):
    """Begin with a preset, and wait until it is there."""
    choose(page, "preset", name)
    wanted = presets.policy_of(name).to_yaml().strip()
    page.wait_for_function(
        "wanted => [...document.querySelectorAll('#ae-yaml .cm-line')].map(line => line.textContent)"
        ".join('\\n').trim() === wanted",
        arg=wanted,
    )


def send(page, button, files):
    with page.expect_file_chooser() as chooser:
        page.click(button)
    chooser.value.set_files(files)


def steps(page):
    return [text.strip() for text in page.locator("#ae-steps label").all_inner_texts()]


def test_a_policy_is_built_by_clicking_and_comes_back_from_its_yaml(page, tmp_path):
    first = pictures(page)
    assert len(first) == 3 * 5
    choose(page, "menu", "RandomRotation")
    changes(page, lambda: page.click("#ae-add"))
    assert [re.sub(r"\W*\(.*", "", s) for s in steps(page)] == [
        "1  RandomResizedCrop",
        "2  RandomRotation",
        "3  RandomHorizontalFlip",
        "4  ColorJitter",
    ]
    slider = page.locator("#ae-field-degrees-1 input[type=range]")
    slider.wait_for()
    changes(page, lambda: slider.fill("90"))
    page.wait_for_function(
        "() => document.querySelector('#ae-yaml .cm-content').innerText.includes('90.0')"
    )
    built = changes(page, lambda: page.click("#ae-down"))
    assert steps(page)[2].startswith("3  RandomRotation")
    text = text_of(page, "yaml")
    policy = ae.Policy.from_yaml(text)
    assert policy == ae.Policy(
        [
            ae.RandomResizedCrop(224),
            ae.RandomHorizontalFlip(),
            ae.RandomRotation((-15, 90)),
            ae.ColorJitter(0.4, 0.4, 0.4),
        ]
    )
    names: dict[str, object] = {}
    page.locator("#ae-python button[aria-label=Copy]").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == text_of(page, "python").strip()
    exec(copied, names)
    assert names["policy"].fingerprint == policy.fingerprint
    with page.expect_download() as download:
        page.click("#ae-save")
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == "policy.yaml"
    assert file.read_text() == text

    begin_with(page, "an empty policy")
    assert changes(page, lambda: send(page, "#ae-open", file)) == built
    assert text_of(page, "yaml") == text
    assert not page.wrong


def test_the_pictures_are_those_of_the_engine(page, folder):
    """What is shown is what a training gets: of a policy without chance but for the flip, pixel by pixel."""
    from PIL import Image

    text = "augengine: 1\npolicy:\n- Resize: {size: [32, 32]}\n- RandomHorizontalFlip: {}\n"
    changes(page, lambda: use(page, text))
    engine = ae.Engine(ae.Policy.from_yaml(text), dtype=__import__("torch").uint8)
    for row, name in enumerate(("a.png", "b.png", "more/c.png")):
        image = np.asarray(Image.open(folder / name))
        for draw in range(4):
            expected = engine(image[None], ids=[name], epoch=draw).images[0].movedim(0, -1).numpy()
            shown = page.evaluate(
                """async (at) => {
                    const image = document.querySelector(`[data-row="${at[0]}"][data-draw="${at[1]}"] img`);
                    await image.decode();
                    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
                    const context = canvas.getContext("2d");
                    context.drawImage(image, 0, 0);
                    return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
                }""",
                [row, draw],
            )
            shown = np.array(shown).reshape(32, 32, 4)[..., :3]
            off = np.abs(shown.astype(int) - expected.astype(int)).mean()
            mirrored = np.abs(shown.astype(int) - expected[:, ::-1].astype(int)).mean()
            assert off < 6 < mirrored  # JPEG's loss on noise


def use(page, text):
    """Type a policy's YAML, and use it."""
    editor = page.locator("#ae-yaml .cm-content")
    editor.click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(text)
    page.click("#ae-read")


def test_a_wrong_value_is_refused_in_the_words_of_the_op_and_the_pictures_stay(page):
    begin_with(page, "cifar")
    before, yaml = pictures(page), text_of(page, "yaml")
    page.locator("#ae-field-size-1 input[type=range]").wait_for()
    page.locator("#ae-as-text input").check()
    field = page.locator("#ae-field-size [data-testid=textbox]")
    field.fill("32, nothing")
    field.press("Enter")
    error = page.locator(".ae-error")
    error.wait_for()
    with pytest.raises(ValueError, match="RandomCrop") as refused:
        ae.RandomCrop("32, nothing")
    assert str(refused.value) in error.inner_text()
    assert pictures(page) == before
    assert text_of(page, "yaml") == yaml
    field.fill("40, 40")
    changes(page, lambda: field.press("Enter"))
    error.wait_for(state="detached")
    page.locator("#ae-as-text input").uncheck()
    page.locator("#ae-field-size-0 input[type=range]").wait_for()


def test_an_interval_the_wrong_way_round_is_refused(page):
    begin_with(page, "imagenet")
    low = page.locator("#ae-field-ratio-0 input[type=range]")
    low.wait_for()
    before = pictures(page)
    low.fill("3")
    page.locator(".ae-error").wait_for()
    assert "which is reversed, expected (lowest, highest)" in page.locator(".ae-error").inner_text()
    assert pictures(page) == before
    low.fill("0.75")
    page.locator(".ae-error").wait_for(state="detached")


def test_yaml_is_read_within_bounds(page):
    begin_with(page, "an empty policy")
    before = pictures(page)
    for text, said in (
        ("augengine: 1\npolicy: &a [*a]", "anchors and aliases"),
        ("augengine: 1\npolicy:\n- !!python/object:os.system {}", "the tag"),
        ("augengine: 1\npolicy:\n- Lambda: {lambd: 1}", "unknown"),
    ):
        use(page, text)
        page.locator(".ae-error", has_text=said).wait_for()
        assert pictures(page) == before


def test_sizes_that_memory_does_not_have_are_refused(page):
    begin_with(page, "an empty policy")
    use(page, "augengine: 1\npolicy:\n- Resize: {size: [60000, 60000]}")
    page.locator(".ae-error", has_text="got outputs of 60,000×60,000").wait_for()


def test_ops_are_put_into_others_and_taken_out(page):
    begin_with(page, "an empty policy")
    for name in ("RandomResizedCrop", "RandomInvert"):
        choose(page, "menu", name)
        page.click("#ae-add")
        page.locator("#ae-steps label", has_text=name).wait_for()
    choose(page, "menu", "RandomApply")
    page.click("#ae-add")
    page.locator("#ae-steps label", has_text="2.1  RandomInvert").wait_for()
    assert [s.split("  ")[:2] for s in steps(page)] == [
        ["1", "RandomResizedCrop"],
        ["2", "RandomApply"],
        ["2.1", "RandomInvert"],
    ]
    page.locator("#ae-steps label", has_text="RandomInvert").click()
    page.locator("#ae-about h3", has_text="RandomInvert").wait_for()
    page.click("#ae-remove")
    page.locator(".ae-error", has_text="RandomApply: got no ops").wait_for()
    page.click("#ae-remove")
    page.locator(".ae-error").wait_for(state="detached")
    assert len(steps(page)) == 1


def test_a_tile_is_explained_and_traced(page, folder):
    from PIL import Image

    text = "augengine: 1\npolicy:\n- RandomCrop: {size: 40}\n- RandomInvert: {p: 1}\n- MixUp: {}\n"
    changes(page, lambda: use(page, text))
    page.locator('[data-row="1"][data-draw="2"]').click()
    trace = page.locator(".ae-trace")
    trace.wait_for()
    sizes = [np.asarray(Image.open(folder / n)).shape[:2] for n in ("a.png", "b.png", "more/c.png")]
    plan = ae.Policy.from_yaml(text).sample(["a.png", "b.png", "more/c.png"], sizes, epoch=2)
    words = plan.explain(1)
    assert words.split(",")[0] in trace.inner_text()  # "crop 40×40 at …"
    assert "blended in" in words
    assert re.search(
        r"\d+ % of sample? ?(a|more/c)\.png blended in|% of (a|more/c)\.png", trace.inner_text()
    )
    assert trace.locator("img").count() == 4
    assert "µs" in trace.inner_text()
    last = page.eval_on_selector_all(".ae-trace img", "images => images.at(-1).src")
    tile = page.eval_on_selector('[data-row="1"][data-draw="2"] img', "image => image.src")
    assert last == tile  # small enough to be the same file


def test_seed_epoch_and_strength(page):
    begin_with(page, "simclr: views")
    before = pictures(page)
    seed = page.get_by_label("seed", exact=True)
    other = changes(page, lambda: seed.fill("1"))
    assert other[1] != before[1]
    assert "seed=1" in text_of(page, "python")
    changes(page, lambda: seed.fill("0"))
    epoch = page.get_by_label("epoch of the first draw")
    later = changes(page, lambda: epoch.fill("1"))
    assert later[1:4] == before[2:5]  # draws are epochs
    changes(page, lambda: epoch.fill("0"))
    assert pictures(page) == before


def test_the_cost_is_said_with_its_circumstances(page):
    begin_with(page, "cifar")
    page.wait_for_function(
        "() => /images\\/s/.test(document.querySelector('#ae-cost').innerText)"
        " && document.querySelector('#ae-cost').innerText.includes('32×32')"
    )
    said = page.locator("#ae-cost").inner_text()
    assert re.search(
        r"[\d,]+ images/s .* batches of 32, .* on \d+ threads? of this machine", said, re.S
    )


def test_images_are_sent_to_the_page_within_bounds(page, server, tmp_path):
    from PIL import Image

    begin_with(page, "cifar")
    good, bad, bomb = tmp_path / "mine.png", tmp_path / "bad.png", tmp_path / "bomb.png"
    Image.new("RGB", (64, 48), "teal").save(good)
    bad.write_bytes(b"no image")
    Image.new("1", (9000, 9000)).save(bomb)
    page.get_by_text("Your own images").click()
    changes(page, lambda: send(page, "#ae-send", [good, bad, bomb]))
    page.locator("figcaption", has_text="mine.png").first.wait_for()
    assert len(pictures(page)) == 1 * 5
    note = page.get_by_text("2 cannot be read")
    note.wait_for(state="attached")
    assert "9000×9000 pixels, where 50,000,000 are the most" in note.text_content()
    kept = [p for p in Path(server.folder).rglob("*") if p.is_file()]
    assert not [p for p in kept if p.name in ("mine.png", "bad.png", "bomb.png")]
    page.reload()
    page.wait_for_selector(".ae-grid img")


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(1440, 1000, "light"), (390, 844, "dark")],
)
def test_nothing_is_cut_off(page, width, height, scheme):
    """On a desk and on a phone, light and dark: nothing is wider than the window."""
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)
    page.reload()
    page.wait_for_selector(".ae-grid img")
    page.locator("#ae-about h3").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", paper)[:3])) / 765
    assert (brightness > 0.5) == (scheme == "light")
    # While its form is at the top of the window, the pictures are in sight.
    page.locator("#ae-about").evaluate(
        "e => window.scrollTo(0, window.scrollY + e.getBoundingClientRect().top - 400)"
    )
    assert page.evaluate(
        "(() => { const box = document.querySelector('.ae-grid img').getBoundingClientRect();"
        " return box.bottom > 0 && box.top < innerHeight; })()"
    )


def test_nobody_else_is_asked_for_anything(page, server):
    """Neither by the browser nor by the server."""
    outside = [u for u in page.asked if not u.startswith((server.url, "data:", "blob:"))]
    assert len(page.asked) > 20
    assert not outside
    hosts = set(server.connected.read_text().split("\n")) - {
        ""
    }  # Gradio asks whether its own page is up
    assert hosts == {"127.0.0.1"}
    assert not page.wrong


def ask(url, path, **headers):
    """(status, body) of a path that is sent as it is."""
    host = url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.putrequest("GET", path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read(1 << 20)
    connection.close()
    return answer.status, body


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{secret}",
        "{images}/a.png",
        "{images}/link.png",
        "{images}/linked/private.png",
        "{images}/../secret.png.txt",
        "{images}/%2e%2e/secret.png.txt",
        "{temp}/../../../../etc/passwd",
        "{temp}/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "../../../../../../etc/passwd",
        "..%5c..%5c..%5cetc%5cpasswd",
        "file:///etc/passwd",
        "{cwd}/pyproject.toml",
        "{cwd}/augengine/__init__.py",
    ],
)
def test_no_file_is_handed_out(server, url, folder, path):
    """Not even one of the images: the page holds its pictures itself."""
    path = path.format(
        secret=folder.parent / "secret.png.txt", images=folder, temp=server.folder, cwd=Path.cwd()
    )
    for prefix in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/static/", "/assets/"):
        for sent in (path, quote(path, safe="/%")):
            status, body = ask(url, prefix + sent)
            assert status >= 400, (prefix, sent, status)
            assert b"root:" not in body
            assert SECRET.encode() not in body
            assert b"PNG" not in body


def test_a_path_in_the_place_of_a_sent_file_is_refused(url, folder):
    """A request that names a file of the machine, as no page of ours does."""
    with urllib.request.urlopen(f"{url}config") as answer:
        config = json.load(answer)
    secret = str(folder.parent / "secret.png.txt")
    uploads = [d for d in config["dependencies"] if any(t[1] == "upload" for t in d["targets"])]
    assert len(uploads) == 2
    for dependency in uploads:
        file = {"path": secret, "meta": {"_type": "gradio.FileData"}, "orig_name": "a.yaml"}
        several = any(
            c["id"] == dependency["inputs"][-1] and c["props"].get("file_count") == "multiple"
            for c in config["components"]
        )
        body = {
            "data": [None, [file] if several else file], "fn_index": dependency["id"],
            "session_hash": "stranger",
        }  # fmt: skip
        request = urllib.request.Request(
            f"{url}gradio_api/queue/join",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            assert "event_id" in json.load(answer)
        with urllib.request.urlopen(f"{url}gradio_api/queue/data?session_hash=stranger") as stream:
            said = b""
            while b"process_completed" not in said:
                said += stream.readline()
        assert b'"success":false' in said
        assert SECRET.encode() not in said
    assert Path(secret).read_text() == SECRET  # nor is it removed


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {"Host": "evil.example"}),
        ("/gradio_api/info", {"Host": "evil.example:7860"}),
        ("/", {"Origin": "http://evil.example"}),
        ("/", {"Origin": "null"}),
        ("/gradio_api/file=http://127.0.0.1:9/", {}),
        ("/gradio_api/file=https%3A//example.org/", {}),
        ("/gradio_api/proxy=https://example.org/", {}),
    ],
)
def test_others_pages_and_other_addresses_are_refused(url, path, headers):
    status, body = ask(url, path, **headers)
    assert status == 403
    assert b"augengine play" in body


def test_what_is_sent_is_bounded(url):
    from augengine.play.album import MOST_FILE

    mark = "boundary"
    head = (
        f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    ).encode()
    body = head + bytes(MOST_FILE + 1) + f"\r\n--{mark}--\r\n".encode()
    request = urllib.request.Request(
        f"{url}gradio_api/upload", body, {"Content-Type": f"multipart/form-data; boundary={mark}"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 413
    host = url.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Length", str(1 << 40))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_it_is_bound_to_this_machine_alone(url):
    port = int(url.rstrip("/").rpartition(":")[2])
    with socket.socket() as other:
        other.settimeout(5)
        # Another address of the loopback network: a server at all addresses would answer there.
        assert other.connect_ex(("127.0.0.2", port)) != 0


def test_no_file_of_the_package_is_written(url):
    """Gradio writes a stub beside a file that makes a component of its own."""
    import augengine.play

    folder = Path(augengine.play.__file__).parent
    assert not list(folder.glob("*.pyi"))
    for file in folder.glob("*.py"):
        ast.parse(file.read_text("utf-8"))
