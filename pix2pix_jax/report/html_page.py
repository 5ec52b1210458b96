"""A static page of every image of an evaluation: sortable, without a server."""

import html
import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from pix2pix_jax.runtime.whole_file import whole_file

FOLDER = pathlib.Path(__file__).parent
SMALL = 256  # pixels of an image's longer side up to which every pixel is shown as a square
OVERLAY = """<dialog aria-label="Image"><div class="bar"><span id="caption"></span>
<input id="slider" type="range" min="0" max="1" step="0.01" aria-label="Where the second begins">
<select id="other" aria-label="Compare with"></select>
<button id="back" aria-label="Back">◀</button><button id="on" aria-label="On">▶</button>
<button id="close" aria-label="Close">✕</button></div>
<div id="stage" tabindex="-1"><img id="first" alt=""><img id="second" alt=""><div id="edge"></div>
</div></dialog>"""


def html_page(
    path: str | os.PathLike[str],
    title: str,
    rows: Sequence[dict[str, Any]],
    summary: dict[str, Any],
    config_text: str,
) -> None:
    """Writes the page, which needs its images and no other file.

    Args:
        path: of the .html file.
        title: its heading.
        rows: {"name", "images": [(label, path relative to the page)], "size": (height, width) of
            the images, "metrics": {name: value}}.
        summary: what stands at the top, by name.
        config_text: shown at the end, folded.
    """
    names = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    buttons = "".join(
        f'<button data-column="{column}" data-name="{_text(name)}">{_text(name)}</button>'
        for column, name in enumerate(["order", *names], -1)
    )
    facts = "".join(
        f"<div><dt>{_text(k)}</dt><dd>{_text(v)}</dd></div>" for k, v in summary.items()
    )
    articles = "\n".join(_article(i, row, names) for i, row in enumerate(rows))
    style, script = ((FOLDER / f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title><style>{style}</style></head><body>
<h1>{_text(title)}</h1>
<dl>{facts}</dl>
<nav>Sort by {buttons}
<label>Size <input id="size" type="range" min="96" max="768" step="32" value="256"></label></nav>
<main>
{articles}
</main>
<details><summary>Config</summary><pre>{_text(config_text)}</pre></details>
{OVERLAY}
<script>{script}</script>
</body></html>
"""
    with whole_file(path) as temporary:
        # Names of files need be no text.
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _article(number, row, names):
    height, width = row["size"]
    small = ' class="small"' if max(height, width) <= SMALL else ""
    name, metrics = _text(row["name"]), row["metrics"]
    # As JavaScript reads numbers.
    values = [f"{metrics.get(k, math.nan):.6g}".replace("inf", "Infinity") for k in names]
    words = "  ".join(f"{k} {v:.4f}" for k, v in metrics.items())
    figures = "".join(
        f'<figure><img loading="lazy" decoding="async" width="{width}" height="{height}" '
        f'src="{quote(os.fsencode(path))}" data-label="{_text(label)}" '
        f'alt="{_text(label)} of {name}">'
        f"<figcaption>{_text(label)}</figcaption></figure>"
        for label, path in row["images"]
    )
    data = f'data-order="{number}" data-name="{name}" data-values="{" ".join(values)}"'
    return (
        f"<article{small} {data}>"
        f"<h2>{name} <small>{_text(words)}</small> <button>compare</button></h2>"
        f'<div class="row">{figures}</div></article>'
    )


def _text(value):
    if isinstance(value, float):
        value = f"{value:.4f}"
    return html.escape(str(value), quote=True)
