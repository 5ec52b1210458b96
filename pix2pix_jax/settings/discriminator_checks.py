"""Checks of the options that discriminators have, most of them for little data."""

from typing import Any

from flax.traverse_util import flatten_dict

from pix2pix_jax.methods.contract import DISCRIMINATOR
from pix2pix_jax.methods.diff_augment import OPERATIONS
from pix2pix_jax.methods.registry import METHODS

# With what stands for leaving it out.
FIELDS = {
    "model.norm_d": "same",
    "model.spectral_norm": False,
    "loss.lambda_feat": 0.0,
    "loss.lambda_r1": 0.0,
    "loss.diff_augment": (),
    "optim.learning_rate_d": 0.0,
}


def check(config: Any) -> None:
    """Checks them beside the method and its networks.

    Raises:
        ValueError: an option is of no use to the method, or has a value that it cannot have.
    """
    fields, method = flatten_dict(config.to_dict(), sep="."), METHODS[config.method]
    asked = [name for name, left_out in FIELDS.items() if fields[name] != left_out]
    if not asked:
        return
    if all(net.role != DISCRIMINATOR for net in method.networks(config, 1).values()):
        name = asked[0]
        raise ValueError(
            f"config.{name} is {fields[name]!r}, and {config.method} trains no discriminator with "
            f"config.loss.lambda_gan={config.loss.lambda_gan}: leave it at {FIELDS[name]!r}"
        )
    operations = config.loss.diff_augment
    if isinstance(operations, str) or not set(operations) <= set(OPERATIONS):
        raise ValueError(
            f"config.loss.diff_augment is {operations!r}: it takes a tuple of some of "
            + ", ".join(OPERATIONS)
        )
    if "color" in operations and config.data.output_channels not in (1, 3):
        raise ValueError(
            f"config.loss.diff_augment has 'color', and discriminators see images of "
            f"{config.data.output_channels} channels, no photographs: leave 'color' out"
        )
