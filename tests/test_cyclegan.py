"""CycleGAN's steps and image pool against PyTorch; the TensorFlow tutorials' networks."""

import itertools
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmarks import torch_baseline as baseline
from configs import cyclegan as cyclegan_config
from configs import cyclegan_tf, pix2pix_tf
from pix2pix_jax import dispatch, exchange, train, weights
from pix2pix_jax.data import loading
from pix2pix_jax.evaluation import evaluate
from pix2pix_jax.methods import cyclegan
from pix2pix_jax.methods.contract import Layout
from pix2pix_jax.methods.image_pool import ImagePool
from pix2pix_jax.methods.optim import Plateau
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.models import build
from pix2pix_jax.pytorch import layer_names
from pix2pix_jax.runtime import random_streams
from pix2pix_jax.settings import config_checks
from pix2pix_jax.translation import translate
from tests import parity
from tests.conftest import make_batch
from tests.test_data import picture
from tests.test_train_step import check_network
from tests.test_training import assert_same, final_state

SIZE, POOL = 32, 2
G_KEYS, D_KEYS = layer_names.resnet_keys(2, False), layer_names.patchgan_keys(2)


def small_config(**fields):
    config = cyclegan_config.base()
    config.name = "small_cyclegan"
    config.update_from_flattened_dict(
        {
            "data.name": "synthetic",
            "data.synthetic_kind": "night",
            "data.load_size": (36, 36),
            "data.crop_size": (SIZE, SIZE),
            "data.synthetic_size": 32,
            "data.synthetic_train": 5,
            "data.synthetic_eval": 3,
            "model.generator": "resnet_2blocks",
            "model.ngf": 4,
            "model.ndf": 4,
            "model.n_layers": 2,
            "loss.pool_size": POOL,
            "train.num_devices": 1,
            "train.num_steps": 8,
            "train.log_every": 4,
            "train.sample_every": 8,
            "train.eval_every": 8,
            "train.checkpoint_every": 4,
            "train.num_samples": 2,
            "eval.batch_size": 2,
            **fields,
        }
    )
    return config


def draws(config, discriminator):
    """The pool's draws in the steps of `config`, image by image, for PyTorch's pool."""
    for step in itertools.count():
        key = random_streams.at_step(config.seed, random_streams.POOL, step)
        swap_key, index_key = jax.random.split(random_streams.named(key, discriminator))
        n = config.train.batch_size
        swaps = jax.random.bernoulli(swap_key, 0.5, (n,))
        indices = jax.random.randint(index_key, (n,), 0, config.loss.pool_size)
        yield from zip(map(bool, swaps), map(int, indices), strict=True)


class SteppedPool(baseline.ImagePool):
    """PyTorch's pool with our draws: one is used up for every image, needed or not."""

    def __init__(self, size, source):
        super().__init__(size)
        self._source = source

    def query(self, images):
        chosen = []
        for image in images.detach():
            drawn = next(self._source)
            self.draw = lambda drawn=drawn: drawn
            chosen.append(super().query(image[None]))
        return torch.cat(chosen)


CASES = {
    "default": {},
    "batch of two": {"train.batch_size": 2},
    "vanilla, no identity": {"loss.gan_mode": "vanilla", "loss.lambda_identity": 0.0},
    "no pool": {"loss.pool_size": 0},
    "other weights": {"loss.lambda_a": 3.0, "loss.lambda_b": 7.0, "loss.lambda_identity": 0.2},
    "batch norm": {"model.norm": "batch", "train.batch_size": 2},
}


@pytest.mark.parametrize("case", CASES)
def test_five_steps(case):
    """Losses within 1e-4 relative at each of five steps; bounds of weights as for pix2pix.

    PyTorch computes in float64; each step starts from its weights, with our moments of Adam.
    """
    config = small_config(**CASES[case])
    norm = config.model.norm
    nets = [
        baseline.init_weights(baseline.ResnetGenerator(3, 3, 4, norm, False, 2), i) for i in (1, 2)
    ]
    nets += [baseline.init_weights(baseline.NLayerDiscriminator(3, 4, 2, norm), i) for i in (3, 4)]
    size = config.loss.pool_size
    pool_b, pool_a = (
        SteppedPool(size, draws(config, name)) if size else baseline.ImagePool(0)
        for name in ("D_A", "D_B")
    )
    loss = config.loss
    theirs = baseline.CycleGAN(
        *nets, loss.lambda_a, loss.lambda_b, loss.lambda_identity, loss.gan_mode, pool_a, pool_b
    )
    keys = {"G_A": G_KEYS, "G_B": G_KEYS, "D_A": D_KEYS, "D_B": D_KEYS}
    nets = dict(zip(keys, nets, strict=True))
    networks = {name: parity.network(net, keys[name], config.optim) for name, net in nets.items()}
    for net in nets.values():
        net.double()  # the same parameters, which the optimizers hold
    state = TrainState(np.int32(0), networks, Plateau.create(), cyclegan.pools(config))
    step = jax.jit(cyclegan.make_train_step(config, 400, Layout()))
    for i in range(5):
        a, b = parity.images(2, config.train.batch_size, SIZE, SIZE, 3, seed=i)
        expected = theirs.step(parity.nchw(a).double(), parity.nchw(b).double())
        state, found = step(state, {"A": a, "B": b})
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert float(found[name]) == pytest.approx(float(value), rel=1e-4), (i, name)
        for name, net in nets.items():
            check_network(state.networks[name], parity.variables(net, keys[name]), steps=1)
        state = parity.follow(state, nets, keys)
    if size:
        for domain, pool in (("A", pool_a), ("B", pool_b)):
            stored = parity.nhwc(torch.stack(pool.images))
            np.testing.assert_allclose(state.extra["pools"][domain].images, stored, atol=1e-4)


def test_alternating_updates():
    """G_A, D_A, G_B, D_B in turn, each generator by a forward pass of its own (Lua original)."""
    config = small_config(**{"loss.update_order": "alternating", "loss.pool_size": 0})
    nets = [baseline.init_weights(baseline.ResnetGenerator(3, 3, 4, num_blocks=2), 21)]
    nets.append(baseline.init_weights(baseline.ResnetGenerator(3, 3, 4, num_blocks=2), 22))
    nets += [
        baseline.init_weights(baseline.NLayerDiscriminator(3, 4, 2, "instance"), i)
        for i in (23, 24)
    ]
    g_a, g_b, d_a, d_b = nets
    names = ("G_A", "G_B", "D_A", "D_B")
    keys = (G_KEYS, G_KEYS, D_KEYS, D_KEYS)
    networks = {
        name: parity.network(net, k, config.optim)
        for name, net, k in zip(names, nets, keys, strict=True)
    }
    optimizers = {net: baseline.adam(net) for net in nets}
    state = TrainState(np.int32(0), networks, Plateau.create(), {})
    step = jax.jit(cyclegan.make_train_step(config, 400, Layout()))

    def update(net, loss):
        optimizers[net].zero_grad()
        loss.backward()
        optimizers[net].step()

    for i in range(3):
        images = parity.images(2, 1, SIZE, SIZE, 3, seed=i)
        state, found = step(state, dict(zip("AB", images, strict=True)))
        real = [parity.nchw(image) for image in images]
        for letter, g, inverse, d, (a, b) in (
            ("a", g_a, g_b, d_a, real),
            ("b", g_b, g_a, d_b, real[::-1]),
        ):
            fake, other = g(a), inverse(b)
            gan = baseline.gan_loss(d(fake), True, "lsgan")
            cycle = 10 * F.l1_loss(inverse(fake), a)
            back = 10 * F.l1_loss(g(other.detach()), b)
            idt = 5 * F.l1_loss(g(b), b)
            update(g, gan + cycle + back + idt)
            logits = d(b), d(fake.detach())
            d_loss = sum(
                0.5 * baseline.gan_loss(y, r, "lsgan")
                for y, r in zip(logits, (True, False), strict=True)
            )
            update(d, d_loss)
            for name, value in (("g", gan), ("cycle", cycle), ("idt", idt), ("d", d_loss)):
                expected = float(value.detach())
                assert float(found[f"{name}_{letter}"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("batch", [3, 12])
def test_pool_keeps_the_rule_over_many_draws(batch):
    """Against the plain Python rule with the same draws; one batch is larger than the pool."""
    generator = np.random.default_rng(0)
    theirs = baseline.ImagePool(5)
    ours = ImagePool.create(5, 1, 1, 1)
    exchange = jax.jit(ImagePool.exchange)
    for i in range(100):
        images = np.arange(batch * i, batch * (i + 1), dtype=np.float32).reshape(batch, 1, 1, 1)
        swaps, indices = generator.random(batch) < 0.5, generator.integers(0, 5, batch)
        draws = enumerate(zip(swaps, indices, strict=True))
        full = iter([draw for k, draw in draws if batch * i + k >= 5])
        theirs.draw = lambda full=full: next(full)
        expected = theirs.query(parity.nchw(images))
        ours, found = exchange(ours, swaps, indices, images)
        np.testing.assert_array_equal(found, parity.nhwc(expected))
        np.testing.assert_array_equal(
            np.ravel(ours.images)[: len(theirs.images)], np.ravel(torch.stack(theirs.images))
        )


def test_pool_draws_fairly():
    pool = ImagePool(jnp.arange(5.0).reshape(5, 1, 1, 1), jnp.int32(5))
    query = jax.jit(lambda key: pool.query(key, jnp.full((1, 1, 1, 1), -1.0))[1].ravel()[0])
    out = np.asarray(jax.vmap(query)(jax.random.split(jax.random.key(0), 4000)))
    assert np.mean(out == -1) == pytest.approx(0.5, abs=0.03)
    shares = np.bincount(out[out >= 0].astype(int), minlength=5) / 2000
    np.testing.assert_allclose(shares, 0.2, atol=0.04)


@pytest.fixture(scope="module")
def cyclegan_run(tmp_path_factory):
    config = small_config()
    workdir = tmp_path_factory.mktemp("cyclegan")
    train.train(config, str(workdir))
    return config, workdir


def test_resuming_changes_no_bit_of_networks_and_pools(cyclegan_run, tmp_path):
    config, workdir = cyclegan_run
    train.train(small_config(**{"train.num_steps": 4}), str(tmp_path))
    train.train(config, str(tmp_path))
    state = final_state(config, tmp_path)
    assert_same(state, final_state(config, workdir))
    assert int(state.extra["pools"]["A"].count) == POOL


def test_evaluation_of_both_directions(cyclegan_run):
    config, workdir = cyclegan_run
    means = evaluate.evaluate(config, str(workdir))
    for name in ("cycle_l1", "l1", "ssim"):  # the night views belong to the day's
        both = [means[f"{d}_{name}"] for d in ("A2B", "B2A")]
        assert means[name] == pytest.approx(np.mean(both))
    names = {p.name for p in (workdir / "eval" / "images").iterdir()}
    assert "A2B_test_00000_reconstructed.png" in names and "B2A_test_00002_target.png" in names
    samples = {p.name for p in (workdir / "samples").iterdir()}
    assert samples == {"step_0000008_A2B.png", "step_0000008_B2A.png"}


@pytest.mark.parametrize("direction", ["A2B", "both"])
def test_translate(cyclegan_run, tmp_path, direction):
    from PIL import Image

    _, workdir = cyclegan_run
    config = small_config(**{"eval.direction": direction})
    Image.fromarray(picture(30, 40)).save(tmp_path / "a.png")
    translate.translate(config, str(workdir), str(tmp_path / "a.png"), str(tmp_path / "out"))
    found = sorted(p.name for p in (tmp_path / "out").glob("*.png"))
    assert found == (["a.png"] if direction == "A2B" else ["a_A2B.png", "a_B2A.png"])


def test_all_four_networks_go_to_pytorch_and_back(tmp_path):
    nets = {f"G_{x}": baseline.ResnetGenerator(3, 3, 4, num_blocks=2) for x in "AB"}
    nets |= {f"D_{x}": baseline.NLayerDiscriminator(3, 4, 2, "instance") for x in "AB"}
    for i, (name, net) in enumerate(nets.items()):
        baseline.init_weights(net, i)
        torch.save(net.state_dict(), tmp_path / f"latest_net_{name}.pth")
    config = small_config(**{"init_from": str(tmp_path / "latest_net_G_A.pth")})
    exchange.import_pth(config, str(tmp_path / "run"))
    for path in exchange.export_pth(config, str(tmp_path / "run"), str(tmp_path / "out")):
        net = nets[path.stem.removeprefix("0_net_")]
        state = torch.load(path, weights_only=True)
        assert all(torch.equal(state[k], v) for k, v in net.state_dict().items())
    for direction, names in (("A2B", ["G_A"]), ("B2A", ["G_B"]), ("both", ["G_A", "G_B"])):
        config.eval.direction = direction  # whichever of the files is given
        _, origin = weights.load_generators(config, "")
        used = [str(tmp_path / f"latest_net_{name}.pth") for name in names]
        assert origin == " and ".join(used)


def test_sets_of_equal_names_are_no_pairs_to_train_on(tmp_path, capsys):
    """Numbered alike; that they are compared is said with the validation."""
    root = unpaired_folder(tmp_path, {"A": 3, "B": 3})
    for domain in "AB":
        shutil.copytree(root / f"train{domain}", root / f"test{domain}")
    data = small_config(**{"data.dir": str(root), "data.eval_split": "test"}).data
    loading.load_examples(data, 0, "train", train=True, kind="sets")
    assert not capsys.readouterr().out
    assert loading.load_examples(data, 0, "test", train=False, kind="sets").paired
    assert "have files of the same names, which are compared" in capsys.readouterr().out


def unpaired_folder(root: pathlib.Path, counts):
    from PIL import Image

    for domain, count in counts.items():
        folder = root / f"train{domain}"
        folder.mkdir(parents=True)
        for i in range(count):
            size = (20 + i, 24)
            Image.fromarray(picture(*size, seed=100 * ord(domain) + i)).save(folder / f"{i}.png")
    return root


@pytest.mark.parametrize("counts", [{"A": 4, "B": 7}, {"A": 7, "B": 4}, {"A": 5, "B": 5}])
@pytest.mark.parametrize("cache_mb", [0, 64])
def test_epochs_go_through_the_larger_set(tmp_path, counts, cache_mb):

    root = unpaired_folder(tmp_path, counts)
    config = small_config(
        **{"data.dir": str(root), "data.eval_split": "train", "data.cache_mb": cache_mb}
    )
    examples = loading.load_examples(config.data, config.seed, "train", train=True, kind="sets")
    n = max(counts.values())
    assert len(examples) == n
    if cache_mb == 0:
        item = jax.tree.map(lambda x: x[0], examples.chunk(0, 1, 2))
        batch = make_batch(config, examples, 0, item)
        assert batch["A"].shape == batch["B"].shape == (2, SIZE, SIZE, 3)
        return
    chunk = examples.chunk(0, 60 * n, 1)
    larger, other = ("B", "A") if counts["B"] > counts["A"] else ("A", "B")
    for epoch in chunk[larger].reshape(60, n):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(n))
    shares = np.bincount(chunk[other].ravel(), minlength=counts[other]) / (60 * n)
    np.testing.assert_allclose(shares, 1 / counts[other], atol=0.07)
    later = examples.chunk(17, 3, 1)
    for domain in "AB":
        np.testing.assert_array_equal(later[domain], chunk[domain][17:20])


def test_missing_domain_and_channels(tmp_path):

    root = unpaired_folder(tmp_path, {"A": 2})
    config = small_config(**{"data.dir": str(root)})
    with pytest.raises(FileNotFoundError, match=r"trainB; .* has trainA"):
        loading.load_examples(config.data, config.seed, "train", train=True, kind="sets")
    (root / "trainB").mkdir()
    with pytest.raises(FileNotFoundError, match="trainB holds no images"):
        loading.load_examples(config.data, config.seed, "train", train=True, kind="sets")
    with pytest.raises(ValueError, match="identity loss .* 3 and 1 channels"):
        config_checks.check(small_config(**{"data.output_channels": 1}))


def test_rematerialisation_changes_no_gradient():
    """The same outputs and gradients, computed with less memory."""
    x = parity.images(1, SIZE, SIZE, 3)
    found = []
    for remat in (False, True):
        config = small_config(**{"model.remat": remat})
        module = build.generator(config.model, 3)
        variables = parity.variables(
            baseline.init_weights(baseline.ResnetGenerator(3, 3, 4, num_blocks=2), 31), G_KEYS
        )
        loss = lambda params, module=module: jnp.square(
            module.apply({"params": params}, x, dropout=False) + 0.5
        ).mean()
        found.append(jax.jit(jax.value_and_grad(loss))(variables["params"]))
    assert float(found[0][0]) == pytest.approx(float(found[1][0]), rel=1e-6)
    scale = max(np.abs(leaf).max() for leaf in jax.tree.leaves(found[0][1]))
    assert parity.worst(found[0][1], found[1][1]) < 1e-5 * scale


# The TensorFlow tutorials


def count(module, channels):
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    tree = jax.eval_shape(lambda: module.init(keys, jnp.zeros((1, 256, 256, channels))))
    return sum(leaf.size for leaf in jax.tree.leaves(tree["params"])), tree["params"]


@pytest.mark.parametrize("generator, in_ynnpack", [("resnet_9blocks", False), ("unet_128", True)])
def test_whose_products_ynnpack_computes(generator, in_ynnpack):
    """Not those of a ResNet's step on a CPU; convolutions and sums in either case."""
    config = small_config(**{"model.generator": generator})
    options = dispatch.compiler_options(config, "cpu")

    def uses_ynnpack(function, *arguments):
        compiled = jax.jit(function, compiler_options=options).lower(*arguments).compile()
        return "ynn_fusion" in compiled.as_text()

    x, image, kernel = jnp.ones((512, 512)), jnp.ones((1, 64, 64, 64)), jnp.ones((3, 3, 64, 64))
    axes = ("NHWC", "HWIO", "NHWC")
    convolve = lambda x, w: jax.lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=axes
    )
    assert uses_ynnpack(jnp.matmul, x, x) == in_ynnpack
    assert uses_ynnpack(convolve, image, kernel)
    assert uses_ynnpack(lambda x: jnp.square(x).sum(0), x)


def test_tutorial_parameter_counts():
    model = pix2pix_tf.get_config().model
    assert count(build.generator(model, 3), 3)[0] == 54_414_979
    total, params = count(build.discriminator(model), 6)
    assert total == 2_768_641
    assert "bias" not in params["conv_0"] and "bias" in params["conv_4"]
    _, params = count(build.generator(cyclegan_tf.get_config().model, 3), 3)
    assert params["down_norm_8"]["scale"].shape == (512,)  # affine instance norm, innermost too


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_tutorial_generator(norm):
    """The tutorial's layer table, run by torch's functions: Conv-Norm-LeakyReLU 0.3 down,
    ConvT-Norm-ReLU up, [up, skip], the skips after their activation."""
    model = (pix2pix_tf if norm == "batch" else cyclegan_tf).get_config().model
    model.update(generator="unet_32", ngf=4, dropout=0.0)
    module = build.generator(model, 3)
    x = parity.images(2, 64, 32, 3)
    variables = jax.jit(module.init)(jax.random.key(0), x)
    ours, _ = jax.jit(lambda v, x: module.apply(v, x, mutable=["batch_stats"]))(variables, x)
    params = jax.tree.map(np.array, variables["params"])
    weight = lambda name: torch.tensor(params[name]["kernel"].transpose(3, 2, 0, 1))

    def normalise(y, name):
        scale, bias = (torch.tensor(params[name][k]) for k in ("scale", "bias"))
        if norm == "batch":
            return F.batch_norm(y, None, None, scale, bias, training=True, eps=1e-3)
        return F.instance_norm(y, weight=scale, bias=bias, eps=1e-5)

    y, skips = parity.nchw(x), []
    for k in range(1, 6):
        y = F.conv2d(y, weight(f"down_{k}"), stride=2, padding=1)
        y = F.leaky_relu(y if k == 1 else normalise(y, f"down_norm_{k}"), 0.3)
        skips.append(y)
    for k in range(5, 1, -1):
        y = F.conv_transpose2d(y, weight(f"up_{k}"), stride=2, padding=1)
        y = torch.cat([F.relu(normalise(y, f"up_norm_{k}")), skips[k - 2]], 1)
    bias = torch.tensor(params["up_1"]["bias"])
    y = torch.tanh(F.conv_transpose2d(y, weight("up_1"), bias, stride=2, padding=1))
    np.testing.assert_allclose(ours, parity.nhwc(y), atol=1e-4)
