"""pix2pix on synthetic facades: the whole method in minutes, with nothing to download.

    python launch.py --config=configs/quickstart.py

A U-Net and a PatchGAN of reduced size learn to turn 64x64 label maps into photographs. Look at
runs/quickstart/samples while it trains: three minutes on two CPU cores.
"""

from configs import default


def get_config():
    config = default.get_config()
    config.name = "quickstart"
    config.data.direction = "BtoA"
    config.data.load_size = (72, 72)
    config.data.crop_size = (64, 64)
    config.model.generator = "unet_64"
    config.model.ngf = 32
    config.model.ndf = 32
    config.model.n_layers = 2  # 34x34 patches: half of the image; on facades 70 is a quarter
    config.train.batch_size = 1
    config.train.num_steps = 4000
    config.train.log_every = 200
    config.train.sample_every = 1000
    config.train.eval_every = 1000
    config.train.checkpoint_every = 1000
    return config
