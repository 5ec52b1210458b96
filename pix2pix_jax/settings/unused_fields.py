"""Fields that a new run would leave out without a word, beside the others that it has."""

from typing import Any


def check(config: Any) -> None:
    """Checks that what was asked for is of use; runs that were trained before need not pass.

    Raises:
        ValueError: a field would do nothing.
    """
    model, loss = config.model, config.loss
    if model.upsample != "transposed" and not model.generator.startswith("unet"):
        hint = ", or config.model.antialias_up=True" if model.generator.startswith("resnet") else ""
        raise ValueError(
            f"config.model.upsample is {model.upsample!r}, which only U-Nets know, and not "
            f"{model.generator}: leave it at 'transposed'{hint}"
        )
    if loss.lambda_feat and not loss.lambda_gan:
        raise ValueError(
            f"config.loss.lambda_feat is {loss.lambda_feat}, of the discriminator's features, and "
            "with config.loss.lambda_gan=0 there is none: set it to 0, or lambda_gan above 0"
        )
    if config.optim.policy == "plateau" and not config.train.eval_every:
        raise ValueError(
            "config.optim.policy is plateau, which decays after validations, and with "
            "config.train.eval_every=0 there is none before the end: set it to some steps"
        )
