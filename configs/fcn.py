"""FCN-32s, 16s and 8s regressed on facades, photograph -> label map (Long et al. 2015).

    python launch.py --config=configs/fcn.py:8s                     or 32s, 16s
    python launch.py --config=configs/fcn.py:8s_fewer_conv          or 8s_more_conv, 8s_more_deconv
    python launch.py --config=configs/fcn.py:8s_synthetic

VGG-16's convolutions with batch norm, a classifier of 1x1 convolutions, deconvolutions initialised
to bilinear interpolation; mean squared error on [-1, 1], four times that on [0, 1]; 200 epochs. The
ablations have one convolution fewer or more in every stage, or x2 deconvolutions instead of the
last one. Published losses of these nets (training / validation; the source does not say which
loss): 32s .028 / .029, 16s .025 / .028, 8s .023 / .028, fewer conv .030 / .030, more conv
.019 / .027, more deconv .035 / .027. `8s_synthetic` is the offline data set, small enough for two
CPU cores (3 minutes).
"""

from configs import default

VARIANTS = {
    "32s": {},
    "16s": {},
    "8s": {},
    "8s_fewer_conv": {"model.fcn_convs": (1, 1, 2, 2, 2)},
    "8s_more_conv": {"model.fcn_convs": (3, 3, 4, 4, 4)},
    "8s_more_deconv": {"model.fcn_split_upsampling": True},
    "8s_synthetic": {
        "data.name": "synthetic",
        "data.load_size": (64, 64),
        "data.crop_size": (64, 64),
        "model.ngf": 16,
        "optim.epochs": 50,
    },
}


def get_config(variant: str = "8s"):
    if variant not in VARIANTS:
        raise ValueError(f"there is no variant {variant!r}; choose one of {', '.join(VARIANTS)}")
    config = default.get_config()
    config.name = f"fcn_{variant}"
    config.method = "regression"
    config.data.name = "facades"
    config.data.load_size = (256, 256)
    config.data.flip = False
    config.model.generator = f"fcn_{variant.partition('_')[0]}"
    config.model.init_type = "kaiming"
    config.model.init_gain = 1.0
    config.loss.lambda_gan = 0.0
    config.loss.regression = "l2"
    config.optim.policy = "constant"
    config.optim.epochs = 200
    config.optim.epochs_decay = 0
    config.train.batch_size = 10
    config.train.log_every = 20
    config.train.sample_every = 400
    config.train.eval_every = 40
    config.train.checkpoint_every = 400
    config.train.best_metric = "l2"
    config.eval.norm_mode = "running"
    config.eval.dropout = False
    config.update_from_flattened_dict(VARIANTS[variant])
    return config
