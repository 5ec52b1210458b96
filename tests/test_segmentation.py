"""Segmentation scores: golden values, colours, the DRN against PyTorch, runs."""

import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from PIL import Image

from configs import segmenter as segmenter_config
from pix2pix_jax.data import catalogue
from pix2pix_jax.evaluation import segmenters
from pix2pix_jax.evaluation.evaluator import Row
from pix2pix_jax.evaluation.summary import Summary
from pix2pix_jax.images.palettes import CITYSCAPES, FACADES
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.metrics import drn, segmentation
from pix2pix_jax.metrics.__main__ import main
from pix2pix_jax.models.drn import DRN, DRN_D_22, DRN_D_105
from pix2pix_jax.pytorch.frozen import to_frozen
from pix2pix_jax.pytorch.pth_file import write_pth
from pix2pix_jax.run import config_file
from pix2pix_jax.settings import config_checks
from tests import parity, torch_measuring
from tests.conftest import small_config

WIDTHS = (4, 4, 8, 8, 12, 16, 16, 16)


# Scores


def test_golden_scores():
    truth, predicted = np.array([0, 0, 1, 1, 2, 255]), np.array([0, 1, 1, 1, 0, 2])
    matrix = segmentation.confusion(truth, predicted, 3)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 2, 0], [1, 0, 0]])
    found = segmentation.scores(matrix)
    assert found == pytest.approx(
        {"pixel_accuracy": 0.6, "class_accuracy": 0.5, "class_iou": (1 / 3 + 2 / 3) / 3}
    )
    # A class that is nowhere does not count.
    wider = segmentation.confusion(truth, predicted, 4)
    assert segmentation.scores(wider) == pytest.approx(found)
    with pytest.raises(ValueError, match="no pixel of the label maps has a class"):
        segmentation.scores(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="have a class 2, and there are 2"):
        segmentation.confusion(truth, predicted, 2)


def test_classes_of_colours():
    """Those of the palettes, also a little off; unlabeled pixels are ignored, never predicted."""
    colours = np.array(list(CITYSCAPES.values()), np.uint8)[None, None]
    np.testing.assert_array_equal(
        segmentation.true_classes(colours, CITYSCAPES)[0, 0], [255, *range(19)]
    )
    off = np.clip(colours + np.array([2, -2, 2]), 0, 255).astype(np.uint8)
    assert segmentation.predicted_classes(off, CITYSCAPES)[0, 0, 1:].tolist() == list(range(19))
    black = np.zeros((1, 1, 1, 3), np.uint8)
    distances = {n: np.square(c).sum() for n, c in CITYSCAPES.items() if n != "unlabeled"}
    nearest = list(distances).index(min(distances, key=distances.get))
    assert segmentation.predicted_classes(black, CITYSCAPES).item() == nearest
    assert segmentation.num_classes(CITYSCAPES) == 19 and segmentation.num_classes(FACADES) == 12
    ids = segmentation.from_ids(np.array([7, 8, 0, 33, 14], np.uint8))
    assert ids.tolist() == [0, 1, 255, 18, 255]


# Network


def small_drn(blocks, bottleneck):
    x = parity.nchw(parity.images(2, 64, 64, 3))
    return torch_measuring.randomize(torch_measuring.DRN(blocks, bottleneck, WIDTHS), x)


@pytest.mark.parametrize("blocks, bottleneck", [((1, 2, 1, 1), False), ((1, 1, 2, 1), True)])
def test_a_drn_segments_as_pytorchs(blocks, bottleneck):
    net = small_drn(blocks, bottleneck)
    module = DRN(blocks, bottleneck, widths=WIDTHS)
    state = parity.state_dict(net)
    variables = to_frozen(state, module, (1, 64, 64, 3), drn.locate)
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8)
    normalised = (images / 255 - drn.MEAN) / drn.DEVIATION
    with torch.no_grad():
        expected = net(parity.nchw(normalised.astype(np.float32)))
    scores = jax.jit(module.apply)(variables, jnp.asarray(normalised, jnp.float32))
    found = jax.nn.log_softmax(scores)
    np.testing.assert_allclose(found, parity.nhwc(expected), atol=1e-4 * expected.abs().max())
    # At the size of larger label maps, by PIL.
    enlarged = [
        np.stack([np.asarray(Image.fromarray(c).resize((96, 80), Image.BILINEAR)) for c in image])
        for image in expected.numpy()
    ]
    classes = drn.segmenter(module, variables, 2)(images, (80, 96))
    assert (classes == np.stack(enlarged).argmax(1)).mean() > 0.999


@pytest.mark.parametrize(
    "module, blocks, bottleneck, arrays, parameters",
    [
        (DRN_D_22, (2, 2, 2, 2), False, None, 15_895_363),
        (DRN_D_105, (3, 4, 23, 3), True, 651, 54_302_915),
    ],
)
def test_published_networks_have_their_layers(module, blocks, bottleneck, arrays, parameters):
    with torch.device("meta"):
        net = torch_measuring.DRN(blocks, bottleneck)
    state = net.state_dict()
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert arrays in (None, len(state))
    shape = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    layers = jax.eval_shape(module.init, jax.random.key(0), shape)["params"]
    kernels = {name for name in state if state[name].ndim == 4 and name != "up.weight"}
    assert {f"{drn.locate(name).conv}.weight" for name in layers} == kernels
    norms = {drn.locate(name).norm for name in layers} - {None}
    assert norms == {n.removesuffix(".running_mean") for n in state if n.endswith("running_mean")}
    for name, layer in layers.items():
        kernel = state[f"{drn.locate(name).conv}.weight"].shape
        assert tuple(layer["kernel"].shape) == (*kernel[2:], kernel[1], kernel[0])


def test_command_scores_cityscapes(tmp_path, capsys, monkeypatch):
    """Against the classes that PyTorch's network gives, counted here."""
    net = small_drn((1, 2, 1, 1), False)
    monkeypatch.setattr(drn, "DRN_D_22", DRN((1, 2, 1, 1), widths=WIDTHS))
    write_pth(tmp_path / "drn.pth", parity.state_dict(net))
    random = np.random.default_rng(0)
    truth = random.integers(0, 19, (2, 32, 40), np.uint8)
    truth[:, :5] = 255
    images = random.integers(0, 256, (2, 32, 40, 3), np.uint8)
    folders = [tmp_path / "labels", tmp_path / "fake"]
    for folder, arrays in zip(folders, (truth, images), strict=True):
        folder.mkdir()
        for i, array in enumerate(arrays):
            Image.fromarray(array).save(folder / f"{i}.png")
    with torch.no_grad():
        normalised = (images / 255 - drn.MEAN) / drn.DEVIATION
        predicted = net(parity.nchw(normalised.astype(np.float32))).argmax(1).numpy()
    accuracy = (truth == predicted)[truth != 255].mean()
    folders = [str(folder) for folder in folders]
    main(["segmentation", *folders, f"--weights={tmp_path / 'drn.pth'}", "--labels=train_ids"])
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("pixel accuracy ") and line.endswith("(2 images)")
    assert float(line.split()[2].rstrip(",")) == pytest.approx(accuracy, abs=2e-3)
    with pytest.raises(SystemExit, match="not those of a DRN-D-22 or DRN-D-105"):
        write_pth(tmp_path / "other.pth", {"weight": np.zeros(3, np.float32)})
        main(["segmentation", *folders, f"--weights={tmp_path / 'other.pth'}"])


# Runs


def test_label_maps_are_scored_by_their_colours():
    """Photograph -> label map needs no network: the output's colours are its classes."""
    config = small_config(**{"data.direction": "AtoB", "eval.set_metrics": ("segmentation",)})
    (direction,) = METHODS["pix2pix"].directions(config)
    colours = np.array(list(FACADES.values()), np.uint8)
    truth, wrong = colours[np.array([[0, 1], [2, 3]])], colours[np.array([[0, 1], [2, 5]])]
    evaluator = SimpleNamespace(directions=[direction])
    summary = Summary(config, evaluator, None)
    for output in (truth, wrong):
        summary.add(Row("1", "", {"output": output, "target": truth}, {"l1": 0.5}))
    found = summary.means()
    assert found["pixel_accuracy"] == 7 / 8 and found["l1"] == 0.5
    assert found["class_accuracy"] == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    summary.clear()
    summary.add(Row("1", "", {"output": truth, "target": truth}, {"l1": 0.5}))
    assert summary.means()["class_iou"] == 1


def test_a_run_segments_photographs(tmp_path, monkeypatch):
    """A segmenter that paints what is dark as wall and what is bright as window."""
    trained = segmenter_config.get_config("synthetic")
    config_checks.check(trained)
    config_file.write_config(tmp_path, trained)
    config = small_config(**{"eval.set_metrics": ("segmentation",)})
    config.eval.segmenter = str(tmp_path)
    (direction,) = METHODS["regression"].directions(trained)
    seen = []

    def batch(variables, images, indices):
        seen.append(images.shape)
        noise = 200 * (indices % 2)[:, None, None, None]
        bright = images.mean(-1, keepdims=True) + noise > 127
        return np.where(bright, FACADES["window"], FACADES["wall"]).astype(np.uint8)

    translator = SimpleNamespace(direction=direction, variables={}, translator=None)
    translator.translator = SimpleNamespace(batch=batch)
    monkeypatch.setattr(
        segmenters.translate, "load", lambda config, workdir: ([translator], "step 1")
    )
    (direction,) = METHODS["pix2pix"].directions(config)
    found = segmenters.for_direction(config, direction)
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[:, 8:16] = 255
    classes = found.segment(image, (32, 32))
    names = list(FACADES)
    assert found.truth == "input" and seen == [(1, 64, 64, 3)]
    assert (classes[0, 10:14] == names.index("window")).all()
    assert (classes[0, 18:] == names.index("wall")).all()
    three = found.segment(np.repeat(image, 3, axis=0), (32, 32))
    np.testing.assert_array_equal(three, np.repeat(classes, 3, axis=0))  # in a batch as alone

    trained.data.direction = "BtoA"
    config_file.write_config(tmp_path, trained)
    with pytest.raises(ValueError, match="makes no label maps in the colours of facades"):
        segmenters.for_direction(config, direction)
    config.eval.segmenter = str(tmp_path / "typo")
    with pytest.raises(FileNotFoundError, match="typo, and there is no such folder or file"):
        segmenters.for_direction(config, direction)
    config.eval.segmenter = ""
    with pytest.raises(ValueError, match="takes a segmenter trained here"):
        segmenters.for_direction(config, direction)
    config.data.name = "maps"
    with pytest.raises(ValueError, match="neither side of config.data.name=maps") as raised:
        segmenters.for_direction(config, direction)
    for name in re.search(r"\(([^()]*)\), also with", str(raised.value))[1].split(", "):
        assert catalogue.label_palette(name, "A") or catalogue.label_palette(name, "B"), name
    config.data.name = "cityscapes"
    with pytest.raises(FileNotFoundError, match="drn-d-105_ms_cityscapes.pth is needed"):
        segmenters.for_direction(config, direction)
