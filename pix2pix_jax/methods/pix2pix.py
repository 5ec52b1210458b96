"""pix2pix: conditional adversarial networks with an L1 loss (Isola et al. 2017).

A batch is {"input": [N, H, W, I], "target": [N, H, W, O]}, float32 in [-1, 1].
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from pix2pix_jax.methods import losses
from pix2pix_jax.methods.contract import (
    DISCRIMINATOR,
    GENERATOR,
    Batch,
    Direction,
    Distance,
    Generate,
    Layout,
    Losses,
    Method,
    Network,
    Step,
)
from pix2pix_jax.methods.diff_augment import Augment, augmentation
from pix2pix_jax.methods.lazy_penalty import add_r1
from pix2pix_jax.methods.optim import discriminator_rate
from pix2pix_jax.methods.state import NetworkState, apply, apply_together, learning_rate_at
from pix2pix_jax.models import build
from pix2pix_jax.models.normalization import sharing
from pix2pix_jax.models.patchgan import Scale
from pix2pix_jax.runtime import random_streams

# (batch, output of G) -> weighted losses beside the adversarial one, and the image that D judges
Objective = Callable[[Batch, jax.Array], tuple[Losses, jax.Array]]
# (variables of D, images) -> scales of each batch of images, batch statistics after the last
Judge = Callable[[Any, Sequence[jax.Array]], tuple[list[list[Scale]], Any]]


def networks(config: Any, groups: int = 1) -> dict[str, Network]:
    """G and, when its loss has weight, D."""
    data, size = config.data, tuple(config.data.crop_size)
    generator = build.generator(config.model, data.output_channels, groups)
    found = {"G": Network(GENERATOR, generator, (1, *size, data.input_channels))}
    if config.loss.lambda_gan:
        channels = data.output_channels + (data.input_channels if config.loss.conditional else 0)
        discriminator = build.discriminator(config.model, groups)
        found["D"] = Network(DISCRIMINATOR, discriminator, (1, *size, channels))
    return found


def directions(config: Any) -> list[Direction]:
    """The one direction that was trained."""
    data = config.data
    return [Direction("", "input", "target", "G", data.input_channels, data.output_channels)]


def adversarial_loss_names(config: Any) -> tuple[str, ...]:
    """Names of the losses that D adds to a step: its own, and the generator's part."""
    if not config.loss.lambda_gan:
        return ()
    penalties = ("d_gp",) if config.loss.gan_mode == "wgangp" else ()
    penalties += ("d_r1",) if config.loss.lambda_r1 else ()
    features = ("g_feat",) if config.loss.lambda_feat else ()
    return ("g_gan", *features, "d_fake", "d_real", *penalties)


def l1_objective(loss: Any, batch: Batch, output: jax.Array) -> tuple[Losses, jax.Array]:
    """lambda_l1 times the L1 distance to the target (equation 3); D judges the output as it is."""
    return {"g_l1": loss.lambda_l1 * losses.l1(output, batch["target"])}, output


def generator_loss(
    loss: Any, objective: Objective, judge: Judge | None, batch: Batch, output: jax.Array
) -> tuple[jax.Array, tuple[Losses, Any]]:
    """What G minimises (equation 4): `objective` and, with a discriminator, calling G's work real.

    Returns:
        the sum, its terms with their weights, and D's batch statistics afterwards.
    """
    terms, image = objective(batch, output)
    if judge is None:
        return sum(terms.values()), (terms, None)
    (scales,), batch_stats = judge([image])
    gan = loss.lambda_gan * losses.gan_loss(scales, True, loss.gan_mode)
    terms = {"g_gan": gan, **terms}
    if loss.lambda_feat:
        (real_scales,), _ = judge([batch["target"]])
        terms["g_feat"] = loss.lambda_feat * losses.feature_matching(scales, real_scales)
    return sum(terms.values()), (terms, batch_stats)


def discriminator_loss(
    params: Any,
    batch_stats: Any,
    loss: Any,
    judge: Judge,
    key: jax.Array,
    fake: jax.Array,
    real: jax.Array,
) -> tuple[jax.Array, tuple[Losses, Any]]:
    """What D minimises: fake before real, each with statistics of its own, as the PyTorch code.

    Returns:
        the sum, d_fake, d_real and, for wgangp, d_gp without weights, and the batch statistics.
    """
    variables = {"params": params, "batch_stats": batch_stats}
    (fake_scales, real_scales), batch_stats = judge(variables, [fake, real])
    terms = {
        "d_fake": losses.gan_loss(fake_scales, False, loss.gan_mode),
        "d_real": losses.gan_loss(real_scales, True, loss.gan_mode),
    }
    total = loss.d_loss_factor * (terms["d_fake"] + terms["d_real"])
    if loss.gan_mode == "wgangp":
        critic = lambda image: judge(variables, [image])[0][0]
        terms["d_gp"] = losses.gradient_penalty(critic, key, real, fake)
        total += loss.lambda_gp * terms["d_gp"]
    return total, (terms, batch_stats)


def update_discriminator(
    d: NetworkState,
    config: Any,
    rate: jax.Array,
    judge: Judge,
    key: jax.Array,
    fake: jax.Array,
    real: jax.Array,
) -> tuple[NetworkState, Losses]:
    """D after its step, and the terms of `discriminator_loss`, with d_r1 if that has weight."""
    gradients, (terms, batch_stats) = jax.grad(discriminator_loss, has_aux=True)(
        d.params, d.batch_stats, config.loss, judge, key, fake, real
    )
    gradients, penalties = add_r1(gradients, d, config.loss, judge, real)
    terms |= {f"d_{name}": value for name, value in penalties.items()}
    rate = discriminator_rate(config.optim, rate)
    return d.update(config.optim, rate, gradients).replace(batch_stats=batch_stats), terms


def judge_images(
    discriminator: nn.Module,
    augment: Augment,
    source: jax.Array | None,
    variables: Any,
    images: Sequence[jax.Array],
) -> tuple[list[list[Scale]], Any]:
    """D on images, each beside `source` if there is one: their scales, the batch statistics."""
    channels = 0
    if source is not None:
        images = [jnp.concatenate([source, image], axis=-1) for image in images]
        channels = source.shape[-1]
    return apply_together(discriminator, variables, augment(images, channels))


def make_train_step(
    config: Any, num_examples: int, layout: Layout, objective: Objective | None = None
) -> Step:
    """The pure function that trains G and, if its loss has weight, D on one batch.

    Args:
        config: the whole config.
        num_examples: examples in an epoch, which the learning rate goes by.
        layout: how a batch lies over devices.
        objective: what G minimises beside the adversarial loss; lambda_l1 * L1 if not given.

    Returns:
        (state, batch) -> (state, losses): g_gan and g_l1 (or those of `objective`) with their
        weights, d_fake, d_real and, for wgangp, d_gp and, with lambda_r1, d_r1 without.
    """
    loss, optim = config.loss, config.optim
    modules = {name: net.module for name, net in networks(config, layout.groups).items()}
    if objective is None:
        objective = functools.partial(l1_objective, loss)

    def train_step(state, batch):
        rate = learning_rate_at(config, state, num_examples)
        key = lambda name: random_streams.at_step(config.seed, name, state.step)
        g, d = state.networks["G"], state.networks.get("D")

        def generate(params):
            variables = {"params": params, "batch_stats": g.batch_stats}
            rngs = {"dropout": key(random_streams.DROPOUT)}
            return apply(modules["G"], variables, batch["input"], rngs=rngs)

        output, pull_back, g_stats = jax.vjp(generate, g.params, has_aux=True)
        d_terms, judge_output = {}, None

        def judge(turn):
            source = batch["input"] if loss.conditional else None
            augment = augmentation(config, state.step, turn)
            return functools.partial(judge_images, modules["D"], augment, source)

        if d is not None:
            _, fake = objective(batch, jax.lax.stop_gradient(output))
            penalty_key = key(random_streams.PENALTY)
            updated, d_terms = update_discriminator(
                d, config, rate, judge("D"), penalty_key, fake, batch["target"]
            )
            # torch: G is judged by the updated D; simultaneous: by D as it was.
            critic = updated if loss.update_order == "torch" else d
            judge_output = functools.partial(judge("G"), critic.variables)

        g_loss = functools.partial(generator_loss, loss, objective, judge_output, batch)
        output_gradient, (g_terms, d_stats) = jax.grad(g_loss, has_aux=True)(output)
        (gradients,) = pull_back(output_gradient)
        new = {"G": g.update(optim, rate, gradients).replace(batch_stats=g_stats)}
        if d is not None:
            keeps_stats = loss.update_order == "torch"
            new["D"] = updated.replace(batch_stats=d_stats) if keeps_stats else updated
        return state.replace(step=state.step + 1, networks=new), {**g_terms, **d_terms}

    return train_step


def make_generate(config: Any, direction: Direction) -> Generate:
    """The pure function that translates images one by one, however many it is given.

    Returns:
        (variables of the generator, images [N, H, W, I], keys [N]) -> [N, H, W, O], all in
        [-1, 1]. Every image has its own dropout key and, with eval.norm_mode "batch", its own
        statistics; with "shared" those of `registry.make_statistics`.
    """
    return generate_one_by_one(config, direction.out_channels)


def generate_one_by_one(config: Any, out_channels: int) -> Generate:
    """`make_generate` for a generator that makes images of `out_channels`."""
    generator, mode = build.generator(config.model, out_channels), config.eval.norm_mode
    if mode == "shared":
        generator = sharing(generator)
    settings = {"running": mode != "batch", "dropout": config.eval.dropout}

    def generate_one(variables, image, key):
        return apply(generator, variables, image[None], rngs={"dropout": key}, **settings)[0][0]

    return jax.vmap(generate_one, in_axes=(None, 0, 0))


def check_channels(config: Any) -> None:
    """Raises ValueError unless both images are grayscale or in colour, or have a value range."""
    for field in ("input_channels", "output_channels"):
        if config.data[field] not in (1, 3) and not config.data.value_range:
            raise ValueError(
                f"config.data.{field} is {config.data[field]}: photographs have 1 or 3 channels, "
                "and other images a config.data.value_range"
            )


METHOD = Method(
    data="pairs",
    networks=networks,
    loss_names=lambda config: (*adversarial_loss_names(config), "g_l1"),
    make_train_step=make_train_step,
    directions=directions,
    make_generate=make_generate,
    distance=lambda config: Distance("l1", {"g_l1": config.loss.lambda_l1}),
    check=check_channels,
    network_fields=("loss.conditional",),
    state_fields=lambda config: ("loss.lambda_gan",),
)
