"""The canvas, and what is drawn on it: brush, rectangle, fill, blank sheet."""

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from pix2pix_jax.demo.errors import shown
from pix2pix_jax.demo.pictures import flatten, read_upload, scaled
from pix2pix_jax.images import palettes

CANVAS = 256  # pixels a side, until there is an image
BRUSH = 24  # the radius of the brush goes so many times into the image
SOURCES, BUTTONS = ["upload", "webcam", "clipboard"], ["download", "fullscreen"]
FREEHAND, RECTANGLE, FILL = TOOLS = ("Brush", "Rectangle", "Fill")
FIRST_CLASS = {"facades": "window", "edges": "line"}  # what one draws first
GAP = 7  # pixels; strokes nearer than that are one
SKY = 0.1  # part of a blank facade that is above the wall

Color = tuple[int, int, int]


def canvas(label: str) -> gr.ImageEditor:
    """A canvas for an upload, with brush and eraser."""
    return gr.ImageEditor(
        label=label,
        sources=SOURCES,
        transforms=[],
        layers=False,
        canvas_size=(CANVAS, CANVAS),
        format="png",
        height=440,
    )


def own_picture(editor: gr.ImageEditor) -> None:
    """Where to give the canvas another picture: it offers that itself only while it is empty."""
    with gr.Accordion("Upload or webcam", open=False):
        source = gr.Image(
            show_label=False, type="filepath", image_mode=None, sources=SOURCES, height=240
        )

    def take(path):
        return read_upload(path, "the picture") if path else gr.skip()

    source.change(shown(take), source, editor, api_visibility="private")


def brush(size: int, color: Color | None, tool: str = FREEHAND) -> gr.Brush:
    """A brush for images of `size`, of one colour or of any; of a pixel for the other tools."""
    radius = max(1, size // BRUSH) if tool == FREEHAND else 1
    if color is None:
        return gr.Brush(radius)
    return gr.Brush(radius, colors=[hexadecimal(color)], color_mode="fixed")


def hexadecimal(color: Color) -> str:
    """A colour as #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def swatches(palette: str | None, element: str) -> str:
    """A style sheet, as HTML, that colours the radio buttons `element` like the classes."""
    rules = [
        f"#{element} label:nth-of-type({number}) input {{background: {hexadecimal(color)} "
        "!important}"
        for number, color in enumerate(palettes.PALETTES.get(palette, {}).values(), start=1)
    ]
    return f"<style>{' '.join(rules)}</style>"


def class_color(palette: str | None, name: str | None) -> Color | None:
    """The colour of a class; None if there is no such palette or class."""
    return palettes.PALETTES.get(palette, {}).get(name)


def ground(palette: str | None) -> Color:
    """The colour below a drawing: the first of the palette, or white."""
    return next(iter(palettes.PALETTES[palette or "edges"].values()))


def blank(palette: str | None, size: int) -> np.ndarray:
    """A sheet to draw on, uint8 [size, size, 3]; for facades sky and, below, wall."""
    sheet = np.full((size, size, 3), ground(palette), np.uint8)
    if palette == "facades":
        sheet[round(size * SKY) :] = palettes.FACADES["wall"]
    return sheet


def draw(
    drawing: dict | None, tool: str, below: Color, color: Color | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """What the rectangle and fill tools make of each stroke.

    Args:
        drawing: of an ImageEditor; a stroke spans a rectangle, or touches the area to fill.
        tool: of TOOLS; FREEHAND leaves the stroke to the canvas.
        below: the colour where there is no background.
        color: to draw in; None for that of the stroke.

    Returns:
        The pictures without and with that, uint8 [H, W, 3]; None if there is nothing to do.
    """
    if tool == FREEHAND or not drawing or not any(map(np.any, drawing["layers"])):
        return None
    stroked, strokes = flatten(drawing, below)
    if not strokes.any():
        return None
    color = color or tuple(stroked[strokes][0].tolist())
    before = np.full_like(stroked, below)
    if drawing["background"] is not None:
        before, _ = flatten(drawing | {"layers": []}, below)
    before = scaled(before)
    strokes = scaled(strokes[..., None] * np.uint8(255))[..., 0] > 0
    picture = Image.fromarray(before)
    # Several strokes, if they came faster than the answers. The faint pixels of one are gaps.
    numbers, count = ndimage.label(ndimage.binary_dilation(strokes, np.ones((GAP, GAP))))
    numbers *= strokes
    for number in range(1, count + 1):
        rows, columns = map(np.ndarray.tolist, np.nonzero(numbers == number))
        point = columns[len(rows) // 2], rows[len(rows) // 2]
        if tool == RECTANGLE:
            box = min(columns), min(rows), max(columns), max(rows)
            ImageDraw.Draw(picture).rectangle(box, fill=color)
        else:
            ImageDraw.floodfill(picture, point, color)
    return before, np.asarray(picture)
