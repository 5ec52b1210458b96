"""pix2pix: conditional adversarial networks with an L1 loss (Isola et al. 2017).

A batch is {"input": [N, H, W, I], "target": [N, H, W, O]}, float32 in [-1, 1].
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from pix2pix_jax.methods import losses
from pix2pix_jax.methods.contract import Translation, make_translate
from pix2pix_jax.methods.optim import Plateau, learning_rate
from pix2pix_jax.methods.state import TrainState, apply, create_network, epoch_of
from pix2pix_jax.models import build

DATA = "pairs"
UPDATE_ORDERS = ("torch", "simultaneous")  # G judged by the updated D, or by the old one
Batch = dict[str, jax.Array]
Step = Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]
# (batch, output of G) -> weighted losses beside the adversarial one, and the image that D judges
Objective = Callable[[Batch, jax.Array], tuple[dict[str, jax.Array], jax.Array]]


def translations(config: Any) -> list[Translation]:
    """The one direction that was trained."""
    data = config.data
    return [Translation("", "input", "target", "G", data.input_channels, data.output_channels)]


def create_state(config: Any, key: jax.Array) -> TrainState:
    """Freshly initialised networks G and, when its loss has weight, D."""
    data = config.data
    g_key, d_key = jax.random.split(key)
    generator = build.generator(config.model, data.output_channels)
    channels = data.input_channels
    networks = {"G": create_network(generator, config.optim, g_key, 1, *data.crop_size, channels)}
    if config.loss.lambda_gan:
        discriminator = build.discriminator(config.model)
        channels = data.output_channels + (data.input_channels if config.loss.conditional else 0)
        networks["D"] = create_network(
            discriminator, config.optim, d_key, 1, *data.crop_size, channels
        )
    return TrainState(jnp.zeros((), jnp.int32), networks, Plateau.create(), {})


def make_train_step(
    config: Any, num_examples: int, groups: int = 1, objective: Objective | None = None
) -> Step:
    """The pure function that trains G and, if its loss has weight, D on one batch.

    Args:
        config: the whole config.
        num_examples: examples in an epoch, which the learning rate goes by.
        groups: runs of images that batch norm normalises apart.
        objective: what G minimises beside the adversarial loss; lambda_l1 * L1 if not given.

    Returns:
        (state, batch) -> (state, losses): g_gan and g_l1 (or those of `objective`) with their
        weights, d_real, d_fake and, for wgangp, d_gp without.
    """
    loss = config.loss
    if objective is None:
        objective = lambda batch, output: (
            {"g_l1": loss.lambda_l1 * losses.l1(output, batch["target"])},
            output,
        )
    generator = build.generator(config.model, config.data.output_channels, groups)
    discriminator = build.discriminator(config.model, groups)
    seed = jax.random.key(config.seed)

    def judge(params, batch_stats, source, image):
        pair = jnp.concatenate([source, image], axis=-1) if loss.conditional else image
        return apply(discriminator, {"params": params, "batch_stats": batch_stats}, pair)

    def discriminator_loss(params, batch_stats, key, source, fake, target):
        """Fake before real, each with statistics of its own, as the baseline does."""
        fake_logits, batch_stats = judge(params, batch_stats, source, fake)
        real_logits, batch_stats = judge(params, batch_stats, source, target)
        terms = {
            "d_fake": losses.gan_loss(fake_logits, False, loss.gan_mode),
            "d_real": losses.gan_loss(real_logits, True, loss.gan_mode),
        }
        total = loss.d_loss_factor * (terms["d_fake"] + terms["d_real"])
        if loss.gan_mode == "wgangp":

            def critic(image):
                return judge(params, batch_stats, source, image)[0]

            terms["d_gp"] = losses.gradient_penalty(critic, key, target, fake)
            total += loss.lambda_gp * terms["d_gp"]
        return total, (terms, batch_stats)

    def train_step(state, batch):
        source, target = batch["input"], batch["target"]
        dropout_key, penalty_key = jax.random.split(jax.random.fold_in(seed, state.step))
        epoch = epoch_of(state.step, config.train.batch_size, num_examples)
        rate = learning_rate(config.optim, epoch) * state.plateau.scale
        g = state.networks["G"]

        def generate(params):
            variables = {"params": params, "batch_stats": g.batch_stats}
            return apply(generator, variables, source, rngs={"dropout": dropout_key})

        output, pull_back, g_stats = jax.vjp(generate, g.params, has_aux=True)
        terms, networks = {}, {}

        if loss.lambda_gan:
            fake = jax.lax.stop_gradient(objective(batch, output)[1])
            d = critic = state.networks["D"]
            gradients, (terms, d_stats) = jax.grad(discriminator_loss, has_aux=True)(
                d.params, d.batch_stats, penalty_key, source, fake, target
            )
            d = d.update(config.optim, rate, gradients).replace(batch_stats=d_stats)
            if loss.update_order == "torch":
                critic = d

        def generator_loss(output):
            g_terms, fake = objective(batch, output)
            if not loss.lambda_gan:
                return sum(g_terms.values()), (g_terms, None)
            logits, stats = judge(critic.params, critic.batch_stats, source, fake)
            gan = loss.lambda_gan * losses.gan_loss(logits, True, loss.gan_mode)
            g_terms = {"g_gan": gan, **g_terms}
            return sum(g_terms.values()), (g_terms, stats)

        output_gradient, (g_terms, d_stats) = jax.grad(generator_loss, has_aux=True)(output)
        (gradients,) = pull_back(output_gradient)
        networks["G"] = g.update(config.optim, rate, gradients).replace(batch_stats=g_stats)
        if loss.lambda_gan:
            keeps_stats = loss.update_order == "torch"
            networks["D"] = d.replace(batch_stats=d_stats) if keeps_stats else d
        return state.replace(step=state.step + 1, networks=networks), {**g_terms, **terms}

    return train_step


__all__ = [
    "DATA",
    "UPDATE_ORDERS",
    "create_state",
    "make_train_step",
    "make_translate",
    "translations",
]
