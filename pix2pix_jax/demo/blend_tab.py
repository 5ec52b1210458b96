"""The tab that blends a part of one image into another."""

import gradio as gr
import numpy as np

from pix2pix_jax.blending import poisson, polygons
from pix2pix_jax.demo.drawing import BUTTONS, SOURCES
from pix2pix_jax.demo.errors import shown
from pix2pix_jax.demo.pictures import MAX_SIDE, example, read_upload
from pix2pix_jax.demo.placing import Part, cut_out, outlined, pasted

SCALES = (0.25, 4)
# A column of windows of one example facade, and how far it moves on the wall of another.
EXAMPLE_SIZE, EXAMPLE_SEEDS, EXAMPLE_MOVE = 256, (3, 5), (4, 0)
EXAMPLE_CORNERS = "104,50\n140,50\n140,186\n104,186"


def build(page: gr.Blocks) -> None:
    """Lays out the tab."""
    with gr.Row():
        upload = {"type": "filepath", "image_mode": None, "sources": SOURCES, "height": 240}
        foreground = gr.Image(label="Foreground", **upload)
        background = gr.Image(label="Background", **upload)
    with gr.Row():
        output = {"format": "png", "interactive": False, "buttons": BUTTONS, "elem_classes": "fit"}
        outline = gr.Image(label="Click the corners of the part to take", **output)
        preview = gr.Image(label="Click where it goes", **output)
        result = gr.Image(label="Blended", **output)
    with gr.Row():
        with gr.Column():
            x = gr.Slider(-MAX_SIDE, MAX_SIDE, 0, step=1, label="Right")
            y = gr.Slider(-MAX_SIDE, MAX_SIDE, 0, step=1, label="Down")
            scale = gr.Slider(*SCALES, 1, step=0.05, label="Size")
        with gr.Column():
            corners = gr.Textbox(label="Corners: x,y on each line", lines=4, max_lines=8)
            with gr.Row():
                undo = gr.Button("Undo", min_width=80)
                clear = gr.Button("Clear", min_width=80)
        with gr.Column():
            solver = gr.Radio(list(poisson.SOLVERS), value=poisson.SOLVERS[0], label="Solver")
            mixed = gr.Checkbox(label="Keep the stronger gradients of both")
            with gr.Row():
                draw_example = gr.Button("Example", min_width=80)
                button = gr.Button("Blend", variant="primary", min_width=120)

    images, inputs = [foreground, background], [foreground, background, corners, x, y, scale]
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    for component in images:
        component.change(shown(ranges), images, [x, y], **quiet)
    for component in inputs:
        component.change(shown(show_places), inputs, [outline, preview], **quiet)
    outline.select(add_corner, corners, corners, **quiet)
    preview.select(shown(put_part), [foreground, corners], [x, y], **quiet)
    undo.click(lambda text: "\n".join(text.splitlines()[:-1]), corners, corners, **quiet)
    clear.click(lambda: "", None, corners, **quiet)
    for event in (page.load, draw_example.click):
        event(blend_example, None, inputs, api_visibility="private")
    button.click(shown(blend), [*inputs, solver, mixed], result, api_name="blend")


def blend_example() -> tuple[np.ndarray, np.ndarray, str, int, int, float]:
    """Two facades, the corners of a part, its move and its scale."""
    facades = (example(EXAMPLE_SIZE, "photo", seed) for seed in EXAMPLE_SEEDS)
    return *facades, EXAMPLE_CORNERS, *EXAMPLE_MOVE, 1


def add_corner(text: str, event: gr.SelectData) -> str:
    """The corners with the one that was clicked."""
    return "\n".join([*text.splitlines(), f"{event.index[0]},{event.index[1]}"])


def put_part(foreground: str | None, corners: str, event: gr.SelectData) -> tuple[int, int]:
    """The move that brings the middle of the part to where the background was clicked."""
    part = _part(foreground, corners, 0, 0, 1)
    xs, ys = zip(*part.points, strict=True)
    # Unmoved, the part lies in the background where it lies in the foreground.
    middle = [(min(v) + max(v)) / 2 + start for v, start in zip((xs, ys), part.offset, strict=True)]
    return tuple(round(to - at) for to, at in zip(event.index, middle, strict=True))


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
    foreground: str | None, background: str | None, corners: str, x: int, y: int, scale: float
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The foreground with the outline of the part, and the background with the part on it."""
    points = polygons.parse_points(corners, "the list of corners")
    source = read_upload(foreground, "the foreground") if foreground else None
    target = read_upload(background, "the background") if background else None
    if source is not None and target is not None and len(points) > 2:
        target = pasted(_part(foreground, corners, x, y, scale), target)
    return None if source is None else outlined(source, points), target


def blend(
    foreground: str | None,
    background: str | None,
    corners: str,
    x: int,
    y: int,
    scale: float,
    solver: str,
    mixed: bool,
) -> np.ndarray:
    """The part of the foreground within the corners, blended into the background."""
    part = _part(foreground, corners, x, y, scale)
    target = read_upload(background, "the background")
    return poisson.blend(part.image, target, part.mask(), part.offset, solver, mixed).image


def _part(foreground, corners, x, y, scale) -> Part:
    source = read_upload(foreground, "the foreground")
    points = polygons.parse_points(corners, "the list of corners")
    if not SCALES[0] <= scale <= SCALES[1]:
        raise ValueError(f"the size is {scale:g}: give {SCALES[0]:g} to {SCALES[1]:g}")
    return cut_out(source, points, (x, y), scale)
