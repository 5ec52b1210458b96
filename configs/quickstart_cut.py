"""CUT on synthetic facades by day and by night: one unpaired translation in minutes.

    python launch.py --config=configs/quickstart_cut.py
    python launch.py --config=configs/quickstart_cut.py:fastcut

The data of quickstart_cyclegan, with networks reduced in size. FastCUT weights NCE with 1 here, not
with 10: else facades are still bright after 2,000 steps, for D is never deceived. Look at
runs/quickstart_cut/samples while it trains: CUT takes four minutes on two CPU cores.
"""

from configs import cut, quickstart_cyclegan


def get_config(variant: str = "cut"):
    if variant not in ("cut", "fastcut"):
        raise ValueError(f"there is no variant {variant!r}; choose cut or fastcut")
    config = quickstart_cyclegan.shrink(cut.base(fast=variant == "fastcut"))
    config.name = f"quickstart_{variant}"
    config.model.projection_width = 64
    config.loss.nce_layers = ("padded", "down_1", "down_2", "block_1", "block_3")
    config.loss.nce_patches = 64
    config.loss.lambda_nce = 1.0
    return config
