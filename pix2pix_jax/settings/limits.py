"""The values that fields of a config may have, each by itself."""

import math
from typing import Any, NamedTuple

from pix2pix_jax.images import classes, masks
from pix2pix_jax.methods import losses, optim
from pix2pix_jax.methods.registry import METHODS
from pix2pix_jax.metrics import lpips
from pix2pix_jax.metrics.inception_features import MODES
from pix2pix_jax.metrics.registry import HIGHER_IS_BETTER
from pix2pix_jax.runtime.precision import PRECISIONS

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
