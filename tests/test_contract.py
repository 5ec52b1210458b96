"""What every method, network and metric of sets provides, and the random streams."""

import functools
import itertools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from skimage import color

from configs.default import get_config
from pix2pix_jax.data.examples import Examples
from pix2pix_jax.data.synthetic import SyntheticFacades
from pix2pix_jax.methods.contract import DISCRIMINATOR, GENERATOR, OTHER
from pix2pix_jax.methods.registry import METHODS, abstract_state, create_state, fresh_state
from pix2pix_jax.metrics import per_set
from pix2pix_jax.metrics.per_set import SetComparison, SetMetric, load_features
from pix2pix_jax.models import build
from pix2pix_jax.pytorch.pth_file import read_pth
from pix2pix_jax.runtime import random_streams
from tests import parity
from tests.conftest import small_config

SMALL = {"train.log_every": 1, "train.num_steps": 1}
FIELDS = {
    "pix2pix": {"loss.gan_mode": "wgangp"},
    "cyclegan": {"model.norm": "instance", "loss.pool_size": 2, "data.synthetic_kind": "night"},
    "cut": {
        "model.generator": "resnet_1blocks",
        "loss.conditional": False,
        "loss.nce_layers": ("padded", "block_1"),
    },
    "pix2pixhd": {
        "data.labels": "facades",
        "model.num_d": 2,
        "model.norm": "instance",
        "loss.gan_mode": "lsgan",
        "loss.lambda_feat": 10.0,
        "loss.pool_size": 2,
        "loss.update_order": "simultaneous",
    },
    "regression": {"loss.lambda_gan": 0.0, "loss.regression": "l2"},
    "inpainting": {
        "data.input_channels": 4,
        "data.crop_size": (64, 64),
        "model.generator": "inpainting_unet",
        "model.norm": "none",
        "eval.fit": "pad",
        "loss.lambda_gan": 0.1,
        "loss.conditional": False,
    },
    "colorization": {"data.input_channels": 1, "data.output_channels": 2},
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_its_step_does(name):
    """Networks, losses and extra state as stated are those of a step, without computing one."""
    config = small_config(method=name, **FIELDS[name])
    method = METHODS[name]
    state = abstract_state(config)
    networks = method.networks(config, 1)
    assert state.networks.keys() == networks.keys()
    for network, role in ((n, networks[n].role) for n in networks):
        assert role == {"G": GENERATOR, "D": DISCRIMINATOR, "F": OTHER}[network[0]]
    batch = {
        kind: jax.ShapeDtypeStruct((1, *config.data.crop_size, channels), jnp.float32)
        for kind, channels in {
            "pairs": {"input": 3, "target": 3},
            "sets": {"A": 3, "B": 3},
            "images": {"image": 3},
            "masked": {"image": 3},
        }[method.data].items()
    }
    step = method.make_train_step(config, 10, build_layout())
    after, losses = jax.eval_shape(step, state, batch)
    assert set(losses) == set(method.loss_names(config))
    assert jax.tree.map(lambda x: x.shape, after) == jax.tree.map(lambda x: x.shape, state)
    assert state.extra.keys() == method.extra_state(config).keys()
    for direction in method.directions(config):
        assert networks[direction.generator].role == GENERATOR
    assert set(method.distance(config).losses) <= set(losses)


def build_layout():
    from pix2pix_jax.methods.contract import Layout

    return Layout()


def hooked(net, layers, x):
    """Outputs of some layers of a PyTorch network, as [N, H, W, C]."""
    found = {}

    def keep(name):
        def hook(module, inputs, output):
            # A later layer may work in place.
            found[name] = parity.nhwc(output.clone())

        return hook

    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    net(parity.nchw(x))
    for handle in handles:
        handle.remove()
    return found


def test_a_resnet_gives_the_outputs_of_its_layers():
    """Those that PyTorch's layers give: the padded image, convolutions and blocks."""
    from benchmarks import torch_baseline as baseline
    from pix2pix_jax.pytorch import layer_names

    net = baseline.init_weights(baseline.ResnetGenerator(3, 3, 4, num_blocks=2), 1)
    config = get_config()
    config.model.update(generator="resnet_2blocks", ngf=4, norm="instance", dropout=0.0)
    x = parity.images(1, 16, 20, 3)
    variables = parity.variables(net, layer_names.resnet_keys(2, False))
    names = {"padded": 0, "conv_in": 1, "down_1": 4, "down_2": 7, "block_1": 10, "block_2": 11}
    names["down_norm_2"] = 9  # with its ReLU
    expected = hooked(net, {name: net.model[i] for name, i in names.items()}, x)
    module = build.generator(config.model, 3)
    apply = functools.partial(module.apply, dropout=False, features=tuple(names))
    images, features = jax.jit(apply)(variables, x)
    np.testing.assert_allclose(images, parity.nhwc(net(parity.nchw(x))), atol=1e-4)
    assert features.keys() == names.keys()
    for name, found in features.items():
        np.testing.assert_allclose(found, expected[name], atol=1e-4, err_msg=name)
    with pytest.raises(
        ValueError,
        match="no layer 'block_9' for config.loss.nce_layers: choose from padded, conv_in",
    ):
        jax.eval_shape(functools.partial(apply, features=("block_9",)), variables, x)


def test_a_discriminator_gives_the_features_of_its_layers():
    from benchmarks import torch_baseline as baseline
    from pix2pix_jax.pytorch import layer_names

    net = baseline.init_weights(baseline.NLayerDiscriminator(3, 4, 2, "instance"), 1)
    config = get_config()
    config.model.update(ndf=4, n_layers=2, norm="instance")
    x = parity.images(1, 32, 32, 3)
    layers = {"0": net.model[1], "1": net.model[4], "2": net.model[7]}  # LeakyReLU
    expected = hooked(net, layers, x)
    variables = parity.variables(net, layer_names.patchgan_keys(2))
    (scale,) = jax.jit(build.discriminator(config.model).apply)(variables, x)
    np.testing.assert_allclose(scale.logits, parity.nhwc(net(parity.nchw(x))), atol=1e-4)
    assert len(scale.features) == len(expected)
    for found, name in zip(scale.features, expected, strict=True):
        np.testing.assert_allclose(found, expected[name], atol=1e-4, err_msg=name)


# Random streams


def test_no_two_draws_share_a_key():
    """Of all streams, steps, networks, domains and evaluated images."""
    names = ("initialisation", "dropout", "jitter", "holes", "pool", "penalty", "mirror")
    names += ("patches",)
    at_steps = jax.vmap(random_streams.at_step, in_axes=(None, None, 0), axis_size=100)
    steps = jnp.arange(100)
    keys = {name: jax.random.key_data(at_steps(0, name, steps)) for name in names}
    uses = [*itertools.product(("pool", "penalty"), ("D_A", "D_B"))]
    uses += itertools.product(("patches",), ("nce", "nce_y"))
    for name, number in uses:
        named = jax.vmap(lambda step, n=name, d=number: named_key(n, d, step))(steps)
        keys[name, number] = jax.random.key_data(named)
    start = random_streams.stream(0, random_streams.INITIALISATION)
    networks = [random_streams.named(start, n) for n in ("G", "D", "G_A", "G_B", "D_A", "D_B")]
    keys["networks"] = jnp.stack([jax.random.key_data(key) for key in networks])
    of_images = jax.vmap(random_streams.of_sample, in_axes=(None, 0, None))
    keys["evaluation"] = jax.random.key_data(
        jax.vmap(of_images, in_axes=(None, None, 0))(0, jnp.arange(5), steps).ravel()
    )
    everything = np.concatenate([np.asarray(k).reshape(-1, 2) for k in keys.values()])
    assert len(everything) == 14 * 100 + 6 + 500
    assert len(np.unique(everything, axis=0)) == len(everything)


def named_key(stream, name, step):
    return random_streams.named(random_streams.at_step(0, stream, step), name)


def test_the_seed_chooses_the_networks_and_each_has_its_own():
    config = small_config(method="cyclegan", **FIELDS["cyclegan"])
    first, again = fresh_state(config).networks, fresh_state(config).networks
    other = fresh_state(small_config(method="cyclegan", seed=1, **FIELDS["cyclegan"])).networks
    assert parity.worst(first["G_A"].params, again["G_A"].params) == 0
    assert parity.worst(first["G_A"].params, first["G_B"].params) > 0.01
    assert parity.worst(first["G_A"].params, other["G_A"].params) > 0.01
    key = random_streams.stream(config.seed, random_streams.INITIALISATION)
    as_one = jax.jit(lambda key: create_state(config, key))(key)
    jax.tree.map(np.testing.assert_array_equal, fresh_state(config), as_one)


# Metrics of sets


def test_histogram_intersection():
    """Against scikit-image's Lab and numpy's histograms of both sets."""
    generator = np.random.default_rng(0)
    real = generator.integers(0, 256, (3, 20, 24, 3), np.uint8)
    fake = np.clip(generator.normal(128, 40, (5, 16, 16, 3)), 0, 255).astype(np.uint8)
    comparison = SetComparison(["colors"], load_features(["colors"], None), 2)
    comparison.add("real", list(real))
    comparison.add("generated", list(fake[:2]))
    comparison.add("generated", list(fake[2:]))
    found = comparison.result()
    bounds = {"color_l": (0, 100), "color_a": (-110, 110), "color_b": (-110, 110)}
    for channel, (name, (low, high)) in enumerate(bounds.items()):
        edges = np.arange(low, high + 1, 10)
        shares = [
            np.histogram(np.clip(color.rgb2lab(images)[..., channel], low, high), edges)[0]
            / (images.size / 3)
            for images in (real, fake)
        ]
        assert found[name] == pytest.approx(np.minimum(*shares).sum(), abs=2e-3), name
    comparison.clear("generated")
    comparison.add("generated", list(real))
    assert list(comparison.result().values()) == pytest.approx([1, 1, 1])
    same = SetComparison(["colors"], load_features(["colors"], None), 10)
    for kind in ("real", "generated"):
        same.add(kind, list(real))
    assert list(same.result().values()) == pytest.approx([1, 1, 1])


def test_a_metric_with_a_network_reads_its_weights_once(tmp_path, monkeypatch):
    """A new metric is two functions and a row; its weights come from a .pth."""
    torch.save({"weight": torch.tensor([2.0, 0.0, 1.0])}, tmp_path / "projection.pth")
    reads = []

    def load(evaluation):
        reads.append(evaluation.weights_dir)
        weights = read_pth(pathlib.Path(evaluation.weights_dir) / "projection.pth")
        return lambda images: (images / 255) @ weights["weight"]

    gap = lambda real, fake: {"gap": float(abs(real.mean() - fake.mean()))}
    for name in ("projection", "same"):
        monkeypatch.setitem(per_set.SET_METRICS, name, SetMetric(load, gap, {"gap": False}))
    evaluation = small_config(**{"eval.weights_dir": str(tmp_path)}).eval
    names = ["projection", "same"]
    comparison = SetComparison(names, load_features(names, evaluation), 8)
    white, black = np.full((2, 4, 4, 3), 255, np.uint8), np.zeros((1, 4, 4, 3), np.uint8)
    comparison.add("real", list(white))
    comparison.add("generated", list(black))
    assert comparison.result() == {"gap": pytest.approx(3.0)} and reads == [str(tmp_path)]


# Evaluation data


@pytest.mark.parametrize(
    "preprocess, sizes",
    [
        ("resize_and_crop", [(32, 32)]),
        ("scale_width", [(40, 40)]),
        ("none", [(64, 64)]),
        ("crop", [(64, 64)]),
    ],
)
def test_evaluation_keeps_the_scale_of_training(preprocess, sizes):
    """Only resize_and_crop ends at crop_size; nothing is cropped in evaluation."""
    data = small_config(
        **{"data.preprocess": preprocess, "data.load_size": (40, 40), "data.cache_mb": 0}
    ).data
    source = SyntheticFacades("val", 2, 64)
    examples = Examples(source, {"input": "B", "target": "A"}, data, 0, train=False)
    assert examples.one_size == (preprocess == "resize_and_crop")
    assert {image.shape[:2] for image in examples.images("input", np.arange(2))} == set(sizes)
