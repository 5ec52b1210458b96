"""A static page of every image of an evaluation: sortable, without a server."""

import html
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from pix2pix_jax.runtime.whole_file import whole_file

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
h1 { font-weight: 600; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 0 0 1.5rem; }
dt { font-size: .8rem; opacity: .7; } dd { margin: 0; font-weight: 600; }
nav { position: sticky; top: 0; padding: .5rem 0; background: Canvas; }
button { font: inherit; padding: .2rem .8rem; margin-right: .3rem; cursor: pointer; }
article { border-top: 1px solid #8884; padding: .8rem 0; }
h2 { font-size: 1rem; margin: 0 0 .4rem; } h2 small { font-weight: 400; opacity: .7; }
.row { display: flex; flex-wrap: wrap; gap: .6rem; }
figure { margin: 0; } figcaption { font-size: .8rem; opacity: .7; }
img { max-width: 100%; display: block; border-radius: 3px; cursor: zoom-in; }
dialog { border: 0; padding: 0; background: none; } dialog img { width: min(90vw, 90vh); }
dialog img { image-rendering: pixelated; cursor: zoom-out; }
pre { overflow-x: auto; }
"""
SCRIPT = """
const list = document.querySelector("main");
const zoom = document.querySelector("dialog");
let last = "", sign = 1;
for (const button of document.querySelectorAll("nav button")) button.onclick = () => {
  const key = button.dataset.key;
  sign = key === last ? -sign : 1; last = key;
  const value = a => key === "order" ? +a.dataset.order : +a.dataset["metric_" + key];
  [...list.children].sort((a, b) => sign * (value(a) - value(b))).forEach(a => list.append(a));
};
list.onclick = event => {
  if (event.target.tagName !== "IMG") return;
  zoom.firstElementChild.src = event.target.src; zoom.showModal();
};
zoom.onclick = () => zoom.close();
"""


def html_page(
    path: str | os.PathLike[str],
    title: str,
    rows: Sequence[dict[str, Any]],
    summary: dict[str, Any],
    config_text: str,
) -> None:
    """Writes the page.

    Args:
        path: of the .html file.
        title: its heading.
        rows: {"name", "images": [(label, path relative to the page)], "metrics": {name: value}}.
        summary: what stands at the top, by name.
        config_text: shown at the end, folded.
    """
    names = list(rows[0]["metrics"]) if rows else []
    buttons = "".join(
        f'<button data-key="{_text(name)}">{_text(name)}</button>' for name in ["order", *names]
    )
    facts = "".join(
        f"<div><dt>{_text(k)}</dt><dd>{_text(v)}</dd></div>" for k, v in summary.items()
    )
    articles = "\n".join(_article(i, row) for i, row in enumerate(rows))
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title><style>{STYLE}</style></head><body>
<h1>{_text(title)}</h1>
<dl>{facts}</dl>
<nav>Sort by {buttons}</nav>
<main>
{articles}
</main>
<details><summary>Config</summary><pre>{_text(config_text)}</pre></details>
<dialog><img alt=""></dialog>
<script>{SCRIPT}</script>
</body></html>
"""
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _article(number, row):
    data = "".join(f' data-metric_{_text(k)}="{v:.6g}"' for k, v in row["metrics"].items())
    values = "  ".join(f"{k} {v:.4f}" for k, v in row["metrics"].items())
    figures = "".join(
        f'<figure><img loading="lazy" src="{quote(path)}" alt="{_text(label)} of '
        f'{_text(row["name"])}"><figcaption>{_text(label)}</figcaption></figure>'
        for label, path in row["images"]
    )
    heading = f"<h2>{_text(row['name'])} <small>{_text(values)}</small></h2>"
    return (
        f'<article data-order="{number}"{data}>{heading}<div class="row">{figures}</div></article>'
    )


def _text(value):
    if isinstance(value, float):
        value = f"{value:.4f}"
    return html.escape(str(value), quote=True)
