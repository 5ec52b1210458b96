"""Checks of a config before any work starts: one clear error, naming the field and the mend."""

import difflib
from typing import Any

from pix2pix_jax.images import masks
from pix2pix_jax.methods import losses, optim
from pix2pix_jax.methods.registry import METHODS, abstract_state
from pix2pix_jax.metrics.per_image import HIGHER_IS_BETTER

CHOICES = {
    "method": tuple(METHODS),
    "data.direction": ("AtoB", "BtoA"),
    "data.preprocess": (
        "resize_and_crop",
        "crop",
        "scale_width",
        "scale_width_and_crop",
        "none",
    ),
    "data.resize_method": ("bicubic", "bilinear", "nearest"),
    "data.mask_kind": masks.KINDS,
    "loss.gan_mode": losses.GAN_MODES,
    "loss.regression": tuple(losses.REGRESSION),
    "optim.policy": optim.POLICIES,
    "train.best_metric": tuple(HIGHER_IS_BETTER),
    "eval.norm_mode": ("batch", "running"),
    "data.synthetic_kind": ("labels", "night"),
    "eval.direction": ("A2B", "B2A", "both"),
    "eval.fit": ("resize", "pad"),
}
POSITIVE = (
    "train.batch_size",
    "train.log_every",
    "train.keep_last",
    "train.num_samples",
    "eval.batch_size",
    "eval.noise_samples",
    "data.num_threads",
    "data.prefetch",
    "model.ngf",
    "model.ndf",
    "model.n_layers",
)


def check(config: Any, num_devices: int) -> None:
    """Raises ValueError for a field that no run could work with."""
    for field, choices in CHOICES.items():
        value = get(config, field)
        if value not in choices:
            close = difflib.get_close_matches(str(value), choices, 1)
            hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(choices)}"
            raise ValueError(f"config.{field} is {value!r}: {hint}")
    orders = METHODS[config.method].UPDATE_ORDERS
    if config.loss.update_order not in orders:
        raise ValueError(
            f"config.loss.update_order is {config.loss.update_order!r}: {config.method} has "
            + ", ".join(orders)
        )
    for field in POSITIVE:
        if get(config, field) < 1:
            raise ValueError(f"config.{field} is {get(config, field)}: it must be at least 1")
    if config.train.batch_size % num_devices:
        raise ValueError(
            f"config.train.batch_size is {config.train.batch_size}, which {num_devices} devices "
            f"cannot share evenly: make it a multiple of {num_devices}"
        )
    data = config.data
    if data.preprocess == "resize_and_crop" and any(
        load < crop for load, crop in zip(data.load_size, data.crop_size, strict=True)
    ):
        raise ValueError(
            f"config.data.load_size {tuple(data.load_size)} is smaller than config.data.crop_size "
            f"{tuple(data.crop_size)}: the crop must fit into the resized image"
        )
    _check_channels(config.method, data.input_channels, data.output_channels)
    _check_method(config)

    abstract_state(config)  # a network that cannot take the crop raises


def _check_channels(method, inputs, outputs):
    if method == "colorization":
        if (inputs, outputs) != (1, 2):
            raise ValueError(
                f"colorization goes from L to ab: set config.data.input_channels={inputs} to 1 and "
                f"config.data.output_channels={outputs} to 2"
            )
        return
    if outputs not in (1, 3):
        raise ValueError(f"config.data.output_channels is {outputs}: images have 1 or 3 channels")
    if method == "inpainting" and inputs != outputs + 1:
        raise ValueError(
            f"config.data.input_channels is {inputs}: inpainting takes the image's {outputs} "
            f"channel(s) and the mask, {outputs + 1}"
        )
    if method != "inpainting" and inputs not in (1, 3):
        raise ValueError(f"config.data.input_channels is {inputs}: images have 1 or 3 channels")


def _check_method(config):
    """What only some methods can do."""
    data, best = config.data, config.train.best_metric
    if config.method == "cyclegan":
        channels = (data.input_channels, data.output_channels)
        if config.loss.lambda_identity and channels[0] != channels[1]:
            raise ValueError(
                f"the identity loss compares images of both domains, which have {channels[0]} and "
                f"{channels[1]} channels: set config.loss.lambda_identity=0"
            )
    elif best == "cycle_l1":
        raise ValueError("config.train.best_metric is cycle_l1, which only CycleGAN has")
    if config.method == "inpainting":
        low, high = data.mask_share
        if not 0 < low <= high < 1:
            raise ValueError(
                f"config.data.mask_share is {tuple(data.mask_share)}: it takes the smallest and "
                "the largest share, between 0 and 1"
            )
        if config.eval.fit != "pad":
            raise ValueError(
                f"config.eval.fit is {config.eval.fit!r}, which would change the pixels around "
                "the hole: inpainting takes pad"
            )
    elif best.startswith("hole_"):
        raise ValueError(f"config.train.best_metric is {best}, which only inpainting has")
    if config.method == "regression" and config.loss.lambda_gan:
        raise ValueError(
            "regression has no discriminator: set config.loss.lambda_gan=0, or method to pix2pix"
        )


def get(config: Any, field: str) -> Any:
    """The value of a dotted field."""
    for name in field.split("."):
        config = config[name]
    return config
