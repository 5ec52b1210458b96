"""The tabs that use trained models: Translate and Inpaint."""

import gradio as gr
import numpy as np

from pix2pix_jax.demo.drawing import BUTTONS, CANVAS, brush, canvas, ground, legend, palette_colors
from pix2pix_jax.demo.errors import shown
from pix2pix_jax.demo.pictures import as_rgb, example, flatten, scaled, with_channels
from pix2pix_jax.trained_models import Model, TrainedModels
from pix2pix_jax.translator import with_hole

MAX_SAMPLES = 6
WHITE = (255, 255, 255)
NO_MODEL = "No trained model in {}: `python launch.py --config={}` trains one; then press Refresh."
PRIVATE = {"api_visibility": "private"}


class ModelTab:
    """What both tabs share: they choose one of the models that they can use."""

    CONFIG: str  # trains a first model

    def __init__(self, models: TrainedModels):
        self._all = models
        self._known: dict[str, Model] = {}

    def takes(self, model: Model) -> bool:
        """Whether a model is one for this tab."""
        raise NotImplementedError

    def look(self) -> dict[str, Model]:
        """Looks into the folders for the models of this tab, by name."""
        self._known = {name: m for name, m in self._all.find().items() if self.takes(m)}
        return self._known

    def model(self, name: str | None) -> Model:
        """The newest version of the model of that name.

        Raises:
            ValueError: there is none.
        """
        if name not in self.look():
            raise ValueError(self.hint() or f"there is no model {name}")
        return self._known[name]

    def hint(self) -> str:
        """How to get a model where there is none."""
        folders = " or ".join(self._all.folders)
        return "" if self._known else NO_MODEL.format(folders, self.CONFIG)

    def known(self, name: str | None) -> tuple[Model | None, str | None, int]:
        """A model that `look` has seen, the palette that it takes, and its images' longer side."""
        model = self._known.get(name)
        if model is None:
            return None, None, CANVAS
        return model, model.palette(), max(model.config.data.crop_size)

    def model_row(self, page: gr.Blocks) -> gr.Dropdown:
        """The models to choose from; they are looked for when the page is opened or refreshed."""
        with gr.Row(equal_height=True):
            # Custom values are allowed: models that are trained later are no choices at the start.
            dropdown = gr.Dropdown([], label="Model", scale=5, allow_custom_value=True)
            refresh = gr.Button("Refresh", scale=1)
        hint = gr.Markdown()

        def update(chosen):
            names = list(self.look())
            chosen = chosen if chosen in names else next(iter(names), None)
            return gr.update(choices=names, value=chosen), self.hint()

        for event in (page.load, refresh.click):
            event(update, dropdown, [dropdown, hint], **PRIVATE)
        return dropdown


class TranslateTab(ModelTab):
    """Translates a picture that is uploaded or drawn."""

    CONFIG = "configs/quickstart.py"

    def takes(self, model: Model) -> bool:
        """All but inpainting."""
        return model.config.method != "inpainting"

    def translate(self, name: str, drawing: dict | None, samples: int) -> list[np.ndarray]:
        """Several translations of a picture; one if the model has no noise."""
        model = self.model(name)
        image, _ = flatten(drawing, ground(model.palette()))
        image = with_channels(scaled(image), model.direction.in_channels)
        translator = self._all.load(model)
        if not (model.config.model.dropout and model.config.eval.dropout):
            samples = 1
        samples = min(max(1, int(samples)), MAX_SAMPLES)
        return [as_rgb(translator(image, sample=sample)) for sample in range(samples)]

    def picture(self, name: str | None, drawn: bool) -> np.ndarray:
        """A facade, or a blank sheet, of the size and kind that the model was trained on."""
        model, palette, size = self.known(name)
        if not drawn:
            return np.full((size, size, 3), ground(palette), np.uint8)
        night = model and model.config.data.synthetic_kind == "night"
        kind = "night" if night and model.direction.source == "B" else "photo"
        return example(size, "labels" if palette == "facades" else kind, random_seed())

    def build(self, page: gr.Blocks) -> None:
        """Lays out the tab."""
        dropdown = self.model_row(page)
        with gr.Row():
            with gr.Column():
                editor = canvas("Upload or draw")
                key = gr.HTML()
                with gr.Row():
                    draw_example, blank = gr.Button("Example"), gr.Button("Blank")
                samples = gr.Slider(1, MAX_SAMPLES, 3, step=1, label="Noise samples")
            with gr.Column():
                button = gr.Button("Translate", variant="primary")
                gallery = gr.Gallery(
                    label="Translations", format="png", columns=2, height="auto", buttons=BUTTONS
                )

        def chosen(name):
            _, palette, size = self.known(name)
            return gr.update(brush=brush(palette_colors(palette), size)), legend(palette)

        dropdown.change(chosen, dropdown, [editor, key], **PRIVATE)
        draw_example.click(lambda name: self.picture(name, True), dropdown, editor, **PRIVATE)
        blank.click(lambda name: self.picture(name, False), dropdown, editor, **PRIVATE)
        inputs = [dropdown, editor, samples]
        button.click(shown(self.translate), inputs, gallery, api_name="translate")


class InpaintTab(ModelTab):
    """Fills what was brushed over."""

    CONFIG = "configs/inpaint.py:synthetic"

    def takes(self, model: Model) -> bool:
        """Inpainting alone."""
        return model.config.method == "inpainting"

    def inpaint(self, name: str, drawing: dict | None) -> np.ndarray:
        """The picture with its strokes taken as holes, filled."""
        model = self.model(name)
        if not drawing or drawing["background"] is None:
            raise ValueError("upload an image first")
        image, _ = flatten(drawing | {"layers": []}, WHITE)
        _, hole = flatten(drawing, WHITE)
        if not hole.any():
            raise ValueError("brush over what is to be filled")
        mask = scaled(np.repeat(hole[..., None] * np.uint8(255), 3, axis=-1))[..., :1]
        image = with_channels(scaled(image), model.direction.in_channels)
        return as_rgb(self._all.load(model)(with_hole(image, mask)))

    def build(self, page: gr.Blocks) -> None:
        """Lays out the tab."""
        dropdown = self.model_row(page)
        with gr.Row():
            with gr.Column():
                editor = canvas("Upload, then brush over what is to be filled")
                draw_example = gr.Button("Example")
            with gr.Column():
                button = gr.Button("Fill", variant="primary")
                result = gr.Image(
                    label="Filled", format="png", height=480, buttons=BUTTONS, elem_id="filled"
                )

        def picture(name):
            return example(self.known(name)[2], "photo", random_seed())

        def chosen(name):
            return gr.update(brush=brush(["#ffffff"], self.known(name)[2]))

        dropdown.change(chosen, dropdown, editor, **PRIVATE)
        draw_example.click(picture, dropdown, editor, **PRIVATE)
        button.click(shown(self.inpaint), [dropdown, editor], result, api_name="inpaint")


def random_seed() -> int:
    """Another one at every call."""
    return int(np.random.default_rng().integers(2**31))
