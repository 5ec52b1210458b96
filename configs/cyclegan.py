"""CycleGAN (Zhu et al. 2017, section 7.2) on the authors' unpaired data sets.

    python launch.py --config=configs/cyclegan.py:apple2orange
    python launch.py --config=configs/cyclegan.py:facades --config.data.dir=FOLDER

Variants are the data sets: horse2zebra, apple2orange, summer2winter_yosemite, monet2photo,
cezanne2photo, ukiyoe2photo, vangogh2photo, maps, cityscapes, facades, iphone2dslr_flower. The
recipe is the PyTorch code's: ResNet of 9 blocks, instance norm, LSGAN, cycle loss weighted 10,
identity 0.5, pools of 50, batches of 1, 100 + 100 epochs. FID published by mmgeneration:
facades 124.8, summer -> winter 83.7, winter -> summer 72.8.
"""

from configs import default
from pix2pix_jax.data.catalogue import UNPAIRED


def base():
    """What all CycleGAN experiments share."""
    config = default.get_config()
    config.method = "cyclegan"
    config.data.eval_split = "test"
    config.model.generator = "resnet_9blocks"
    config.model.norm = "instance"
    config.model.dropout = 0.0
    config.loss.gan_mode = "lsgan"
    config.train.best_metric = "cycle_l1"
    return config


def get_config(variant: str = "horse2zebra"):
    if variant not in UNPAIRED:
        raise ValueError(f"there is no variant {variant!r}; choose one of {', '.join(UNPAIRED)}")
    config = base()
    config.name = f"cyclegan_{variant}"
    config.data.name = variant
    return config
