"""The tab that translates a picture that is uploaded, taken by the webcam, or drawn."""

import gradio as gr
import numpy as np

from pix2pix_jax.demo import drawing
from pix2pix_jax.demo.errors import shown
from pix2pix_jax.demo.model_tab import PRIVATE, PROGRESS, ModelTab, announce
from pix2pix_jax.demo.pictures import as_rgb, flatten, scaled
from pix2pix_jax.images import palettes
from pix2pix_jax.images.files import in_channels

MAX_SAMPLES = 6
MAX_UNDO = 20  # pictures kept
CLASSES = "classes"  # id of the radio buttons on the page


class TranslateTab(ModelTab):
    """Translates one picture."""

    def translate(
        self, name: str, drawn: dict | None, samples: int, progress: gr.Progress = PROGRESS
    ) -> tuple[tuple[np.ndarray, np.ndarray], list[np.ndarray]]:
        """The picture with its translation, and all translations; one if there is no noise."""
        model = self.model(name)
        image = scaled(flatten(drawn, drawing.ground(model.palette()))[0])
        translator = self.load(model, progress)
        taken = in_channels(image, model.direction.in_channels)
        if not (model.config.model.dropout and model.config.eval.dropout):
            samples = 1
        samples = min(max(1, int(samples)), MAX_SAMPLES)
        announce(translator, taken, progress)
        results = [as_rgb(translator(taken, sample=sample)) for sample in range(samples)]
        return (image, results[0]), results

    def choose(self, name: str | None) -> tuple[dict, str]:
        """The classes to draw for a model, and their colours as HTML."""
        _, palette, _ = self.known(name)
        classes = list(palettes.PALETTES.get(palette, {}))
        first = drawing.FIRST_CLASS.get(palette, classes[-1] if classes else None)
        radio = gr.update(choices=classes, value=first, visible=bool(classes))
        return radio, drawing.swatches(palette, CLASSES)

    def brush(self, name: str | None, tool: str, label: str | None) -> dict:
        """The brush for a model, a tool and a class, as an update of the canvas."""
        _, palette, size = self.known(name)
        return gr.update(brush=drawing.brush(size, drawing.class_color(palette, label), tool))

    def draw(
        self, name: str | None, drawn: dict | None, tool: str, label: str | None, before: list
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """What a tool makes of a stroke, and the pictures before it, the last one at the end."""
        palette = self.known(name)[1]
        color = drawing.class_color(palette, label)
        steps = drawing.draw(drawn, tool, drawing.ground(palette), color)
        if steps is None:
            return gr.skip(), gr.skip()
        return steps[1], [*before, steps[0]][-MAX_UNDO:]

    def switch(
        self, name: str | None, drawn: dict | None, tool: str, label: str | None, before: list
    ) -> tuple[dict, list[np.ndarray]]:
        """The brush, the picture with its strokes, and the pictures before it with that without."""
        update, below = self.brush(name, tool, label), drawing.ground(self.known(name)[1])
        try:
            image, strokes = flatten(drawn, below)
        except ValueError:  # nothing is drawn yet
            return update, before
        if strokes.any() and drawn["background"] is not None:
            before = [*before, flatten(drawn | {"layers": []}, below)[0]][-MAX_UNDO:]
        return update | {"value": image}, before

    def build(self, page: gr.Blocks) -> None:
        """Lays out the tab."""
        dropdown, loaded, refreshed = self.model_row(page)
        before = gr.State([])
        with gr.Row():
            with gr.Column():
                editor = drawing.canvas("Picture")
                with gr.Row():
                    tool = gr.Radio(
                        list(drawing.TOOLS),
                        value=drawing.FREEHAND,
                        show_label=False,
                        scale=5,
                        min_width=245,
                        container=False,
                        elem_classes="compact",
                    )
                    undo = gr.Button("Undo", size="sm", min_width=50)
                label = gr.Radio(
                    [], show_label=False, container=False, elem_id=CLASSES, elem_classes="compact"
                )
                with gr.Row():
                    draw_example = gr.Button("Example", min_width=80)
                    blank = gr.Button("Blank", min_width=80)
                    button = gr.Button("Translate", variant="primary", min_width=120)
                drawing.own_picture(editor)
                samples = gr.Slider(1, MAX_SAMPLES, 3, step=1, label="Noise samples")
                colors = gr.HTML(padding=False)
            with gr.Column():
                slider = gr.ImageSlider(
                    label="Before and after", format="png", interactive=False, elem_classes="fit"
                )
                gallery = gr.Gallery(
                    label="Translations (choose one to compare)",
                    format="png",
                    columns=3,
                    height=260,
                    allow_preview=False,
                    interactive=False,
                    buttons=drawing.BUTTONS,
                )

        quiet = {"show_progress": "hidden", **PRIVATE}
        example = {"fn": self.example, "inputs": dropdown, "outputs": editor, **PRIVATE}
        draw_example.click(**example)
        blank.click(lambda name: drawing.blank(*self.known(name)[1:]), dropdown, editor, **PRIVATE)
        for event in (draw_example.click, blank.click):
            event(list, None, before, **quiet)  # nothing to take back
        # Gradio's editor takes another brush only with the next picture.
        stroke = [dropdown, editor, tool, label, before]
        choose = {"fn": self.choose, "inputs": dropdown, "outputs": [label, colors], **quiet}
        brush = {"fn": self.brush, "inputs": [dropdown, tool, label], "outputs": editor, **quiet}
        switch = {"fn": self.switch, "inputs": stroke, "outputs": [editor, before], **quiet}
        loaded.then(**choose).then(**brush).then(**example)
        for event in (refreshed.then, dropdown.input):
            event(**choose).then(**brush).then(**switch)
        for event in (label.input, tool.input):
            event(**brush).then(**switch)
        editor.input(self.draw, stroke, [editor, before], trigger_mode="always_last", **quiet)
        undo.click(step_back, [editor, before], [editor, before], **quiet)
        button.click(
            shown(self.translate),
            [dropdown, editor, samples],
            [slider, gallery],
            show_progress_on=slider,
            api_name="translate",
        )
        gallery.select(compare, [slider, gallery], slider, **quiet)


def step_back(drawn: dict | None, before: list) -> tuple[np.ndarray, list[np.ndarray]]:
    """The canvas without its last strokes, or as it was before the last rectangle or fill."""
    layers = drawn["layers"] if drawn else []
    if any(layer[..., 3].any() for layer in layers) and drawn["background"] is not None:
        return drawn["background"], before
    return (before[-1], before[:-1]) if before else (gr.skip(), gr.skip())


def compare(pair: tuple, gallery: list, event: gr.SelectData) -> tuple[np.ndarray, np.ndarray]:
    """The picture beside the translation that was chosen."""
    return pair[0], gallery[event.index][0]
