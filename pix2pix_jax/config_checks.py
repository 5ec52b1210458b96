"""Checks of a config before any work starts: one clear error, naming the field and the mend."""

import difflib
from typing import Any

from pix2pix_jax.images import masks
from pix2pix_jax.methods import losses, optim
from pix2pix_jax.methods.registry import METHODS, abstract_state
from pix2pix_jax.metrics.registry import HIGHER_IS_BETTER

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
    orders = METHODS[config.method].update_orders
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
    METHODS[config.method].check(config)

    abstract_state(config)  # a network that cannot take the crop raises


def get(config: Any, field: str) -> Any:
    """The value of a dotted field."""
    for name in field.split("."):
        config = config[name]
    return config
