"""pix2pixHD against PyTorch: networks, label maps, losses, whole steps and runs, files."""

import hashlib
import itertools
import json

import flax.linen
import jax
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from benchmarks import torch_baseline as baseline
from configs import pix2pixhd as hd_config
from pix2pix_jax import exchange, pth_networks, train, training_plan, weights
from pix2pix_jax.data import loading
from pix2pix_jax.dataset.__main__ import main as dataset_tool
from pix2pix_jax.dataset.labels import label_maps as label_maps_of
from pix2pix_jax.evaluation import evaluate
from pix2pix_jax.export import onnx_file
from pix2pix_jax.images import classes
from pix2pix_jax.images.fitting import fit
from pix2pix_jax.images.palettes import FACADES
from pix2pix_jax.methods import losses, optim, pix2pix, pix2pixhd
from pix2pix_jax.methods.contract import Layout
from pix2pix_jax.methods.image_pool import ImagePool
from pix2pix_jax.methods.optim import Plateau
from pix2pix_jax.methods.registry import abstract_state, fresh_state
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.models import build, layers, vgg
from pix2pix_jax.models.patchgan import Scale
from pix2pix_jax.pytorch import architectures, state_dicts
from pix2pix_jax.pytorch.pth_file import read_pth
from pix2pix_jax.run.checkpoints import Checkpoints
from pix2pix_jax.run.run_folder import RunFolder
from pix2pix_jax.settings import config_checks
from pix2pix_jax.translation import translate, translated_files
from tests import parity
from tests import torch_pix2pixhd as theirs
from tests.conftest import make_batch
from tests.conftest import small_config as small_default
from tests.test_data import picture
from tests.test_train_step import check_network

SIZE, CLASSES = 32, 5
SMALL = {
    "data.num_classes": CLASSES,
    "data.load_size": (36, 36),
    "data.crop_size": (SIZE, SIZE),
    "model.generator": "resnet_1blocks",
    "model.num_downs": 2,
    "model.ngf": 8,
    "model.ndf": 4,
    "model.n_layers": 1,
    "model.local_blocks": 1,
    "loss.lambda_vgg": 0.0,
    "train.num_devices": 1,
    "train.log_every": 1,
    "train.num_samples": 2,
    "eval.batch_size": 2,
}
LOCAL = {"model.generator": "enhancer_1blocks", "model.ngf": 4, "model.num_d": 3}


def small_config(**fields):
    config = hd_config.base()
    config.update_from_flattened_dict({**SMALL, **fields})
    return config


def make_nets(config):
    """PyTorch's networks of a config, with its own biases."""
    model, channels = config.model, classes.num_channels(config.data)
    sizes = {"ngf": model.ngf, "downs": model.num_downs, "num_blocks": 1}
    torch.manual_seed(0)
    if model.generator.startswith("enhancer"):
        sizes |= {"enhancers": model.local_enhancers, "local_blocks": model.local_blocks}
        g = theirs.LocalEnhancer(channels, **sizes)
    else:
        g = theirs.GlobalGenerator(channels, **sizes)
    d = theirs.MultiscaleDiscriminator(
        channels + 3, model.ndf, model.n_layers, model.num_d, padding=model.d_padding
    )
    for net in (g, d):  # wider than N(0, 0.02), so that outputs and losses differ
        for module in net.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                torch.nn.init.normal_(module.weight, std=0.1)
    return {"G": g, "D": d}


def torch_keys(config):
    return {name: pth_networks.torch_keys(config, name) for name in "GD"}


def label_maps(count, size=SIZE, seed=0):
    """Class and instance of pixels, uint8 [count, size, size, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, size // 4, size // 4, 3))
    coarse[..., 0] %= CLASSES
    coarse[..., 1] %= 2
    return coarse.repeat(4, 1).repeat(4, 2).astype(np.uint8)


# Layers and label maps


def test_published_values_of_the_pooling():
    x = np.arange(25, dtype=np.float32).reshape(1, 5, 5, 1)
    expected = [[3, 4.5, 6], [10.5, 12, 13.5], [18, 19.5, 21]]
    np.testing.assert_allclose(layers.mean_pool(x)[0, ..., 0], expected, rtol=1e-6)
    x = parity.images(2, 255, 256, 3)
    found = layers.mean_pool(x)
    assert found.shape == (2, 128, 128, 3)
    np.testing.assert_allclose(found, parity.nhwc(theirs.half(parity.nchw(x))), atol=1e-6)


def test_published_edges():
    instances = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]])[None]
    expected = [[0, 1, 1], [1, 1, 1], [1, 1, 1]]
    np.testing.assert_array_equal(classes.edges(instances)[0], expected)


def test_label_maps_of_ids():
    data, labels = small_config().data, label_maps(2)
    found = jax.jit(lambda x: classes.encode(data, x / 127.5 - 1))(labels.astype(np.float32))
    np.testing.assert_array_equal(found, parity.nhwc(theirs.encode(labels, CLASSES)))
    assert 0.2 < np.asarray(found)[..., -1].mean() < 0.9
    data.input_channels = 1
    alone = classes.encode(data, labels[..., :1] / np.float32(127.5) - 1)
    np.testing.assert_array_equal(alone, found[..., :-1])
    assert classes.show(data, labels).shape == labels.shape
    assert len(np.unique(classes.show(data, labels).reshape(-1, 3), axis=0)) == CLASSES


def test_label_maps_in_colours():
    """Classes are found again behind noise, as of JPEG."""
    data = hd_config.get_config("synthetic").data
    ids = np.random.default_rng(0).integers(0, len(FACADES), (1, 16, 16))
    colours = np.array(list(FACADES.values()))[ids] + parity.images(1, 16, 16, 3) * 20
    found = classes.encode(data, np.float32(colours.round().clip(0, 255) / 127.5 - 1))
    np.testing.assert_array_equal(found, np.eye(len(FACADES))[ids])


def test_sizes_of_label_maps_change_without_new_classes():
    image = label_maps(1)[0]
    for how in ("resize", "scale"):
        fitted, restore = fit(image, how, (20, 24), 4, "nearest")
        colours = lambda x: set(map(tuple, x.reshape(-1, 3).tolist()))
        assert colours(fitted) <= colours(image)
        assert restore(fitted[..., :1]).shape == (*image.shape[:2], 1)


# Networks and files


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    "variant, fields, g, d",
    [
        ("512p", {}, 182_546_755, 5_603_202),
        ("512p_rgb", {"model.num_d": 1}, 182_443_267, 2_767_809),
        ("512p", {"model.norm": "batch"}, 182_589_507, 5_606_786),
        ("512p", {"model.num_downs": 2, "model.n_layers": 4}, 11_481_667, 13_992_834),
        ("1024p", {}, 182_857_059, 8_404_803),
        ("1024p", {"model.local_enhancers": 2}, 731_346_659, 8_404_803),
    ],
)
def test_published_numbers_of_parameters(variant, fields, g, d):
    config = hd_config.get_config(variant)
    config.update_from_flattened_dict({"data.crop_size": (128, 128), **fields})
    networks = abstract_state(config).networks
    assert {name: count(net.params) for name, net in networks.items()} == {"G": g, "D": d}


def test_published_shapes_of_features():
    module = build.discriminator(hd_config.base().model)
    image = jax.ShapeDtypeStruct((1, 256, 512, 39), np.float32)
    scales, _ = jax.eval_shape(module.init_with_output, jax.random.key(0), image)
    shapes = [[x.shape[1:3] for x in (*scale.features, scale.logits)] for scale in scales]
    assert shapes[0] == [(129, 257), (65, 129), (33, 65), (34, 66), (35, 67)]
    assert shapes[1][0] == (65, 129) and shapes[1][-1] == (19, 35)
    module, image = build.vgg(hd_config.base().model), jax.ShapeDtypeStruct((1, 32, 32, 3), float)
    assert count(jax.eval_shape(module.init, jax.random.key(0), image)) == 12_944_960


def test_names_of_layers():
    """Published for the networks of both phases."""
    config = hd_config.get_config("512p")
    keys = set(pth_networks.torch_keys(config, "G"))
    convs = {f"model.{n}" for n in (1, 4, 7, 10, 13, 25, 28, 31, 34)}
    convs |= {f"model.{n}.conv_block.{k}" for n in range(16, 25) for k in (1, 5)}
    norms = {f"{k.rpartition('.')[0]}.{int(k.rpartition('.')[2]) + 1}" for k in convs}
    assert keys == convs | norms | {"model.38"}
    local = hd_config.get_config("1024p")
    keys = set(pth_networks.torch_keys(local, "G"))
    convs |= {"model1_1.1", "model1_1.4", "model1_2.3"}
    convs |= {f"model1_2.{n}.conv_block.{k}" for n in range(3) for k in (1, 5)}
    norms = {f"{k.rpartition('.')[0]}.{int(k.rpartition('.')[2]) + 1}" for k in convs}
    assert keys == convs | norms | {"model1_2.7"}
    keys = pth_networks.torch_keys(local, "D")
    assert keys["scale2_layer0.0"] == ("scale_2", "conv_0") and keys["scale0_layer3.1"]
    assert {k for k in keys if k.endswith(".0")} == {
        f"scale{s}_layer{j}.0" for s in range(3) for j in range(5)
    }
    config.loss.lambda_feat = 0.0
    convs = {k for k, path in pth_networks.torch_keys(config, "D").items() if "conv" in path[-1]}
    assert convs == {f"layer{s}.{n}" for s in range(2) for n in (0, 2, 5, 8, 11)}


CASES = {
    "global": {},
    "local": LOCAL | {"model.local_enhancers": 2, "model.local_blocks": 2, "model.remat": True},
    "rgb": {"data.labels": "rgb", "model.num_d": 1, "model.n_layers": 2},
}


@pytest.mark.parametrize("case", CASES)
def test_outputs(case):
    """Of both networks, with weights that come from PyTorch and go back to it."""
    config = small_config(**CASES[case])
    nets, keys = make_nets(config), torch_keys(config)
    variables = {name: parity.variables(nets[name], keys[name]) for name in nets}
    channels = classes.num_channels(config.data)
    x = parity.images(2, 32, 48, channels)
    module = build.generator(config.model, 3)
    found = jax.jit(module.apply)(variables["G"], x)
    np.testing.assert_allclose(found, parity.nhwc(nets["G"](parity.nchw(x))), atol=1e-4)
    pair = np.concatenate([x, found], axis=-1)
    scales = jax.jit(build.discriminator(config.model).apply)(variables["D"], pair)
    expected = nets["D"](parity.nchw(pair))
    assert len(scales) == len(expected) == config.model.num_d
    for scale, outputs in zip(scales, expected, strict=True):
        for ours, output in zip((*scale.features, scale.logits), outputs, strict=True):
            np.testing.assert_allclose(ours, parity.nhwc(output), atol=1e-4)
    for name, net in nets.items():
        state = parity.state_dict(net)
        back = state_dicts.to_torch(variables[name], keys[name])
        assert back.keys() == state.keys()
        assert all((back[key] == state[key]).all() for key in state)
        architectures.check_fields(architectures.describe(state), config)
        other = small_config(**{**CASES[case], "model.ngf": 5, "model.ndf": 5})
        with pytest.raises(ValueError, match=r"ngf=|ndf="):
            architectures.check_fields(architectures.describe(state), other)


@pytest.mark.parametrize("make", [layers.Conv, layers.ConvTranspose])
def test_biases_are_drawn_as_pytorch_draws_them(make):
    layer = make(64, 3, use_bias=True, init_bias=layers.bias_init("torch"))
    x = np.zeros((1, 8, 8, 5), np.float32)  # `layer.init` is the kernel's initialiser
    params = flax.linen.Module.init(layer, jax.random.key(0), x)["params"]
    torch.manual_seed(0)
    theirs_too = {layers.Conv: torch.nn.Conv2d, layers.ConvTranspose: torch.nn.ConvTranspose2d}
    expected = theirs_too[make](5, 64, 3).bias.detach().numpy()
    for statistic in (np.min, np.max, np.std):
        assert statistic(params["bias"]) == pytest.approx(statistic(expected), rel=0.15)


# Losses and steps


def test_published_weight_of_feature_matching():
    """At the defaults 5 for each layer of both sizes, times its mean distance."""
    scale = lambda values: Scale(
        np.zeros(1), [np.full((1, 2, 2, 1), v, np.float32) for v in values]
    )
    fake, real = [scale((1, 2, 3, 4)), scale((0, 0, 0, 0))], [scale((0, 0, 0, 0))] * 2
    loss = hd_config.base().loss
    assert loss.lambda_feat * losses.feature_matching(fake, real) == pytest.approx(5 * 10)


@pytest.mark.parametrize("epoch, share", [(1, 1), (100, 1), (101, 1), (102, 0.99), (200, 0.01)])
def test_published_learning_rates(epoch, share):
    found = optim.learning_rate(hd_config.get_config("512p").optim, np.int32(epoch - 1))
    assert float(found) == pytest.approx(2e-4 * share, rel=1e-5)


@pytest.fixture
def vgg_file(tmp_path, monkeypatch):
    """(its path, PyTorch's network) of a VGG-19 with few filters."""
    widths = (4, 4, 6, 6, 8)
    stages = [(numbers, w) for (numbers, _), w in zip(vgg.STAGES, widths, strict=True)]
    monkeypatch.setattr(vgg, "STAGES", stages)
    torch.manual_seed(3)
    net = theirs.VGG19(stages)
    torch.save(net.state_dict(), tmp_path / "vgg.pth")
    digest = hashlib.sha256((tmp_path / "vgg.pth").read_bytes()).hexdigest()[:8]
    path = (tmp_path / "vgg.pth").rename(tmp_path / f"vgg19-{digest}.pth")
    return str(path), net


def compare_steps(config, count, vgg_net, pool):
    """`count` steps of ours and PyTorch's: losses within 1e-4 relative, weights as pix2pix's."""
    nets, keys = make_nets(config), torch_keys(config)
    networks = {name: parity.network(nets[name], keys[name], config.optim) for name in nets}
    for net in (*nets.values(), vgg_net):
        net.double()
    model = theirs.Pix2PixHD(nets["G"], nets["D"], vgg=vgg_net, pool=pool)
    state = TrainState(np.int32(0), networks, Plateau.create(), pix2pixhd.pools(config))
    step = jax.jit(pix2pixhd.make_train_step(config, 400, Layout()))
    for i in range(count):
        labels, target = label_maps(2, seed=i), parity.images(2, SIZE, SIZE, 3, seed=i)
        source = theirs.encode(labels, CLASSES).double()
        expected = model.step(source, parity.nchw(target).double())
        batch = {"input": labels / np.float32(127.5) - 1, "target": target}
        state, found = step(state, batch)
        assert found.keys() == expected.keys() == set(pix2pixhd.loss_names(config))
        for name, value in expected.items():
            assert float(found[name]) == pytest.approx(float(value), rel=1e-4), (i, name)
    for name, net in nets.items():
        check_network(state.networks[name], parity.variables(net, keys[name]), steps=count)


def test_steps_with_all_losses_and_a_pool(vgg_file, monkeypatch):
    """The pool has label maps with images; of each batch the first is swapped once it is full."""
    swaps, places = np.array([True, False]), np.ones(2, int)
    exchange = lambda pool, key, images: pool.exchange(swaps, places, images)
    monkeypatch.setattr(ImagePool, "query", exchange)
    turns = itertools.chain([(False, 1)], itertools.cycle([(True, 1), (False, 1)]))
    pool = baseline.ImagePool(3, lambda: next(turns))  # which the third image fills
    path, net = vgg_file
    fields = {"loss.lambda_vgg": 10.0, "loss.vgg_weights": path, "train.batch_size": 2}
    compare_steps(small_config(**fields, **{"loss.pool_size": 3}), 4, net, pool)


# Runs


SYNTHETIC = {
    "data.name": "synthetic",
    "data.direction": "BtoA",
    "data.labels": "facades",
    "data.synthetic_size": 32,
    "data.synthetic_train": 2,
    "data.synthetic_eval": 2,
    "eval.checkpoint": "latest",
}


@pytest.fixture(scope="module")
def phases(tmp_path_factory):
    """(config, workdir, init_from) of an enhancer's 5 steps after a global generator's, resumed."""
    folder = tmp_path_factory.mktemp("phases")
    first = small_config(**SYNTHETIC, **{"train.num_steps": 1})
    train.train(first, str(folder / "global"))
    exchange.export_pth(first, str(folder / "global"), str(folder / "pth"))
    fields = {**SYNTHETIC, **LOCAL, "optim.epochs_frozen": 1, "init_from": str(folder / "global")}
    for steps in (2, 5):
        config = small_config(**fields, **{"train.num_steps": steps})
        train.train(config, str(folder / "local"))
    return config, folder / "local", folder / "pth"


def test_an_enhancer_of_nothing_trained_is_told(phases, tmp_path, capsys):
    config = phases[0].copy_and_resolve_references()
    for given in (config.init_from, ""):
        config.init_from = given
        training_plan.first_state(training_plan.make_plan(config, RunFolder(tmp_path)))
        said = (
            "freshly initialised, and not trained in the first config.optim.epochs_frozen=1"
            in capsys.readouterr().out
        )
        assert said != bool(given)
    config.init_from, config.model.ngf = phases[0].init_from, 2 * phases[0].model.ngf
    with pytest.raises(ValueError, match=r"another run \(here: the global .*ngf=\d+ times 2\)"):
        weights.initialize(config, fresh_state(config))


def test_a_global_generator_becomes_part_of_an_enhancer(phases):
    """Its last layer is left out, the D for the whole size new; from runs and files alike."""
    config, _, pth = phases
    fresh = fresh_state(config)
    state = weights.initialize(config, fresh)
    keys = torch_keys(config)
    for name, new in (("G", "model"), ("D", "scale2")):
        network = state.networks[name]
        found = state_dicts.to_torch(network.variables, keys[name])
        before = state_dicts.to_torch(fresh.networks[name].variables, keys[name])
        trained = read_pth(pth / f"1_net_{name}.pth")
        shared = found.keys() & trained.keys()
        assert len(shared) == len(trained) - 2 * (name == "G")
        assert all((found[key] == trained[key]).all() for key in shared)
        assert all((found[key] == before[key]).all() for key in found.keys() - shared)
        assert any(key.startswith(new) for key in found.keys() - shared)
    config = config.copy_and_resolve_references()
    config.init_from = str(pth / "1_net_G.pth")
    again = weights.initialize(config, fresh)
    params = [{k: net.params for k, net in x.networks.items()} for x in (again, state)]
    assert parity.worst(*params) == 0


def test_a_run_in_two_phases_makes_the_steps_of_pytorch(phases):
    """Losses within 1e-4: the enhancer alone for an epoch of 2 steps, then all, Adam anew."""
    config, workdir, _ = phases
    state, keys, nets = (
        weights.initialize(config, fresh_state(config)),
        torch_keys(config),
        make_nets(config),
    )
    for name, net in nets.items():
        arrays = state_dicts.to_torch(state.networks[name].variables, keys[name])
        net.load_state_dict({key: torch.tensor(array) for key, array in arrays.items()})
        net.double()
    model = theirs.Pix2PixHD(nets["G"], nets["D"])
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "train/g_gan" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    examples = loading.load_examples(config.data, config.seed, "train", True)
    before = state.networks["G"].params["global"]
    model.train_enhancer()
    for i, row in enumerate(rows):
        if i == 2:
            trained = parity.variables(nets["G"].float(), keys["G"])["params"]
            assert parity.worst(trained["global"], before) == 0
            assert parity.worst(trained["local_1"], state.networks["G"].params["local_1"]) > 1e-4
            nets["G"].double()
            model.train(nets["G"].parameters())
        item = jax.tree.map(lambda x: x[0], examples.chunk(i, 1, 1))
        batch = make_batch(config, examples, i, item)
        expected = model.step(
            one_hot(batch["input"]), parity.nchw(np.asarray(batch["target"])).double()
        )
        assert {f"train/{name}" for name in expected} == row.keys() - {"step"}
        for name, value in expected.items():
            assert row[f"train/{name}"] == pytest.approx(float(value), rel=1e-4), (i, name)
    with Checkpoints(workdir) as saver:
        at_two, last = (saver.restore(abstract_state(config), step).networks for step in (2, 5))
    assert parity.worst(at_two["G"].params["global"], before) == 0
    assert int(last["G"].opt_state.count) == 3 and int(last["D"].opt_state.count) == 5
    for name, net in nets.items():
        check_network(last[name], parity.variables(net.float(), keys[name]), steps=5)


def one_hot(labels):
    """Colours of facades in [-1, 1] -> PyTorch's channels of classes."""
    levels, colours = ((np.asarray(labels) + 1) * 127.5).round(), np.array(list(FACADES.values()))
    ids = np.square(levels[..., None, :] - colours).sum(-1).argmin(-1)
    return parity.nchw(np.eye(len(FACADES))[ids])


def test_a_run_is_evaluated_and_goes_to_pytorch_and_onnx(phases, tmp_path):
    """PyTorch makes the same image of the exported generator, of a picture of another size."""
    config, workdir, _ = phases
    config = config.copy_and_resolve_references()
    config.init_from = ""
    assert evaluate.evaluate(config, str(workdir)).keys() == {"l1", "l2", "psnr", "ssim"}
    Image.fromarray(picture(30, 40)).save(tmp_path / "a.png")
    assert not translate.translate(
        config, str(workdir), str(tmp_path / "a.png"), str(tmp_path / "out")
    )
    exchange.export_pth(config, str(workdir), str(tmp_path))
    nets = make_nets(config)
    for name, net in nets.items():
        state = torch.load(tmp_path / f"5_net_{name}.pth", weights_only=True)
        assert list(state) == list(net.state_dict())
        net.load_state_dict(state, strict=True)
    resized = Image.open(tmp_path / "a.png").resize((SIZE, SIZE), Image.Resampling.NEAREST)
    x = one_hot(np.asarray(resized)[None] / np.float32(127.5) - 1).float()
    expected = ((nets["G"](x)[0].permute(1, 2, 0) + 1) * 127.5).round().byte().detach().numpy()
    expected = Image.fromarray(expected).resize((40, 30), Image.Resampling.BICUBIC)
    found = np.asarray(Image.open(tmp_path / "out" / "a.png")).astype(int)
    assert np.abs(found - np.asarray(expected)).max() <= 1
    onnx_file.export_onnx(config, str(workdir), str(tmp_path))  # compares it with our own


def test_ids_in_onnx():
    """onnxruntime finds the classes and edges of numbers as ours does."""
    config = small_config()
    (direction,) = pix2pixhd.directions(config)
    generator = build.generator(config.model, 3)
    shape = (1, SIZE, SIZE, classes.num_channels(config.data))
    variables = jax.jit(generator.init)(jax.random.key(0), np.zeros(shape, np.float32))
    content = onnx_file.make_model(config, direction, variables).SerializeToString()
    images = label_maps(1)[:, :24] / np.float32(127.5) - 1
    ours = jax.jit(pix2pixhd.make_generate(config, direction))(
        variables, images, jax.random.split(jax.random.key(0), 1)
    )
    np.testing.assert_allclose(onnx_file.run(content, images), ours, atol=1e-4)


# Files of label maps


def test_label_maps_of_files(tmp_path):
    """Maps of 8 bits with a palette and of 16 bits, written as one, read and cropped alike."""
    labels, photos = label_maps(2, 48), parity.images(2, 48, 48, 3)
    for i in range(2):
        for kind in ("classes", "instances", "photos", "data/train"):
            (tmp_path / kind).mkdir(parents=True, exist_ok=True)
        numbers = Image.fromarray(labels[i, ..., 0])
        numbers.putpalette(list(range(255, -1, -1)) * 3)
        numbers.save(tmp_path / "classes" / f"{i}_ids.png")
        instance = labels[i, ..., 1].astype(np.uint16) * 256 + labels[i, ..., 2]
        Image.fromarray(instance).save(tmp_path / "instances" / f"{i}_inst.png")
        photo = ((photos[i] + 1) * 127.5).astype(np.uint8)
        for folder in ("photos", "data/train/B"):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo).save(tmp_path / folder / f"photo_{i}.png")
    folders = [str(tmp_path / name) for name in ("classes", "instances", "photos")]
    dataset_tool(["labels", *folders, f"--output={tmp_path / 'data/train/A'}"])
    found = Image.open(tmp_path / "data/train/A/photo_1.png")
    np.testing.assert_array_equal(np.asarray(found), labels[1])
    config = small_config(**{"data.dir": str(tmp_path / "data"), "data.preprocess": "crop"})
    examples = loading.load_examples(config.data, 0, "train", True)
    item = jax.tree.map(lambda x: x[0], examples.chunk(0, 1, 2))
    batch = make_batch(config, examples, 0, item)
    levels = np.round((np.asarray(batch["input"]) + 1) * 127.5)
    assert set(np.unique(levels[..., 0])) <= set(range(CLASSES))
    config.data.num_classes = 3
    with pytest.raises(ValueError, match=r"photo_\d has the class 4, and with .*num_classes=3"):
        loading.load_examples(config.data, 0, "train", True)
    (tmp_path / "photos" / "photo_0.png").unlink()
    with pytest.raises(ValueError, match="have 2, 2 and 1 images"):
        label_maps_of(*folders, str(tmp_path / "other"))


def test_a_photo_on_its_side_belongs_to_the_upright_map(tmp_path):
    """As a camera stores it: training turns it by its EXIF tag."""
    for kind in ("classes", "instances", "photos"):
        (tmp_path / kind).mkdir()
    for kind in ("classes", "instances"):
        Image.new("L", (20, 30)).save(tmp_path / kind / "0.png")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "photos" / "0.jpg", exif=exif)
    folders = [str(tmp_path / name) for name in ("classes", "instances", "photos")]
    assert label_maps_of(*folders, str(tmp_path / "maps")) == 1
    assert Image.open(tmp_path / "maps" / "0.png").size == (20, 30)


@pytest.mark.parametrize("kind", ["gray", "palette", "16 bit"])
def test_ids_of_one_channel_are_the_numbers_of_the_file(kind, tmp_path):
    """As PyTorch's code takes them: not the brightness of colours, nor the range of 16 bits."""
    labels = label_maps(2, 48)[..., 0]
    for i, numbers in enumerate(labels):
        image = Image.fromarray(numbers.astype(np.uint16 if kind == "16 bit" else np.uint8))
        if kind == "palette":
            image.putpalette(list(range(255, -1, -1)) * 3)
        for side, picture_of_it in (("A", image), ("B", Image.new("RGB", (48, 48)))):
            (tmp_path / "train" / side).mkdir(parents=True, exist_ok=True)
            picture_of_it.save(tmp_path / "train" / side / f"{i}.png")
    fields = {"data.dir": str(tmp_path), "data.input_channels": 1, "data.preprocess": "crop"}
    config = small_config(**fields, **{"data.eval_split": "train"})
    found = loading.load_examples(config.data, 0, "train", False).images("input", [0, 1])
    np.testing.assert_array_equal(np.stack(found)[..., 0], labels)
    path = tmp_path / "train" / "A" / "1.png"
    (direction,) = pix2pixhd.directions(config)
    (taken,) = translated_files.read(config, path, [direction], None)
    np.testing.assert_array_equal(taken[..., 0], labels[1])
    Image.fromarray(np.full((48, 48), 300, np.uint16)).save(path)
    with pytest.raises(ValueError, match=r"1.png .*numbers from 300 to 300, not 0 to 255"):
        translated_files.read(config, path, [direction], None)


# Options of pix2pix


def test_pix2pix_with_several_discriminators_and_their_features():
    """Against PyTorch, with the updated D: its features are compared with those of the target."""
    fields = {"model.norm": "instance", "model.num_d": 2, "loss.lambda_feat": 10.0}
    fields |= {"model.dropout": 0.0, "loss.gan_mode": "lsgan", "data.crop_size": (SIZE, SIZE)}
    config = small_default(**fields)
    g = baseline.init_weights(baseline.UnetGenerator(3, 3, 5, 4, "instance", False), 1)
    d = theirs.MultiscaleDiscriminator(6, 4, 2, 2, padding=1)
    keys = {name: pth_networks.torch_keys(config, name) for name in "GD"}
    networks = {n: parity.network(net, keys[n], config.optim) for n, net in (("G", g), ("D", d))}
    state = TrainState(np.int32(0), networks, Plateau.create(), {})
    step = jax.jit(pix2pix.make_train_step(config, 400, Layout()))
    g_optim, d_optim = baseline.adam(g), baseline.adam(d)
    gan = lambda scales, real: sum(baseline.gan_loss(x[-1], real, "lsgan") for x in scales)
    for i in range(3):
        source, target = parity.images(2, 2, SIZE, SIZE, 3, seed=i)
        a, b = parity.nchw(source), parity.nchw(target)
        fake = g(a)
        d_optim.zero_grad()
        judge = lambda image, a=a: d(torch.cat([a, image], 1))
        expected = {"d_fake": gan(judge(fake.detach()), False), "d_real": gan(judge(b), True)}
        (0.5 * (expected["d_fake"] + expected["d_real"])).backward()
        d_optim.step()
        g_optim.zero_grad()
        of_fake, of_real = judge(fake), judge(b)
        expected["g_gan"] = gan(of_fake, True)
        expected["g_l1"] = 100 * (fake - b).abs().mean()
        pairs = [p for two in zip(of_fake, of_real, strict=True) for p in zip(*two, strict=True)]
        pairs = [p for p in pairs if p[0].shape[1] > 1]  # without logits
        each = [(x - y.detach()).abs().mean() for x, y in pairs]
        expected["g_feat"] = 10 * 4 / 3 / 2 * sum(each)
        (expected["g_gan"] + expected["g_l1"] + expected["g_feat"]).backward()
        g_optim.step()
        state, found = step(state, {"input": source, "target": target})
        assert found.keys() == expected.keys() == set(pix2pix.METHOD.loss_names(config))
        for name, value in expected.items():
            assert float(found[name]) == pytest.approx(float(value.detach()), rel=1e-4), (i, name)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"loss.gan_mode": "wgangp"}, "gan_mode=lsgan"),
        ({"loss.update_order": "torch"}, "pix2pixhd has simultaneous"),
        ({"optim.epochs_frozen": 3}, "has no part that could stay"),
        ({"data.labels": "facades", "data.input_channels": 1}, "which are colours"),
        ({"data.labels": "facade"}, "did you mean facades"),
        ({"model.discriminator": "pixel"}, "num_d is 2, and pixels"),
        ({"data.crop_size": (36, 30)}, "multiples of 4"),
        ({**LOCAL, "data.crop_size": (32, 36)}, "multiples of 8"),
        ({"method": "pix2pix", "loss.update_order": "torch"}, "only pix2pixhd knows"),
        ({"method": "cyclegan", "data.labels": "rgb"}, "lambda_feat is 10.0: features"),
    ],
)
def test_what_cannot_be_is_said(fields, message):
    with pytest.raises(ValueError, match=message):
        config_checks.check(small_config(**fields))


def test_missing_vgg_weights_are_said(capsys, tmp_path):
    config = small_config(**{"loss.lambda_vgg": 10.0})
    assert pix2pixhd.vgg_distance(config) is None and "g_vgg" not in pix2pixhd.loss_names(config)
    assert "without pix2pixHD's VGG loss" in capsys.readouterr().out
    config.loss.vgg_weights = str(tmp_path)
    with pytest.raises(
        FileNotFoundError, match="vgg19-dcbb9e9d.pth is not in .*vgg_weights=FOLDER"
    ):
        pix2pixhd.vgg_distance(config)
