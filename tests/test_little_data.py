"""Options for little data: DiffAugment, spectral normalization, R1, two time scales."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax.traverse_util import flatten_dict
from torch.nn.utils.spectral_norm import spectral_norm

from benchmarks import torch_baseline as baseline
from pix2pix_jax import exchange, weights
from pix2pix_jax.methods import diff_augment, losses
from pix2pix_jax.methods.contract import DISCRIMINATOR, Layout
from pix2pix_jax.methods.diff_augment import Draws
from pix2pix_jax.methods.lazy_penalty import add_r1
from pix2pix_jax.methods.registry import METHODS, abstract_state, fresh_state, make_train_step
from pix2pix_jax.methods.state import NetworkState
from pix2pix_jax.models.convolution.form import convolve
from pix2pix_jax.models.layers import Conv
from pix2pix_jax.models.patchgan import Scale
from pix2pix_jax.models.spectral_norm import largest_singular_value
from pix2pix_jax.pytorch import layer_names, state_dicts
from pix2pix_jax.run import config_file
from pix2pix_jax.run.checkpoints import Checkpoints
from pix2pix_jax.runtime import random_streams
from pix2pix_jax.settings import config_checks
from tests import parity
from tests.conftest import small_config
from tests.test_contract import FIELDS

OPTIONS = {
    "model.norm_d": "none",
    "model.spectral_norm": True,
    "loss.lambda_r1": 10.0,
    "loss.r1_every": 2,
    "loss.diff_augment": diff_augment.OPERATIONS,
    "optim.learning_rate_d": 8e-4,
}
STEPS, BATCH, SIZE = 4, 2, 32
UNET, PATCHGAN = layer_names.unet_keys(5), layer_names.patchgan_keys(1)
shapes = lambda tree: jax.tree.map(lambda leaf: leaf.shape, tree)


def all_config(**fields):
    """A tiny pix2pix with all options."""
    fixed = {"model.norm": "instance", "model.dropout": 0.0, "model.n_layers": 1}
    return small_config(**fixed | OPTIONS | {"train.batch_size": BATCH} | fields)


def batch_at(step):
    source, target = parity.images(2, BATCH, SIZE, SIZE, 3, seed=step)
    return {"input": source, "target": target}


@pytest.fixture(scope="module")
def discriminator():
    """PyTorch's, with its spectral normalization."""
    torch.manual_seed(3)
    net = baseline.init_weights(baseline.NLayerDiscriminator(6, 4, 1, "none"), 2)
    return net.apply(lambda m: spectral_norm(m) if isinstance(m, torch.nn.Conv2d) else None)


@pytest.fixture(scope="module")
def trained(discriminator):
    """The config, states before each of `STEPS` steps and after the last, and their losses."""
    config = all_config()
    generator = baseline.init_weights(baseline.UnetGenerator(3, 3, 5, 4, "instance", False), 1)
    state = fresh_state(config).replace(
        networks={
            "G": parity.network(generator, UNET, config.optim),
            "D": parity.network(discriminator, PATCHGAN, config.optim),
        }
    )
    step = jax.jit(make_train_step(config, 400, Layout()))
    states, found = [state], []
    for i in range(STEPS):
        state, terms = step(state, batch_at(i))
        states.append(jax.device_get(state))
        found.append({name: float(term) for name, term in terms.items()})
    return config, step, states, found, (generator, discriminator)


def augment_as_published(x, draws, condition):
    """DiffAugment of x [N, C, H, W] by draws, as the paper's code defines it."""
    draws = Draws(*(torch.tensor(np.asarray(values)) for values in draws))
    of_image = lambda values: values.view(-1, 1, 1, 1)
    image = x[:, condition:] + of_image(draws.brightness)
    mean = image.mean(1, keepdim=True)
    image = (image - mean) * of_image(draws.saturation) + mean
    mean = image.mean((1, 2, 3), keepdim=True)
    image = (image - mean) * of_image(draws.contrast) + mean
    x = torch.cat([x[:, :condition], image], 1)
    height, width = x.shape[2:]
    rows, columns = torch.arange(height), torch.arange(width)
    results = []
    for image, shift, center in zip(x, draws.shift, draws.center, strict=True):
        padded = torch.nn.functional.pad(image, (width, width, height, height))
        image = padded[:, height + shift[0] + rows][:, :, width + shift[1] + columns]
        cut = [int(size * 0.5 + 0.5) for size in (height, width)]
        mask = torch.ones(height, width)
        places = [
            (c - n // 2 + torch.arange(n)).clamp(0, size - 1)
            for c, n, size in zip(center, cut, (height, width), strict=True)
        ]
        mask[places[0][:, None], places[1]] = 0
        results.append(image * mask)
    return torch.stack(results)


def torch_steps(config, generator, judge_net):
    """The same steps in PyTorch: losses of each. Fake and real are judged in one forward."""
    loss, optim = config.loss, config.optim
    g_optim = baseline.adam(generator, lr=optim.learning_rate)
    d_optim = baseline.adam(judge_net, lr=optim.learning_rate_d)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    for i in range(STEPS):
        source, target = (parity.nchw(images) for images in batch_at(i).values())
        key = random_streams.at_step(config.seed, random_streams.AUGMENT, np.int32(i))

        def judge(turn, images, key=key, source=source):
            keys = jax.random.split(random_streams.named(key, turn), len(images))
            seen = [
                augment_as_published(
                    torch.cat([source, image], 1), diff_augment.draw(k, (BATCH, SIZE, SIZE, 6)), 3
                )
                for image, k in zip(images, keys, strict=True)
            ]
            return judge_net(torch.cat(seen)).chunk(len(images))

        fake, terms = generator(source), {}
        d_optim.zero_grad()
        logits = judge("D", [fake.detach(), target])
        for name, its_logits, label in zip(("d_fake", "d_real"), logits, (0.0, 1.0), strict=True):
            terms[name] = bce(its_logits, torch.full_like(its_logits, label))
        total, terms["d_r1"] = 0.5 * (terms["d_fake"] + terms["d_real"]), torch.zeros(())
        if i % loss.r1_every == 0:
            judge_net.eval()  # takes the vectors as the forward pass has left them
            x = target.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(
                judge("D", [x])[0].mean((1, 2, 3)).sum(), x, create_graph=True
            )
            judge_net.train()
            terms["d_r1"] = loss.r1_every * gradient.square().sum((1, 2, 3)).mean()
            total = total + loss.lambda_r1 / 2 * terms["d_r1"]
        total.backward()
        d_optim.step()
        g_optim.zero_grad()
        (logits,) = judge("G", [fake])
        terms["g_gan"] = bce(logits, torch.ones_like(logits))
        terms["g_l1"] = loss.lambda_l1 * (fake - target).abs().mean()
        (terms["g_gan"] + terms["g_l1"]).backward()
        g_optim.step()
        yield {name: float(term.detach()) for name, term in terms.items()}


def test_steps_with_all_options_against_pytorch(trained):
    """Spectral norm, R1 at every second step, DiffAugment with its draws given, two Adams."""
    config, _, states, found, nets = trained
    for i, expected in enumerate(torch_steps(config, *nets)):
        assert found[i].keys() == expected.keys()
        for name, value in expected.items():
            assert found[i][name] == pytest.approx(value, rel=1e-4), (i, name)
        for name, net, keys, rate in zip("GD", nets, (UNET, PATCHGAN), (2e-4, 8e-4), strict=True):
            ours, theirs = states[i + 1].networks[name], parity.variables(net, keys)
            apart = jax.tree.map(lambda a, b: np.abs(a - b).ravel(), ours.params, theirs["params"])
            apart = np.concatenate(jax.tree.leaves(apart))
            # Where a gradient is about zero, its rounding decides the sign of Adam's step.
            assert apart.mean() < 0.01 * rate * (i + 1) and apart.max() < 2.1 * rate * (i + 1)
    moved = states[-1].networks["D"].batch_stats["conv_0"]["u"]
    assert np.abs(moved - states[0].networks["D"].batch_stats["conv_0"]["u"]).max() > 0.01
    assert parity.worst(states[-1].networks["D"].batch_stats, theirs["batch_stats"]) < 1e-3


def test_resuming_to_the_bit(trained, tmp_path):
    """The vectors of spectral norm are in checkpoints; a run without them is no such run."""
    config, step, states, found, _ = trained
    with Checkpoints(tmp_path) as saver:
        saver.save(states[-2])
        saver.wait()
        restored = saver.restore(abstract_state(config), STEPS - 1)
    again, terms = step(restored, batch_at(STEPS - 1))
    jax.tree.map(np.testing.assert_array_equal, again, states[-1])
    assert {name: float(term) for name, term in terms.items()} == found[-1]
    with (
        Checkpoints(tmp_path) as saver,
        pytest.raises(ValueError, match=r"networks\.D.*config\.model"),
    ):
        saver.restore(abstract_state(all_config(**{"model.spectral_norm": False})), STEPS - 1)


def test_weights_to_pytorch_and_back(trained, tmp_path):
    config, _, states, _, _ = trained
    with Checkpoints(tmp_path / "run") as saver:
        saver.save(states[-1])
    config_file.write_config(tmp_path / "run", config)
    paths = exchange.export_pth(config, str(tmp_path / "run"), str(tmp_path))
    net = baseline.NLayerDiscriminator(6, 4, 1, "none")
    net.apply(lambda m: spectral_norm(m) if isinstance(m, torch.nn.Conv2d) else None)
    net.load_state_dict(torch.load(tmp_path / f"{STEPS}_net_D.pth", weights_only=True))
    d = states[-1].networks["D"]
    assert parity.worst(d.variables, parity.variables(net, PATCHGAN)) == 0
    # v is that of u: the next forward pass finds the singular value that the export's had.
    weight, u, v = (getattr(net.model[0], f"weight_{name}").detach() for name in ("orig", "u", "v"))
    torch.testing.assert_close(v, torch.nn.functional.normalize(weight.flatten(1).T @ u, dim=0))

    config.init_from = next(str(path) for path in paths if path.stem.endswith("G"))
    started = weights.initialize(config, fresh_state(config))
    assert parity.worst(started.networks["D"].variables, d.variables) == 0
    other = all_config(**{"model.spectral_norm": False, "init_from": config.init_from})
    with pytest.raises(ValueError, match=r"net_D\.pth.*set --config\.model\.spectral_norm=True$"):
        weights.initialize(other, fresh_state(other))


def test_the_newer_names_of_pytorch():
    net = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Conv2d(3, 4, 4))
    state = {f"model.0.{name}": array for name, array in parity.state_dict(net).items()}
    found = state_dicts.to_flax(state, {"model.0": ("conv_0",)})
    expected = net.parametrizations.weight.original.detach().permute(2, 3, 1, 0)
    np.testing.assert_array_equal(found["params"]["conv_0"]["kernel"], expected)
    u = found["batch_stats"]["conv_0"]["u"]
    np.testing.assert_array_equal(u, net.parametrizations.weight[0]._u)


def test_spectral_norm_against_pytorch():
    """Outputs, gradients and vectors over several calls while the kernel changes."""
    torch.manual_seed(0)
    net = spectral_norm(torch.nn.Conv2d(3, 5, 4, 2, 1, bias=False))
    kernel = net.weight_orig.detach().permute(2, 3, 1, 0).numpy()
    params, stats = {"kernel": jnp.asarray(kernel)}, {"u": jnp.asarray(net.weight_u.numpy())}
    module, images = Conv(5, spectral_norm=True), parity.images(2, 8, 8, 3)

    @jax.jit
    def run(params, stats):
        def loss(params):
            variables = {"params": params, "batch_stats": stats}
            y, updated = module.apply(variables, images, mutable=["batch_stats"])
            return jnp.square(y).sum(), (y, updated["batch_stats"])

        gradient, (y, stats) = jax.grad(loss, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, params, gradient), stats, y, gradient

    for _ in range(5):
        params, stats, y, gradient = run(params, stats)
        expected = net(parity.nchw(images))
        (theirs,) = torch.autograd.grad(expected.square().sum(), net.weight_orig)
        with torch.no_grad():
            net.weight_orig -= 1e-3 * theirs
        np.testing.assert_allclose(y, parity.nhwc(expected), rtol=1e-4, atol=1e-5)
        theirs = theirs.permute(2, 3, 1, 0)
        np.testing.assert_allclose(gradient["kernel"], theirs, rtol=1e-5, atol=2e-5)
        np.testing.assert_allclose(stats["u"], net.weight_u, atol=1e-5)
    exact = np.linalg.svd(np.asarray(params["kernel"]).reshape(-1, 5), compute_uv=False)[0]
    for _ in range(30):
        _, stats, *_ = run(params, stats)
    sigma, _ = largest_singular_value(np.asarray(params["kernel"]).reshape(-1, 5), stats["u"])
    assert float(sigma) == pytest.approx(exact, rel=1e-5)


def test_golden_singular_value():
    """One iteration of torch.nn.utils.spectral_norm on sin(0..23), [3, 2, 2, 2]."""
    kernel = np.sin(np.arange(24, dtype=np.float32)).reshape(3, 2, 2, 2).transpose(2, 3, 1, 0)
    u = np.float32([1, 2, 3]) / np.sqrt(np.float32(14))
    sigma, u = largest_singular_value(kernel.reshape(8, 3), u)
    assert float(sigma) == pytest.approx(2.352763, rel=1e-6)
    np.testing.assert_allclose(u, [-0.685189, 0.483921, 0.544368], atol=1e-6)


def test_r1_against_double_backward():
    """The penalty of a critic, and its derivative in the critic's weights."""
    w = 0.3 * parity.images(4, 4, 3, 5)
    real = parity.images(2, 8, 8, 3, seed=1)
    critic = lambda w, x: [Scale(jnp.tanh(convolve(x, w, 2, 1)).sum(3, keepdims=True), [])]
    value, gradient = jax.jit(
        jax.value_and_grad(lambda w: losses.r1_penalty(lambda x: critic(w, x), real))
    )(w)
    w_torch, x = (parity.nchw(a).requires_grad_() for a in (w.transpose(3, 0, 1, 2), real))
    logits = torch.tanh(torch.nn.functional.conv2d(x, w_torch, stride=2, padding=1)).sum(1)
    (slope,) = torch.autograd.grad(logits.mean((1, 2)).sum(), x, create_graph=True)
    expected = slope.square().sum((1, 2, 3)).mean()
    expected.backward()
    assert float(value) == pytest.approx(float(expected.detach()), rel=1e-4)
    theirs = w_torch.grad.permute(2, 3, 1, 0).numpy()
    np.testing.assert_allclose(gradient, theirs, atol=1e-4 * np.abs(theirs).max())


def test_golden_r1():
    """Kernel [[1, 2], [3, 4]] on 3x3: 15 with gamma 2, so without gamma / 2."""
    kernel, real = jnp.float32([[1, 2], [3, 4]]).reshape(2, 2, 1, 1), jnp.zeros((1, 3, 3, 1))
    convolve = lambda x: jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    one = [lambda x: Scale(convolve(x), [])]
    for scales in (one, one * 2):  # the mean over scales, too
        found = losses.r1_penalty(lambda x, scales=scales: [scale(x) for scale in scales], real)
        assert float(found) == pytest.approx(15, rel=1e-6)


def test_r1_is_lazy():
    """At every k-th step of the optimizer, with k times its weight."""
    loss = small_config(**{"loss.lambda_r1": 6.0, "loss.r1_every": 4}).loss
    real, factor = jnp.ones((1, 2, 2, 1)), 3.0
    judge = lambda variables, images: (
        [[Scale(variables["params"]["w"] * x.sum((1, 2), keepdims=True), [])] for x in images],
        {},
    )
    for count in range(9):
        opt_state = type("State", (), {"count": jnp.int32(count)})
        d = NetworkState({"w": jnp.float32(factor)}, {}, opt_state)
        found, terms = add_r1({"w": jnp.float32(0.5)}, d, loss, judge, real)
        due = count % 4 == 0  # the penalty is 4 w^2, its derivative 8 w
        assert float(terms["r1"]) == due * 4 * 4 * factor**2
        assert float(found["w"]) == 0.5 + due * 4 * 6 / 2 * 8 * factor


@pytest.mark.parametrize("shape", [(3, 16, 16, 4), (2, 9, 13, 5)])
def test_diff_augment_against_the_published_rule(shape):
    """A condition of one channel beside the image: moved and cut alike, not recolored."""
    images = parity.images(*shape)
    augment = jax.jit(lambda x, draws: diff_augment.augment(x, draws, diff_augment.OPERATIONS, 1))
    for seed in range(3):
        draws = diff_augment.draw(jax.random.key(seed), shape)
        found = augment(images, draws)
        expected = augment_as_published(parity.nchw(images), draws, 1)
        np.testing.assert_allclose(found, parity.nhwc(expected), atol=2e-6)


def test_diff_augment_draws():
    """Ranges are reached and not passed; images differ."""
    draws = diff_augment.draw(jax.random.key(0), (4000, 16, 9, 3))
    for values, low, high in zip(draws[:3], (-0.5, 0, 0.5), (0.5, 2, 1.5), strict=True):
        assert low <= values.min() < low + 0.01 < high - 0.01 < values.max() <= high
        assert float(values.mean()) == pytest.approx((low + high) / 2, abs=0.05)
    np.testing.assert_array_equal(np.unique(draws.shift[:, 0]), np.arange(-2, 3))
    np.testing.assert_array_equal(np.unique(draws.shift[:, 1]), np.arange(-1, 2))
    np.testing.assert_array_equal(np.unique(draws.center[:, 0]), np.arange(17))  # cuts 8
    np.testing.assert_array_equal(np.unique(draws.center[:, 1]), np.arange(9))  # cuts 5


def test_diff_augment_moves_cuts_and_lets_gradients_through():
    images = 2 + jnp.asarray(parity.images(2, 16, 16, 3))
    draws = diff_augment.draw(jax.random.key(0), images.shape)._replace(
        shift=jnp.array([[2, -1], [0, 0]]), center=jnp.array([[16, 0], [8, 8]])
    )
    moved = diff_augment.translate(images, draws.shift)
    np.testing.assert_array_equal(moved[0, :14, 1:], images[0, 2:, :15])
    assert not moved[0, 14:].any() and not moved[0, :, 0].any()
    np.testing.assert_array_equal(moved[1], images[1])
    cut = diff_augment.cut_out(images, draws.center)
    assert (np.asarray(cut) == 0).sum((1, 2, 3)).tolist() == [3 * 4 * 4, 3 * 8 * 8]
    assert not cut[0, 12:, :4].any() and not cut[1, 4:12, 4:12].any()

    augment = lambda x: diff_augment.augment(x, draws, ("translation", "cutout"))
    gradient = jax.jit(jax.grad(lambda x: augment(x).sum()))(images)
    seen = np.asarray(jax.jit(augment)(images) != 0)
    assert set(np.unique(gradient)) == {0, 1} and gradient.sum() == seen.sum()
    np.testing.assert_array_equal(diff_augment.augment(images, draws, ()), images)
    gray = jnp.full((2, 4, 4, 3), 0.25)  # saturation and contrast leave it as it is
    brighter = gray + draws.brightness[:, None, None, None]
    np.testing.assert_allclose(diff_augment.recolor(gray, draws), brighter, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "regression"])
def test_every_method_with_a_discriminator_has_them(name):
    """Their losses, and states alike before and after, without computing a step."""
    fields = FIELDS[name] | OPTIONS | {"loss.gan_mode": "lsgan", "data.load_size": (64, 64)}
    config = small_config(method=name, **fields)
    if name == "colorization":
        with pytest.raises(ValueError, match="'color'.* 2 channels"):
            config_checks.check(config)
        config.loss.diff_augment = ("translation",)
    state = config_checks.check(config)
    method = METHODS[name]
    kinds = {"pairs": ("input", "target"), "sets": "AB"}.get(method.data, ("image",))
    batch = {
        kind: jax.ShapeDtypeStruct((1, *config.data.crop_size, 3), jnp.float32) for kind in kinds
    }
    after, terms = jax.eval_shape(make_train_step(config, 10, Layout()), state, batch)
    assert set(terms) == set(method.loss_names(config)) and any("r1" in term for term in terms)
    assert shapes(after) == shapes(state)
    judges = [n for n, net in method.networks(config, 1).items() if net.role == DISCRIMINATOR]
    for name in judges:  # pix2pixHD has several, side by side
        stats = flatten_dict(shapes(state.networks[name].batch_stats))
        assert {shape for path, shape in stats.items() if path[-2:] == ("conv_0", "u")} == {(4,)}


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"loss.lambda_r1": 1.0, "loss.lambda_gan": 0.0}, "loss.lambda_r1 is 1.0.*at 0.0"),
        (
            {"method": "regression", "loss.lambda_gan": 0.0, "model.spectral_norm": True},
            "model.spectral_norm is True, and regression trains no discriminator",
        ),
        ({"loss.diff_augment": ("colour",)}, "some of color, translation, cutout"),
        ({"loss.r1_every": 0}, "loss.r1_every is 0: it must be at least 1"),
        ({"optim.learning_rate_d": -1.0}, "learning_rate_d is -1.0"),
        ({"model.norm_d": "layer"}, "model.norm_d is 'layer': choose one of same, batch"),
    ],
)
def test_what_cannot_be(fields, message):
    with pytest.raises(ValueError, match=message):
        config_checks.check(small_config(**fields))
