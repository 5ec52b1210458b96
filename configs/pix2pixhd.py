r"""pix2pixHD: label maps to photographs of 1024x512 pixels and more (Wang et al. 2018).

    python launch.py --config=configs/pix2pixhd.py:512p --config.data.dir=FOLDER
    python launch.py --config=configs/pix2pixhd.py:1024p --config.data.dir=FOLDER \
        --config.init_from=runs/pix2pixhd_512p

FOLDER has train/A, train/B and so on: A are label maps with ids as `python -m pix2pix_jax.dataset
labels` makes them, B photographs. The recipe is the authors' PyTorch code's. It takes two runs: the
global generator on half the size; then the local enhancer around it, which is trained alone for
some epochs. The VGG loss is added if --config.loss.vgg_weights names vgg19-dcbb9e9d.pth.

    512p                   1024x512, the global generator, 100 + 100 epochs
    1024p                  2048x1024, the local enhancer, 10 of 50 + 50 epochs alone
    1024p_crop             the same on crops of 1024x1024, 20 epochs alone, with less memory
    512p_rgb, 1024p_rgb    A are images in RGB, as they are
    facades                CMP facades at 256x256, a channel for each class
    synthetic              synthetic facades at 64x64, small networks: minutes on two CPU cores
    synthetic_local        the same at 128x128, after --config.init_from=runs/pix2pixhd_synthetic
"""

from configs import default

GLOBAL_512P = {
    "data.preprocess": "scale_width",
    "data.load_size": (512, 1024),
    "data.crop_size": (512, 1024),
}
LOCAL_1024P = {
    "model.generator": "enhancer_9blocks",
    "model.ngf": 32,
    "model.num_d": 3,
    "optim.epochs": 50,
    "optim.epochs_decay": 50,
    "optim.epochs_frozen": 10,
    "data.preprocess": "none",
    "data.crop_size": (1024, 2048),
    "model.remat": True,
}
CROP = {"data.preprocess": "crop", "data.crop_size": (1024, 1024), "optim.epochs_frozen": 20}
RGB = {"data.labels": "rgb"}
FACADES = {"data.name": "facades", "data.direction": "BtoA", "data.labels": "facades"}
SYNTHETIC = FACADES | {
    "data.name": "synthetic",
    "data.load_size": (72, 72),
    "data.crop_size": (64, 64),
    "model.generator": "resnet_3blocks",
    "model.num_downs": 2,
    "model.ngf": 32,
    "model.ndf": 16,
    "model.n_layers": 2,
    "optim.epochs": 5,
    "optim.epochs_decay": 5,
    "train.sample_every": 1000,
    "train.eval_every": 1000,
    "train.checkpoint_every": 1000,
}
SYNTHETIC_LOCAL = SYNTHETIC | {
    "data.synthetic_size": 128,
    "data.load_size": (144, 144),
    "data.crop_size": (128, 128),
    "model.generator": "enhancer_3blocks",
    "model.ngf": 16,
    "model.num_d": 3,
    "optim.epochs_frozen": 1,
}
VARIANTS = {
    "512p": GLOBAL_512P,
    "1024p": LOCAL_1024P,
    "1024p_crop": LOCAL_1024P | CROP,
    "512p_rgb": GLOBAL_512P | RGB,
    "1024p_rgb": LOCAL_1024P | RGB,
    "facades": FACADES,
    "synthetic": SYNTHETIC,
    "synthetic_local": SYNTHETIC_LOCAL,
}


def base():
    """What all experiments with pix2pixHD share."""
    config = default.get_config()
    config.method = "pix2pixhd"
    config.data.name = "folder"
    config.data.labels = "ids"
    config.model.generator = "resnet_9blocks"
    config.model.num_downs = 4
    config.model.norm = "instance"
    config.model.dropout = 0.0
    config.model.bias = "all"
    config.model.init_bias = "torch"
    config.model.d_padding = 2
    config.model.d_widest = 512
    config.model.num_d = 2
    config.loss.gan_mode = "lsgan"
    config.loss.lambda_l1 = 0.0
    config.loss.lambda_feat = 10.0
    config.loss.lambda_vgg = 10.0
    config.loss.pool_size = 0
    config.loss.update_order = "simultaneous"
    config.optim.policy = "linear_late"
    return config


def get_config(variant: str = "512p"):
    if variant not in VARIANTS:
        raise ValueError(f"there is no variant {variant!r}; choose one of {', '.join(VARIANTS)}")
    config = base()
    config.name = f"pix2pixhd_{variant}"
    config.update_from_flattened_dict(VARIANTS[variant])
    return config
