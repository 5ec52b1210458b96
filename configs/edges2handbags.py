"""pix2pix from edges to handbags (Isola et al. 2017, appendix 6.2).

    python launch.py --config=configs/edges2handbags.py

138,567 pairs, 15 epochs in batches of 4, like edges2shoes.
"""

from configs import edges2shoes


def get_config():
    config = edges2shoes.get_config()
    config.name = "edges2handbags"
    config.data.name = "edges2handbags"
    return config
