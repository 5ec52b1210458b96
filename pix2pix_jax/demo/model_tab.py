"""What the tabs that use trained models share: they choose one, and say when it is compiled."""

import gradio as gr
import numpy as np
from gradio.events import Dependency

from pix2pix_jax.demo.drawing import CANVAS
from pix2pix_jax.demo.pictures import example
from pix2pix_jax.trained_models import Model, TrainedModels
from pix2pix_jax.translation.translate import TrainedTranslator

NO_MODEL = "No trained model in {}: `python launch.py --config={}` trains one; then press Refresh."
COMPILING = "Compiling for this size, once"
PRIVATE = {"api_visibility": "private"}
PROGRESS = gr.Progress()  # of whoever asks: Gradio knows by the thread


class ModelTab:
    """A tab that works with one of the models that it can use."""

    CONFIG = "configs/quickstart.py"  # trains a first model

    def __init__(self, models: TrainedModels):
        self._all = models
        self._known: dict[str, Model] = {}

    def takes(self, model: Model) -> bool:
        """Whether a model is one for this tab: all but inpainting."""
        return model.config.method != "inpainting"

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
            raise ValueError(
                self.hint() or (f"there is no model {name}" if name else "choose a model")
            )
        return self._known[name]

    def newest(self) -> str | None:
        """The model of those that `look` has seen that was trained last."""
        return max(self._known, key=lambda name: self._known[name].written(), default=None)

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

    def load(self, model: Model, progress: gr.Progress) -> TrainedTranslator:
        """The model, ready to use."""
        progress(0, desc="Loading the model")
        return self._all.load(model)

    def example(self, name: str | None) -> np.ndarray:
        """A random facade of the size and kind that the model was trained on."""
        model, palette, size = self.known(name)
        night = model and model.config.data.synthetic_kind == "night"
        kind = "night" if night and model.direction.source == "B" else "photo"
        seed = int(np.random.default_rng().integers(2**31))
        return example(size, "labels" if palette == "facades" else kind, seed)

    def model_row(self, page: gr.Blocks) -> tuple[gr.Dropdown, Dependency, Dependency]:
        """The models to choose from; what is to follow opening the page, and looking again."""
        with gr.Row(equal_height=True):
            # Custom values are allowed: models that are trained later are no choices at the start.
            dropdown = gr.Dropdown([], label="Model", min_width=200, allow_custom_value=True)
            refresh = gr.Button("Refresh", size="sm", scale=0, min_width=90)
        hint = gr.Markdown(visible=False)

        def update(chosen):
            names = list(self.look())
            chosen = chosen if chosen in names else self.newest()
            hint = gr.update(value=self.hint(), visible=not names)
            return gr.update(choices=names, value=chosen), hint

        events = (
            event(update, dropdown, [dropdown, hint], **PRIVATE)
            for event in (page.load, refresh.click)
        )
        return dropdown, *events


def announce(
    translator: TrainedTranslator, image: np.ndarray, progress: gr.Progress, done: float = 0
) -> None:
    """Says what is under way: translating an image [H, W, C], or first compiling for its size.

    Args:
        translator: to be used next.
        image: to be translated next.
        progress: shows it on the page.
        done: part of all images that are translated already, 0 to 1.
    """
    compiled = translator.translator.is_compiled(image.shape[:2])
    progress(done, desc="Translating" if compiled else COMPILING)
