"""CycleGAN on synthetic facades by day and by night: unpaired translation in minutes.

    python launch.py --config=configs/quickstart_cyclegan.py

The two sets show different houses; the networks are reduced in size. Look at
runs/quickstart_cyclegan/samples while it trains: four minutes on two CPU cores.
"""

from configs import cyclegan


def shrink(config):
    """Facades by day and by night, and networks and intervals for minutes on two CPU cores."""
    config.data.name = "synthetic"
    config.data.synthetic_kind = "night"
    config.data.load_size = (72, 72)
    config.data.crop_size = (64, 64)
    config.model.generator = "resnet_3blocks"
    config.model.ngf = 16
    config.model.ndf = 16
    config.model.n_layers = 2
    config.train.num_steps = 2000
    config.train.log_every = 100
    config.train.sample_every = 500
    config.train.eval_every = 500
    config.train.checkpoint_every = 500
    return config


def get_config():
    config = shrink(cyclegan.base())
    config.name = "quickstart_cyclegan"
    return config
