"""Adam and the learning-rate policies of pytorch-CycleGAN-and-pix2pix, by epoch."""

import math
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

POLICIES = ("linear", "linear_late", "step", "plateau", "cosine", "constant")
SMALLEST_DECAY = 1e-8  # ReduceLROnPlateau's eps: decays by less than this are not applied


def learning_rate(optim: Any, epoch: jax.Array) -> jax.Array:
    """Learning rate in an epoch, as torch.optim.lr_scheduler gives it.

    `plateau` is constant here; its decays are in `Plateau.scale`.

    Args:
        optim: config.optim. Its `epoch_count` is the 1-based number of the run's first epoch, so
            that the schedule may start in the middle. (In the PyTorch code only the linear
            policy looks at it.)
        epoch: 0-based epoch of this run.

    Raises:
        ValueError: unknown policy.
    """
    epoch = epoch + (optim.epoch_count - 1)
    if optim.policy == "linear":
        decayed = jnp.maximum(0, epoch + 1 - optim.epochs) / (optim.epochs_decay + 1)
        factor = 1.0 - decayed
    elif optim.policy == "linear_late":  # pix2pixHD's, and the Lua code's of CycleGAN
        factor = 1.0 - jnp.maximum(0, epoch - optim.epochs) / max(optim.epochs_decay, 1)
    elif optim.policy == "step":
        factor = jnp.float32(optim.decay_factor) ** (epoch // optim.decay_every)
    elif optim.policy == "cosine":
        factor = 0.5 * (1 + jnp.cos(jnp.pi * epoch / optim.epochs))
    elif optim.policy in ("constant", "plateau"):
        factor = jnp.ones(())
    else:
        raise ValueError(f"optim.policy is {optim.policy!r}; choose one of {', '.join(POLICIES)}")
    return jnp.float32(optim.learning_rate) * factor


def last_epoch(optim: Any) -> int | None:
    """Number, from 1, of the last epoch with a learning rate above 0; None if there is no last."""
    decay = {"linear": optim.epochs_decay, "linear_late": max(optim.epochs_decay, 1)}
    return optim.epochs + decay[optim.policy] if optim.policy in decay else None


def discriminator_rate(optim: Any, rate: jax.Array) -> jax.Array:
    """Learning rate of discriminators where that of generators is `rate` (Heusel et al. 2017).

    Two time scales: of the same schedule, from optim.learning_rate_d on, if that is set.
    """
    if not optim.learning_rate_d:
        return rate
    return rate * (optim.learning_rate_d / optim.learning_rate)


@flax.struct.dataclass
class Plateau:
    """State of torch.optim.lr_scheduler.ReduceLROnPlateau, part of the train state."""

    scale: jax.Array  # factor that the learning rate is multiplied by
    best: jax.Array  # best metric so far; negated where higher is better, so always the lowest
    bad: jax.Array  # validations in a row without improvement

    @classmethod
    def create(cls) -> "Plateau":
        """The state before the first validation."""
        return cls(jnp.ones(()), jnp.full((), jnp.inf), jnp.zeros((), jnp.int32))

    def update(self, optim: Any, metric: float, higher_is_better: bool = False) -> "Plateau":
        """The state after a validation that gave `metric`.

        `higher_is_better` is PyTorch's mode="max": the metric must exceed the best one by
        `plateau_threshold` of it; otherwise (mode="min") it must fall below it by as much.
        """
        value = jnp.float32(-metric if higher_is_better else metric)
        margin = optim.plateau_threshold * (1 if higher_is_better else -1)
        better = value < self.best * (1 + margin)
        bad = jnp.where(better, 0, self.bad + 1)
        exhausted = bad > optim.plateau_patience
        step = optim.learning_rate * self.scale * (1 - optim.plateau_factor)
        return Plateau(
            scale=jnp.where(
                exhausted & (step > SMALLEST_DECAY), self.scale * optim.plateau_factor, self.scale
            ),
            best=jnp.where(better, value, self.best),
            bad=jnp.where(exhausted, 0, bad).astype(jnp.int32),
        )


def adam(optim: Any) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015) without the learning rate, which changes by epoch."""
    return scale_by_adam(optim.beta1, optim.beta2, optim.eps)


def scale_by_adam(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """optax.scale_by_adam with bias corrections that are exact to float32.

    optax computes 1 - b2**t in float32, which cancels: with b2 = 0.999 the first updates are 6e-6
    too small. The state is optax's, so checkpoints of either are those of the other.
    """

    def correction(decay, count):
        return -jnp.expm1(count * (math.log(decay) if decay else -math.inf))

    def update(gradients, state, params=None):
        del params
        count = optax.safe_increment(state.count)
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, gradients)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, gradients)
        # As PyTorch, numbers first: one division for each parameter, not three.
        first, second = 1 / correction(b1, count), 1 / jnp.sqrt(correction(b2, count))
        updates = jax.tree.map(lambda m, v: m * first / (jnp.sqrt(v) * second + eps), mu, nu)
        return updates, optax.ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(optax.scale_by_adam().init, update)
