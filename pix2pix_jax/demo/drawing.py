"""The canvas to upload to or draw on, its brush, and the colours of label maps."""

import gradio as gr

from pix2pix_jax.images import palettes

CANVAS = 256  # pixels a side, until there is an image
BRUSH = 24  # the radius of the brush goes so many times into the image
SOURCES, BUTTONS = ["upload", "clipboard"], ["download", "fullscreen"]


def canvas(label: str) -> gr.ImageEditor:
    """A canvas for an upload, with brush and eraser."""
    return gr.ImageEditor(
        label=label,
        sources=SOURCES,
        transforms=[],
        layers=False,
        canvas_size=(CANVAS, CANVAS),
        format="png",
        height=480,
    )


def brush(colors: list[str], size: int) -> gr.Brush:
    """A brush for images of `size` with these colours alone, or with any if there are none."""
    radius = max(1, size // BRUSH)
    if not colors:
        return gr.Brush(radius)
    return gr.Brush(radius, colors=colors, default_color=colors[-1], color_mode="fixed")


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
    """The colour of a blank sheet: the first of the palette, or white."""
    return next(iter(palettes.PALETTES[palette or "edges"].values()))
