"""CUT on synthetic facades by day and by night: one unpaired translation in minutes.

    python launch.py --config=configs/quickstart_cut.py
    python launch.py --config=configs/quickstart_cut.py:fastcut

The data of quickstart_cyclegan, with networks reduced in size. Look at runs/quickstart_cut/samples
while it trains.
"""

from configs import cut


def get_config(variant: str = "cut"):
    if variant not in ("cut", "fastcut"):
        raise ValueError(f"there is no variant {variant!r}; choose cut or fastcut")
    config = cut.base(fast=variant == "fastcut")
    config.name = f"quickstart_{variant}"
    config.data.name = "synthetic"
    config.data.synthetic_kind = "night"
    config.data.load_size = (72, 72)
    config.data.crop_size = (64, 64)
    config.model.generator = "resnet_3blocks"
    config.model.ngf = 16
    config.model.ndf = 16
    config.model.n_layers = 2
    config.model.projection_width = 64
    config.loss.nce_layers = ("padded", "down_1", "down_2", "block_1", "block_3")
    config.loss.nce_patches = 64
    config.train.num_steps = 2000
    config.train.log_every = 100
    config.train.sample_every = 500
    config.train.eval_every = 500
    config.train.checkpoint_every = 500
    return config
