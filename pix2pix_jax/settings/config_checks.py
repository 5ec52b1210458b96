"""Checks of a config before any work starts: each error names a field and how to fix it."""

import difflib
import math
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict

from pix2pix_jax.images import classes, masks
from pix2pix_jax.methods import losses, optim
from pix2pix_jax.methods.registry import METHODS, abstract_state
from pix2pix_jax.methods.state import TrainState
from pix2pix_jax.metrics import lpips
from pix2pix_jax.metrics.inception_features import MODES
from pix2pix_jax.metrics.registry import FURTHER, HIGHER_IS_BETTER
from pix2pix_jax.runtime.precision import PRECISIONS
from pix2pix_jax.runtime.storage import is_remote
from pix2pix_jax.settings import discriminator_checks

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
    "data.labels": classes.KINDS,
    "model.norm_d": ("same", "batch", "instance", "none"),
    "loss.gan_mode": losses.GAN_MODES,
    "loss.regression": tuple(losses.REGRESSION),
    "optim.policy": optim.POLICIES,
    "train.best_metric": tuple(HIGHER_IS_BETTER),
    "train.precision": PRECISIONS,
    "eval.norm_mode": ("batch", "running"),
    "data.synthetic_kind": ("labels", "night"),
    "eval.direction": ("A2B", "B2A", "both"),
    "eval.fit": ("resize", "scale", "pad", "tile"),
    "eval.fid_mode": tuple(MODES),
    "eval.lpips_net": lpips.NETS,
}


class Range(NamedTuple):
    """Numbers from `low` to `high`; an open end is not among them."""

    low: float
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, number: Any) -> bool:
        """Whether a number, which may be NaN, is in the range; infinity never is."""
        above = number > self.low if self.low_open else number >= self.low
        below = number < self.high if self.high_open else number <= self.high
        return above and below and math.isfinite(number)

    def __str__(self) -> str:
        low = f"{'above' if self.low_open else 'at least'} {self.low}"
        if self.high == math.inf:
            return low
        return f"{low} and {'below' if self.high_open else 'at most'} {self.high}"


# Numbers, and tuples whose numbers must all be in the range.
RANGES = {
    Range(1): (
        "data.input_channels",
        "data.output_channels",
        "data.load_size",
        "data.crop_size",
        "data.num_threads",
        "data.prefetch_mb",
        "data.synthetic_train",
        "data.synthetic_eval",
        "model.ngf",
        "model.ndf",
        "model.n_layers",
        "model.num_downs",
        "model.num_d",
        "model.local_enhancers",
        "model.local_blocks",
        "model.projection_width",
        "loss.nce_patches",
        "loss.r1_every",
        "model.dropout_blocks",
        "model.fcn_convs",
        "optim.decay_every",
        "optim.epoch_count",
        "train.batch_size",
        "train.log_every",
        "train.keep_last",
        "train.num_samples",
        "eval.batch_size",
        "eval.noise_samples",
    ),
    Range(0): (
        "data.max_items",
        "data.shown_channels",
        "data.cache_mb",
        "loss.lambda_gan",
        "loss.lambda_l1",
        "loss.lambda_hole",
        "loss.lambda_valid",
        "loss.lambda_a",
        "loss.lambda_b",
        "loss.lambda_identity",
        "loss.lambda_feat",
        "loss.lambda_vgg",
        "loss.lambda_gp",
        "loss.lambda_r1",
        "loss.d_loss_factor",
        "loss.pool_size",
        "optim.learning_rate_d",
        "model.d_padding",
        "model.d_widest",
        "optim.epochs_frozen",
        "optim.epochs",
        "optim.epochs_decay",
        "optim.plateau_patience",
        "optim.ema_images",
        "optim.ema_ramp",
        "train.num_devices",
        "train.num_steps",
        "train.steps_per_call",
        "train.sample_every",
        "train.eval_every",
        "train.checkpoint_every",
    ),
    Range(0, low_open=True): (
        "model.norm_eps",
        "model.init_gain",
        "loss.lambda_nce",
        "loss.nce_temperature",
        "optim.learning_rate",
        "optim.eps",
    ),
    Range(0, 1): ("model.norm_momentum", "model.leaky_slope"),
    Range(0, 0.5): ("eval.tile_overlap",),
    Range(0, 1, low_open=True): ("optim.decay_factor",),
    Range(0, 1, low_open=True, high_open=True): ("optim.plateau_factor", "data.mask_share"),
    Range(0, 1, high_open=True): (
        "model.dropout",
        "optim.beta1",
        "optim.beta2",
        "optim.plateau_threshold",
    ),
    Range(1, 256): ("data.num_classes",),
    Range(0, 2**32 - 1): ("seed",),
}
LENGTHS = {
    "data.mask_share": (2,),
    "data.shown_channels": (0, 1, 3),
    "data.value_range": (0, 2, 4),
    "model.fcn_convs": (5,),
}


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
                f"config.eval.set_metrics has {name!r}: choose of {', '.join(FURTHER)}"
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
                raise ValueError(f"config.{name} is {value}: {each} must be {numbers}")
    for name, lengths in LENGTHS.items():
        if len(fields[name]) not in lengths:
            numbers = " or ".join(str(length) for length in lengths)
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
