"""Checks of a config before any work starts: each error names a field and how to fix it."""

import difflib
import math
from typing import Any

from flax.traverse_util import flatten_dict

from pix2pix_jax.methods.registry import METHODS, abstract_state
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.metrics.registry import FURTHER
from pix2pix_jax.runtime.storage import is_remote
from pix2pix_jax.settings import discriminator_checks
from pix2pix_jax.settings.limits import CHOICES, LENGTHS, RANGES


def check(config: Any) -> TrainState:
    """Checks everything that needs no data.

    Returns:
        the shapes and dtypes of the training state that the config describes.

    Raises:
        ValueError: a field has a value that no run could work with.
    """
    fields = flatten_dict(config.to_dict(), sep=".")
    _check_choices(fields)
    _check_ranges(fields)
    _check_together(config.data, config.model, config.optim, config.train)
    if config.data.value_range:
        _check_rasters(config)
    METHODS[config.method].check(config)
    _check_method(config)
    discriminator_checks.check(config)
    return abstract_state(config)  # raises for a network that cannot take the crop


def _check_choices(fields):
    for field, choices in CHOICES.items():
        value = fields[field]
        if value not in choices:
            close = difflib.get_close_matches(str(value), choices, 1)
            hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(choices)}"
            raise ValueError(f"config.{field} is {value!r}: {hint}")
    for name in fields["eval.set_metrics"]:
        if name not in FURTHER:
            raise ValueError(
                f"config.eval.set_metrics has {name!r}: choose from {', '.join(FURTHER)}; several "
                "are written \"('fid','kid')\""
            )
    method, order = fields["method"], fields["loss.update_order"]
    orders = METHODS[method].update_orders
    if order not in orders:
        raise ValueError(
            f"config.loss.update_order is {order!r}: {method} has " + ", ".join(orders)
        )


def _check_ranges(fields):
    for numbers, names in RANGES.items():
        for name in names:
            value = fields[name]
            several = isinstance(value, tuple)
            if not all(number in numbers for number in (value if several else (value,))):
                each = "all its numbers" if several else "it"
                must = "finite" if value == math.inf else numbers
                raise ValueError(f"config.{name} is {value}: {each} must be {must}")
    for name, lengths in LENGTHS.items():
        if len(fields[name]) not in lengths:
            *others, last = map(str, lengths)
            numbers = f"{', '.join(others)} or {last}" if others else last
            raise ValueError(f"config.{name} is {fields[name]}: it takes {numbers} numbers")


def _check_together(data, model, optim, train):
    """Fields that are right or wrong only beside each other."""
    if data.preprocess == "resize_and_crop" and any(
        load < crop for load, crop in zip(data.load_size, data.crop_size, strict=True)
    ):
        raise ValueError(
            f"config.data.load_size {data.load_size} is smaller than config.data.crop_size "
            f"{data.crop_size}: the crop must fit into the resized image"
        )
    if is_remote(data.tfds_dir):
        raise ValueError(
            f"config.data.tfds_dir is {data.tfds_dir}, and TFDS's files are read from a folder of "
            "this machine; images in object storage are read from config.data.dir"
        )
    if train.precision == "highest" and model.dtype != "float32":
        raise ValueError(
            f"config.train.precision is highest and config.model.dtype {model.dtype}: highest is "
            "about float32, so set one of them to its default"
        )
    if optim.policy == "cosine" and not optim.epochs:
        raise ValueError("config.optim.epochs is 0: the cosine policy takes at least 1")
    last = optim.epochs + optim.epochs_decay
    if not train.num_steps and optim.epoch_count > last:
        raise ValueError(
            f"config.optim.epoch_count is {optim.epoch_count}, and the last epoch is {last}: "
            "raise config.optim.epochs or config.optim.epochs_decay, or set config.train.num_steps"
        )


def _check_method(config):
    """Fields that only some methods have a use for, and would leave out."""
    loss, name = config.loss, config.method
    if loss.lambda_feat and METHODS[name].data == "sets":
        raise ValueError(
            f"config.loss.lambda_feat is {loss.lambda_feat}: features of an image are compared "
            f"with those of its target, and {name} has none; set it to 0"
        )
    if name == "pix2pixhd":
        return
    for field, off in (
        ("data.labels", "rgb"),
        ("loss.lambda_vgg", 0.0),
        ("optim.epochs_frozen", 0),
    ):
        section, _, leaf = field.partition(".")
        if config[section][leaf] != off:
            raise ValueError(
                f"config.{field} is {config[section][leaf]!r}, which only pix2pixhd knows: set it "
                f"to {off!r}, or config.method to pix2pixhd"
            )


def _check_rasters(config):
    """What images with a value range are not for."""
    values = config.data.value_range
    if any(not low < high for low, high in zip(values[::2], values[1::2], strict=True)):
        raise ValueError(
            f"config.data.value_range is {tuple(values)}: each range is (low, high), and low must "
            "be below high"
        )
    shown = tuple(config.data.shown_channels)
    channels = max(config.data.input_channels, config.data.output_channels)
    if shown and max(shown) >= channels:
        raise ValueError(
            f"config.data.shown_channels is {shown}, and images have {channels} channels at most: "
            f"choose from 0 to {channels - 1}"
        )
    if METHODS[config.method].data not in ("pairs", "sets"):
        raise ValueError(
            f"config.data.value_range is set, and {config.method} is for photographs: leave it "
            "empty, or choose pix2pix, pix2pixhd, regression, cyclegan or cut"
        )
    if config.eval.set_metrics:
        raise ValueError(
            f"config.eval.set_metrics is {tuple(config.eval.set_metrics)}, and these metrics are "
            "of photographs: leave it empty with config.data.value_range"
        )
