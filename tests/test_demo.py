"""The demo, asked through its HTTP client as a browser would."""

import io
import os
import pathlib
import re
import shutil
import sys
import urllib.request
import zipfile

import cv2
import numpy as np
import pytest
import torch
from gradio import networking, route_utils
from gradio_client import Client, exceptions, handle_file
from PIL import Image
from scipy import ndimage

import demo
from benchmarks import torch_baseline, torch_regression
from configs.default import get_config
from pix2pix_jax.demo import batch_tab, blend_tab, drawing, pictures, placing
from pix2pix_jax.demo.inpaint_tab import InpaintTab
from pix2pix_jax.demo.model_tab import announce
from pix2pix_jax.demo.translate_tab import TranslateTab, step_back
from pix2pix_jax.images import palettes
from pix2pix_jax.methods.registry import fresh_state
from pix2pix_jax.run import checkpoints, config_file
from pix2pix_jax.trained_models import TrainedModels
from tests.conftest import small_config
from tests.parity import nchw, nhwc


@pytest.fixture(scope="module")
def models(tmp_path_factory, finished_run):
    """Folder with a run, PyTorch's ResNet and PEN-Net, and files that are no models."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(finished_run[1], folder / "run")
    nets = {
        "resnet": torch_baseline.ResnetGenerator(ngf=4, num_blocks=2),
        "pennet": torch_regression.InpaintingUnet(8),
    }
    for name, net in nets.items():
        torch_baseline.init_weights(net, 0)
        torch.save(net.state_dict(), folder / f"{name}.pth")
    torch.save(torch_baseline.NLayerDiscriminator(6).state_dict(), folder / "latest_net_D.pth")
    (folder / "damaged.pth").write_bytes(b"PK\x03\x04 no archive")
    return folder, nets


@pytest.fixture(scope="module")
def page(models):
    with demo.served([str(models[0])], "127.0.0.1", None, upload_mb=1) as page:
        assert page.local_url.startswith("http://127.0.0.1:")
        uploads = pathlib.Path(os.environ["GRADIO_TEMP_DIR"])
        yield page
    assert not uploads.exists() and "GRADIO_TEMP_DIR" not in os.environ


@pytest.fixture(scope="module")
def client(page):
    return Client(page.local_url, verbose=False)


@pytest.fixture
def picture(tmp_path):
    """Writes an array as a PNG that the client can send."""

    def write(array):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.png"
        Image.fromarray(array).save(path)
        return handle_file(path)

    return write


def strokes(background, *layers):
    return {"background": background, "layers": list(layers), "composite": None}


def read(answer):
    return np.asarray(Image.open(answer).convert("RGB"))


def noise(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def test_a_pytorch_generator_gives_its_own_images(client, models, picture):
    folder, nets = models
    image = noise(256, 256)
    (before, after), answer = client.predict(
        f"{folder}/resnet.pth", strokes(picture(image)), 3, api_name="/translate"
    )
    assert len(answer) == 1  # the network has no noise
    np.testing.assert_array_equal(read(before), image)
    np.testing.assert_array_equal(read(after), read(answer[0]["image"]))
    with torch.no_grad():
        expected = nhwc(nets["resnet"](nchw((image[None] / 127.5 - 1).astype(np.float32))))[0]
    difference = np.abs(read(answer[0]["image"]) - np.round((expected + 1) * 127.5))
    assert difference.max() <= 1


def test_samples_of_a_run_differ_and_strokes_count(client, models, picture):
    image, stroke = noise(32, 32), np.zeros((32, 32, 4), np.uint8)
    stroke[4:20, 4:20] = 255, 255, 255, 255
    stroke[0, 0] = 9, 9, 9, 100  # the soft edge of a brush
    name = f"{models[0]}/run"
    ask = lambda *drawn: [
        read(row["image"])
        for row in client.predict(name, strokes(*drawn), 2, api_name="/translate")[1]
    ]
    plain, drawn = ask(picture(image)), ask(picture(image), picture(stroke))
    assert len(plain) == 2 and plain[0].shape == (32, 32, 3)
    assert (plain[0] != drawn[0]).any()
    painted = image.copy()
    painted[4:20, 4:20] = 255
    np.testing.assert_array_equal(ask(picture(painted))[0], drawn[0])


def test_filling_changes_the_strokes_alone(client, models, picture):
    folder, nets = models
    image, stroke = noise(60, 70), np.zeros((60, 70, 4), np.uint8)
    stroke[10:30, 20:50] = 255
    before, answer = client.predict(
        f"{folder}/pennet.pth", strokes(picture(image), picture(stroke)), api_name="/inpaint"
    )
    hole = (stroke[..., 3:] > 0).astype(np.float32)
    padded = np.pad(image, [(0, 4), (0, 58), (0, 0)], mode="symmetric") / 127.5 - 1
    holes = np.pad(hole, [(0, 4), (0, 58), (0, 0)], mode="symmetric")
    known = np.concatenate([padded * (1 - holes) + holes, holes], axis=-1)[None]
    with torch.no_grad():
        expected = nhwc(nets["pennet"](nchw(known.astype(np.float32))))[0, :60, :70]
    expected = np.where(hole > 0, np.round((expected + 1) * 127.5), image)
    filled = read(answer)
    np.testing.assert_array_equal(read(before), np.where(hole > 0, np.uint8(255), image))
    np.testing.assert_array_equal(filled[hole[..., 0] == 0], image[hole[..., 0] == 0])
    assert np.abs(filled - expected).max() <= 1


def test_blending_keeps_the_background_and_takes_the_gradients(client, picture):
    rows, columns = np.mgrid[:60, :80]
    texture = (20 * np.sin(rows / 3) * np.cos(columns / 4))[..., None]
    foreground = np.round(170 + texture + [0, 10, -30]).astype(np.uint8)
    background = np.full((70, 90, 3), (60, 90, 120), np.uint8)
    corners = "20,15\n60,15\n60,45\n20,45"
    answer = read(
        client.predict(
            picture(foreground), picture(background), corners, 10, 5, 1, "multigrid", False,
            api_name="/blend",
        )
    )  # fmt: skip
    points = np.array([[30, 20], [70, 20], [70, 50], [30, 50]])  # moved by 10, 5
    inside = cv2.fillPoly(np.zeros((70, 90), np.uint8), [points], 1) > 0
    np.testing.assert_array_equal(answer[~inside], background[~inside])
    # Away from the edge the Laplacian is the foreground's, to the rounding of five pixels.
    laplacian = lambda image: cv2.Laplacian(image.astype(np.float32), cv2.CV_32F)
    core = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    moved = np.zeros_like(background)
    moved[5:65, 10:90] = foreground
    assert np.abs(laplacian(answer) - laplacian(moved))[core].max() <= 4
    assert abs(float(answer[inside].mean()) - 90) < 8  # in the background's colours


def test_what_cannot_be_done_is_said(client, models, picture, tmp_path, monkeypatch):
    folder, _ = models

    def refusal(*arguments, api_name):
        with pytest.raises(exceptions.AppError) as error:
            client.predict(*arguments, api_name=api_name)
        return str(error.value)

    image = picture(noise(32, 32))
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(pathlib.Path(image["path"]).read_bytes()[:500])
    square = "1,1\n20,1\n20,20"
    blend = lambda fg, corners: refusal(
        fg, image, corners, 0, 0, 1, "multigrid", False, api_name="/blend"
    )
    assert "the foreground cannot be read" in blend(handle_file(damaged), square)
    assert "choose the foreground" in blend(None, square)
    assert "at least 3 corners" in blend(image, "1,1\n20,1")
    assert "write x,y" in blend(image, "1,1\nhere\n20,20")
    assert "out of reach" in blend(image, "1,1\nnan,1\n20,20")
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1000)
    assert "the foreground is 32x32: scale it down" in blend(image, square)
    name = f"{folder}/resnet.pth"
    assert "no model ../secret" in refusal("../secret", strokes(image), 1, api_name="/translate")
    assert "upload an image, or draw" in refusal(name, strokes(None), 1, api_name="/translate")
    pennet = f"{folder}/pennet.pth"
    assert "brush over" in refusal(pennet, strokes(image), api_name="/inpaint")


def test_large_files_are_not_taken(client, picture):
    with pytest.raises(Exception, match="(?i)size|large|413"):
        client.predict(
            picture(noise(700, 700)), None, "", 0, 0, 1, "multigrid", False, api_name="/blend"
        )


def test_images_of_too_many_pixels_are_never_decoded(client, models, tmp_path):
    """A small file of a huge image: Pillow refuses it unread."""
    path = tmp_path / "huge.png"
    Image.new("1", (8000, 8000)).save(path)
    with pytest.raises(exceptions.AppError, match="exceeds limit"):
        client.predict(
            f"{models[0]}/resnet.pth", strokes(handle_file(path)), 1, api_name="/translate"
        )


def test_uploads_and_results_are_deleted(page, client, models, picture):
    """By Gradio's schedule, which knows of every file that the page has written."""
    assert page.delete_cache == demo.DELETE_CACHE
    image, square = picture(noise(32, 32)), "1,1\n20,1\n20,20"
    client.predict(image, image, square, 0, 0, 1, "multigrid", False, api_name="/blend")
    name = f"{models[0]}/run"
    client.predict(name, [image], api_name="/batch")
    folder = pathlib.Path(os.environ["GRADIO_TEMP_DIR"])
    # Gradio leaves an empty file for each file of a batch.
    files = lambda: [p for p in folder.rglob("*") if p.is_file() and p.stat().st_size]
    assert files()
    route_utils.delete_files_created_by_app(page, age=0)
    assert not files()


# The rest needs no server


def found_in(folder):
    return TrainedModels([str(folder)], get_config).find()


def test_a_slow_first_page_is_waited_for(tmp_path, monkeypatch):
    """As on a fresh machine, where Gradio takes its own page for out of reach."""
    monkeypatch.setattr(networking, "url_ok", lambda url: False)
    with demo.served([str(tmp_path)], "127.0.0.1", None, upload_mb=1) as page:
        assert urllib.request.urlopen(page.local_url, timeout=60).status == 200


def test_options_of_the_command_line(tmp_path, monkeypatch):
    """No port of that number, and a comma too many, which is not the folder where one is."""
    seen, build = [], demo.build
    monkeypatch.setattr(demo, "build", lambda folders: seen.append(folders) or build(folders))
    monkeypatch.setattr(demo.signal, "signal", lambda *_: None)  # as it is in other tests
    monkeypatch.setattr(sys, "argv", ["demo.py", f"--models={tmp_path},", "--port=99999"])
    with pytest.raises(SystemExit, match="error: .*port must be 0-65535"):
        demo.main()
    assert seen == [[str(tmp_path)]]
    monkeypatch.setattr(sys, "argv", ["demo.py", f"--models={tmp_path},nowhere"])
    with pytest.raises(SystemExit, match="error: there is no folder nowhere"):
        demo.main()


def test_models_are_found_and_others_left_out(models, capsys):
    found = {pathlib.Path(name).name: model for name, model in found_in(models[0]).items()}
    assert set(found) == {"run", "resnet.pth", "pennet.pth"}
    assert found["run"].palette() == "facades" and found["resnet.pth"].palette() is None
    assert found["pennet.pth"].config.method == "inpainting"
    (line,) = capsys.readouterr().out.splitlines()  # a discriminator is no mistake
    assert line.startswith(f"skipped: {models[0]}/damaged.pth ")


CONFIGS = {
    "list": b"[]",
    "string": b'"pix2pix"',
    "null": b"null",
    "binary": bytes(range(256)),
    "empty": b"",
    "deep": b"[" * 100_000,
    "foreign": b'{"model_type": "bert"}',
    "no-such-method": b'{"method": "magic"}',
    "list-as-method": b'{"method": ["pix2pix"]}',
    "number-as-section": b'{"method": "pix2pix", "model": 5}',
    "string-as-size": b'{"method": "pix2pix", "data": {"crop_size": "large"}}',
    "three-sided": b'{"method": "pix2pix", "data": {"crop_size": [256, 256, 256]}}',
    "strings-as-sides": b'{"method": "pix2pix", "data": {"crop_size": ["256", "256"]}}',
    "huge-size": b'{"method": "pix2pix", "data": {"crop_size": [1000000, 1000000]}}',
    "huge-file": b" " * 2**21,
}
WEIGHTS = {
    "empty": b"",
    "text": b"hello",
    "number": b"\x80\x02K\x05.",
    "deep": b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".",
    "runs-a-command": b"cos\nsystem\n(S'exit 1'\ntR.",
}


def test_whatever_lies_in_a_folder_the_others_are_found(tmp_path, capsys):
    for name, content in CONFIGS.items():
        (tmp_path / name / "checkpoints" / "5").mkdir(parents=True)
        (tmp_path / name / "config.json").write_bytes(content)
    for name, content in WEIGHTS.items():
        (tmp_path / f"{name}.pth").write_bytes(content)
    os.mkfifo(tmp_path / "pipe.pth")  # to read it would wait without end
    (tmp_path / "folder.pth" / "config.json").mkdir(parents=True)
    (tmp_path / "untrained").mkdir()
    (tmp_path / "untrained" / "config.json").write_text("{}")
    net = torch_baseline.ResnetGenerator(ngf=4, num_blocks=2)
    torch.save({"tensor": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save({5: torch.zeros(3)}, tmp_path / "keys.pth")
    os.link(tmp_path / "other.pth", os.fsencode(tmp_path) + b"/\xff.pth")  # no UTF-8
    classes = torch_baseline.ResnetGenerator(input_nc=36, ngf=4, num_blocks=2)
    torch.save(classes.state_dict(), tmp_path / "classes.pth")
    torch.save(net.state_dict(), tmp_path / "resnet.pth")
    models = TrainedModels([str(tmp_path)], get_config)
    assert list(models.find()) == [f"{tmp_path}/resnet.pth"]
    lines = capsys.readouterr().out.splitlines()
    bad = {
        *CONFIGS,
        "untrained",
        *(f"{name}.pth" for name in (*WEIGHTS, "classes", "other", "keys", "\\udcff")),
    }
    starts = [
        rf"skipped: {re.escape(f'{tmp_path}/{name}')}(/config\.json)?:? .{{11}}" for name in bad
    ]
    assert all(sum(bool(re.match(start, line)) for line in lines) == 1 for start in starts)
    assert len(lines) == len(bad) and all(line.count(str(tmp_path)) == 1 for line in lines)
    models.find()
    assert not capsys.readouterr().out  # each is named once


def test_a_model_is_read_again_only_when_it_changes(tmp_path, monkeypatch):
    net = torch_baseline.ResnetGenerator(ngf=4, num_blocks=2)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    models = TrainedModels([str(tmp_path)], get_config)
    reads = []
    read = models._read
    monkeypatch.setattr(models, "_read", lambda path: reads.append(path) or read(path))
    for _ in range(3):
        (model,) = models.find().values()
    assert len(reads) == 1 and model.config.model.ngf == 4
    torch.save(
        torch_baseline.ResnetGenerator(ngf=8, num_blocks=2).state_dict(), tmp_path / "net.pth"
    )
    (model,) = models.find().values()
    assert len(reads) == 2 and model.config.model.ngf == 8


def test_what_was_trained_last_is_chosen_first_and_links_are_followed(tmp_path):
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "weights"
    elsewhere.mkdir()
    folder.mkdir()
    for path, seconds in ((elsewhere / "b.pth", 2000), (folder / "a.pth", 1000)):
        net = torch_baseline.ResnetGenerator(ngf=4, num_blocks=2)
        torch.save(net.state_dict(), path)
        os.utime(path, (seconds, seconds))
    (folder / "link").symlink_to(elsewhere)
    tab = TranslateTab(TrainedModels([str(folder)], get_config))
    assert list(tab.look()) == [f"{folder}/a.pth", f"{folder}/link/b.pth"]
    assert tab.newest() == f"{folder}/link/b.pth"


def test_choosing_a_model_does_not_look_into_the_folders(models, monkeypatch):
    """Every key press in the list of models is a choice."""
    all_models = TrainedModels([str(models[0])], get_config)
    tab = TranslateTab(all_models)
    tab.look()
    monkeypatch.setattr(all_models, "find", None)
    model, palette, size = tab.known(f"{models[0]}/run")
    assert (model.config.name, palette, size) == ("small", "facades", 32)
    assert tab.known("run") == (None, None, 256)
    assert tab.example(f"{models[0]}/run").shape == (32, 32, 3)


def test_uploads_are_decoded_once(tmp_path, monkeypatch):
    paths = [str(tmp_path / f"{i}.png") for i in range(2)]
    for path in paths:
        Image.fromarray(noise(40, 50)).save(path)
    decode, decoded = pictures.open_image, []
    count = lambda path, channels: decoded.append(path) or decode(path, channels)
    monkeypatch.setattr(pictures, "open_image", count)
    for x in range(5):  # a slider is moved
        shown = blend_tab.show_places(*paths, "1,1\n30,1\n30,30", x, 0, 1)
        blend_tab.ranges(*paths)
    assert decoded == paths
    corner = np.abs(shown[1][1, 5].astype(int) - placing.CORNER)
    assert corner.max() == 0  # the corner 1,1 moved by 4
    assert (pictures.read_upload(paths[0], "it") == noise(40, 50)).all()  # nothing is drawn on it
    Image.fromarray(noise(41, 50)).save(paths[0])
    os.utime(paths[0], ns=(1, 1))
    assert (pictures.read_upload(paths[0], "it") == noise(41, 50)).all()


def test_without_models_one_line_says_how_to_get_one(tmp_path):
    models = TrainedModels([str(tmp_path)], get_config)
    for tab, config in (
        (TranslateTab(models), "configs/quickstart.py"),
        (InpaintTab(models), "configs/inpaint.py:synthetic"),
    ):
        assert not tab.look() and tab.newest() is None
        assert config in tab.hint() and str(tmp_path) in tab.hint()


def test_directions_of_cyclegan_are_two_models(tmp_path):
    config = small_config(method="cyclegan", **{"data.synthetic_kind": "night"})
    with checkpoints.Checkpoints(tmp_path, best_metric="l1") as saver:
        saver.save(fresh_state(config))
        saver.wait()
    config_file.write_config(tmp_path, config)
    models = TrainedModels([str(tmp_path)], get_config)
    found = models.find()
    assert list(found) == [f"{tmp_path} A2B", f"{tmp_path} B2A"]
    images = [models.load(model)(noise(32, 32)) for model in found.values()]
    assert (images[0] != images[1]).any()


def test_weights_that_do_not_fit_are_an_error_of_the_user(tmp_path):
    state = torch_baseline.ResnetGenerator(ngf=4, num_blocks=2).state_dict()
    state["model.11.conv_block.1.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "net.pth")
    models = TrainedModels([str(tmp_path)], get_config)
    (model,) = models.find().values()
    with pytest.raises(ValueError, match=r"net\.pth"):
        models.load(model)


def test_labels_are_drawn_in_the_data_sets_colours():
    labels = pictures.example(64, "labels")
    colors = set(map(tuple, labels.reshape(-1, 3).tolist()))
    assert len(colors) > 3 and colors <= set(palettes.FACADES.values())
    assert "nth-of-type(12) input {background: #ae0000" in drawing.swatches("facades", "classes")
    black = drawing.class_color("edges", "line")
    assert drawing.brush(64, black).colors == ["#000000"]
    sheet = drawing.blank("facades", 64)
    assert (sheet[0] == palettes.FACADES["background"]).all()
    assert (sheet[32:] == palettes.FACADES["wall"]).all()
    assert (drawing.blank(None, 64) == 255).all()


def stroke_of(image, path, color=(9, 9, 9)):
    """What an ImageEditor holds after a stroke over the pixels (row, column) of a path."""
    layer = np.zeros((*image.shape[:2], 4), np.uint8)
    for row, column in path:
        layer[row, column] = *color, 255
    opaque = np.full((*image.shape[:2], 1), 255, np.uint8)
    return strokes(np.concatenate([image, opaque], axis=-1), layer)


def test_a_stroke_becomes_a_rectangle_in_the_colour_of_its_class():
    image, diagonal = noise(40, 50), [(5 + i, 30 - i) for i in range(12)]
    red = palettes.FACADES["pillar"]
    before, after = drawing.draw(stroke_of(image, diagonal), drawing.RECTANGLE, (0, 0, 0), red)
    np.testing.assert_array_equal(before, image)
    image[5:17, 19:31] = red
    np.testing.assert_array_equal(after, image)
    _, free = drawing.draw(stroke_of(image, diagonal), drawing.RECTANGLE, (0, 0, 0), None)
    assert (free[10, 25] == 9).all()  # without classes in the brush's colour
    two = stroke_of(image, [*diagonal, (20, 3), (21, 4)])  # one of them with a gap
    two["layers"][0][8:10] = 0
    _, after = drawing.draw(two, drawing.RECTANGLE, (0, 0, 0), (1, 2, 3))
    image[5:17, 19:31] = image[20:22, 3:5] = 1, 2, 3
    np.testing.assert_array_equal(after, image)


def test_on_a_large_picture_a_thin_stroke_counts():
    image = np.full((900, 3 * pictures.MAX_SIDE, 3), 255, np.uint8)
    stroke = [(30 + i, 600 + i) for i in range(300)]
    _, after = drawing.draw(stroke_of(image, stroke), drawing.RECTANGLE, (0, 0, 0), (1, 2, 3))
    assert after.shape == (300, pictures.MAX_SIDE, 3)
    assert (after[12:108, 202:298] == (1, 2, 3)).all()
    assert (after == (1, 2, 3)).all(-1).sum() <= 104**2  # and little more


def test_a_stroke_fills_the_area_of_one_colour_that_it_touches():
    values = np.random.default_rng(0).integers(0, 3, (40, 50))
    image = np.array(list(palettes.FACADES.values())[:3], np.uint8)[values]
    at, red = (20, 25), palettes.FACADES["pillar"]
    _, after = drawing.draw(stroke_of(image, [at]), drawing.FILL, (0, 0, 0), red)
    areas, _ = ndimage.label(values == values[at])
    image[areas == areas[at]] = red
    np.testing.assert_array_equal(after, image)


def test_nothing_is_drawn_without_a_stroke_and_on_an_empty_canvas_the_ground():
    image, white = noise(8, 8), (255, 255, 255)
    assert drawing.draw(None, drawing.FILL, white, None) is None
    assert drawing.draw(stroke_of(image, []), drawing.RECTANGLE, white, None) is None
    empty = stroke_of(image, [(2, 3), (3, 4), (4, 5), (4, 6)]) | {"background": None}
    before, after = drawing.draw(empty, drawing.RECTANGLE, white, (0, 0, 0))
    assert (before == 255).all() and (after == 0).all(-1).sum() == 3 * 4


def test_undo_takes_back_strokes_and_then_rectangles(models):
    tab = TranslateTab(TrainedModels([str(models[0])], get_config))
    tab.look()
    image, name = noise(32, 32), f"{models[0]}/run"
    rectangle = tab.draw(
        name, stroke_of(image, [(i, i) for i in range(2, 10)]), drawing.RECTANGLE, "shop", []
    )
    assert (rectangle[0][2:10, 2:10] == palettes.FACADES["shop"]).all()
    brushed = stroke_of(rectangle[0], [(20, 20)])
    assert "__type__" in tab.draw(name, brushed, drawing.FREEHAND, "shop", rectangle[1])[0]
    shown, before = step_back(brushed, rectangle[1])
    np.testing.assert_array_equal(shown[..., :3], rectangle[0])
    shown, before = step_back(stroke_of(rectangle[0], []), before)
    np.testing.assert_array_equal(shown, image)
    assert before == []
    update, before = tab.switch(name, stroke_of(image, [(5, 6)]), drawing.FILL, "shop", [])
    assert update["value"][5, 6].tolist() == [9, 9, 9] and (before[0] == image).all()


def test_several_images_come_back_as_a_zip(client, models, picture, tmp_path):
    name, images = f"{models[0]}/run", [noise(32, 32), noise(40, 24)]
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"\x89PNG no more")
    paths = [picture(image) for image in images]
    archive, gallery, skipped = client.predict(
        name, [paths[0], handle_file(damaged), paths[1]], api_name="/batch"
    )
    models_ = TrainedModels([str(models[0])], get_config)
    model = models_.load(models_.find()[name])
    with zipfile.ZipFile(archive) as content:
        assert content.namelist() == [pathlib.Path(p["path"]).name for p in paths]
        for number, (image, entry) in enumerate(zip(images, content.namelist(), strict=True)):
            found = np.asarray(Image.open(io.BytesIO(content.read(entry))))
            np.testing.assert_array_equal(found, model(image, index=2 * number))
    assert len(gallery) == 2 and "skipped: damaged.png" in skipped
    with pytest.raises(exceptions.AppError, match="damaged.png"):
        client.predict(name, [handle_file(damaged)], api_name="/batch")
    with pytest.raises(exceptions.AppError, match="choose images first"):
        client.predict(name, None, api_name="/batch")


def test_names_in_the_zip_differ():
    paths = ["a/1.png", "b/1.jpg", "c/1_2.png", "2.webp"]
    assert batch_tab.picture_names(paths) == ["1.png", "1_2.png", "1_2_2.png", "2.png"]


def test_the_first_translation_of_a_size_is_announced(models):
    all_models = TrainedModels([str(models[0])], get_config)
    model = all_models.load(all_models.find()[f"{models[0]}/pennet.pth"])
    said = []
    say = lambda _, desc: said.append(desc.split()[0])
    for size in ((60, 40), (64, 64), (65, 64)):  # padded to multiples of 64
        announce(model, np.zeros((*size, 3)), say)
        model(np.zeros((*size, 4), np.uint8))
        announce(model, np.zeros((*size, 3)), say)
    assert said == ["Compiling", "Translating", "Translating", "Translating", *said[:2]]


def test_a_part_is_cut_out_scaled_and_put_where_it_belongs():
    foreground, background = noise(60, 80), noise(90, 100)
    square = [(20, 15), (59, 15), (59, 44), (20, 44)]
    part = placing.cut_out(foreground, square, (7, 3))
    np.testing.assert_array_equal(part.image, foreground[11:49, 16:64])
    assert part.offset == (16 + 7, 11 + 3)
    shown = placing.pasted(part, background)
    expected = Image.fromarray(background)
    expected.paste(Image.fromarray(foreground[15:45, 20:60]), (27, 18))
    within = slice(19 + 1, 47 - 1), slice(28 + 1, 66 - 1)  # the outline hides the edge
    np.testing.assert_array_equal(shown[within], np.asarray(expected)[within])

    double = placing.cut_out(foreground, square, (0, 0), 2)
    expected = Image.fromarray(foreground[11:49, 16:64]).resize((96, 76), Image.BICUBIC)
    np.testing.assert_array_equal(double.image, expected)
    rows, columns = np.nonzero(double.mask())
    assert abs(len(rows) - 4 * 30 * 40) < 4 * 2 * (30 + 40)  # an edge of a pixel
    middle = columns.mean() + double.offset[0], rows.mean() + double.offset[1]
    assert np.abs(np.subtract(middle, (39.5, 29.5))).max() <= 1  # it stays where it is
    with pytest.raises(ValueError, match="outside the foreground"):
        placing.cut_out(foreground, [(100, 0), (120, 0), (120, 9)], (0, 0))


def test_a_click_brings_the_middle_of_the_part_there(tmp_path):
    path = str(tmp_path / "image.png")
    Image.fromarray(noise(60, 80)).save(path)
    click = type("Click", (), {"index": (50, 33)})
    assert blend_tab.put_part(path, "20,10\n40,10\n40,30\n20,30", click) == (20, 13)
