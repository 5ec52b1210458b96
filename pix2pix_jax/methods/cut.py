"""CUT and FastCUT: unpaired translation in one direction by contrast of patches (Park et al. 2020).

G translates A to B and D judges images of B. Features of a patch of the translation, projected by
F, should resemble those of the same patch of the source more than those of its other patches. A
batch is {"A", "B"}, float32 [N, H, W, C] in [-1, 1].
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.methods import losses, pix2pix
from pix2pix_jax.methods.contract import (
    DISCRIMINATOR,
    GENERATOR,
    OTHER,
    Direction,
    Distance,
    Layout,
    Method,
    Network,
    Step,
)
from pix2pix_jax.methods.diff_augment import augmentation
from pix2pix_jax.methods.state import apply_together, learning_rate_at
from pix2pix_jax.models import build
from pix2pix_jax.models.patch_projection import patches
from pix2pix_jax.runtime import random_streams


def networks(config: Any, groups: int = 1) -> dict[str, Network]:
    """G, F and, when its loss has weight, D."""
    data, size = config.data, tuple(config.data.crop_size)
    generator = build.generator(config.model, data.output_channels, groups)
    source = (1, *size, data.input_channels)
    shapes = patch_shapes(generator, tuple(config.loss.nce_layers), source)
    found = {
        "G": Network(GENERATOR, generator, source),
        "F": Network(OTHER, build.projection(config.model), shapes),
    }
    if config.loss.lambda_gan:
        judge = build.discriminator(config.model, groups)
        found["D"] = Network(DISCRIMINATOR, judge, (1, *size, data.output_channels))
    return found


def patch_shapes(
    generator: nn.Module, layers: tuple[str, ...], source: tuple[int, ...]
) -> list[tuple[int, ...]]:
    """[1, 1, C] for each of `layers`: one patch of the features of an image of shape `source`."""
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(0)}
    encode = functools.partial(generator.init_with_output, features=layers, encode=True)
    (_, features), _ = jax.eval_shape(encode, keys, jax.ShapeDtypeStruct(source, jnp.float32))
    return [(1, 1, features[name].shape[-1]) for name in layers]


def directions(config: Any) -> list[Direction]:
    """From A to B, the one direction that is trained."""
    data = config.data
    return [Direction("", "A", "B", "G", data.input_channels, data.output_channels)]


def nce_names(loss: Any) -> tuple[str, ...]:
    """The contrastive losses of a step, by PyTorch's names: of A's translation, and of B's."""
    return ("nce", "nce_y") if loss.nce_identity else ("nce",)


def draw_positions(key: jax.Array, shape: tuple[int, ...], count: int) -> jax.Array:
    """Patches that are compared: int32 [count] of the H * W in a layer's output [N, H, W, C].

    All of them, if there are fewer.
    """
    total = shape[1] * shape[2]
    return jax.random.permutation(key, total)[: min(count, total)]


def mirror(positions: jax.Array, width: int) -> jax.Array:
    """Where `positions` of an image of `width` columns come to lie when it is mirrored."""
    return positions + (width - 1) - 2 * (positions % width)


def nce_loss(
    loss: Any,
    project: Callable[[list[jax.Array]], list[jax.Array]],
    queries: Sequence[jax.Array],
    keys: Sequence[jax.Array],
    mirrored: jax.Array,
    key: jax.Array,
) -> jax.Array:
    """The patchwise contrastive loss with its weight (equation 4), the mean over layers.

    Args:
        loss: the `loss` section of a config.
        project: F, from patches [N, S, C] of each layer to vectors of length 1.
        queries: features [N, H, W, C] of the translations, for each of loss.nce_layers.
        keys: features of their sources.
        mirrored: whether the translations are those of the mirrored sources.
        key: draws the patches, the same of all images.
    """
    here, there = [], []
    for name, features in zip(loss.nce_layers, keys, strict=True):
        its_key = random_streams.named(key, name)
        positions = draw_positions(its_key, features.shape, loss.nce_patches)
        here.append(positions)
        there.append(jnp.where(mirrored, mirror(positions, features.shape[2]), positions))
    queries = project([patches(*pair) for pair in zip(queries, there, strict=True)])
    keys = project([patches(*pair) for pair in zip(keys, here, strict=True)])
    each = [
        losses.patch_nce(query, jax.lax.stop_gradient(key), loss.nce_temperature)
        for query, key in zip(queries, keys, strict=True)
    ]
    return loss.lambda_nce * sum(each) / len(each)


def make_train_step(config: Any, num_examples: int, layout: Layout) -> Step:
    """The pure function that trains D, then G and F against the updated D, on one batch.

    Args:
        config: the whole config.
        num_examples: examples in an epoch, which the learning rate goes by.
        layout: how a batch lies over devices.

    Returns:
        (state, batch) -> (state, losses): g_gan, nce and nce_y with their weights (of the last two
        the mean is minimised), d_fake, d_real and, for wgangp, d_gp and, with lambda_r1, d_r1
        without.
    """
    loss, optim = config.loss, config.optim
    modules = {name: net.module for name, net in networks(config, layout.groups).items()}
    layers, names = tuple(loss.nce_layers), nce_names(loss)
    # G's own pass gives the features of its sources; not those that PyTorch's code takes, where
    # they are of mirrored images, or depend on the batch or on what is dropped.
    reuses = not (
        loss.flip_equivariance or config.model.dropout > 0 or config.model.norm == "batch"
    )

    def encode(params, stats, batches, key):
        """Features of `layers`, a list for each batch, and G's batch statistics afterwards."""
        variables = {"params": params, "batch_stats": stats}
        settings = {"features": layers, "encode": True, "rngs": {"dropout": key}}
        found, stats = apply_together(modules["G"], variables, batches, **settings)
        return [[features[name] for name in layers] for _, features in found], stats

    def train_step(state, batch):
        rate = learning_rate_at(config, state, num_examples)
        key = lambda name: random_streams.at_step(config.seed, name, state.step)
        dropout = functools.partial(random_streams.named, key(random_streams.DROPOUT))
        g, f, d = (state.networks.get(name) for name in "GFD")
        sources = [batch["A"], batch["B"]][: len(names)]
        real, mirrored = sources, jnp.zeros((), bool)
        if loss.flip_equivariance:
            mirrored = jax.random.bernoulli(key(random_streams.MIRROR))
            real = [jnp.where(mirrored, images[:, :, ::-1], images) for images in sources]

        def translate(params):
            """Translations, and beside them the features of their sources that can be reused."""
            variables = {"params": params, "batch_stats": g.batch_stats}
            settings = {"features": layers if reuses else (), "rngs": {"dropout": dropout("G")}}
            outputs, stats = apply_together(modules["G"], variables, real, True, **settings)
            if not reuses:
                return outputs, (None, stats)
            wanted = [[features[name] for name in layers] for _, features in outputs]
            return [images for images, _ in outputs], (wanted, stats)

        outputs, pull_back, (wanted, g_stats) = jax.vjp(translate, g.params, has_aux=True)
        d_terms = {}

        def judge(turn):
            augment = augmentation(config, state.step, turn)
            return functools.partial(pix2pix.judge_images, modules["D"], augment, None)

        if d is not None:
            fake, penalty_key = jax.lax.stop_gradient(outputs[0]), key(random_streams.PENALTY)
            d, d_terms = pix2pix.update_discriminator(
                d, config, rate, judge("D"), penalty_key, fake, batch["B"]
            )

        def objective(outputs, params, projection):
            """What G and F minimise, of G's images and of what its encoder sees in them."""
            found, stats = encode(params, g_stats, outputs, dropout("outputs"))
            keys = wanted
            if not reuses:
                keys, stats = encode(g.params, stats, sources, dropout("sources"))
            project = functools.partial(modules["F"].apply, {"params": projection})
            terms = {}
            for name, *pair in zip(names, found, keys, strict=True):
                patch_key = random_streams.named(key(random_streams.PATCHES), name)
                terms[name] = nce_loss(loss, project, *pair, mirrored, patch_key)
            total = sum(terms.values()) / len(names)
            if d is None:
                return total, (terms, stats, None)
            (scales,), d_stats = judge("G")(d.variables, [outputs[0]])
            terms["g_gan"] = loss.lambda_gan * losses.gan_loss(scales, True, loss.gan_mode)
            return total + terms["g_gan"], (terms, stats, d_stats)

        gradients, (terms, g_stats, d_stats) = jax.grad(objective, (0, 1, 2), has_aux=True)(
            outputs, g.params, f.params
        )
        of_images, of_encoder, of_projection = gradients
        of_params = jax.tree.map(jnp.add, *pull_back(of_images), of_encoder)
        new = {
            "G": g.update(optim, rate, of_params).replace(batch_stats=g_stats),
            "F": f.update(optim, rate, of_projection),
        }
        if d is not None:
            new["D"] = d.replace(batch_stats=d_stats)
        return state.replace(step=state.step + 1, networks=new), {**terms, **d_terms}

    return train_step


def check(config: Any) -> None:
    """Raises ValueError for images, or networks, that CUT cannot take."""
    pix2pix.check_channels(config)
    data, loss = config.data, config.loss
    if loss.nce_identity and data.input_channels != data.output_channels:
        raise ValueError(
            "the identity NCE loss translates images of B too, and the images have "
            f"{data.input_channels} and {data.output_channels} channels: set "
            "config.loss.nce_identity=False"
        )
    if loss.conditional:
        raise ValueError(
            "CUT's discriminator sees no source beside an image of B: set "
            "config.loss.conditional=False"
        )
    if not config.model.generator.startswith("resnet"):
        raise ValueError(
            f"config.model.generator is {config.model.generator!r}: CUT compares features of a "
            "ResNet, resnet_9blocks say"
        )
    if not loss.nce_layers or len(set(loss.nce_layers)) < len(loss.nce_layers):
        raise ValueError(
            f"config.loss.nce_layers is {tuple(loss.nce_layers)}: name at least one layer of the "
            "generator, and none twice"
        )


METHOD = Method(
    data="sets",
    networks=networks,
    loss_names=lambda config: (*pix2pix.adversarial_loss_names(config), *nce_names(config.loss)),
    make_train_step=make_train_step,
    directions=directions,
    make_generate=pix2pix.make_generate,
    # Its losses are no distance of images.
    distance=lambda config: Distance(config.train.best_metric, {}),
    check=check,
    update_orders=("torch",),
    network_fields=("loss.nce_layers",),
    state_fields=lambda config: ("loss.lambda_gan",),
)
