"""U-Net regressed from photograph to label map: the segmenter of the metric `segmentation`.

    python launch.py --config=configs/segmenter.py:facades --config.data.dir=FOLDER
    python launch.py --config=configs/segmenter.py:synthetic
    python launch.py --config=configs/facades.py --mode=eval \
      --config.eval.set_metrics="('segmentation',)" --config.eval.segmenter=runs/segmenter_facades

L1 to the colours of the label map, whose nearest colour is the class (images/palettes.py); batches
of 10, the jitter of pix2pix, Adam 2e-4 (0.5, 0.999), evaluated without dropout. Its own scores, on
true photographs, are what translations are held against; validation measures them, and they choose
the checkpoint. `synthetic` is the offline data set, small enough for two CPU cores.
"""

from configs import default

DATA = ("facades", "synthetic")


def get_config(data: str = "facades"):
    if data not in DATA:
        raise ValueError(f"there is no variant {data!r}; choose one of {', '.join(DATA)}")
    config = default.get_config()
    config.name = f"segmenter_{data}"
    config.method = "regression"
    config.data.name = data
    config.loss.lambda_gan = 0.0
    config.optim.epochs = 100
    config.optim.epochs_decay = 100
    config.train.batch_size = 10
    config.train.log_every = 40
    config.train.sample_every = 400
    config.train.eval_every = 400
    config.train.checkpoint_every = 400
    config.train.best_metric = "class_iou"
    config.eval.norm_mode = "running"
    config.eval.dropout = False
    config.eval.set_metrics = ("segmentation",)
    if data == "synthetic":
        config.data.load_size = (72, 72)
        config.data.crop_size = (64, 64)
        config.model.generator = "unet_64"
        config.model.ngf = 32
        config.optim.epochs = 20
        config.optim.epochs_decay = 20
    return config
