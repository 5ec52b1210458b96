"""Objectives. Images are float32 NHWC in [-1, 1], logits float32 [N, h, w, 1]."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from pix2pix_jax.models.patchgan import Scale

GAN_MODES = ("vanilla", "lsgan", "wgangp")


def gan_loss(scales: list[Scale], real: bool, mode: str) -> jax.Array:
    """Loss of calling images real or fake: the mean over patches, the sum over scales (pix2pixHD).

    vanilla: cross entropy (Goodfellow et al. 2014, the non-saturating form for the generator);
    lsgan: squared distance to 1 or 0 (Mao et al. 2017); wgangp: minus or plus the critic's mean.

    Args:
        scales: what a discriminator says of the images, see `models.patchgan.Scale`.
        real: whether it should call them real.
        mode: one of `GAN_MODES`.

    Raises:
        ValueError: unknown mode.
    """
    return sum(_patch_loss(scale.logits, real, mode) for scale in scales)


def _patch_loss(logits, real, mode):
    if mode == "vanilla":
        return optax.sigmoid_binary_cross_entropy(logits, jnp.full_like(logits, real)).mean()
    if mode == "lsgan":
        return jnp.square(logits - real).mean()
    if mode == "wgangp":
        return -logits.mean() if real else logits.mean()
    raise ValueError(f"loss.gan_mode is {mode!r}; choose one of {', '.join(GAN_MODES)}")


def feature_matching(fake: list[Scale], real: list[Scale]) -> jax.Array:
    """L1 distance of a discriminator's features (Wang et al. 2018, eq. 4), as pix2pixHD weights it.

    4 / (number of layers) for each layer but the logits, and the mean over scales. No gradient
    flows into `real`.
    """
    total = 0.0
    for a, b in zip(fake, real, strict=True):
        distances = [
            l1(x, jax.lax.stop_gradient(y)) for x, y in zip(a.features, b.features, strict=True)
        ]
        total += 4 / len(distances) * sum(distances)
    return total / len(fake)


def gradient_penalty(
    critic: Callable[[jax.Array], list[Scale]], key: jax.Array, real: jax.Array, fake: jax.Array
) -> jax.Array:
    """E[(|grad critic(x)| - 1)^2] at x drawn between real and fake (Gulrajani et al. 2017, eq. 3).

    Args:
        critic: from [N, H, W, C]; its logits are summed over patches, as the PyTorch code does.
        key: draws one mixing weight an image.
        real: [N, H, W, C].
        fake: [N, H, W, C].
    """
    weight = jax.random.uniform(key, (real.shape[0], 1, 1, 1))
    mixed = weight * real + (1 - weight) * fake
    gradient = jax.grad(lambda x: sum(scale.logits.sum() for scale in critic(x)))(mixed)
    norm = jnp.sqrt(jnp.square(gradient + 1e-16).sum((1, 2, 3)))
    return jnp.square(norm - 1).mean()


def r1_penalty(critic: Callable[[jax.Array], list[Scale]], real: jax.Array) -> jax.Array:
    """E[|grad critic(x)|^2] at real images x (Mescheder et al. 2018, equation 9).

    Args:
        critic: from [N, H, W, C]; its logits are averaged over patches, then over scales, as in
            `gan_loss`, so that the penalty does not grow with the number of patches.
        real: [N, H, W, C].
    """

    def judgement(x):
        scales = critic(x)
        return sum(scale.logits.mean((1, 2, 3)).sum() for scale in scales) / len(scales)

    return jnp.square(jax.grad(judgement)(real)).sum((1, 2, 3)).mean()


def patch_nce(queries: jax.Array, keys: jax.Array, temperature: float) -> jax.Array:
    """Cross entropy of finding each query's key among those of its image (Park et al. 2020, eq. 3).

    As the PyTorch code has it: the key itself once more among the wrong ones, but with a similarity
    of -10.

    Args:
        queries: [N, S, C], vectors of length 1 of S patches of each image.
        keys: [N, S, C], of the same patches of the images that they should resemble.
        temperature: what similarities are divided by.
    """
    logits = queries @ keys.swapaxes(1, 2) / temperature
    right = jnp.diagonal(logits, axis1=1, axis2=2)
    total = jnp.logaddexp(jax.nn.logsumexp(logits, axis=2), -10 / temperature)
    return (total - right).mean()


def l1(output: jax.Array, target: jax.Array) -> jax.Array:
    """Mean absolute difference."""
    return jnp.abs(output - target).mean()


def l2(output: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared difference."""
    return jnp.square(output - target).mean()


REGRESSION = {"l1": l1, "l2": l2}


def masked_mean(error: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean of error [N, H, W, C] where mask [N, H, W, 1] is 1 rather than 0; 0 if it nowhere is.

    PEN-Net's mean(error * mask) / mean(mask) over the whole batch (Zeng et al. 2019, eq. 6).
    """
    return (error * mask).mean() / jnp.maximum(mask.mean(), 1e-6)
