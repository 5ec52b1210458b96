"""The R1 penalty of discriminators at every k-th of their steps, with k times its weight.

The interval is StyleGAN2's (Karras et al. 2020, section 3.1, "lazy regularization"); but there the
penalty has a step of Adam to itself, and here its gradient is added to that of the other losses.
"""

from typing import Any

import jax
import jax.numpy as jnp

from pix2pix_jax.methods import losses
from pix2pix_jax.methods.state import NetworkState


def add_r1(
    gradients: Any, d: NetworkState, loss: Any, judge: Any, real: jax.Array
) -> tuple[Any, dict[str, jax.Array]]:
    """Adds the gradient of loss.lambda_r1 / 2 times the penalty, if that has weight.

    Args:
        gradients: of the discriminator's other losses, in its parameters.
        d: the discriminator.
        loss: the section of a config.
        judge: (variables of the discriminator, images) -> scales and batch statistics, see
            `pix2pix.Judge`.
        real: [N, H, W, C], what the penalty's derivative is taken in.

    Returns:
        the sum, and {"r1": the penalty without its weight, times the interval, and 0 at the other
        steps: the mean over steps is that of the penalty}; nothing without weight.
    """
    if not loss.lambda_r1:
        return gradients, {}

    def penalty(params):
        critic = lambda images: judge({**d.variables, "params": params}, [images])[0][0]
        return loss.r1_every * losses.r1_penalty(critic, real)

    is_due = d.opt_state.count % loss.r1_every == 0
    value, gradient = jax.lax.cond(
        is_due,
        jax.value_and_grad(penalty),
        lambda params: (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)),
        d.params,
    )
    add = lambda gradient, of_penalty: gradient + loss.lambda_r1 / 2 * of_penalty
    return jax.tree.map(add, gradients, gradient), {"r1": value}
