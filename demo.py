"""A page to try trained models and Poisson blending in the browser.

pip install -r requirements-demo.txt
python demo.py                                     then open http://127.0.0.1:7860
python demo.py --models=runs,weights --port=7861   folders with runs, or PyTorch's generators (.pth)
"""

import argparse
import functools
import sys

import gradio as gr
import numpy as np
from absl import logging
from PIL import Image, ImageDraw

from pix2pix_jax import trained_models
from pix2pix_jax.blending import poisson
from pix2pix_jax.data import palettes
from pix2pix_jax.data.synthetic import SyntheticFacades
from pix2pix_jax.images.files import image_size, naming, open_image
from pix2pix_jax.images.resizing import resize
from pix2pix_jax.translator import with_hole

MAX_SIDE = 1024  # longer images are scaled down, so that every answer comes in seconds
MAX_PIXELS = 2**25  # of an upload; more are refused unread
MAX_SAMPLES = 6
BRUSH = 24  # its radius goes so many times into the image
EXAMPLE_SIZE = 256
OUTLINE, CORNER = (230, 40, 40), (40, 90, 230)
# A column of windows of one example facade, and how far it moves on the wall of another.
EXAMPLE_SEEDS, EXAMPLE_MOVE = (3, 5), (4, 0)
EXAMPLE_CORNERS = "104,50\n140,50\n140,186\n104,186"
NO_MODEL = "No trained model in {}: `python launch.py --config={}` trains one; then press Refresh."
SOURCES, BUTTONS = ["upload", "clipboard"], ["download", "fullscreen"]
STYLE = "#filled img {width: 100%; height: 100%; object-fit: contain}"  # small images are enlarged
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])


def told(function):
    """The function with its errors, which say what to mend, shown on the page."""

    @functools.wraps(function)
    def telling(*args):
        try:
            return function(*args)
        except (ValueError, OSError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    return telling


def read_upload(path: str | None, what: str) -> np.ndarray:
    """The image at `path` as uint8 [H, W, 3], no side longer than MAX_SIDE.

    Raises:
        ValueError: there is none, it is damaged or has too many pixels.
    """
    if not path:
        raise ValueError(f"choose {what}")
    with naming(what):
        height, width = image_size(path)  # the header alone
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"{what} is {width}x{height}: scale it down to {MAX_PIXELS / 1e6:.0f} million pixels"
        )
    with naming(what):
        return scaled(open_image(path, 3))


def scaled(image: np.ndarray) -> np.ndarray:
    """The image, reduced where a side is longer than MAX_SIDE."""
    ratio = MAX_SIDE / max(image.shape[:2])
    if ratio >= 1:
        return image
    return resize(image, tuple(max(1, round(side * ratio)) for side in image.shape[:2]))


def flatten(drawing: dict, ground: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """What an ImageEditor holds: uint8 [H, W, 3] with its strokes on `ground`, and where they are.

    Strokes have hard edges: a blend of two labels would be a third.

    Raises:
        ValueError: nothing was uploaded or drawn.
    """
    pictures = [drawing["background"], *drawing["layers"]] if drawing else []
    pictures = [np.asarray(picture) for picture in pictures if picture is not None]
    if not any(picture[..., 3].any() for picture in pictures):
        raise ValueError("upload an image, or draw one")
    height, width = pictures[0].shape[:2]
    image = Image.new("RGBA", (width, height), (*ground, 255))
    if drawing["background"] is not None:
        image.alpha_composite(Image.fromarray(pictures.pop(0)))
    image = np.asarray(image.convert("RGB")).copy()
    strokes = np.zeros((height, width), bool)
    for layer in pictures:
        solid = layer[..., 3] > 127
        image[solid] = layer[solid, :3]
        strokes |= solid
    return image, strokes


def channels_of(image: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [H, W, 3] as the channels that a model takes; one is luma."""
    if channels == 3:
        return image
    return np.asarray(Image.fromarray(image).convert("L"))[..., None]


def legend(palette: str | None) -> str:
    """The classes of a palette in their colours, as HTML."""
    items = [
        f'<span style="white-space:nowrap; margin-right:1em"><span style="background:rgb{color}; '
        'display:inline-block; width:1em; height:1em; border:1px solid #999; vertical-align:-2px">'
        f"</span> {name}</span>"
        for name, color in palettes.PALETTES.get(palette, {}).items()
    ]
    return f'<div style="line-height:1.8">{" ".join(items)}</div>'


def palette_colors(palette: str | None) -> list[str]:
    """The colours of a palette as #rrggbb; none if there is no palette."""
    return ["#{:02x}{:02x}{:02x}".format(*c) for c in palettes.PALETTES.get(palette, {}).values()]


def ground(palette: str | None) -> tuple[int, int, int]:
    """The colour of a blank sheet: a palette's first, or white."""
    return next(iter(palettes.PALETTES[palette or "edges"].values()))


def brush(colors: list[str], size: int) -> gr.Brush:
    """A brush for images of `size` with these colours alone, or any where there are none."""
    radius = max(1, size // BRUSH)
    if not colors:
        return gr.Brush(radius)
    return gr.Brush(radius, colors=colors, default_color=colors[-1], color_mode="fixed")


def picture_editor(label: str) -> gr.ImageEditor:
    """A canvas for an upload, with brush and eraser."""
    return gr.ImageEditor(
        label=label,
        sources=SOURCES,
        transforms=[],
        layers=False,
        canvas_size=(EXAMPLE_SIZE, EXAMPLE_SIZE),
        format="png",
        height=480,
    )


def example(size: int, kind: str, seed: int = 0) -> np.ndarray:
    """A synthetic facade as a photograph, its labels, or by night: uint8 [size, size, 3]."""
    domain = "night" if kind == "night" else "labels"
    record = SyntheticFacades("demo", 1, max(32, size), seed, domain)[0]
    return record["A" if kind == "photo" else "B"]


def kind_of(model: trained_models.Model | None) -> tuple[str | None, int]:
    """The palette of the images that a model takes, and their longer side."""
    if model is None:
        return None, EXAMPLE_SIZE
    return model.palette(), max(model.config.data.crop_size)


class Page:
    """The page with its three tabs, over the models below some folders."""

    def __init__(self, folders: list[str]):
        self.folders = folders

    def build(self) -> gr.Blocks:
        """The page, not yet served."""
        with gr.Blocks(title="pix2pix_jax", analytics_enabled=False) as page:
            gr.Markdown("# pix2pix_jax")
            with gr.Tab("Translate"):
                self._translate_tab(page)
            with gr.Tab("Inpaint"):
                self._inpaint_tab(page)
            with gr.Tab("Blend"):
                self._blend_tab()
        return page

    def models(self, inpainting: bool) -> dict[str, trained_models.Model]:
        """Models of inpainting, or those of all other methods."""
        found = trained_models.find(*self.folders)
        return {
            name: model
            for name, model in found.items()
            if (model.config.method == "inpainting") == inpainting
        }

    def model(self, name: str | None, inpainting: bool) -> trained_models.Model:
        """The model of that name.

        Raises:
            ValueError: there is none.
        """
        models = self.models(inpainting)
        if name not in models:
            raise ValueError(self.hint(models, inpainting) or f"there is no model {name}")
        return models[name]

    def hint(self, models: dict, inpainting: bool) -> str:
        """How to get a model where there is none."""
        config = "configs/inpaint.py:synthetic" if inpainting else "configs/quickstart.py"
        return "" if models else NO_MODEL.format(" or ".join(self.folders), config)

    @told
    def translate(self, name: str, drawing: dict, samples: int) -> list[np.ndarray]:
        """Several translations of a picture; one if the model has no noise."""
        model = self.model(name, inpainting=False)
        image, _ = flatten(drawing, ground(model.palette()))
        image = channels_of(scaled(image), model.direction.in_channels)
        translator = model.load()
        if not (model.config.model.dropout and model.config.eval.dropout):
            samples = 1
        samples = min(max(1, int(samples)), MAX_SAMPLES)
        outputs = [translator.translate(image, sample=sample) for sample in range(samples)]
        return [np.broadcast_to(image, (*image.shape[:2], 3)) for image in outputs]

    @told
    def inpaint(self, name: str, drawing: dict) -> np.ndarray:
        """The picture with its strokes taken for holes, filled."""
        model = self.model(name, inpainting=True)
        if not drawing or drawing["background"] is None:
            raise ValueError("upload an image first")
        image, _ = flatten(drawing | {"layers": []}, (255, 255, 255))
        _, hole = flatten(drawing, (255, 255, 255))
        if not hole.any():
            raise ValueError("brush over what is to be filled")
        mask = scaled(np.repeat(hole[..., None] * np.uint8(255), 3, axis=-1))[..., :1]
        image = channels_of(scaled(image), model.direction.in_channels)
        output = model.load().translate(with_hole(image, mask))
        return np.broadcast_to(output, (*output.shape[:2], 3))

    def _model_row(self, page, inpainting):
        """Dropdown of the models and what goes with it; filled when the page is opened."""
        with gr.Row(equal_height=True):
            # Custom values are let through: models that appear later are no choices at the start.
            dropdown = gr.Dropdown([], label="Model", scale=5, allow_custom_value=True)
            refresh = gr.Button("Refresh", scale=1)
        hint = gr.Markdown()

        def look(chosen):
            models = self.models(inpainting)
            names = list(models)
            chosen = chosen if chosen in models else next(iter(names), None)
            return gr.update(choices=names, value=chosen), self.hint(models, inpainting)

        for event in (page.load, refresh.click):
            event(look, dropdown, [dropdown, hint], api_visibility="private")
        return dropdown

    def _translate_tab(self, page):
        dropdown = self._model_row(page, inpainting=False)
        with gr.Row():
            with gr.Column():
                editor = picture_editor("Upload or draw")
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
            palette, size = kind_of(self.models(inpainting=False).get(name))
            return gr.update(brush=brush(palette_colors(palette), size)), legend(palette)

        def picture(name, drawn):
            """A facade, or a blank sheet, of the size and kind that the model was trained on."""
            model = self.models(inpainting=False).get(name)
            palette, size = kind_of(model)
            if not drawn:
                return np.full((size, size, 3), ground(palette), np.uint8)
            night = model and model.config.data.synthetic_kind == "night"
            kind = "night" if night and model.direction.source == "B" else "photo"
            seed = int(np.random.default_rng().integers(2**31))
            return example(size, "labels" if palette == "facades" else kind, seed)

        private = {"api_visibility": "private"}
        dropdown.change(chosen, dropdown, [editor, key], **private)
        draw_example.click(lambda name: picture(name, True), dropdown, editor, **private)
        blank.click(lambda name: picture(name, False), dropdown, editor, **private)
        button.click(self.translate, [dropdown, editor, samples], gallery, api_name="translate")

    def _inpaint_tab(self, page):
        dropdown = self._model_row(page, inpainting=True)
        with gr.Row():
            with gr.Column():
                editor = picture_editor("Upload, then brush over what is to be filled")
                draw_example = gr.Button("Example")
            with gr.Column():
                button = gr.Button("Fill", variant="primary")
                result = gr.Image(
                    label="Filled", format="png", height=480, buttons=BUTTONS, elem_id="filled"
                )

        def picture(name):
            _, size = kind_of(self.models(inpainting=True).get(name))
            return example(size, "photo", int(np.random.default_rng().integers(2**31)))

        def chosen(name):
            _, size = kind_of(self.models(inpainting=True).get(name))
            return gr.update(brush=brush(["#ffffff"], size))

        dropdown.change(chosen, dropdown, editor, api_visibility="private")
        draw_example.click(picture, dropdown, editor, api_visibility="private")
        button.click(self.inpaint, [dropdown, editor], result, api_name="inpaint")

    def _blend_tab(self):
        with gr.Row():
            upload = {"type": "filepath", "image_mode": None, "sources": SOURCES, "height": 240}
            foreground = gr.Image(label="Foreground", **upload)
            background = gr.Image(label="Background", **upload)
        with gr.Row():
            shown = {"format": "png", "interactive": False, "buttons": BUTTONS}
            outline = gr.Image(label="Click the corners of what is taken", **shown)
            preview = gr.Image(label="Where it goes", **shown)
            result = gr.Image(label="Blended", **shown)
        with gr.Row():
            with gr.Column():
                corners = gr.Textbox(label="Corners: x,y on each line", lines=4, max_lines=8)
                with gr.Row():
                    undo, clear = gr.Button("Undo"), gr.Button("Clear")
            with gr.Column():
                x = gr.Slider(-MAX_SIDE, MAX_SIDE, 0, step=1, label="Right")
                y = gr.Slider(-MAX_SIDE, MAX_SIDE, 0, step=1, label="Down")
            with gr.Column():
                solver = gr.Radio(list(poisson.SOLVERS), value="direct", label="Solver")
                mixed = gr.Checkbox(label="Keep the stronger gradients of both")
                with gr.Row():
                    draw_example = gr.Button("Example")
                    button = gr.Button("Blend", variant="primary")

        inputs = [foreground, background, corners, x, y]
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        for component in (foreground, background):
            component.change(ranges, [foreground, background], [x, y], **quiet)
        for component in inputs:
            component.change(show_places, inputs, [outline, preview], **quiet)
        outline.select(add_corner, corners, corners, **quiet)
        undo.click(lambda text: "\n".join(text.splitlines()[:-1]), corners, corners, **quiet)
        clear.click(lambda: "", None, corners, **quiet)
        draw_example.click(
            lambda: (
                *(example(EXAMPLE_SIZE, "photo", seed) for seed in EXAMPLE_SEEDS),
                EXAMPLE_CORNERS,
                *EXAMPLE_MOVE,
            ),
            None,
            [foreground, background, corners, x, y],
            api_visibility="private",
        )
        button.click(blend, [*inputs, solver, mixed], result, api_name="blend")


def add_corner(text: str, event: gr.SelectData) -> str:
    """The corners with the one that was clicked."""
    return "\n".join([*text.splitlines(), f"{event.index[0]},{event.index[1]}"])


@told
def ranges(foreground: str | None, background: str | None) -> tuple[dict, dict]:
    """Sliders that move the foreground over the background and not beyond."""
    if not (foreground and background):
        return gr.update(), gr.update()
    source, target = read_upload(foreground, "foreground"), read_upload(background, "background")
    return tuple(
        gr.update(minimum=1 - source.shape[axis], maximum=target.shape[axis] - 1) for axis in (1, 0)
    )


@told
def show_places(
    foreground: str | None, background: str | None, corners: str, x: int, y: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Foreground and background with the outline of the polygon on them."""
    points = poisson.parse_points(corners, "the corners")
    moved = [(px + x, py + y) for px, py in points]
    pictures = []
    for path, what, places in (
        (foreground, "the foreground", points),
        (background, "the background", moved),
    ):
        pictures.append(_outlined(read_upload(path, what), places) if path else None)
    return tuple(pictures)


def _outlined(image, points):
    picture = Image.fromarray(image)
    pen, width = ImageDraw.Draw(picture), max(1, max(image.shape) // 200)
    if len(points) > 1:
        pen.line([*points, points[0]], fill=OUTLINE, width=width)
    for px, py in points:
        pen.ellipse((px - width, py - width, px + width, py + width), fill=CORNER)
    return np.asarray(picture)


@told
def blend(
    foreground: str | None,
    background: str | None,
    corners: str,
    x: int,
    y: int,
    solver: str,
    mixed: bool,
) -> np.ndarray:
    """The part of the foreground within the corners, blended into the background."""
    source = read_upload(foreground, "the foreground")
    target = read_upload(background, "the background")
    points = poisson.parse_points(corners, "the corners")
    mask = poisson.polygon_mask(points, *source.shape[:2])
    return poisson.blend(source, target, mask, (int(x), int(y)), solver, mixed).image


def main() -> None:
    """Serves the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="runs,weights", help="folders, between commas")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 serves the whole network")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--max_upload_mb", type=int, default=20, help="size of an uploaded file")
    options = parser.parse_args()
    folders = options.models.split(",")
    try:
        page = serve(folders, options.host, options.port, options.max_upload_mb)
    except OSError as error:  # the port is taken
        sys.exit(f"error: {error}")
    print(f"{page.local_url}  (Ctrl-C ends it)", flush=True)
    page.block_thread()


def serve(folders: list[str], host: str, port: int | None, upload_mb: int) -> gr.Blocks:
    """Starts to serve the page (without a port on a free one); uploads are only ever decoded."""
    logging.set_verbosity(logging.ERROR)  # the libraries' warnings are not the user's
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses twice as many, before decoding
    page = Page(folders).build()
    page.launch(
        server_name=host,
        server_port=port,
        max_file_size=upload_mb * 2**20,
        show_error=True,
        share=False,
        theme=THEME,
        css=STYLE,
        footer_links=[],
        prevent_thread_lock=True,
        quiet=True,
    )
    return page


if __name__ == "__main__":
    main()
