"""CycleGAN as in the TensorFlow tutorial: U-Nets, cross entropy, no pool.

    python launch.py --config=configs/cyclegan_tf.py
    python launch.py --config=configs/cyclegan_tf.py:epochs5       or epochs200

horse2zebra with nearest-neighbour jitter, affine instance norm and a constant learning rate,
10 epochs. (An epoch of the tutorial ends with the smaller set, after 1,067 steps; ours
uses every image of the larger one.)
"""

from configs import cyclegan
from configs.pix2pix_tf import tf_networks


def get_config(variant: str = "epochs10"):
    epochs = {"epochs5": 5, "epochs10": 10, "epochs200": 200}
    if variant not in epochs:
        raise ValueError(f"there is no variant {variant!r}; choose one of {', '.join(epochs)}")
    config = cyclegan.get_config("horse2zebra")
    config.name = "cyclegan_tf" if variant == "epochs10" else f"cyclegan_tf_{variant}"
    tf_networks(config.model)
    config.model.norm_affine = True
    config.data.resize_method = "nearest"
    config.loss.gan_mode = "vanilla"
    config.loss.pool_size = 0
    config.optim.eps = 1e-7
    config.optim.policy = "constant"
    config.optim.epochs = epochs[variant]
    config.optim.epochs_decay = 0
    return config
