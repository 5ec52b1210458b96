"""Adam and the learning-rate policies of the PyTorch baseline, by epoch."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

POLICIES = ("linear", "step", "plateau", "cosine", "constant")


def learning_rate(optim: Any, epoch: jax.Array) -> jax.Array:
    """Learning rate in the epoch with this 0-based number, as torch.optim.lr_scheduler gives it.

    `plateau` is constant here; its decays are in `Plateau.scale`.

    Raises:
        ValueError: unknown policy.
    """
    if optim.policy == "linear":
        decayed = jnp.maximum(0, epoch + 1 - optim.epochs) / (optim.epochs_decay + 1)
        factor = 1.0 - decayed
    elif optim.policy == "step":
        factor = jnp.float32(optim.decay_factor) ** (epoch // optim.decay_every)
    elif optim.policy == "cosine":
        factor = 0.5 * (1 + jnp.cos(jnp.pi * epoch / optim.epochs))
    elif optim.policy in ("constant", "plateau"):
        factor = jnp.ones(())
    else:
        raise ValueError(f"optim.policy is {optim.policy!r}; choose one of {', '.join(POLICIES)}")
    return jnp.float32(optim.learning_rate) * factor


@flax.struct.dataclass
class Plateau:
    """State of torch.optim.lr_scheduler.ReduceLROnPlateau, part of the train state."""

    scale: jax.Array  # what the learning rate is multiplied with
    best: jax.Array  # lowest metric so far
    bad: jax.Array  # validations in a row without improvement

    @classmethod
    def create(cls) -> "Plateau":
        """Before the first validation."""
        return cls(jnp.ones(()), jnp.full((), jnp.inf), jnp.zeros((), jnp.int32))

    def update(self, optim: Any, metric: float) -> "Plateau":
        """After a validation whose metric (lower is better) is `metric`."""
        better = metric < self.best * (1 - optim.plateau_threshold)
        bad = jnp.where(better, 0, self.bad + 1)
        decay = bad > optim.plateau_patience
        return Plateau(
            scale=jnp.where(decay, self.scale * optim.decay_factor, self.scale),
            best=jnp.where(better, jnp.float32(metric), self.best),
            bad=jnp.where(decay, 0, bad).astype(jnp.int32),
        )


def adam(optim: Any) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015) without the learning rate, which changes by epoch."""
    return optax.scale_by_adam(optim.beta1, optim.beta2, optim.eps)
