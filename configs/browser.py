"""The small network that comes with the page in web/: synthetic facades at 128x128.

    python launch.py --config=configs/browser.py
    python -m pix2pix_jax.web runs/browser --output=web --export_only

A U-Net narrow enough for a download of 3 MB. Label maps are neither resized nor mirrored, for what
is drawn on the page has hard edges and light from the left.
"""

from configs import default


def get_config():
    config = default.get_config()
    config.name = "browser"
    config.data.direction = "BtoA"
    config.data.load_size = (128, 128)
    config.data.crop_size = (128, 128)
    config.data.flip = False
    config.data.synthetic_size = 128
    config.data.synthetic_train = 1000
    config.model.generator = "unet_64"
    config.model.ngf = 10
    config.model.dropout = 0.0
    config.model.ndf = 16
    config.model.n_layers = 2
    config.loss.lambda_gan = 0.3  # most of a synthetic photograph follows from its label map
    config.optim.learning_rate = 5e-4
    config.optim.epochs = 6
    config.optim.epochs_decay = 6
    config.eval.norm_mode = "running"  # one more window must not change the rest of the picture
    config.train.log_every = 200
    config.train.sample_every = 1000
    config.train.eval_every = 1000
    config.train.checkpoint_every = 1000
    return config
