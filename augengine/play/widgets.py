"""The form of a step as Gradio's widgets, and what happens when one is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from . import html
from .forms import (
    CHOICE,
    FLAG,
    SLIDERS,
    Field,
    fields_of,
    is_chooser,
    summary,
    text_of,
    value_of_sliders,
    value_of_text,
)
from .session import Session
from .steps import Path, Step, at

# Handlers that change a session run one after the other: none works on what another is changing, and what
# is measured is not disturbed.
ONE_AFTER_THE_OTHER: dict[str, Any] = {
    "concurrency_id": "play",
    "concurrency_limit": 1,
    "show_progress": "hidden",
    "api_visibility": "private",
}
# While a slider moves, what it was in between may be passed over; where it ends may not.
LIVE: dict[str, Any] = {**ONE_AFTER_THE_OTHER, "trigger_mode": "always_last"}
_LEFT_OUT = "—"  # of a choice: the argument is left out


@dataclass(frozen=True)
class Wires:
    """What a form is connected to.

    Args:
        session: The page's session.
        shown: All that a handler shows anew.
        on_value: Function (session, path, name of the op, field, function that gives the value, whether
            the form is made anew).
        on_as_text: Function (session, whether values are typed).
        measure: Function of a trigger, at which the cost is then measured.
    """

    session: gr.State
    shown: list[Any]
    on_value: Callable[[Session, Path, str, Field, Callable[[], Any], bool], list[Any]]
    on_as_text: Callable[[Session, bool], list[Any]]
    measure: Callable[[Any], None]


def draw_form(session: Session, wires: Wires) -> None:
    """The form of the step that a session looks at."""
    if not session.path:
        _text(html.note("Add a step, or begin with a preset."))
        return
    step = at(session.steps, session.path)
    _text(f"<h3>{step.name}</h3><p>{html.help_of(summary(step.name))}</p>", elem_id="ae-about")
    fields = fields_of(step.name)
    main = [one for one in fields if one.main or one.name in step.arguments]
    rest = [one for one in fields if one not in main]
    as_text = gr.Checkbox(
        session.as_text, label="type values in the place of sliders", interactive=True,
        container=False, elem_id="ae-as-text",
    )  # fmt: skip
    as_text.input(wires.on_as_text, [wires.session, as_text], wires.shown, **ONE_AFTER_THE_OTHER)
    for one in main:
        _field(session, step, one, wires)
    with gr.Accordion("more arguments", open=not main and not is_chooser(step.name)):
        for one in rest:
            _field(session, step, one, wires)


def _field(session: Session, step: Step, one: Field, wires: Wires) -> None:
    """The widgets of an argument."""
    value, path = step.value(one.name), session.path
    name = one.name + (f" ({one.unit})" if one.unit and one.unit != one.name else "")
    info, ident = html.help_of(one.help), f"ae-field-{one.name}"

    def connect(
        triggers: list[Any], inputs: list[Any], read: Callable[..., Any], *, new_form: bool = False,
        then: list[Any] | None = None, how: dict[str, Any] = LIVE,
    ) -> None:  # fmt: skip
        """Read the value at each trigger, and measure at others, or afterwards."""

        def on_field(session: Session, *raw: Any) -> list[Any]:
            return wires.on_value(session, path, step.name, one, lambda: read(*raw), new_form)

        for trigger in triggers:
            call = trigger(on_field, [wires.session, *inputs], wires.shown, **how)
            if then is None:
                wires.measure(call.then)
        for later in then or ():
            wires.measure(later)

    sliders = one.sliders(one.start if value is None and one.optional else value)
    if one.widget == FLAG:
        flag = gr.Checkbox(bool(value), label=name, info=info, interactive=True, elem_id=ident)
        connect([flag.input], [flag], bool)
    elif one.widget == CHOICE and (value is None or value in one.choices):
        first = [(_LEFT_OUT, _LEFT_OUT)] if one.optional else []
        choice = gr.Dropdown(
            [*first, *((str(c), c) for c in one.choices)], value=_LEFT_OUT if value is None else value,
            label=name, info=info, interactive=True, elem_id=ident,
        )  # fmt: skip
        connect([choice.input], [choice], lambda chosen: None if chosen == _LEFT_OUT else chosen)
    elif one.widget == SLIDERS and sliders and not session.as_text:
        with gr.Group(elem_id=ident):
            if one.optional:
                switch = gr.Checkbox(
                    value is not None,
                    label=name,
                    info=info,
                    interactive=True,
                    elem_id=f"{ident}-on",
                )
                connect(
                    [switch.input], [switch], lambda on: one.start if on else None, new_form=True,
                    how=ONE_AFTER_THE_OTHER,
                )  # fmt: skip
                if value is None:
                    return
            numbers = value if isinstance(value, tuple) else (value,)
            widgets = []
            for k, (slider, number) in enumerate(zip(sliders, numbers, strict=True)):
                widget = gr.Slider(
                    slider.low, slider.high, number, step=slider.step, interactive=True,
                    label=f"{name}, {slider.name}" if slider.name else name, elem_id=f"{ident}-{k}",
                    info=info if k == 0 and not one.optional else None,
                )  # fmt: skip
                # Its value goes to the op as it is, so that the op says what is wrong with it.
                setattr(widget, "preprocess", lambda payload: payload)  # noqa: B010
                widgets.append(widget)
            connect(
                [widget.input for widget in widgets], widgets, lambda *raw: value_of_sliders(one, raw),
                then=[widget.release for widget in widgets],
            )  # fmt: skip
    else:
        text = gr.Textbox(
            text_of(value), label=name, info=info, interactive=True, elem_id=ident, max_lines=1
        )
        connect([text.submit, text.blur], [text], value_of_text, how=ONE_AFTER_THE_OTHER)


def _text(said: str, **options: Any) -> None:
    gr.HTML(said, apply_default_css=False, **options)
