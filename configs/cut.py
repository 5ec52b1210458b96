"""CUT and FastCUT: unpaired translation in one direction (Park et al. 2020, section 4).

    python launch.py --config=configs/cut.py:horse2zebra
    python launch.py --config=configs/cut.py:fastcut
    python launch.py --config=configs/cut.py:cityscapes_fastcut --config.data.dir=FOLDER

Variants are the data sets of configs/cyclegan.py, and each with `_fastcut` appended; `fastcut`
alone is horse2zebra's. The recipe is the authors' PyTorch code's: antialiased ResNet of 9 blocks
and PatchGAN, LSGAN, 256 patches of five layers, batches of 1. CUT has the identity NCE loss and
200 + 200 epochs; FastCUT weights NCE with 10, mirrors half of the images, takes 150 + 50 epochs and
less memory. `no_antialias` is CUT with CycleGAN's networks. FID published for horse -> zebra: CUT
45.5, FastCUT 73.4 (CycleGAN 77.2).
"""

from configs import default
from pix2pix_jax.data.catalogue import UNPAIRED

FASTCUT = {
    "loss.nce_identity": False,
    "loss.lambda_nce": 10.0,
    "loss.flip_equivariance": True,
    "optim.epochs": 150,
    "optim.epochs_decay": 50,
}
# The layers that numbers 0, 4, 8, 12 and 16 of PyTorch's network are.
NO_ANTIALIAS = {
    "model.antialias": False,
    "model.antialias_up": False,
    "loss.nce_layers": ("padded", "down_1", "down_norm_2", "block_3", "block_7"),
}


def base(fast: bool = False):
    """What all experiments with CUT, or FastCUT, share."""
    config = default.get_config()
    config.method = "cut"
    config.data.eval_split = "test"
    config.data.jitter_ends = True
    config.model.generator = "resnet_9blocks"
    config.model.norm = "instance"
    config.model.dropout = 0.0
    config.model.antialias = True
    config.model.antialias_up = True
    config.model.init_type = "xavier"
    config.loss.gan_mode = "lsgan"
    config.loss.conditional = False
    config.optim.epochs = 200
    config.optim.epochs_decay = 200
    if fast:
        config.update_from_flattened_dict(FASTCUT)
    return config


def get_config(variant: str = "horse2zebra"):
    data_set = variant.removesuffix("fastcut").removesuffix("_")
    fast = data_set != variant
    if variant in ("fastcut", "no_antialias"):
        data_set = "horse2zebra"
    if data_set not in UNPAIRED:
        names = ", ".join([*UNPAIRED, "fastcut", "no_antialias"])
        raise ValueError(
            f"there is no variant {variant!r}; choose one of {names}, or a data set with _fastcut"
        )
    config = base(fast)
    config.name = f"{'fastcut' if fast else 'cut'}_{data_set}"
    config.data.name = data_set
    if variant == "no_antialias":
        config.name += "_no_antialias"
        config.update_from_flattened_dict(NO_ANTIALIAS)
    # Without true translations only colours tell a best checkpoint: the last one is used instead.
    config.eval.set_metrics = ("colors",)
    config.train.best_metric = "color_l"
    config.eval.checkpoint = "latest"
    return config
