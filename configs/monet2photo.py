"""CycleGAN from Monet's paintings to photographs (Zhu et al. 2017, section 5.2, figure 9).

    python launch.py --config=configs/monet2photo.py

1,072 paintings and 6,287 photographs. The identity loss, weighted 0.5, preserves the colours.
"""

from configs import cyclegan


def get_config():
    config = cyclegan.get_config("monet2photo")
    config.name = "monet2photo"
    config.loss.lambda_identity = 0.5
    return config
