"""pix2pix from edges to shoes (Isola et al. 2017, appendix 6.2).

    python launch.py --config=configs/edges2shoes.py

49,825 pairs, 15 epochs in batches of 4 at a constant learning rate. The data set streams from
disk when data.cache_mb does not hold it (23 GiB). FID published by mmgeneration: 84.4.
"""

from configs import default


def get_config():
    config = default.get_config()
    config.name = "edges2shoes"
    config.data.name = "edges2shoes"
    config.data.direction = "AtoB"
    config.train.batch_size = 4
    config.optim.epochs = 15
    config.optim.epochs_decay = 0
    return config
