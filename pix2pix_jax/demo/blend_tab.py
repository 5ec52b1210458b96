"""The tab that blends a part of one image into another."""

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

from pix2pix_jax.blending import poisson, polygons
from pix2pix_jax.demo.drawing import BUTTONS, SOURCES
from pix2pix_jax.demo.errors import shown
from pix2pix_jax.demo.pictures import MAX_SIDE, example, read_upload

OUTLINE, CORNER = (230, 40, 40), (40, 90, 230)
# A column of windows of one example facade, and how far it moves on the wall of another.
EXAMPLE_SIZE, EXAMPLE_SEEDS, EXAMPLE_MOVE = 256, (3, 5), (4, 0)
EXAMPLE_CORNERS = "104,50\n140,50\n140,186\n104,186"


def build() -> None:
    """Lays out the tab."""
    with gr.Row():
        upload = {"type": "filepath", "image_mode": None, "sources": SOURCES, "height": 240}
        foreground = gr.Image(label="Foreground", **upload)
        background = gr.Image(label="Background", **upload)
    with gr.Row():
        output = {"format": "png", "interactive": False, "buttons": BUTTONS}
        outline = gr.Image(label="Click the corners of the part to take", **output)
        preview = gr.Image(label="Where it goes", **output)
        result = gr.Image(label="Blended", **output)
    with gr.Row():
        with gr.Column():
            corners = gr.Textbox(label="Corners: x,y on each line", lines=4, max_lines=8)
            with gr.Row():
                undo, clear = gr.Button("Undo"), gr.Button("Clear")
        with gr.Column():
            x = gr.Slider(-MAX_SIDE, MAX_SIDE, 0, step=1, label="Right")
            y = gr.Slider(-MAX_SIDE, MAX_SIDE, 0, step=1, label="Down")
        with gr.Column():
            solver = gr.Radio(list(poisson.SOLVERS), value=poisson.SOLVERS[0], label="Solver")
            mixed = gr.Checkbox(label="Keep the stronger gradients of both")
            with gr.Row():
                draw_example = gr.Button("Example")
                button = gr.Button("Blend", variant="primary")

    images, inputs = [foreground, background], [foreground, background, corners, x, y]
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    for component in images:
        component.change(shown(ranges), images, [x, y], **quiet)
    for component in inputs:
        component.change(shown(show_places), inputs, [outline, preview], **quiet)
    outline.select(add_corner, corners, corners, **quiet)
    undo.click(lambda text: "\n".join(text.splitlines()[:-1]), corners, corners, **quiet)
    clear.click(lambda: "", None, corners, **quiet)
    draw_example.click(blend_example, None, inputs, api_visibility="private")
    button.click(shown(blend), [*inputs, solver, mixed], result, api_name="blend")


def blend_example() -> tuple[np.ndarray, np.ndarray, str, int, int]:
    """Two facades, the corners of a part, and its move."""
    facades = (example(EXAMPLE_SIZE, "photo", seed) for seed in EXAMPLE_SEEDS)
    return *facades, EXAMPLE_CORNERS, *EXAMPLE_MOVE


def add_corner(text: str, event: gr.SelectData) -> str:
    """The corners with the one that was clicked."""
    return "\n".join([*text.splitlines(), f"{event.index[0]},{event.index[1]}"])


def ranges(foreground: str | None, background: str | None) -> tuple[dict, dict]:
    """Sliders that move the foreground over the background and not beyond."""
    if not (foreground and background):
        return gr.update(), gr.update()
    source = read_upload(foreground, "the foreground")
    target = read_upload(background, "the background")
    return tuple(
        gr.update(minimum=1 - source.shape[axis], maximum=target.shape[axis] - 1) for axis in (1, 0)
    )


def show_places(
    foreground: str | None, background: str | None, corners: str, x: int, y: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Foreground and background with the outline of the polygon on them."""
    points = polygons.parse_points(corners, "the list of corners")
    moved = [(px + x, py + y) for px, py in points]
    return (
        _outlined(read_upload(foreground, "the foreground"), points) if foreground else None,
        _outlined(read_upload(background, "the background"), moved) if background else None,
    )


def _outlined(image, points):
    picture = Image.fromarray(image)
    pen, width = ImageDraw.Draw(picture), max(1, max(image.shape) // 200)
    if len(points) > 1:
        pen.line([*points, points[0]], fill=OUTLINE, width=width)
    for px, py in points:
        pen.ellipse((px - width, py - width, px + width, py + width), fill=CORNER)
    return np.asarray(picture)


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
    points = polygons.parse_points(corners, "the list of corners")
    mask = polygons.polygon_mask(points, *source.shape[:2])
    return poisson.blend(source, target, mask, (x, y), solver, mixed).image
