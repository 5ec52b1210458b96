"""The page of an evaluation in headless Chromium, where that is there."""

import io
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from pix2pix_jax.report.html_page import html_page
from tests import browser

pytestmark = pytest.mark.skipif(
    not (browser.CHROMIUM and browser.DRIVER), reason="needs chromium and chromedriver"
)
COLORS = {"input": (0, 0, 255), "output": (255, 0, 0), "target": (0, 255, 0)}
L1 = [0.3, 0.1, 0.2]
ORDER = "return [...document.querySelectorAll('article')].map(a => a.dataset.name)"
KEY = """
document.activeElement.dispatchEvent(
  new KeyboardEvent("keydown", {key: arguments[0], bubbles: true, cancelable: true}));
return document.getElementById("caption").textContent;
"""
BOX = "return document.getElementById('stage').getBoundingClientRect()"


def write_page(folder, rows):
    """A page with images of one colour, and files of its own for every row."""
    for name, color in COLORS.items():
        Image.new("RGB", (32, 24), color).save(folder / f"{name}.png")
    page_rows = []
    for i, metrics in enumerate(rows):
        images = [(name, f"n{i}_{name}.png") for name in COLORS]
        for name, path in images:
            (folder / path).hardlink_to(folder / f"{name}.png")
        page_rows.append({"name": f"n{i}", "images": images, "size": (24, 32), "metrics": metrics})
    html_page(folder / "index.html", "run", page_rows, {"l1": 0.2}, "")
    return "file://" + quote(str(folder / "index.html"))


def pixel(page, folder, x, y):
    page.screenshot(folder / "screen.png")
    return (
        Image.open(io.BytesIO((folder / "screen.png").read_bytes())).convert("RGB").getpixel((x, y))
    )


def test_sorting_zoom_and_slider(tmp_path):
    rows = [{"l1": value, "psnr": 20.0} for value in L1] + [{"psnr": float("inf")}]
    with browser.started(800, 600) as page:
        page.open(write_page(tmp_path, rows))
        click = lambda n: page.run(
            "document.querySelectorAll('nav button')[arguments[0]].click()", n
        )
        labels = "return [...document.querySelectorAll('nav button')].map(b => b.textContent)"
        assert page.run(labels) == ["order ▲", "l1", "psnr"]
        click(1)
        assert page.run(ORDER) == ["n1", "n2", "n0", "n3"]  # without a value: last
        assert page.run(labels) == ["order", "l1 ▲", "psnr"]
        click(1)
        assert page.run(ORDER) == ["n0", "n2", "n1", "n3"]
        assert page.run(labels) == ["order", "l1 ▼", "psnr"]
        click(2)
        click(2)
        assert page.run(ORDER)[0] == "n3"  # infinite
        click(0)

        # A pixel of a small image is a square: nothing between its colours is shown.
        image = page.run("return document.querySelector('article img').getBoundingClientRect()")
        assert image["width"] == 256 and image["height"] == 192

        page.run("document.querySelectorAll('article img')[2].click()")
        assert page.run("return document.querySelector('dialog').open")
        assert page.run(KEY, "ArrowLeft") == "n0: output"
        box = page.run(BOX)
        middle = round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)
        assert pixel(page, tmp_path, *middle) == COLORS["output"]
        for expected in ("n0: target", "n1: input", "n1: output"):
            assert page.run(KEY, "ArrowRight") == expected
        page.run("document.getElementById('close').click()")
        assert not page.run("return document.querySelector('dialog').open")

        page.run("document.querySelectorAll('article button')[1].click()")
        assert page.run(KEY, "x") == "n1: output | target"
        left, right = (round(box["x"] + box["width"] * share) for share in (0.3, 0.7))
        colors = [pixel(page, tmp_path, x, middle[1]) for x in (left, right)]
        assert colors == [COLORS["output"], COLORS["target"]]
        place = lambda share: {
            "type": "pointerMove",
            "duration": 0,
            "x": round(box["x"] + box["width"] * share),
            "y": middle[1],
        }
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        page.act(place(0.5), down, place(0.9), up)
        assert pixel(page, tmp_path, right, middle[1]) == COLORS["output"]
        assert page.run(KEY, "ArrowRight") == "n2: output | target"


def test_two_thousand_images_on_a_phone(tmp_path):
    """Only what is near the screen is loaded, and nothing is wider than the screen."""
    with browser.started(360, 640, phone=True) as page:
        page.open(write_page(tmp_path, [{"l1": value} for value in np.linspace(0, 1, 2000)]))
        loaded = "return [...document.images].filter(i => i.naturalWidth).length"
        assert 0 < page.run(loaded) < 300
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        began, end = page.run(
            "const began = performance.now();"
            "document.querySelectorAll('nav button')[1].click();"
            "document.body.offsetHeight; return [began, performance.now()]"
        )
        assert end - began < 5000
