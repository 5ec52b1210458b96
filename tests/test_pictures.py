"""Grids, pages, curves, histories and event files read back."""

import html.parser
import json
import os
import re
import sys
import time
import urllib.parse

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pix2pix_jax.images.files import save_png
from pix2pix_jax.methods.contract import Distance
from pix2pix_jax.report import curves, grids
from pix2pix_jax.report.html_page import html_page
from pix2pix_jax.run.event_writer import EventWriter
from pix2pix_jax.run.history import History, read_rows


def test_grid_places_every_image():
    generator = np.random.default_rng(0)
    color = [generator.integers(0, 256, (20, 30, 3), np.uint8) for _ in range(2)]
    gray = [generator.integers(0, 256, (10, 12, 1), np.uint8) for _ in range(2)]
    page = grids.grid([("input", color), ("output", gray)])
    gutter = grids.GUTTER
    top = page.shape[0] - 2 * (20 + gutter)
    for row in range(2):
        y = top + row * (20 + gutter)
        np.testing.assert_array_equal(page[y : y + 20, gutter : gutter + 30], color[row])
        x = 30 + 2 * gutter
        np.testing.assert_array_equal(page[y : y + 10, x : x + 12], np.repeat(gray[row], 3, -1))
    assert (page[:top] < 128).any()  # the titles


def test_png_round_trip(tmp_path):
    for channels in (1, 3):
        image = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
        save_png(tmp_path / "a.png", image)
        found = np.asarray(Image.open(tmp_path / "a.png")).reshape(image.shape)
        np.testing.assert_array_equal(found, image)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_smoothing_keeps_lines_and_length():
    line = np.arange(500.0) * 3
    np.testing.assert_allclose(curves.smooth(line), line)
    noise = np.random.default_rng(0).normal(size=500)
    assert curves.smooth(noise).std() < 0.5 * noise.std()
    assert len(curves.smooth(noise[:3])) == 3


class Page(html.parser.HTMLParser):
    """Collects images and text, and checks that tags close."""

    def __init__(self):
        super().__init__()
        self.images, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.images.append(dict(attributes))
        elif tag not in ("meta", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text.append(text)


def test_a_page_of_images_whose_names_are_no_text(tmp_path):
    """Names in Latin-1, say: the page leads to the bytes that the files are called by."""
    name = os.fsdecode(b"caf\xe9")
    row = {"name": name, "images": [("output", f"{name}.png")], "size": (1, 1), "metrics": {}}
    (tmp_path / f"{name}.png").touch()
    html_page(tmp_path / "index.html", name, [row], {}, f"dir: {name}")
    (link,) = re.findall(r'src="([^"]+)"', (tmp_path / "index.html").read_text("utf-8"))
    assert (os.fsencode(tmp_path) + b"/" + urllib.parse.unquote_to_bytes(link)) in [
        os.fsencode(path) for path in tmp_path.iterdir()
    ]


def test_html_page(tmp_path):
    name = 'a<b>&"c" #1'
    row = {"name": name, "images": [("output", f"images/{name}.png")], "metrics": {"l1": 0.25}}
    row["size"] = (20, 30)
    html_page(tmp_path / "index.html", name, [row], {"l1": 0.25}, "seed: <1>")
    page = Page()
    page.feed((tmp_path / "index.html").read_text())
    assert not page.open
    assert page.images[0]["src"] == "images/a%3Cb%3E%26%22c%22%20%231.png"
    text = "".join(page.text)
    assert text.count(name) >= 3 and "seed: <1>" in text and "l1 0.2500" in text


def test_loss_curves(tmp_path):
    """Six panels in two rows of three; the same quantity at one scale."""
    points = lambda n: (np.arange(n), np.geomspace(9, 1, n))
    names = ("train/d_a", "train/g_a", "train/idt_a", "val/psnr", "val/ssim", "val/l1")
    lines = {name: points(50) for name in names}
    lines |= {"train/cycle_a": points(50), "train/cycle_b": points(50), "val/A2B_l1": points(2)}
    lines["val/cycle_l1"] = points(3)
    distance = Distance("cycle_l1", {"cycle_a": 10.0, "cycle_b": 5.0})
    found = curves.panels(lines, distance)
    kinds = {title: len(curve) for title, curve in found.items()}
    one = {"identity": 1, "psnr": 1, "ssim": 1}
    assert kinds == one | {"adversarial": 2, "l1": 2, "cycle_l1": 3}
    assert [line.label for line in found["cycle_l1"]] == [
        "training, cycle_a / 10",
        "training, cycle_b / 5",
        "validation, cycle_l1",
    ]
    ends = [line.values[-1] for line in found["cycle_l1"]]
    np.testing.assert_allclose(ends, [0.1, 0.2, 1])
    curves.loss_curves(tmp_path / "losses.png", lines, "run", distance)
    image = np.asarray(Image.open(tmp_path / "losses.png"))
    blue = np.abs(image[..., :3].astype(int) - [0, 114, 178]).sum(-1) < 30
    height, width = (size // n for size, n in zip(blue.shape, (2, 3), strict=True))
    for row in range(2):
        for column in range(3):
            cell = blue[row * height :, column * width :][:height, :width]
            assert cell.sum() > 30  # a curve in the first colour


def test_history_drops_what_a_resumed_run_writes_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with History(path) as history:
        for step in range(1, 6):
            history.append(step, {"loss": step / 10})
    with path.open("a") as file:
        file.write('{"step": 6, "lo')  # killed in the middle of a line
    with History(path, resume_step=3) as history:
        history.append(4, {"loss": 9.0, "val": 1.0})
        steps, values = history.curves()["loss"]
    np.testing.assert_array_equal(steps, [1, 2, 3, 4])
    np.testing.assert_allclose(values, [0.1, 0.2, 0.3, 9])
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3, 4]
    assert read_rows(tmp_path / "none.jsonl") == []


def test_event_files(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    with EventWriter(tmp_path) as events:
        events.scalars(3, {"train/loss": 0.5})
        events.scalars(4, {"train/loss": 0.25})
        events.image(4, "samples", image)
        events.text("config", "seed: 0")
    found = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in found.Scalars("train/loss")] == [(3, 0.5), (4, 0.25)]
    content = found.Images("samples")[0].encoded_image_string
    (tmp_path / "a.png").write_bytes(content)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), image)
    assert found.Tensors("config")[0].tensor_proto.string_val == [b"seed: 0"]
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize("saved", [3, 0])
def test_tensorboard_drops_what_a_resumed_run_writes_again(saved, tmp_path, monkeypatch):
    with EventWriter(tmp_path) as events:
        for step in range(1, 6):  # killed after step 5; the checkpoint, if any, is of step 3
            events.scalars(step, {"train/loss": step / 10})
    # A resumed run starts later; files of one second would be read in the order of a counter.
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 10)
    with EventWriter(tmp_path, resume_step=saved) as events:
        events.text("config", "seed: 0")
        for step in range(saved + 1, 7):
            events.scalars(step, {"train/loss": float(step)})
    found = EventAccumulator(str(tmp_path), purge_orphaned_data=True).Reload()
    points = [(e.step, round(e.value, 6)) for e in found.Scalars("train/loss")]
    before = [(1, 0.1), (2, 0.2), (3, 0.3)][:saved]
    assert points == before + [(step, float(step)) for step in range(saved + 1, 7)]
