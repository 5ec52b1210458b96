"""Plain regression: a generator trained on its distance to the target, without a discriminator.

A batch is {"input": [N, H, W, I], "target": [N, H, W, O]}, float32 in [-1, 1].
"""

from typing import Any

from pix2pix_jax.methods import losses, pix2pix
from pix2pix_jax.methods.contract import Distance, Layout, Step


def make_train_step(config: Any, num_examples: int, layout: Layout) -> Step:
    """The pure function that trains G on one batch; arguments as pix2pix's.

    Returns:
        (state, batch) -> (state, losses): l1 or l2, as loss.regression says; without a weight, so
        that l1 is on the scale of the validation's.
    """
    kind = config.loss.regression
    distance = losses.REGRESSION[kind]

    def objective(batch, output):
        return {kind: distance(output, batch["target"])}, output

    return pix2pix.make_train_step(config, num_examples, layout, objective)


def check(config: Any) -> None:
    """Raises ValueError for a discriminator, which regression does not have."""
    pix2pix.check_channels(config)
    if config.loss.lambda_gan:
        raise ValueError(
            "regression has no discriminator: set config.loss.lambda_gan=0, or config.method to "
            "pix2pix"
        )


METHOD = pix2pix.METHOD._replace(
    loss_names=lambda config: (config.loss.regression,),
    make_train_step=make_train_step,
    distance=lambda config: Distance(config.loss.regression, {config.loss.regression: 1.0}),
    check=check,
)
