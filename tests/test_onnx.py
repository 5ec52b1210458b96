"""The ONNX export in onnxruntime, against PyTorch, scikit-image and our own forward pass."""

import importlib
import json
import sys
from collections import Counter

import jax
import numpy as np
import onnx
import pytest
import torch
from skimage import color

from benchmarks import torch_baseline, torch_cut, torch_regression
from pix2pix_jax import weights
from pix2pix_jax.exchange import export_pth
from pix2pix_jax.export import files, onnx_file, onnx_methods, onnx_packages
from pix2pix_jax.export.onnx_file import export_onnx
from pix2pix_jax.export.onnx_graph import IMAGE, Graph
from pix2pix_jax.export.stablehlo import export_stablehlo
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.pytorch import layer_names
from tests import parity
from tests.conftest import small_config

REGRESSION = {"method": "regression", "loss.lambda_gan": 0.0}
INPAINTING = {
    "method": "inpainting",
    "model.generator": "inpainting_unet",
    "model.norm": "none",
    "data.input_channels": 4,
    "data.crop_size": (64, 64),
    "eval.fit": "pad",
    "loss.lambda_gan": 0.0,
}


def own_keys(net):
    """Layers that are called there as in our module."""
    return {name.rpartition(".")[0]: (name.rpartition(".")[0],) for name in net.state_dict()}


CASES = {  # fields of the config, the network in PyTorch, its layers
    "unet": ({}, lambda: torch_baseline.UnetGenerator(3, 3, 5, 4), layer_names.unet_keys(5)),
    "unet running": (
        {"eval.norm_mode": "running"},
        lambda: torch_baseline.UnetGenerator(3, 3, 5, 4),
        layer_names.unet_keys(5),
    ),
    "resnet": (
        {"model.generator": "resnet_2blocks", "model.norm": "instance"},
        lambda: torch_baseline.ResnetGenerator(ngf=4, num_blocks=2),
        layer_names.resnet_keys(2, False),
    ),
    "resnet replicate": (
        {"model.generator": "resnet_1blocks", "model.padding": "replicate"},
        lambda: torch_baseline.ResnetGenerator(
            ngf=4, num_blocks=1, norm="batch", padding="replicate"
        ),
        layer_names.resnet_keys(1, False),
    ),
    "resnet antialiased": (
        {
            "model.generator": "resnet_1blocks",
            "model.norm": "instance",
            "model.antialias": True,
            "model.antialias_up": True,
        },
        lambda: torch_cut.ResnetGenerator(ngf=4, num_blocks=1),
        layer_names.resnet_keys(1, False, antialias=True, antialias_up=True),
    ),
    "convdeconv": (
        {"model.generator": "convdeconv", "eval.norm_mode": "running", **REGRESSION},
        lambda: torch_regression.ConvDeconv(ngf=4),
        None,
    ),
    "fcn": (
        {"model.generator": "fcn_8s", "model.ngf": 2, "eval.norm_mode": "running", **REGRESSION},
        lambda: torch_regression.FCN(ngf=2),
        None,
    ),
    "fcn split": (
        {
            "model.generator": "fcn_16s",
            "model.fcn_convs": (1, 1, 1, 1, 1),
            "model.fcn_split_upsampling": True,
            "model.ngf": 2,
            **REGRESSION,
        },
        lambda: torch_regression.FCN(stride=16, ngf=2, convs=(1,) * 5, split=True),
        None,
    ),
    "inpainting": (INPAINTING, lambda: torch_regression.InpaintingUnet(4), "inpainting"),
}


def in_torch(name):
    """(config, direction, variables, the network in PyTorch) of a case, of random weights."""
    fields, make, keys = CASES[name]
    config = onnx_file.without_dropout(small_config(**fields))
    torch.manual_seed(0)
    net = make()
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for array in (layer.weight, layer.running_var):
                torch.nn.init.uniform_(array, 0.5, 1.5)
            for array in (layer.bias, layer.running_mean):
                torch.nn.init.normal_(array, 0, 0.3)
        if isinstance(layer, torch.nn.ConvTranspose2d):
            layer.weight.data *= 3  # of five in a row something must be left
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    net.train(config.eval.norm_mode == "batch")
    keys = layer_names.inpainting_keys() if keys == "inpainting" else keys or own_keys(net)
    (direction,) = METHODS[config.method].directions(config)
    return config, direction, parity.variables(net, keys), net


@pytest.mark.parametrize("name", CASES)
def test_networks_give_pytorchs_images_at_two_sizes(name):
    config, direction, variables, net = in_torch(name)
    content = onnx_file.make_model(config, direction, variables).SerializeToString()
    for height, width in ((64, 64), (128, 192)):
        images = parity.images(1, height, width, 4 if config.method == "inpainting" else 3)
        seen = images
        if config.method == "inpainting":
            hole = images[..., 3:] > 0
            seen = np.concatenate([np.where(hole, 1, images[..., :3]), hole], -1, dtype=np.float32)
        with torch.no_grad():
            expected = parity.nhwc(net(parity.nchw(seen)))
        if config.method == "inpainting":
            expected = np.where(hole, expected, images[..., :3])
        found = onnx_file.run(content, images)
        assert expected.std() > 0.01  # of a network that does something
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_pth_becomes_a_file_that_does_what_our_network_does(tmp_path, capsys):
    """The whole command; batches, whose images are normalised apart, in uint8 levels."""
    _, _, _, net = in_torch("unet")
    torch.save(net.state_dict(), tmp_path / "latest_net_G.pth")
    config = small_config(init_from=str(tmp_path / "latest_net_G.pth"), name="façade")
    (path,) = onnx_file.export_onnx(config, "none", str(tmp_path / "out"))
    assert path == tmp_path / "out" / "façade.onnx"
    said = capsys.readouterr().out
    assert "dropout is left out" in said and "latest_net_G.pth" in said
    model = onnx.load(path)
    assert model.opset_import[0].version == 17 and model.ir_version == 8
    metadata = {prop.key: prop.value for prop in model.metadata_props}
    assert metadata["name"] == "façade" and metadata["direction"] == "BtoA"
    assert metadata["divisor"] == "32" and metadata["range"] == "[-1, 1]"
    assert json.loads(metadata["palette"])["wall"] == [0, 48, 255]

    variables, _ = weights.load_generators(config, "none")
    config = onnx_file.without_dropout(config)
    generate = METHODS["pix2pix"].make_generate(config, *METHODS["pix2pix"].directions(config))
    images, keys = parity.images(2, 64, 32, 3), jax.random.split(jax.random.key(0), 2)
    ours = np.asarray(jax.jit(generate)(variables["G"], images, keys))
    theirs = onnx_file.run(path.read_bytes(), images)
    np.testing.assert_allclose(theirs, ours, atol=1e-4)
    levels = lambda image: np.round((image + 1) * 127.5)
    assert np.abs(levels(theirs) - levels(ours)).max() <= 1


def random_variables(config):
    """Of the generator, drawn without compiling its initialisation."""
    generator = np.random.default_rng(0)
    draw = lambda leaf: generator.normal(0, 0.3, leaf.shape).astype(np.float32)
    return jax.tree.map(draw, weights.abstract_variables(config, ["G"])["G"])


def test_the_unets_other_settings():
    """Those that PyTorch's code does not have, against our own forward pass."""
    fields = {
        "model.skip_first": False,
        "model.skip_leaks": True,
        "model.norm_innermost": True,
        "model.upsample": "resize",
        "model.bias": "last",
    }
    config = onnx_file.without_dropout(small_config(**fields))
    (direction,) = METHODS["pix2pix"].directions(config)
    variables = random_variables(config)
    content = onnx_file.make_model(config, direction, variables).SerializeToString()
    assert onnx_file.try_model(content, config, direction, variables) <= 1e-4


def test_a_deep_resnet_is_tried_on_an_image_that_it_takes():
    """Its blocks mirror the border of what is left after six downsamplings."""
    fields = {"model.generator": "resnet_1blocks", "model.num_downs": 6, "model.ngf": 1}
    size = {"data.crop_size": (128, 128), "data.load_size": (128, 128)}
    config = small_config(**fields, **size, **{"model.dropout": 0.0})
    (direction,) = METHODS["pix2pix"].directions(config)
    variables = random_variables(config)
    content = onnx_file.make_model(config, direction, variables).SerializeToString()
    assert onnx_file.try_model(content, config, direction, variables) <= 1e-3


def test_colorization_goes_through_lab():
    """With a fixed linear map in the place of the network, against scikit-image."""
    graph = Graph()
    matrix = np.array([0.3, -0.2])

    def network(lightness):
        kernel = graph.weight("kernel", matrix.reshape(2, 1, 1, 1))
        return graph.add("Conv", lightness, kernel)

    onnx_methods.colorize(None, graph, network, IMAGE)
    content = graph.model(3, 3, {}).SerializeToString()
    images = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32)
    lab = color.rgb2lab((images + 1) / 2)
    lab[..., 1:] = 110 * matrix * (lab[..., :1] / 50 - 1)
    expected = 2 * color.lab2rgb(lab) - 1
    np.testing.assert_allclose(onnx_file.run(content, images), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        (
            {
                "model.generator": "unet_256",
                "data.crop_size": (256, 256),
                "data.load_size": (256,) * 2,
            },
            "8 Conv 8 ConvTranspose 13 InstanceNormalization 7 LeakyRelu 8 Relu 7 Concat 1 Tanh",
        ),
        (
            {"model.generator": "resnet_9blocks", "model.norm": "instance"},
            "20 Pad 22 Conv 23 InstanceNormalization 14 Relu 9 Add 2 ConvTranspose 1 Tanh",
        ),
    ],
)
def test_operators_are_those_of_the_layers_and_nothing_is_left_to_the_runtime(fields, counts):
    config = small_config(**{"model.ngf": 2, **fields})
    (direction,) = METHODS["pix2pix"].directions(config)
    nodes = onnx_file.make_model(config, direction, random_variables(config)).graph.node
    words = counts.split()
    expected = dict(zip(words[1::2], map(int, words[0::2]), strict=True))
    assert Counter(node.op_type for node in nodes) == expected
    for node in nodes:
        names = {attribute.name for attribute in node.attribute}
        assert not names & {"auto_pad", "output_padding"}
        assert ("pads" in names) == (node.op_type in ("Conv", "ConvTranspose"))


@pytest.mark.parametrize("export", [export_onnx, export_stablehlo, export_pth])
def test_where_nothing_can_be_written_nothing_is_computed(export, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write to .*file.*: choose another folder"):
        export(small_config(), str(tmp_path / "run"), str(tmp_path / "file"))


def test_a_run_whose_name_is_a_path_is_one_file(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "load_generators", lambda *arguments: ({"G": None}, "nothing"))
    config = small_config(name="facades/first")
    make = lambda direction, variables: ({".onnx": b"content"}, "")
    paths = files.export_each(config, "", str(tmp_path), make)
    assert paths == [tmp_path / "facades_first.onnx"] and paths[0].read_bytes() == b"content"


def test_what_cannot_be_exported_is_said(monkeypatch, tmp_path):
    config = small_config()
    (direction,) = METHODS["pix2pix"].directions(config)
    variables = random_variables(config)
    variables["params"]["blur"] = {"kernel": np.ones((3, 3, 1, 4), np.float32)}
    with pytest.raises(ValueError, match="leaves out blur/kernel: it does not know this variant"):
        onnx_file.make_model(config, direction, variables)
    monkeypatch.setattr(onnx_file, "run", lambda content, images: np.float32(2))
    del variables["params"]["blur"]
    with pytest.raises(ValueError, match=r"small\.onnx would differ from the network by"):
        onnx_file.try_model(b"", config, direction, variables)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="pip install -r requirements-export"):
        importlib.reload(onnx_packages)
