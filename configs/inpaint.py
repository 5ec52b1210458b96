"""Deep image inpainting: the U-Net of PEN-Net without attention (Zeng et al. 2019).

    python launch.py --config=configs/inpaint.py:facades
    python launch.py --config=configs/inpaint.py:celebahq --config.data.dir=FOLDER  (dtd, places2)
    python launch.py --config=configs/inpaint.py:folder --config.data.dir=FOLDER
    python launch.py --config=configs/inpaint.py:synthetic
    python launch.py --config=configs/inpaint.py:facades --mode=translate \
        --input=IMAGES --mask=MASKS --output=FOLDER

L1 weighted 6 in the hole and 1 outside, Adam 1e-4, batches of 16, 256x256, the published number of
iterations; the learning rate falls to a tenth every 100,000 (facades: 50,000). FOLDER holds train/
and val/, or only images, one in 20 of which is kept for validation; `folder` takes any photographs,
however many, and has a constant learning rate. Holes are drawn at random, rectangles and free-form
strokes, or come from --config.data.mask_dir=FOLDER. --config.loss.lambda_gan=0.1 adds the PatchGAN
loss. `synthetic` is the offline data set, small enough for two CPU cores (9 minutes).
"""

from configs import default

# Number of training images, if it is known, and of iterations in PEN-Net's configs.
DATA = {
    "facades": (400, 200_000),
    "celebahq": (28_000, 330_000),
    "dtd": (5_360, 330_000),
    "places2": (1_800_000, 1_000_000),
    "folder": (None, 200_000),
    "synthetic": (400, 2_000),
}


def get_config(data: str = "facades"):
    if data not in DATA:
        raise ValueError(f"there is no variant {data!r}; choose one of {', '.join(DATA)}")
    images, steps = DATA[data]
    config = default.get_config()
    config.name = f"inpaint_{data}"
    config.method = "inpainting"
    config.data.name = data
    config.data.direction = "BtoA"  # the photographs of the pairs
    config.data.input_channels = 4
    config.data.load_size = (256, 256)
    config.model.generator = "inpainting_unet"
    config.model.ngf = 32
    config.model.norm = "none"
    config.model.dropout = 0.0
    config.model.init_type = "kaiming"
    config.model.init_gain = 1.0
    config.loss.lambda_gan = 0.0
    config.loss.conditional = False
    config.optim.learning_rate = 1e-4
    config.optim.policy = "step"
    config.train.num_steps = steps
    config.train.batch_size = 16
    if images:
        decay_steps = 50_000 if data == "facades" else 100_000
        config.optim.decay_every = max(1, decay_steps * config.train.batch_size // images)
    else:
        config.optim.policy = "constant"  # decays are counted in epochs, and these may be short
    config.train.best_metric = "hole_l1"
    config.eval.fit = "pad"
    if data == "synthetic":
        config.data.load_size = config.data.crop_size = (64, 64)
        config.optim.learning_rate = 5e-4
        config.train.batch_size = 8
        config.train.sample_every = config.train.eval_every = 500
        config.train.checkpoint_every = 500
    return config
