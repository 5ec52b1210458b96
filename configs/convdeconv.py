"""Convolution/deconvolution net regressed on facades or Cityscapes, photograph -> label map.

    python launch.py --config=configs/convdeconv.py:facades --config.data.dir=FOLDER
    python launch.py --config=configs/convdeconv.py:cityscapes
    python launch.py --config=configs/convdeconv.py:synthetic

Four convolutions and four deconvolutions, L1, Adam 1e-3 (0.5, 0.999), batches of 100, 300 epochs,
the learning rate multiplied by 0.2 after 200, no jitter; evaluated with the running statistics.
For the other direction set --config.data.direction=BtoA. Published results of this net (L1,
training / validation): facades 0.18 / 0.38 after 1,000 epochs, Cityscapes 0.10 / 0.12 after 300.
`synthetic` is the offline data set, small enough for two CPU cores (2 minutes).
"""

from configs import default

DATA = ("facades", "cityscapes", "synthetic")


def get_config(data: str = "facades"):
    if data not in DATA:
        raise ValueError(f"there is no variant {data!r}; choose one of {', '.join(DATA)}")
    config = default.get_config()
    config.name = f"convdeconv_{data}"
    config.method = "regression"
    config.data.name = data
    config.data.load_size = (256, 256)
    config.data.flip = False
    config.model.generator = "convdeconv"
    config.model.ngf = 8
    config.model.dropout = 0.0
    config.loss.lambda_gan = 0.0
    config.optim.learning_rate = 1e-3
    config.optim.policy = "step"
    config.optim.epochs = 300
    config.optim.epochs_decay = 0
    config.optim.decay_every = 200
    config.optim.decay_factor = 0.2
    config.train.batch_size = 100
    config.train.log_every = 20
    config.train.sample_every = 200
    config.train.eval_every = 20
    config.train.checkpoint_every = 200
    config.eval.norm_mode = "running"
    config.eval.dropout = False
    if data == "synthetic":
        config.data.load_size = config.data.crop_size = (64, 64)
        config.train.batch_size = 20
    return config
