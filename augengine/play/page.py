"""The page: what stands on it, and what happens when something on it is touched.

The server holds the state of each browser tab; a handler takes it, makes a new one and shows it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from ..policy.policy import Policy
from ..untrusted import read_text
from . import html, presets
from .album import MOST_FILE, MOST_SENT, Album, read_sent
from .forms import Field, menu
from .pictures import MOST_DRAWS, MOST_SHOWN, View, cost, grid, steps_of_tile
from .session import Session
from .steps import (
    Path,
    Step,
    added,
    at,
    changed,
    label,
    moved,
    policy_of,
    python_of,
    removed,
    steps_of,
    walk,
)
from .style import CSS, GRID_SCRIPT, HEAD
from .widgets import LIVE, ONE_AFTER_THE_OTHER, Wires, draw_form


def build(album: Album, policy: Policy) -> gr.Blocks:
    """The page.

    Args:
        album: Images that it shows at first.
        policy: Policy that it begins with.
    """
    steps = steps_of(policy)
    first = Session(steps, (0,) if steps else (), policy)
    return _Page(album, first).blocks


class _Page:
    """The parts of the page, which handlers name as their outputs."""

    def __init__(self, album: Album, first: Session) -> None:
        self.album = album
        with gr.Blocks(
            title="augengine play",
            analytics_enabled=False,
            fill_width=True,
            delete_cache=(600, 3600),
        ) as self.blocks:
            self.session = gr.State(first)
            self.form_number = gr.State(0)
            self._layout(first)
            self.shown = [
                self.session, self.form_number, self.list, self.pictures, self.error, self.explained, self.yaml,
                self.python, self.cost,
            ]  # fmt: skip
            self._handlers()
            self._form()

    # What stands on the page.

    def _layout(self, first: Session) -> None:
        view = first.view
        with gr.Row(elem_classes="ae-page"):
            with gr.Column(scale=5, min_width=320, elem_classes="ae-left"):
                self.pictures = gr.HTML(
                    "", elem_id="ae-pictures", js_on_load=GRID_SCRIPT, apply_default_css=False
                )
                self.error = gr.HTML("", elem_id="ae-error", apply_default_css=False)
                self.cost = gr.HTML("", elem_id="ae-cost", apply_default_css=False)
                with gr.Row(elem_classes="ae-controls"):
                    self.seed = gr.Number(view.seed, label="seed", precision=0, min_width=90)
                    self.epoch = gr.Number(
                        view.epoch, label="epoch of the first draw", precision=0, min_width=90
                    )
                    self.strength = gr.Slider(
                        0,
                        1,
                        view.strength,
                        step=0.01,
                        label="strength of the whole policy",
                        min_width=150,
                    )
                with gr.Row(elem_classes="ae-controls"):
                    self.count = gr.Slider(
                        1, MOST_SHOWN, view.shown, step=1, label="images", min_width=120
                    )
                    self.draws = gr.Slider(
                        1, MOST_DRAWS, view.draws, step=1, label="draws of each", min_width=120
                    )
                    self.first = gr.Slider(
                        1, max(2, len(self.album)), 1, step=1, label="first image", min_width=120,
                        visible=len(self.album) > 1,
                    )  # fmt: skip
                self.explained = gr.HTML("", elem_id="ae-explained", apply_default_css=False)
                with gr.Accordion("Your own images", open=False):
                    gr.Markdown(
                        f"Up to {MOST_SENT} images of {MOST_FILE >> 20} MB at most. They stay on this machine. "
                        "A whole folder: `augengine play --images FOLDER`."
                    )
                    self.send = gr.UploadButton(
                        "Choose images",
                        file_count="multiple",
                        file_types=["image"],
                        size="sm",
                        elem_id="ae-send",
                    )
                    self.album_note = gr.HTML(html.note(self.album.note), apply_default_css=False)
            with gr.Column(scale=3, min_width=320, elem_classes="ae-right"):
                self.preset = gr.Dropdown(
                    presets.choices(),
                    value=None,
                    label="begin with a preset",
                    elem_id="ae-preset",
                    filterable=True,
                )
                self.list = gr.Radio(
                    _entries(first.steps),
                    value=_value(first.path),
                    label="steps, in order",
                    elem_id="ae-steps",
                )
                with gr.Row(elem_classes="ae-buttons"):
                    self.up = gr.Button("↑ up", size="sm", min_width=60, elem_id="ae-up")
                    self.down = gr.Button("↓ down", size="sm", min_width=60, elem_id="ae-down")
                    self.remove = gr.Button(
                        "✕ remove", size="sm", min_width=60, elem_id="ae-remove"
                    )
                with gr.Row(elem_classes="ae-buttons"):
                    self.menu = gr.Dropdown(
                        [(said, name) for said, name in menu().items()], value="RandomRotation",
                        label="add a step",
                        info="One of the group “choose” takes the selected step into itself.",
                        elem_id="ae-menu", filterable=True, scale=3,
                    )  # fmt: skip
                    self.add = gr.Button(
                        "add", min_width=80, scale=1, elem_id="ae-add", variant="primary"
                    )
                self.form_place = gr.Column(elem_id="ae-form")
        with gr.Accordion("YAML and Python", open=True), gr.Row():
            with gr.Column(min_width=320):
                self.yaml = gr.Code(
                    "", language="yaml", label="policy.yaml", interactive=True, elem_id="ae-yaml", lines=8,
                    max_lines=24, buttons=["copy"],
                )  # fmt: skip
                with gr.Row(elem_classes="ae-buttons"):
                    self.read = gr.Button(
                        "Use this text", size="sm", min_width=90, elem_id="ae-read"
                    )
                    self.open = gr.UploadButton(
                        "Open a file",
                        file_types=[".yaml", ".yml"],
                        size="sm",
                        min_width=90,
                        elem_id="ae-open",
                    )
                    self.save = gr.Button(
                        "Save as a file", size="sm", min_width=90, elem_id="ae-save"
                    )
            with gr.Column(min_width=320):
                self.python = gr.Code(
                    "", language="python", label="Python", interactive=False, elem_id="ae-python", lines=8,
                    max_lines=24, buttons=["copy"],
                )  # fmt: skip

    # What happens.

    def _handlers(self) -> None:
        look: list[Any] = [self.seed, self.epoch, self.strength, self.count, self.draws, self.first]
        both = dict(inputs=[self.session, *look], outputs=self.shown)
        measure = self._measure
        measure(
            self.blocks.load(self.on_load, self.session, self.shown, **ONE_AFTER_THE_OTHER).then
        )
        for control in look:
            control.input(self.on_look, **both, **LIVE)
        measure(self.strength.release)

        def then_measure(trigger: Any, function: Any, *inputs: Any) -> None:
            call = trigger(function, [self.session, *inputs], self.shown, **ONE_AFTER_THE_OTHER)
            measure(call.then)

        self.list.input(
            self.on_choose, [self.session, self.list], self.shown, **ONE_AFTER_THE_OTHER
        )
        self.pictures.tile(self.on_tile, self.session, self.shown, **ONE_AFTER_THE_OTHER)
        then_measure(self.preset.select, self.on_preset)  # of the same one again, too
        then_measure(self.add.click, self.on_add, self.menu)
        then_measure(self.remove.click, self.on_remove)
        then_measure(self.up.click, lambda session: self.on_move(session, -1))
        then_measure(self.down.click, lambda session: self.on_move(session, 1))
        then_measure(self.read.click, self.on_read, self.yaml)
        then_measure(self.open.upload, self.on_open, self.open)
        sent = self.send.upload(
            self.on_send, [self.session, self.send], [*self.shown, self.first, self.album_note],
            **ONE_AFTER_THE_OTHER,
        )  # fmt: skip
        measure(sent.then)
        self.save.click(None, self.yaml, None, js=_SAVE, api_visibility="private")

    def _measure(self, trigger: Any) -> None:
        """Measure the cost when something is triggered."""
        trigger(self.on_measure, [self.session], [self.session, self.cost], **ONE_AFTER_THE_OTHER)

    def _form(self) -> None:
        """The form of the chosen step, made anew when another is chosen."""
        wires = Wires(self.session, self.shown, self.on_value, self.on_as_text, self._measure)
        with self.form_place:

            @gr.render(
                [self.session], [self.form_number.change, self.blocks.load], concurrency_limit=1,
                concurrency_id="form", show_progress="hidden",
            )  # fmt: skip
            def form(session: Session) -> None:
                draw_form(session, wires)

    # Handlers: the session as it was, and what was touched, to what is shown.

    def on_load(self, session: Session) -> list[Any]:
        return self._show(session)

    def on_look(
        self,
        session: Session,
        seed: Any,
        epoch: Any,
        strength: Any,
        count: Any,
        draws: Any,
        first: Any,
    ) -> list[Any]:
        """Another seed, epoch, strength, or other images."""
        try:
            view = View(
                int(first) - 1,
                int(count),
                int(draws),
                _whole("seed", seed),
                _whole("epoch", epoch),
                strength,
            )
        except ValueError as error:
            return self._refused(session, error)
        return self._show(replace(session, view=view))

    def on_value(
        self, session: Session, path: Path, name: str, one: Field, value: Callable[[], Any],
        new_form: bool = False,
    ) -> list[Any]:  # fmt: skip
        """Another value of an argument. A form that is out of date changes nothing."""
        try:
            if at(session.steps, path).name != name:
                return self._nothing()
            said = value()
            if said is None and not one.optional:
                raise ValueError(f"{name}.{one.name}: got nothing, expected a value. Type one.")
            steps = changed(session.steps, path, one.name, said)
        except IndexError:
            return self._nothing()
        except ValueError as error:
            return self._refused(session, error)
        if steps == session.steps:  # a line of text that was left as it was
            return self._nothing()
        return self._show(replace(session, steps=steps, form=session.form + new_form))

    def on_as_text(self, session: Session, as_text: bool) -> list[Any]:
        """Lines of text in the place of sliders, or sliders again."""
        session = replace(session, as_text=bool(as_text), form=session.form + 1)
        return [session, session.form, *[gr.skip()] * (len(self.shown) - 2)]

    def on_choose(self, session: Session, chosen: str) -> list[Any]:
        """Another step of the list."""
        path = _path(chosen)
        try:
            at(session.steps, path)
        except IndexError:
            return self._nothing()
        session = replace(session, path=path, form=session.form + 1)
        return [session, session.form, *[gr.skip()] * (len(self.shown) - 2)]

    def on_add(self, session: Session, name: str) -> list[Any]:
        try:
            steps, path = added(session.steps, session.path, str(name))
        except ValueError as error:
            return self._refused(session, error)
        return self._rebuilt(session, steps, path)

    def on_remove(self, session: Session) -> list[Any]:
        if not session.path:
            return self._nothing()
        return self._rebuilt(session, *removed(session.steps, session.path))

    def on_move(self, session: Session, by: int) -> list[Any]:
        if not session.path:
            return self._nothing()
        return self._rebuilt(session, *moved(session.steps, session.path, by))

    def on_preset(self, session: Session, event: gr.SelectData) -> list[Any]:
        return self._policy(session, lambda: presets.policy_of(str(event.value)))

    def on_read(self, session: Session, text: str) -> list[Any]:
        return self._policy(session, lambda: Policy.from_yaml(text))

    def on_open(self, session: Session, file: str) -> list[Any]:
        """A file of YAML, which is removed when it is read."""
        try:
            return self._policy(session, lambda: Policy.from_yaml(read_text(file)))
        finally:
            _forget([file])

    def on_send(self, session: Session, files: list[str]) -> list[Any]:
        """Images, whose files are removed when they are read."""
        try:
            album = read_sent(files)
        except ValueError as error:
            return [*self._refused(session, error), gr.skip(), gr.skip()]
        finally:
            _forget(files)
        view = replace(session.view, first=0, shown=min(session.view.shown, len(album)))
        shown = self._show(replace(session, album=album, view=view, tile=None, measured=()))
        first = gr.update(maximum=max(2, len(album)), value=1, visible=len(album) > 1)
        said = f"{len(album)} images" + (f"; {album.note}" if album.note else "")
        return [*shown, first, html.note(said)]

    def on_tile(self, session: Session, event: gr.EventData) -> list[Any]:
        """A tile that was clicked: explained, with times."""
        try:
            tile = _whole("row", event.row), _whole("draw", event.draw)
            session = replace(session, tile=tile)
            explained = self._explained(session, timed=True)
        except (ValueError, TypeError, AttributeError) as error:
            return self._refused(session, error)
        shown = self._nothing()
        shown[0], shown[self.shown.index(self.explained)] = session, explained
        return shown

    def on_measure(self, session: Session) -> list[Any]:
        """The cost of the policy that is shown, unless it is known."""
        album = session.album or self.album
        key = (session.good.fingerprint, session.view.seed, session.view.strength, id(album))
        if key == session.measured:
            return [gr.skip(), gr.skip()]
        try:
            found = cost(session.good, album, session.view)
        except (ValueError, TypeError) as error:
            return [gr.skip(), html.note(str(error))]
        said = (
            "These images end at sizes of their own, so they make no batch, and have no cost. Add a step of "
            "the group “size”, such as RandomResizedCrop."
            if found is None
            else str(found)
        )
        return [replace(session, measured=key), html.note(said)]

    # What is shown.

    def _policy(self, session: Session, make: Any) -> list[Any]:
        """Another policy, whole."""
        try:
            steps = steps_of(make())
        except (ValueError, TypeError, OSError) as error:
            return self._refused(session, error)
        return self._rebuilt(session, steps, (0,) if steps else ())

    def _rebuilt(self, session: Session, steps: tuple[Step, ...], path: Path) -> list[Any]:
        """Other steps, and so another list and form."""
        return self._show(replace(session, steps=steps, path=path, form=session.form + 1))

    def _show(self, session: Session) -> list[Any]:
        """All of the page for a session. Where something is refused the last pictures stay."""
        album = session.album or self.album
        entries = gr.update(choices=_entries(session.steps), value=_value(session.path))
        try:
            policy = policy_of(session.steps)
            rows = grid(policy, album, session.view)
            session = replace(session, good=policy)
            explained = "" if session.tile is None else self._explained(session, timed=False)
            text = policy.to_yaml()
        except (ValueError, TypeError) as error:
            shown = self._refused(session, error)
            shown[1], shown[2] = session.form, entries
            return shown
        code = python_of(policy, seed=session.view.seed, strength=session.view.strength)
        names = html.names_of_ids(album)
        return [
            session, session.form, entries, html.grid(rows, names), "", explained, text, code, gr.skip(),
        ]  # fmt: skip

    def _explained(self, session: Session, timed: bool) -> str:
        """The tile that was clicked. One that is gone is none."""
        album, view = session.album or self.album, session.view
        assert session.tile is not None
        row, draw = session.tile
        if row >= min(view.shown, len(album)) or draw >= view.draws:
            return ""
        steps = steps_of_tile(session.good, album, view, row, draw, timed=timed)
        name = album.names[(view.first + row) % len(album)]
        plan = steps[-1].plan
        words = "unchanged" if plan is None else plan.explain(steps[-1].row)
        return html.trace(
            steps, f"{name}, epoch {view.epoch + draw}", words, html.names_of_ids(album), timed
        )

    def _refused(self, session: Session, error: Exception) -> list[Any]:
        """What was refused, in words; the rest stays as it is."""
        shown = self._nothing()
        shown[0], shown[self.shown.index(self.error)] = session, html.error(str(error))
        return shown

    def _nothing(self) -> list[Any]:
        return [gr.skip() for _ in self.shown]


def _entries(steps: tuple[Step, ...]) -> list[tuple[str, str]]:
    """The entries of the list: what is said of each step, and its place."""
    return [
        ("\u2003" * (len(path) - 1) + label(step, path), _value(path) or "")
        for path, step in walk(steps)
    ]


def _value(path: Path) -> str | None:
    return ".".join(map(str, path)) or None


def _path(value: Any) -> Path:
    """The place that an entry of the list stands for; one that is nowhere for what is none."""
    parts = str(value).split(".")
    return tuple(int(p) for p in parts) if all(p.isdecimal() for p in parts) else (1 << 30,)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise ValueError(f"play: {name}: got {value!r:.40}, expected a whole number. Type one.")
    return int(value)


def _forget(files: list[str]) -> None:
    for file in files:
        with contextlib.suppress(OSError):
            os.remove(file)


_SAVE = """(text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "text/yaml"}));
    link.download = "policy.yaml";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}"""

LAUNCH: dict[str, Any] = {
    "css": CSS,
    "head": HEAD,
    # Fonts of the machine: a theme's own would come from elsewhere.
    "theme": gr.themes.Base(
        font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"), spacing_size="sm"
    ).set(block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300"),
}
