"""The tab that fills what was brushed over."""

import gradio as gr
import numpy as np

from pix2pix_jax.demo.drawing import brush, canvas, own_picture
from pix2pix_jax.demo.errors import shown
from pix2pix_jax.demo.model_tab import PRIVATE, PROGRESS, ModelTab, announce
from pix2pix_jax.demo.pictures import as_rgb, flatten, scaled
from pix2pix_jax.images.files import in_channels
from pix2pix_jax.trained_models import Model
from pix2pix_jax.translation.translator import with_hole

WHITE = (255, 255, 255)
EXAMPLE_HOLE = (0.4, 0.6)  # from where to where it goes, as parts of the sides


class InpaintTab(ModelTab):
    """Fills holes of one picture."""

    CONFIG = "configs/inpaint.py:synthetic"

    def takes(self, model: Model) -> bool:
        """Inpainting alone."""
        return model.config.method == "inpainting"

    def inpaint(
        self, name: str, drawn: dict | None, progress: gr.Progress = PROGRESS
    ) -> tuple[np.ndarray, np.ndarray]:
        """The picture with its strokes, and with these taken as holes and filled."""
        model = self.model(name)
        if not drawn or drawn["background"] is None:
            raise ValueError("upload an image first")
        image, _ = flatten(drawn | {"layers": []}, WHITE)
        holed, hole = flatten(drawn, WHITE)
        if not hole.any():
            raise ValueError("brush over what is to be filled")
        mask = scaled(np.repeat(hole[..., None] * np.uint8(255), 3, axis=-1))[..., :1]
        image = in_channels(scaled(image), model.direction.in_channels)
        translator = self.load(model, progress)
        announce(translator, image, progress)
        return scaled(holed), as_rgb(translator(with_hole(image, mask)))

    def holed_example(self, name: str | None) -> dict:
        """A facade with a white stroke, as a canvas holds them."""
        image = self.example(name)
        stroke = np.zeros((*image.shape[:2], 4), np.uint8)
        low, high = (round(len(image) * part) for part in EXAMPLE_HOLE)
        stroke[low:high, low:high] = 255
        holed = np.where(stroke[..., 3:] > 0, np.uint8(255), image)
        return {"background": image, "layers": [stroke], "composite": holed}

    def build(self, page: gr.Blocks) -> None:
        """Lays out the tab."""
        dropdown, loaded, _ = self.model_row(page)
        with gr.Row():
            with gr.Column():
                editor = canvas("Brush over what is to be filled")
                with gr.Row():
                    draw_example = gr.Button("Example", min_width=80)
                    button = gr.Button("Fill", variant="primary", min_width=120)
                own_picture(editor)
            with gr.Column():
                slider = gr.ImageSlider(
                    label="Before and after", format="png", interactive=False, elem_classes="fit"
                )

        def chosen(name):
            return gr.update(brush=brush(self.known(name)[2], WHITE))

        dropdown.change(chosen, dropdown, editor, **PRIVATE)
        example = {"fn": self.holed_example, "inputs": dropdown, "outputs": editor, **PRIVATE}
        loaded.then(**example)
        draw_example.click(**example)
        button.click(shown(self.inpaint), [dropdown, editor], slider, api_name="inpaint")
