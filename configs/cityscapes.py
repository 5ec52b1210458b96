"""pix2pix on Cityscapes, label map -> photograph (Isola et al. 2017, tables 1-3, appendix 6.2).

    python launch.py --config=configs/cityscapes.py
    python launch.py --config=configs/cityscapes.py:l1           or cgan, gan, l1_gan
    python launch.py --config=configs/cityscapes.py:photo2label

2,975 pairs, 200 epochs in batches of 1. The paper's FCN scores (pixel accuracy, class accuracy,
class IoU) for labels -> photo: l1 .42 .15 .11, cgan .57 .22 .16, l1_cgan .66 .23 .17.
"""

from configs import default, facades


def get_config(variant: str = "l1_cgan"):
    config = default.get_config()
    config.name = "cityscapes" if variant == "l1_cgan" else f"cityscapes_{variant}"
    config.data.name = "cityscapes"
    config.data.direction = "AtoB" if variant == "photo2label" else "BtoA"
    return facades.apply_variant(config, variant, "photo2label")
