"""Networks against PyTorch: the same weights and inputs give the same outputs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from benchmarks import torch_baseline as baseline
from configs.default import get_config
from pix2pix_jax.models import build
from pix2pix_jax.pytorch import layer_names
from tests import parity

BOUND = 1e-4  # float32, other order of summation


def model_config(**fields):
    config = get_config()
    config.model.update(fields)
    return config.model


def perturb_statistics(net):
    """Gives the running statistics values that matter."""
    generator = torch.Generator().manual_seed(7)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            module.bias.data.uniform_(-0.1, 0.1, generator=generator)
    return net


def compare(net, module, keys, x, **settings):
    """Outputs in train mode and eval mode, and the running statistics after train mode."""
    variables = parity.variables(net, keys)
    # A discriminator gives a list of scales; PyTorch's gives the logits of its only one.
    plain = lambda output: output[0].logits if isinstance(output, list) else output
    with torch.no_grad():
        net.eval()
        theirs = parity.nhwc(net(parity.nchw(x)))
    ours = jax.jit(functools.partial(module.apply, running=True, **settings))(variables, x)
    np.testing.assert_allclose(plain(ours), theirs, atol=BOUND)

    with torch.no_grad():
        net.train()
        theirs = parity.nhwc(net(parity.nchw(x)))
    train_mode = functools.partial(module.apply, mutable=["batch_stats"], **settings)
    ours, updated = jax.jit(train_mode)(variables, x)
    np.testing.assert_allclose(plain(ours), theirs, atol=BOUND)
    if variables["batch_stats"]:
        expected = parity.variables(net, keys)["batch_stats"]
        assert parity.worst(updated["batch_stats"], expected) < BOUND


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("batch", [1, 3])
def test_unet(norm, batch):
    net = baseline.UnetGenerator(3, 2, num_downs=6, ngf=8, norm=norm, dropout=False)
    perturb_statistics(baseline.init_weights(net, 1))
    module = build.generator(model_config(generator="unet_64", ngf=8, norm=norm, dropout=0.0), 2)
    compare(net, module, layer_names.unet_keys(6), parity.images(batch, 64, 128, 3))


def test_unet_256_with_default_widths():
    net = baseline.init_weights(baseline.UnetGenerator(dropout=False), 2)
    module = build.generator(model_config(dropout=0.0), 3)
    compare(net, module, layer_names.unet_keys(8), parity.images(1, 256, 256, 3))


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("padding", ["reflect", "replicate", "zero"])
def test_resnet(norm, padding):
    net = baseline.ResnetGenerator(3, 3, 8, norm, num_blocks=3, padding=padding)
    perturb_statistics(baseline.init_weights(net, 3))
    config = model_config(
        generator="resnet_3blocks", ngf=8, norm=norm, padding=padding, dropout=0.0
    )
    keys = layer_names.resnet_keys(3, False, padding)
    compare(net, build.generator(config, 3), keys, parity.images(2, 32, 48, 3))


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("n_layers", [1, 3, 4])
def test_patchgan(norm, n_layers):
    net = baseline.NLayerDiscriminator(6, 8, n_layers, norm)
    perturb_statistics(baseline.init_weights(net, 4))
    module = build.discriminator(model_config(n_layers=n_layers, ndf=8, norm=norm))
    compare(net, module, layer_names.patchgan_keys(n_layers), parity.images(2, 128, 96, 6))


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_pixel_discriminator(norm):
    net = perturb_statistics(baseline.init_weights(baseline.PixelDiscriminator(6, 8, norm), 5))
    module = build.discriminator(model_config(discriminator="pixel", ndf=8, norm=norm))
    compare(net, module, layer_names.pixel_keys(), parity.images(2, 16, 24, 6))


# reference-table of the baseline: input and output channels 3, all at 64 filters.
GENERATORS = {
    ("unet_256", "batch"): 54_413_955,
    ("unet_256", "instance"): 54_409_603,
    ("unet_256", "none"): 54_404_099,
    ("unet_128", "batch"): 41_828_995,
    ("unet_128", "instance"): 41_825_667,
    ("resnet_9blocks", "batch"): 11_383_427,
    ("resnet_9blocks", "instance"): 11_378_179,
    ("resnet_6blocks", "instance"): 7_837_699,
}
DISCRIMINATORS = {
    ("patchgan", 3, "batch", 6): 2_768_705,
    ("patchgan", 3, "instance", 3): 2_764_737,
    ("patchgan", 1, "batch", 6): 139_585,
    ("patchgan", 6, "instance", 6): 15_352_257,
    ("pixel", 3, "batch", 6): 9_024,
    ("pixel", 3, "instance", 6): 8_897,
}


def count(module, channels, size=256):
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    tree = jax.eval_shape(lambda: module.init(keys, jnp.zeros((1, size, size, channels))))
    return sum(leaf.size for leaf in jax.tree.leaves(tree["params"]))


@pytest.mark.parametrize("name, norm", GENERATORS)
def test_generator_parameter_counts(name, norm):
    module = build.generator(model_config(generator=name, norm=norm), 3)
    assert count(module, 3) == GENERATORS[name, norm]


@pytest.mark.parametrize("name, n_layers, norm, channels", DISCRIMINATORS)
def test_discriminator_parameter_counts(name, n_layers, norm, channels):
    config = model_config(discriminator=name, n_layers=n_layers, norm=norm)
    expected = DISCRIMINATORS[name, n_layers, norm, channels]
    assert count(build.discriminator(config), channels, 512) == expected


@pytest.mark.parametrize("n_layers, field", [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_receptive_field_of_a_patch(n_layers, field):
    """Pixels that change one logit span the published number of rows."""
    module = build.discriminator(model_config(n_layers=n_layers, ndf=2, norm="none"))
    x = jnp.asarray(parity.images(1, 256, 256, 3))
    variables = jax.jit(module.init)(jax.random.key(0), x)

    def logit(x):
        (scale,) = module.apply(variables, x)
        y = scale.logits
        return y[0, y.shape[1] // 2, y.shape[2] // 2, 0]

    rows = np.flatnonzero(np.abs(jax.jit(jax.grad(logit))(x)[0]).sum((1, 2)))
    assert rows[-1] - rows[0] + 1 == field
    if n_layers == 3:
        (scale,) = jax.eval_shape(module.apply, variables, x)
        assert scale.logits.shape == (1, 30, 30, 1)


def test_dropout_acts_on_the_levels_of_the_baseline():
    """Three of unet_256's ups, those that make 4, 8 and 16 pixels: half zero, half doubled."""
    config = model_config(generator="unet_256", ngf=1, norm="none")
    x = parity.images(1, 256, 256, 3)
    module = build.generator(config, 3)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = jax.jit(module.init)(keys, x)
    apply = functools.partial(module.apply, capture_intermediates=True, mutable=["intermediates"])
    _, state = jax.jit(apply)(variables, x, rngs={"dropout": jax.random.key(2)})
    found = state["intermediates"]
    sizes = [found[k]["__call__"][0].shape[1] for k in found if k.startswith("Dropout")]
    assert sorted(sizes) == [4, 8, 16]
    dropped = found["Dropout_2"]["__call__"][0]
    kept = dropped != 0
    assert 0.35 < kept.mean() < 0.65
    level = found["up_norm_5"]["__call__"][0]
    np.testing.assert_allclose(dropped[kept], 2 * level[kept], rtol=1e-6)


@pytest.mark.parametrize("kind", ["normal", "xavier", "kaiming", "orthogonal"])
def test_initialisation_has_torch_spread(kind):
    """Standard deviations of a convolution and of a transposed one, against torch.nn.init."""
    gain = 0.02
    torch.manual_seed(0)
    conv, up = torch.nn.Conv2d(32, 64, 4), torch.nn.ConvTranspose2d(32, 64, 4)
    makers = {
        "normal": lambda w: torch.nn.init.normal_(w, 0.0, gain),
        "xavier": lambda w: torch.nn.init.xavier_normal_(w, gain),
        "kaiming": lambda w: torch.nn.init.kaiming_normal_(w, 0, "fan_in"),
        "orthogonal": lambda w: torch.nn.init.orthogonal_(w, gain),
    }
    init = build.layers.kernel_init(kind, gain)
    for weight, shape in ((conv.weight, (4, 4, 32, 64)), (up.weight, (4, 4, 64, 32))):
        makers[kind](weight.data)
        ours = init(jax.random.key(0), shape)
        assert float(ours.std()) == pytest.approx(float(weight.detach().std()), rel=0.03)
        assert abs(float(ours.mean())) < 0.1 * float(weight.detach().std())


def test_bfloat16_computes_roughly_the_same_with_float32_parameters():
    x = parity.images(1, 64, 64, 3)
    outputs = []
    for dtype in ("float32", "bfloat16"):
        config = model_config(generator="unet_64", ngf=8, dropout=0.0, dtype=dtype)
        module = build.generator(config, 3)
        variables = jax.jit(module.init)(jax.random.key(0), x)
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
        apply = jax.jit(functools.partial(module.apply, mutable=["batch_stats"]))
        outputs.append(apply(variables, x)[0])
    assert outputs[1].dtype == jnp.float32
    difference = np.abs(outputs[0] - outputs[1])
    assert 0 < difference.mean() < 0.02


@pytest.mark.parametrize(
    "size, fields, words",
    [
        (100, {"generator": "unet_128"}, "multiples of 128"),
        (62, {"generator": "resnet_6blocks"}, "multiples of 4"),
    ],
)
def test_wrong_sizes_name_the_divisor(size, fields, words):
    module = build.generator(model_config(**fields), 3)
    with pytest.raises(ValueError, match=words):
        jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, size, size, 3))))


@pytest.mark.parametrize(
    "fields",
    [
        {"generator": "unet_100"},
        {"norm": "layer"},
        {"bias": "some"},
        {"dtype": "float16"},
        {"upsample": "shuffle"},
        {"init_type": "uniform"},
        {"generator": "vit"},
    ],
)
def test_unknown_values_are_named(fields):
    ((name, value),) = fields.items()
    with pytest.raises(ValueError, match=f"model.{name} is '{value}'"):
        build.generator(model_config(**fields), 3)
