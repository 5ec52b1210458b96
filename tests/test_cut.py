"""CUT and FastCUT against PyTorch: networks, losses, whole steps and runs, files, images."""

import functools
import json

import jax
import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import torch_cut as theirs
from configs import cut as cut_config
from configs.default import get_config
from pix2pix_jax import exchange, train, trained_models, training_plan
from pix2pix_jax.data import loading
from pix2pix_jax.data.examples import Examples
from pix2pix_jax.data.unpaired import UnpairedExamples
from pix2pix_jax.evaluation import evaluate
from pix2pix_jax.methods import cut, losses, optim
from pix2pix_jax.methods.contract import Layout
from pix2pix_jax.methods.optim import Plateau
from pix2pix_jax.methods.registry import abstract_state
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.models import blur, build
from pix2pix_jax.pytorch import layer_names, state_dicts
from pix2pix_jax.runtime import random_streams
from pix2pix_jax.settings import config_checks
from pix2pix_jax.translation import translate
from tests import parity
from tests.conftest import make_batch
from tests.test_data import Pictures, picture, settings
from tests.test_train_step import check_network

SIZE, PATCHES = 32, 20
# Narrower networks have patches where no unit is active, and PyTorch divides zero by zero there.
NGF, WIDTH = 8, 64
LAYERS = ("padded", "down_1", "down_2", "block_1")
NUMBERS = (0, 4, 8, 12)  # of these layers in PyTorch's network


def small_config(fast=False, **fields):
    config = cut_config.base(fast)
    config.name = "small_cut"
    config.update_from_flattened_dict(
        {
            "data.name": "synthetic",
            "data.synthetic_kind": "night",
            "data.load_size": (36, 36),
            "data.crop_size": (SIZE, SIZE),
            "data.synthetic_size": 32,
            "data.synthetic_train": 4,
            "data.synthetic_eval": 3,
            "model.generator": "resnet_1blocks",
            "model.ngf": NGF,
            "model.ndf": 4,
            "model.n_layers": 1,
            "model.projection_width": WIDTH,
            "loss.nce_layers": LAYERS,
            "loss.nce_patches": PATCHES,
            "train.num_devices": 1,
            "train.log_every": 1,
            "train.num_samples": 2,
            "eval.batch_size": 2,
            **fields,
        }
    )
    return config


# Layers


@functools.partial(jax.jit, static_argnums=0)
def pulled_back(function, x, weights):
    """function(x) and the gradient of its sum with these weights."""
    y, pull_back = jax.vjp(function, x)
    return y, pull_back(weights)[0]


@pytest.mark.parametrize("size", [(8, 6), (7, 9)])
def test_blurs(size):
    """Against convolutions channel by channel, forward and backward."""
    x = parity.images(2, *size, 3)
    for ours, layer in ((blur.blur_down, theirs.Down(3)), (blur.blur_up, theirs.Up(3))):
        tensor = parity.nchw(x).requires_grad_()
        expected = layer(tensor)
        weights = torch.sin(torch.arange(expected.numel())).reshape(expected.shape)
        (expected * weights).sum().backward()
        found, gradient = pulled_back(ours, x, parity.nhwc(weights))
        np.testing.assert_allclose(found, parity.nhwc(expected), atol=1e-6)
        np.testing.assert_allclose(gradient, parity.nhwc(tensor.grad), atol=1e-6)


@pytest.mark.parametrize(
    "function, row, expected",
    [
        (blur.blur_down, [1, 4, 9, 16], [2.5, 9.5]),
        (blur.blur_down, [1, 4, 9, 16, 25], [2.5, 9.5, 20.5]),
        (blur.blur_up, [1, 2, 4, 8], [1, 1.25, 1.75, 2.5, 3.5, 5, 7, 8]),
    ],
)
def test_published_values_of_the_blurs(function, row, expected):
    x = np.tile(np.array(row, np.float32), (3, 1))[None, ..., None]
    np.testing.assert_allclose(function(x)[0, 0, :, 0], expected, rtol=1e-6)


def test_patch_nce():
    """Published for these vectors, in groups of an image each and as a single group."""
    n = np.arange(24, dtype=np.float32).reshape(6, 4)
    unit = lambda v: v / (np.linalg.norm(v, axis=1, keepdims=True) + 1e-7)
    queries, keys = unit(np.sin(n)), unit(np.cos(n / 2))
    for images, expected in ((2, 8.304207), (1, 10.422507)):
        pair = (v.reshape(images, -1, 4) for v in (queries, keys))
        assert float(losses.patch_nce(*pair, 0.07)) == pytest.approx(expected, rel=1e-6)


def test_no_patch_is_drawn_twice_and_all_are_drawn():
    keys = jax.random.split(jax.random.key(0), 500)
    drawn = jax.vmap(lambda key: cut.draw_positions(key, (2, 5, 8, 3), 10))(keys)
    assert all(len(set(row)) == 10 for row in np.asarray(drawn).tolist())
    shares = np.bincount(np.ravel(drawn), minlength=40) / 500
    np.testing.assert_allclose(shares, 0.25, atol=0.09)
    every = cut.draw_positions(keys[0], (2, 5, 8, 3), 256)
    np.testing.assert_array_equal(np.sort(every), np.arange(40))
    places = np.arange(40).reshape(5, 8)
    np.testing.assert_array_equal(cut.mirror(np.arange(40), 8), places[:, ::-1].ravel())


# Networks and files


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_published_numbers_of_parameters():
    config = cut_config.get_config("horse2zebra")
    networks = abstract_state(config).networks
    found = {name: count(network.params) for name, network in networks.items()}
    assert found == {"G": 11_378_179, "F": 560_384, "D": 2_764_737}
    config.model.update(norm="batch", generator="resnet_6blocks", antialias_up=False)
    found = {name: count(net.params) for name, net in abstract_state(config).networks.items()}
    assert found == {"G": 7_841_411, "F": 560_384, "D": 2_765_633}


def test_names_of_layers():
    """Published for the default networks; PyTorch counts layers without parameters, too."""
    model = cut_config.base().model
    numbers = lambda keys: {int(key.split(".")[1]) for key in keys}
    keys = layer_names.generator_keys(model)
    convs = {1, 4, 8, *range(12, 21), 22, 26, 30}
    norms, blurs = {2, 5, 9, 23, 27}, {7, 11, 21, 25}
    assert numbers(keys) == convs | norms | blurs
    named = {"model.4": "down_1", "model.8": "down_2"}
    named |= {"model.12.conv_block.1": "block_1", "model.16.conv_block.5": "block_5"}
    assert ("padded", *(keys[key][0] for key in named)) == get_config().loss.nce_layers
    assert numbers(layer_names.discriminator_keys(model)) == {*range(0, 15)} - {1, 5, 9, 13}
    model.generator = "resnet_6blocks"
    assert numbers(layer_names.generator_keys(model)) >= {7, 11, 18, 22, 19, 23, 27}
    # Without blurs the numbers 0, 4, 8, 12 and 16 are other layers.
    config = cut_config.get_config("no_antialias")
    keys = layer_names.generator_keys(config.model)
    named = ("model.4", "model.8", "model.12.conv_block.1", "model.16.conv_block.1")
    assert ("padded", *(keys[key][0] for key in named)) == config.loss.nce_layers


def make_nets():
    """PyTorch's networks of `small_config`, initialised."""
    nets = {
        "G": theirs.ResnetGenerator(ngf=NGF, num_blocks=1),
        "D": theirs.NLayerDiscriminator(ndf=4, n_layers=1),
        "F": theirs.PatchProjection((3, 2 * NGF, 4 * NGF, 4 * NGF), WIDTH),
    }
    return {name: theirs.init_weights(net, i) for i, (name, net) in enumerate(nets.items())}


def torch_keys(config):
    return {
        "G": layer_names.generator_keys(config.model),
        "D": layer_names.discriminator_keys(config.model),
        "F": layer_names.projection_keys(len(LAYERS)),
    }


def test_outputs_and_features():
    config, nets = small_config(), make_nets()
    variables = {k: parity.variables(nets[k], keys) for k, keys in torch_keys(config).items()}
    x = parity.images(2, 20, 24, 3)
    generator = build.generator(config.model, 3)
    forward = jax.jit(lambda v, x: generator.apply(v, x, features=LAYERS))
    images, features = forward(variables["G"], x)
    np.testing.assert_allclose(images, parity.nhwc(nets["G"](parity.nchw(x))), atol=1e-4)
    expected = nets["G"](parity.nchw(x), NUMBERS)
    for name, found in zip(LAYERS, expected, strict=True):
        np.testing.assert_allclose(features[name], parity.nhwc(found), atol=1e-4)
    (scale,) = jax.jit(build.discriminator(config.model).apply)(variables["D"], x)
    np.testing.assert_allclose(scale.logits, parity.nhwc(nets["D"](parity.nchw(x))), atol=1e-4)
    judge = build.discriminator(cut_config.base().model)
    image = jax.ShapeDtypeStruct((1, 256, 256, 3), np.float32)
    (scale,), _ = jax.eval_shape(judge.init_with_output, jax.random.key(0), image)
    assert scale.logits.shape == (1, 30, 30, 1)


def test_other_blur_filters_are_refused():
    net, keys = theirs.ResnetGenerator(ngf=NGF, num_blocks=1), torch_keys(small_config())["G"]
    state = parity.state_dict(net)
    state["model.7.filt"] = np.full((2 * NGF, 1, 5, 5), 0.04, np.float32)
    with pytest.raises(ValueError, match=r"'model.7.filt' .* is not the blur filter"):
        state_dicts.to_flax(state, keys)


# Steps


class Draws:
    """The random draws of a run's steps, for PyTorch."""

    def __init__(self, config):
        self.config, self.number, self.mirrored = config, 0, []

    def _key(self, name):
        return random_streams.at_step(self.config.seed, name, self.number)

    def draw(self, name, layer, count):
        key = random_streams.named(self._key(random_streams.PATCHES), name)
        key = random_streams.named(key, LAYERS[layer])
        return torch.from_numpy(np.array(cut.draw_positions(key, (1, 1, count, 1), PATCHES))).long()

    def mirror(self):
        if self.config.loss.flip_equivariance:
            self.mirrored.append(bool(jax.random.bernoulli(self._key(random_streams.MIRROR))))
        return self.config.loss.flip_equivariance and self.mirrored[-1]


def torch_model(config, nets, draws):
    """PyTorch's training of `nets` in float64."""
    for net in nets.values():
        net.double()
    loss = config.loss
    settings = {"layers": NUMBERS, "draw": draws.draw, "mirror": draws.mirror}
    return theirs.CUT(
        nets["G"], nets["D"], nets["F"], loss.lambda_nce, loss.nce_identity, **settings
    )


def test_five_steps():
    """CUT's losses within 1e-4 relative at each step, from PyTorch's weights; bounds of weights."""
    config = small_config(**{"train.batch_size": 2})
    nets, keys, draws = make_nets(), torch_keys(config), Draws(config)
    networks = {name: parity.network(nets[name], keys[name], config.optim) for name in nets}
    model = torch_model(config, nets, draws)
    state = TrainState(np.int32(0), networks, Plateau.create(), {})
    step = jax.jit(cut.make_train_step(config, 400, Layout()))
    for i in range(5):
        draws.number = i
        a, b = parity.images(2, 2, SIZE, SIZE, 3, seed=i)
        expected = model.step(parity.nchw(a).double(), parity.nchw(b).double())
        state, found = step(state, {"A": a, "B": b})
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert float(found[name]) == pytest.approx(float(value), rel=1e-4, abs=1e-9), (i, name)
        for name, net in nets.items():
            check_network(state.networks[name], parity.variables(net, keys[name]), steps=1)
        last, state = state, parity.follow(state, nets, keys)
    # Features are taken before the norm that cancels these in the image.
    for name in ("down_1", "down_2"):
        assert np.abs(last.networks["G"].params[name]["bias"]).min() > 1e-4


@pytest.fixture(scope="module")
def fastcut_run(tmp_path_factory):
    """Five steps of FastCUT from PyTorch's files, stopped and resumed; PyTorch's networks."""
    folder = tmp_path_factory.mktemp("fastcut")
    nets = make_nets()
    for name, net in nets.items():
        torch.save(net.state_dict(), folder / f"latest_net_{name}.pth")
    fields = {"optim.epochs": 1, "optim.epochs_decay": 1, "train.num_steps": 5, "seed": 2}
    fields["eval.checkpoint"] = "latest"
    config = small_config(True, init_from=str(folder / "latest_net_G.pth"), **fields)
    train.train(
        small_config(True, **{**fields, "train.num_steps": 3, "init_from": config.init_from}),
        str(folder / "run"),
    )
    train.train(config, str(folder / "run"))
    config.init_from = ""
    return config, folder / "run", nets


def test_a_run_makes_the_steps_of_pytorch(fastcut_run):
    """FastCUT's losses within 1e-4 relative, through data, jitter that ends, schedule, resuming."""
    config, workdir, nets = fastcut_run
    draws = Draws(config)
    model = torch_model(config, nets, draws)
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "train/nce" in row]
    examples = loading.load_examples(
        config.data, config.seed, "train", True, "sets", training_plan.jittered_epochs(config)
    )
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    for i, row in enumerate(rows):
        draws.number = i
        item = jax.tree.map(lambda x: x[0], examples.chunk(i, 1, 1))
        batch = make_batch(config, examples, i, item)
        for optimizer in (model.g_optim, model.d_optim, model.f_optim):
            optimizer.param_groups[0]["lr"] = 2e-4 if i < 4 else 1e-4
        expected = model.step(*(parity.nchw(np.asarray(batch[d])).double() for d in "AB"))
        assert {f"train/{name}" for name in expected} == row.keys() - {"step"}
        for name, value in expected.items():
            assert row[f"train/{name}"] == pytest.approx(float(value), rel=1e-4), (i, name)
    assert set(draws.mirrored) == {False, True}


def test_a_run_is_evaluated_and_goes_to_pytorch(fastcut_run, tmp_path):
    """Images and metrics as for pairs; PyTorch makes the same image of the exported generator."""
    config, workdir, nets = fastcut_run
    means = evaluate.evaluate(config, str(workdir))
    assert means.keys() == {"l1", "l2", "psnr", "ssim"}
    assert (workdir / "eval" / "images" / "test_00002_output.png").is_file()
    Image.fromarray(picture(30, 40)).save(tmp_path / "a.png")
    translate.translate(config, str(workdir), str(tmp_path / "a.png"), str(tmp_path / "out"))
    for path in exchange.export_pth(config, str(workdir), str(tmp_path / "pth")):
        net = nets[path.stem.removeprefix("5_net_")].float()
        state = torch.load(path, weights_only=True)
        assert list(state) == list(net.state_dict())
        net.load_state_dict(state, strict=True)
        found = trained_models.pth_config(path, get_config)
        assert (found is None) == (path.stem != "5_net_G")
    resized = Image.open(tmp_path / "a.png").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    x = torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None] / 127.5 - 1
    expected = ((nets["G"](x)[0].permute(1, 2, 0) + 1) * 127.5).round().byte().detach().numpy()
    expected = Image.fromarray(expected).resize((40, 30), Image.Resampling.BICUBIC)
    found = np.asarray(Image.open(tmp_path / "out" / "a.png")).astype(int)
    assert np.abs(found - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize(
    "variant, expected",
    [
        ("horse2zebra", {1: 2e-4, 200: 2e-4, 201: 1.990050e-4, 400: 9.950249e-7}),
        ("fastcut", {1: 2e-4, 150: 2e-4, 151: 1.960784e-4, 200: 3.921569e-6}),
    ],
)
def test_published_learning_rates(variant, expected):
    config = cut_config.get_config(variant).optim
    for epoch, rate in expected.items():
        assert float(optim.learning_rate(config, np.int32(epoch - 1))) == pytest.approx(
            rate, rel=1e-5
        )


# Images


@pytest.mark.parametrize("cache_mb", [0, 64])
def test_jitter_ends(cache_mb):
    """Until then crops of PIL's larger image, each side its own; then PIL's image of that size."""
    data = settings(cache_mb=cache_mb, flip=False).data
    sources = {"A": Pictures([(24, 30)] * 3), "B": Pictures([(40, 22)] * 2)}
    sets = {
        name: Examples(source, {name: name}, data, 0, True, jittered_epochs=2)
        for name, source in sources.items()
    }
    examples = UnpairedExamples(sets, 0, paired=False)
    config = get_config()

    def pil(name, size):
        images = [sources[name][i][name] for i in range(len(sources[name]))]
        resized = [
            Image.fromarray(x).resize((size, size), Image.Resampling.BICUBIC) for x in images
        ]
        return [np.asarray(x) / np.float32(127.5) - 1 for x in resized]

    corners = {"A": [], "B": []}
    for step in (0, 3, 5, 6, 8):
        item = jax.tree.map(lambda x: x[0], examples.chunk(step, 1, 1))
        batch = make_batch(config, examples, step, item)
        for name in "AB":
            found = np.asarray(batch[name][0])
            larger = pil(name, 20 if step < 6 else 16)
            places = [
                (i, j)
                for x in larger
                for i in range(len(x) - 15)
                for j in range(len(x) - 15)
                if np.abs(x[i : i + 16, j : j + 16] - found).max() < 1e-6
            ]
            assert len(places) == 1, (step, name)
            corners[name].append(places[0])
    assert corners["A"][:3] != corners["B"][:3]
    assert corners["A"][3:] == corners["B"][3:] == [(0, 0)] * 2


def test_the_jitter_ends_with_the_constant_learning_rate():
    config = small_config()
    assert training_plan.jittered_epochs(config) == 200
    config.optim.epoch_count = 150
    assert training_plan.jittered_epochs(config) == 51  # 150 to 200
    config.data.jitter_ends = False
    assert training_plan.jittered_epochs(config) == np.inf


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"data.output_channels": 1}, "3 and 1 channels"),
        ({"loss.conditional": True}, "conditional=False"),
        ({"model.generator": "unet_32"}, "features of a ResNet"),
        ({"loss.nce_layers": ("block_7",)}, "no layer 'block_7'"),
        ({"loss.nce_layers": ("padded", "padded")}, "none twice"),
        ({"loss.lambda_nce": 0.0}, "lambda_nce is 0.0"),
    ],
)
def test_what_cut_cannot_do(fields, message):
    with pytest.raises(ValueError, match=message):
        config_checks.check(small_config(**fields))
