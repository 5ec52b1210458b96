"""Plain regression: a generator trained on its distance to the target, without a discriminator.

A batch is {"input": [N, H, W, I], "target": [N, H, W, O]}, float32 in [-1, 1].
"""

from typing import Any

from pix2pix_jax.methods import losses, pix2pix
from pix2pix_jax.methods.contract import make_translate
from pix2pix_jax.methods.pix2pix import create_state, translations

DATA = "pairs"
UPDATE_ORDERS = pix2pix.UPDATE_ORDERS


def make_train_step(config: Any, num_examples: int, groups: int = 1) -> pix2pix.Step:
    """The pure function that trains G on one batch; arguments as pix2pix's.

    Returns:
        (state, batch) -> (state, losses): l1 or l2, as loss.regression says; without a weight, so
        that l1 is on the scale of the validation's.
    """
    distance = losses.REGRESSION[config.loss.regression]

    def objective(batch, output):
        return {config.loss.regression: distance(output, batch["target"])}, output

    return pix2pix.make_train_step(config, num_examples, groups, objective)


__all__ = [
    "DATA",
    "UPDATE_ORDERS",
    "create_state",
    "make_train_step",
    "make_translate",
    "translations",
]
