"""pix2pix as in the TensorFlow tutorial: facades, 40,000 steps.

    python launch.py --config=configs/pix2pix_tf.py

Differs from facades.py in what `tf_networks` sets, Keras's epsilons and momentum of the norms,
nearest-neighbour jitter, a discriminator loss that is not halved, both networks updated from the
same forward pass, and a constant learning rate. 54,414,979 and 2,768,641 trainable parameters, as
in the tutorial. (Keras's Adam adds epsilon before the bias correction of the second moment, ours
after it.)
"""

from configs import facades


def tf_networks(model):
    """Sets up our networks as the tutorial's U-Net and PatchGAN."""
    model.generator = "unet_256"
    model.bias = "last"
    model.norm_innermost = True
    model.dropout = 0.5
    model.dropout_blocks = (1, 2, 3)
    model.leaky_slope = 0.3
    model.skip_first = False
    model.skip_leaks = True


def get_config():
    config = facades.get_config()
    config.name = "pix2pix_tf"
    tf_networks(config.model)
    config.model.norm_eps = 1e-3
    config.model.norm_momentum = 0.01
    config.data.resize_method = "nearest"
    config.loss.d_loss_factor = 1.0
    config.loss.update_order = "simultaneous"
    config.optim.eps = 1e-7
    config.optim.policy = "constant"
    config.train.num_steps = 40_000
    return config
