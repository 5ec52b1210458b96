"""The page in web/, in headless Chromium where it and onnxruntime-web are there."""

import base64
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from benchmarks import torch_baseline
from configs import cyclegan
from configs.default import get_config
from pix2pix_jax.methods.registry import fresh_state
from pix2pix_jax.run import checkpoints, config_file
from pix2pix_jax.web import __main__ as web_tool
from pix2pix_jax.web import runtime, server, site
from tests import browser, parity
from tests.conftest import small_config

PAGE = pathlib.Path(__file__).parent.parent / "web"
HAS_BROWSER = browser.CHROMIUM and browser.DRIVER and (PAGE / runtime.FOLDER).is_dir()
TEST_WEBGPU = "TEST_WEBGPU" in os.environ  # by a renderer without a GPU, which takes a while
WAIT = """
const page = document.body.dataset, before = arguments[0];
for (let i = 0; (page.translations ?? 0) <= before; i++) {
  const error = document.getElementById("error");
  if (!error.hidden || i > 1000) throw new Error(error.textContent);
  await new Promise(resolve => setTimeout(resolve, 50));
}
return Number(page.translations);
"""
ERROR = """
const error = document.getElementById("error");
for (let i = 0; error.hidden && i < 100; i++) {
  await new Promise(resolve => setTimeout(resolve, 50));
}
return error.hidden ? "" : error.textContent;
"""
DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), letter => letter.charCodeAt(0));
const dataTransfer = new DataTransfer();
dataTransfer.items.add(new File([bytes], "image.png", {type: "image/png"}));
dispatchEvent(new DragEvent("drop", {dataTransfer}));
"""
PIXELS = """
const canvas = document.getElementById(arguments[0]);
const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
return [canvas.height, canvas.width, ...data];
"""


@contextmanager
def served(folder):
    with server.start(folder, "127.0.0.1", 0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(scope="module")
def generator():
    """A U-Net of PyTorch's code whose pictures have contrast."""
    torch.manual_seed(0)
    net = torch_baseline.UnetGenerator(3, 3, 5, 4, dropout=False)
    for layer in net.modules():
        if isinstance(layer, torch.nn.ConvTranspose2d):
            layer.weight.data *= 3
    return net


@pytest.fixture(scope="module")
def own_site(generator, tmp_path_factory):
    """The page with that generator."""
    folder = tmp_path_factory.mktemp("web")
    torch.save(generator.state_dict(), folder / "latest_net_G.pth")
    site.make(PAGE, folder / "site", [str(folder / "latest_net_G.pth")], get_config)
    return folder / "site"


def pixels(page, name):
    """RGB of a canvas, uint8 [H, W, 3]."""
    height, width, *levels = page.run(PIXELS, name)
    return np.array(levels, np.uint8).reshape(height, width, 4)[..., :3]


needs_browser = pytest.mark.skipif(
    not HAS_BROWSER, reason="needs chromium, and python -m pix2pix_jax.web --offline --export_only"
)


@needs_browser
@pytest.mark.parametrize("provider", ["WebAssembly", "WebGPU"] if TEST_WEBGPU else ["WebAssembly"])
def test_the_page_translates_what_is_dropped(provider, own_site, generator):
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    png = io.BytesIO()
    Image.fromarray(image).save(png, "PNG")
    flags = browser.SOFTWARE_WEBGPU if provider == "WebGPU" else ["--disable-gpu"]
    with browser.started(900, 700, *flags) as page, served(own_site) as address:
        page.open(address)
        before = page.run(WAIT, 0)
        page.run(DROP, base64.b64encode(png.getvalue()).decode())
        page.run(WAIT, before)
        assert provider in page.run("return document.getElementById('status').textContent")
        np.testing.assert_array_equal(pixels(page, "drawing"), image)
        padded = np.pad(image, [(0, 0), (0, 16), (0, 0)], "symmetric")[None] / 127.5 - 1
        with torch.no_grad():
            expected = parity.nhwc(generator(parity.nchw(padded.astype(np.float32))))
        expected = np.round((expected[0, :, :48] + 1) * 127.5)
        assert expected.std() > 20
        assert np.abs(pixels(page, "result") - expected).max() <= 2

        png = io.BytesIO()
        Image.new("RGB", (4000, 4)).save(png, "PNG")  # 32000x32 for this network
        page.run(DROP, base64.b64encode(png.getvalue()).decode())
        assert page.run(ERROR) == "image.png is too long and narrow"
        np.testing.assert_array_equal(pixels(page, "drawing"), image)  # as it was


@needs_browser
def test_the_page_as_it_comes_translates_what_is_drawn():
    with browser.started(900, 700, "--disable-gpu") as page, served(PAGE) as address:
        page.open(address)
        before = page.run(WAIT, 0)
        drawing, result = pixels(page, "drawing"), pixels(page, "result")
        assert drawing.shape == result.shape == (128, 128, 3)
        box = page.run("return document.getElementById('drawing').getBoundingClientRect()")
        place = lambda x, y: {
            "type": "pointerMove",
            "duration": 0,
            "x": round(box["x"] + box["width"] * (x + 0.5) / 128),
            "y": round(box["y"] + box["height"] * (y + 0.5) / 128),
        }
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        page.act(place(10, 20), down, place(29, 49), up)
        page.run(WAIT, before)
        drawn = drawing.copy()
        drawn[20:50, 10:30] = 0, 128, 255  # a window
        np.testing.assert_array_equal(pixels(page, "drawing"), drawn)
        assert (pixels(page, "result") != result).any()
        page.run("document.getElementById('undo').click()")
        np.testing.assert_array_equal(pixels(page, "drawing"), drawing)


@needs_browser
def test_what_a_model_without_a_palette_takes_can_be_sketched_or_only_opened(own_site, tmp_path):
    """A pen and an eraser for images of one's own; a photograph of a known kind is only opened."""
    shutil.copytree(own_site, tmp_path / "site")
    table = tmp_path / "site" / "models" / "models.json"
    (entry,) = json.loads(table.read_text())
    assert entry["sketch"] and not entry["palette"]
    entries = [entry, entry | {"sketch": False}, entry | {"has_hole": True, "in_channels": 3}]
    table.write_text(json.dumps(entries))
    shown = """
    const visible = id => document.getElementById(id).checkVisibility();
    const names = [...document.querySelectorAll("#palette span")].map(span => span.textContent);
    const header = document.querySelector("header p").textContent.split(" a picture")[0];
    return [header, visible("tools"), visible("palette"), visible("blank"), names];
    """
    choose = """
    document.getElementById("models").selectedIndex = arguments[0];
    document.getElementById("models").dispatchEvent(new Event("change"));
    """
    with browser.started(900, 700, "--disable-gpu") as page, served(tmp_path / "site") as address:
        page.open(address)
        before = page.run(WAIT, 0)
        assert page.run(shown) == ["Draw or open", True, True, True, ["eraser", "black"]]
        blank = pixels(page, "drawing")
        assert (blank == 255).all()
        box = page.run("return document.getElementById('drawing').getBoundingClientRect()")
        place = lambda across, down: {
            "type": "pointerMove",
            "duration": 0,
            "x": round(box["x"] + box["width"] * across),
            "y": round(box["y"] + box["height"] * down),
        }
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        page.act(place(0.2, 0.5), down, place(0.8, 0.5), up)
        page.run(WAIT, before)
        drawn = pixels(page, "drawing")
        black = (drawn == 0).all(axis=-1)
        assert ((drawn == 255).all(axis=-1) | black).all()
        height, width = black.shape
        assert black.any(axis=1).sum() == 3 and black[height // 2, width // 4 : width // 2].all()
        page.run("document.querySelector('#palette input').click()")
        page.act(place(0.1, 0.5), down, place(0.9, 0.5), up)
        np.testing.assert_array_equal(pixels(page, "drawing"), blank)
        page.run(choose, 1)
        assert page.run(shown)[:4] == ["Open", False, False, False]
        page.run(choose, 2)
        assert page.run(shown)[:4] == ["Open and paint over", True, False, False]


@pytest.mark.parametrize(
    ("name", "method", "sketch"),
    [("folder", "pix2pix", True), ("folder", "colorization", False), ("maps", "pix2pix", False)],
)
def test_a_pen_is_for_images_of_ones_own(monkeypatch, tmp_path, name, method, sketch):
    config = small_config(**{"data.name": name})
    config.method = method
    monkeypatch.setattr(site, "export_onnx", lambda *arguments: [tmp_path / "x.onnx"])
    (entry,) = site._export(config, "x", tmp_path)
    assert entry["sketch"] is sketch


def test_where_the_page_is_and_what_serves_it_is_said(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["web", "--export_only"])
    web_tool.main()
    line = capsys.readouterr().out
    command = f"python -m http.server --bind 127.0.0.1 --directory {PAGE}"
    assert line == f"the page is in {PAGE}, for any static host; {command} serves it here\n"


@needs_browser
def test_models_in_turn_share_one_runtime(own_site, tmp_path):
    """A runtime's memory and threads stay for as long as the page, so one serves all models."""
    paths = [tmp_path / name for name in ("a.pth", "b.pth")]
    for path in paths:
        shutil.copy(own_site.parent / "latest_net_G.pth", path)
    site.make(PAGE, tmp_path / "site", list(map(str, paths)), get_config)
    choose = """
    const models = document.getElementById("models");
    for (const number of arguments[0]) {
      models.selectedIndex = number;
      models.dispatchEvent(new Event("change"));
    }
    """
    loads = """
    const files = performance.getEntriesByType("resource").map(entry => entry.name);
    return ["a.onnx", "b.onnx", ".wasm"].map(end => files.filter(f => f.endsWith(end)).length);
    """
    with browser.started(900, 700, "--disable-gpu") as page, served(tmp_path / "site") as address:
        page.open(address)
        done = page.run(WAIT, 0)
        for numbers in ([1], [0], [1, 0, 1]):
            page.run(choose, numbers)
            done = page.run(WAIT, done)
        assert pixels(page, "result").std() > 10
        assert page.run(loads) == [3, 3, 1]


@needs_browser
def test_what_is_wrong_with_a_model_stays_there_to_read(own_site, tmp_path):
    shutil.copytree(own_site, tmp_path / "site")
    (network,) = (tmp_path / "site" / "models").glob("*.onnx")
    network.write_bytes(b"cut off")
    image = io.BytesIO()
    Image.new("RGB", (48, 32)).save(image, "PNG")
    with browser.started(900, 700, "--disable-gpu") as page, served(tmp_path / "site") as address:
        page.open(address)
        message = page.run(ERROR)
        page.run(DROP, base64.b64encode(image.getvalue()).decode())
        drawn = "for (let i = 0; document.getElementById('drawing').width != 48 && i < 100; i++)"
        page.run(drawn + "await new Promise(resolve => setTimeout(resolve, 50));")
        assert pixels(page, "drawing").shape == (32, 48, 3)
        assert message and page.run(ERROR) == message


@needs_browser
def test_undo_ends_the_stroke_that_is_being_made():
    with browser.started(900, 700, "--disable-gpu") as page, served(PAGE) as address:
        page.open(address)
        page.run(WAIT, 0)
        box = page.run("return document.getElementById('drawing').getBoundingClientRect()")
        place = lambda part: {
            "type": "pointerMove",
            "duration": 0,
            "x": round(box["x"] + box["width"] * part),
            "y": round(box["y"] + box["height"] * part),
        }
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        before = pixels(page, "drawing")
        page.act(place(0.1), down, place(0.3), up)
        drawn = pixels(page, "drawing")
        assert (drawn != before).any()
        page.act(place(0.5), down, place(0.6))
        assert (pixels(page, "drawing") != drawn).any()
        page.run("dispatchEvent(new KeyboardEvent('keydown', {key: 'z', ctrlKey: true}))")
        page.act(place(0.8), up)
        np.testing.assert_array_equal(pixels(page, "drawing"), drawn)


@needs_browser
def test_the_webcam_is_let_go_and_where_there_is_none_it_is_said():
    click = "document.getElementById('webcam').click();"
    twice = """
    window.streams = [];
    const media = navigator.mediaDevices, ask = media.getUserMedia.bind(media);
    media.getUserMedia = async (wanted) => {
      const stream = await ask(wanted);
      streams.push(stream);
      return stream;
    };
    const webcam = document.getElementById("webcam");
    webcam.click();
    webcam.click();
    for (let i = 0; webcam.getAttribute("aria-pressed") === "false"; i++) {
      if (i > 200) throw new Error(document.getElementById("error").textContent);
      await new Promise(resolve => setTimeout(resolve, 50));
    }
    await new Promise(resolve => setTimeout(resolve, 500));
    webcam.click();
    return streams.flatMap(stream => stream.getTracks()).map(track => track.readyState);
    """
    with browser.started(900, 700, "--disable-gpu") as page, served(PAGE) as address:
        page.open(address)
        page.run(WAIT, 0)
        assert page.run(twice) == ["ended"]
        page.run("Object.defineProperty(navigator, 'mediaDevices', {value: undefined})")
        page.run(click + "await new Promise(resolve => setTimeout(resolve, 100))")
        said = page.run("return document.getElementById('error').textContent")
        assert said == "the webcam cannot be used: browsers give it to localhost and https only"


def test_a_site_holds_all_that_a_static_host_needs(own_site):
    names = {path.name for path in own_site.iterdir()}
    assert {"index.html", "main.js", "style.css", "runtime.json", "models"} <= names
    (entry,) = json.loads((own_site / "models" / "models.json").read_text())
    assert entry["file"] == "latest_net_G.onnx" and entry["divisor"] == 32
    assert (own_site / "models" / entry["file"]).is_file()
    assert not list((own_site / "models").glob("browser*"))


def test_what_is_served(own_site):
    with served(own_site) as address:
        with urllib.request.urlopen(f"{address}/models/latest_net_G.onnx") as answer:
            assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
            assert onnx.load_from_string(answer.read()).graph.input[0].name == "image"
        with urllib.request.urlopen(f"{address}/runtime.js") as answer:
            assert answer.headers["Content-Type"] == "text/javascript"
        port = int(address.rpartition(":")[2])
        with pytest.raises(OSError, match="give another --port"):
            server.start(own_site, "127.0.0.1", port)


def test_the_page_as_it_comes_has_a_small_model_and_needs_no_package():
    entries = json.loads((PAGE / "models" / "models.json").read_text())
    for entry in entries:
        assert (PAGE / "models" / entry["file"]).stat().st_size <= 3e6
        for name in entry["examples"]:
            assert Image.open(PAGE / "models" / name).size == tuple(entry["trained_at"])
    program = "import sys, pix2pix_jax.web.__main__; print({'jax', 'numpy'} & set(sys.modules))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=PAGE.parent, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_what_is_no_generator_is_said(tmp_path):
    torch.save(torch_baseline.NLayerDiscriminator(6).state_dict(), tmp_path / "D.pth")
    config = small_config(**{"data.value_range": (0.0, 65535.0)})
    (tmp_path / "deep").mkdir()
    config_file.write_config(tmp_path / "deep", config)
    for path, message in (
        ("D.pth", "takes generators"),
        ("none", "neither a run"),
        ("deep", "has a data.value_range"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            site.make(PAGE, tmp_path / "site", [str(tmp_path / path)], get_config)


def test_two_models_of_one_name_are_refused(tmp_path):
    """A CycleGAN's have its name and their directions."""
    configs = {"a": cyclegan.get_config(), "b/a_B2A": small_config(), "c/a_B2A": small_config()}
    for name, config in configs.items():
        (tmp_path / name).mkdir(parents=True)
        config_file.write_config(tmp_path / name, config)
    for names in (["a", "b/a_B2A"], ["b/a_B2A", "c/a_B2A"]):
        with pytest.raises(ValueError, match="2 models are called a_B2A: rename"):
            site.make(PAGE, tmp_path / "site", [str(tmp_path / n) for n in names], get_config)
    assert not (tmp_path / "site").exists()


def test_the_run_in_which_one_is_has_the_name_of_its_folder(tmp_path, monkeypatch):
    config = small_config()
    with checkpoints.Checkpoints(tmp_path / "run", best_metric="l1") as saver:
        saver.save(fresh_state(config))
        saver.wait()
    config_file.write_config(tmp_path / "run", config)
    models = tmp_path / "site" / "models"
    models.mkdir(parents=True)
    for name in ("former.onnx", "former_0.png", "mine.txt"):
        (models / name).touch()
    listed = [{"file": "former.onnx", "examples": ["former_0.png"]}]
    (models / "models.json").write_text(json.dumps(listed))
    monkeypatch.chdir(tmp_path / "run")
    site.make(PAGE, tmp_path / "site", ["."], get_config)
    left = {path.name for path in models.iterdir() if "former" in path.name or "mine" in path.name}
    assert left == {"mine.txt"}  # what an earlier export wrote is gone
    (entry,) = json.loads((tmp_path / "site/models/models.json").read_text())
    assert (entry["name"], entry["file"]) == ("run", "run.onnx")


def test_the_runtime_is_what_it_should_be(tmp_path, monkeypatch):
    """What is there already, with the right digest, is not fetched again."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    digest = "sha384-ywB1P0WjXou1oD1pmsZQBycsMqsO3tFjGotgWkP/W+2AhgcroefMI1i67KE0yCWn"  # of abc
    facts = {"package": "p", "version": "1", "webgpu": {}, "wasm": {"a.mjs": digest}}
    (tmp_path / runtime.FACTS).write_text(json.dumps(facts))
    (tmp_path / runtime.FOLDER).mkdir()
    for content in (b"", b"ab"):
        (tmp_path / runtime.FOLDER / "a.mjs").write_bytes(content)
        with pytest.raises(OSError, match=r"p@1 comes by npm.*install Node"):
            runtime.fetch(tmp_path)
    (tmp_path / runtime.FOLDER / "a.mjs").write_bytes(b"abc")
    runtime.fetch(tmp_path)
